#include "openmmscore/sampling/SplineFlow.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

#include "NormalDensity.h"
#include "SplineConditioner.h"
#include "openmmscore/models/CounterRandom.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/sampling/RationalQuadraticSpline.h"

namespace OpenMMScore {

namespace {

using Kind = SplineFlowDescription::Kind;

// A block's rows share each weight that is read; 32 rows of 200 hidden units and their knots stay in the
// cache.
constexpr int blockRows = 32;
constexpr double pi = std::numbers::pi;

/** @return the same angle in [-pi, pi) */
double wrap(double angle) {
    if (angle >= -pi && angle < pi)
        return angle;
    const double wrapped = std::remainder(angle, 2 * pi);
    return wrapped >= pi ? -pi : std::max(wrapped, -pi);
}

[[noreturn]] void fail(const std::string& what) {
    throw ShapeError("SplineFlow: " + what);
}

bool allFinite(const double* values, std::size_t count) {
    return std::all_of(values, values + count, [](double value) { return std::isfinite(value); });
}

} // namespace

struct SplineFlow::Layer {
    bool autoregressive;
    std::vector<std::size_t> transformed;
    /** Of each transformed coordinate; zero for those that are not circular. */
    std::vector<double> shift;
    std::vector<RationalQuadraticSpline> splines;
    std::unique_ptr<const SplineConditioner> conditioner;
};

struct SplineFlow::Workspace {
    std::vector<double> v, logDet;
    SplineConditioner::Workspace conditioner;
};

SplineFlow::~SplineFlow() = default;

SplineFlow::SplineFlow(SplineFlowDescription given, Tensors values)
    : description(std::move(given)), tensors(std::move(values)) {
    checkTensors();
    const auto d = static_cast<std::size_t>(description.dimension);
    location = tensors.at("location");
    scale = tensors.at("scale");
    baseLocation.assign(d, 0.0);
    baseScale.assign(d, 1.0);
    for (std::size_t i = 0; i < d; i++) {
        kinds.push_back(description.getKind(static_cast<int>(i)));
        if (description.trainableBase) {
            baseLocation[i] = tensors.at("base.location")[i];
            baseScale[i] = std::exp(tensors.at("base.log_scale")[i]);
            logScales -= tensors.at("base.log_scale")[i];
        }
        logScales -= std::log(scale[i]);
        logBaseConstant -= kinds[i] == Kind::Real       ? halfLogTwoPi
                           : kinds[i] == Kind::Circular ? 2 * halfLogTwoPi
                                                        : std::log(2 * description.bound);
    }
    for (std::size_t l = 0; l < description.layers.size(); l++) {
        const SplineFlowDescription::Layer& own = description.layers[l];
        Layer layer{own.type == SplineFlowDescription::Layer::Type::Autoregressive,
                    {own.transformed.begin(), own.transformed.end()},
                    std::vector<double>(own.transformed.size(), 0.0),
                    {},
                    SplineConditioner::create(description, l, tensors)};
        std::size_t circular = 0;
        for (std::size_t p = 0; p < layer.transformed.size(); p++) {
            const Kind kind = kinds[layer.transformed[p]];
            layer.splines.emplace_back(description, kind);
            if (kind == Kind::Circular)
                layer.shift[p] = tensors.at("layers." + std::to_string(l) + ".shift")[circular++];
        }
        layers.push_back(std::move(layer));
    }
}

void SplineFlow::checkTensors() const {
    const std::vector<SplineFlowTensor> expected = splineFlowTensors(description);
    for (const auto& [name, shape] : expected) {
        const auto found = tensors.find(name);
        if (found == tensors.end())
            fail("tensor '" + name + "' is missing");
        std::size_t size = 1;
        for (std::int64_t each : shape)
            size *= static_cast<std::size_t>(each);
        if (found->second.size() != size)
            fail("tensor '" + name + "' holds " + std::to_string(found->second.size()) +
                 " numbers, expected " + std::to_string(size));
        if (!allFinite(found->second.data(), size))
            fail("tensor '" + name + "' holds a number that is not finite");
    }
    if (tensors.size() != expected.size())
        fail("has " + std::to_string(tensors.size()) + " tensors, expected " +
             std::to_string(expected.size()) + " (see splineFlowTensors())");
    for (std::size_t i = 0; i < static_cast<std::size_t>(description.dimension); i++) {
        const Kind kind = description.getKind(static_cast<int>(i));
        const double scale = tensors.at("scale")[i];
        const std::string found =
            "scale " + std::to_string(i) + " is " + std::to_string(scale) + ", expected ";
        if (kind == Kind::Circular && scale != 1)
            fail(found + "1 for a circular coordinate");
        if (!(scale > 0 && std::isfinite(1 / scale)))
            fail(found + "a positive number");
        for (const char* name : {"base.location", "base.log_scale"})
            if (description.trainableBase && kind != Kind::Real && tensors.at(name)[i] != 0)
                fail(std::string(name) + " " + std::to_string(i) +
                     " is not zero, expected so for a coordinate that is not real");
    }
}

SplineFlow::Workspace SplineFlow::makeWorkspace(std::int64_t count) const {
    const auto rows = static_cast<std::size_t>(std::min<std::int64_t>(count, blockRows));
    Workspace workspace;
    workspace.v.resize(rows * kinds.size());
    workspace.logDet.resize(rows);
    for (const Layer& layer : layers)
        layer.conditioner->reserve(rows, workspace.conditioner);
    return workspace;
}

void SplineFlow::normalize(int rows, double* v) const {
    for (int r = 0; r < rows; r++)
        for (std::size_t i = 0; i < kinds.size(); i++, v++)
            *v = kinds[i] == Kind::Circular ? wrap(*v - location[i]) : (*v - location[i]) / scale[i];
}

void SplineFlow::denormalize(int rows, double* v) const {
    for (int r = 0; r < rows; r++)
        for (std::size_t i = 0; i < kinds.size(); i++, v++)
            *v = kinds[i] == Kind::Circular ? wrap(*v + location[i]) : *v * scale[i] + location[i];
}

void SplineFlow::transform(const Layer& layer, std::size_t p, bool inverse, int rows, double* v,
                           double* logDet, Workspace& workspace) const {
    std::size_t step;
    const double* numbers = layer.conditioner->computeNumbers(rows, p, workspace.conditioner, step);
    const RationalQuadraticSpline& spline = layer.splines[p];
    const bool circular = kinds[layer.transformed[p]] == Kind::Circular;
    double* own = v + layer.transformed[p];
    for (int r = 0; r < rows; r++, own += kinds.size(), numbers += step) {
        if (circular && !inverse)
            *own = wrap(*own - layer.shift[p]);
        const SplineValue result = inverse ? spline.inverse(numbers, *own) : spline.forward(numbers, *own);
        *own = circular && inverse ? wrap(result.value + layer.shift[p]) : result.value;
        logDet[r] += result.logSlope;
    }
}

void SplineFlow::passForward(const Layer& layer, int rows, double* v, double* logDet,
                             Workspace& workspace) const {
    layer.conditioner->compute(rows, v, workspace.conditioner);
    for (std::size_t p = 0; p < layer.transformed.size(); p++)
        transform(layer, p, false, rows, v, logDet, workspace);
}

void SplineFlow::passBackward(const Layer& layer, int rows, double* v, double* logDet,
                              Workspace& workspace) const {
    for (std::size_t p = 0; p < layer.transformed.size(); p++) {
        layer.conditioner->computeNext(rows, p, v, workspace.conditioner);
        transform(layer, p, true, rows, v, logDet, workspace);
    }
}

void SplineFlow::blockToBase(int rows, const double* y, double* z, double* logDet,
                             Workspace& workspace) const {
    std::copy_n(y, static_cast<std::size_t>(rows) * kinds.size(), z);
    std::fill_n(logDet, rows, logScales);
    normalize(rows, z);
    for (const Layer& layer : layers)
        passForward(layer, rows, z, logDet, workspace);
    for (int r = 0; r < rows; r++)
        for (std::size_t i = 0; i < kinds.size(); i++, z++)
            *z = (*z - baseLocation[i]) / baseScale[i];
}

void SplineFlow::blockFromBase(int rows, const double* z, double* y, double* logDet,
                               Workspace& workspace) const {
    std::fill_n(logDet, rows, -logScales);
    for (int r = 0; r < rows; r++)
        for (std::size_t i = 0; i < kinds.size(); i++) {
            const std::size_t at = static_cast<std::size_t>(r) * kinds.size() + i;
            y[at] = baseLocation[i] + baseScale[i] * z[at];
        }
    for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer)
        passBackward(*layer, rows, y, logDet, workspace);
    denormalize(rows, y);
}

void SplineFlow::toBase(std::int64_t count, const double* y, double* z, double* logDet) const {
    Workspace workspace = makeWorkspace(count);
    for (std::int64_t r = 0; r < count; r += blockRows) {
        const std::int64_t at = r * description.dimension;
        blockToBase(static_cast<int>(std::min<std::int64_t>(blockRows, count - r)), y + at, z + at,
                    logDet + r, workspace);
    }
}

void SplineFlow::fromBase(std::int64_t count, const double* z, double* y, double* logDet) const {
    Workspace workspace = makeWorkspace(count);
    for (std::int64_t r = 0; r < count; r += blockRows) {
        const std::int64_t at = r * description.dimension;
        blockFromBase(static_cast<int>(std::min<std::int64_t>(blockRows, count - r)), z + at, y + at,
                      logDet + r, workspace);
    }
}

double SplineFlow::logBase(const double* z) const {
    double sum = logBaseConstant;
    for (std::size_t i = 0; i < kinds.size(); i++)
        if (kinds[i] == Kind::Real)
            sum -= 0.5 * z[i] * z[i];
        else if (kinds[i] == Kind::Box && std::abs(z[i]) > description.bound)
            return -std::numeric_limits<double>::infinity();
    return sum;
}

void SplineFlow::logDensity(std::int64_t count, const double* y, double* density) const {
    Workspace workspace = makeWorkspace(count);
    const std::size_t d = kinds.size();
    for (std::int64_t r = 0; r < count; r += blockRows) {
        const int rows = static_cast<int>(std::min<std::int64_t>(blockRows, count - r));
        const double* own = y + r * description.dimension;
        blockToBase(rows, own, workspace.v.data(), density + r, workspace);
        for (int k = 0; k < rows; k++, own += d) {
            density[r + k] += logBase(&workspace.v[static_cast<std::size_t>(k) * d]);
            // Activations may hide what is not finite.
            if (!allFinite(own, d))
                density[r + k] = std::numeric_limits<double>::quiet_NaN();
        }
    }
}

void SplineFlow::passGradient(const Layer& layer, int rows, const double* v, double* gradient,
                              Workspace& workspace) const {
    SplineConditioner::Workspace& w = workspace.conditioner;
    layer.conditioner->compute(rows, v, w);
    w.byNumbers.resize(static_cast<std::size_t>(rows) * layer.conditioner->countNumbers());
    double* byNumbers = w.byNumbers.data();
    for (std::size_t p = 0; p < layer.transformed.size(); p++) {
        const std::size_t i = layer.transformed[p];
        std::size_t step;
        const double* numbers = layer.conditioner->computeNumbers(rows, p, w, step);
        for (int r = 0; r < rows; r++, numbers += step) {
            const std::size_t at = static_cast<std::size_t>(r) * kinds.size() + i;
            const double x = kinds[i] == Kind::Circular ? wrap(v[at] - layer.shift[p]) : v[at];
            gradient[at] = layer.splines[p].differentiate(numbers, x, gradient[at], 1,
                                                          byNumbers + static_cast<std::size_t>(r) *
                                                                          layer.conditioner->countNumbers());
        }
        byNumbers += layer.splines[p].countNumbers();
    }
    layer.conditioner->addGradient(rows, w, gradient);
}

void SplineFlow::blockGradient(int rows, const std::vector<double>& stages, double* gradient,
                               Workspace& workspace) const {
    const std::size_t d = kinds.size(), size = static_cast<std::size_t>(rows) * d;
    const double* last = stages.data() + layers.size() * size;
    for (std::size_t k = 0; k < size; k++) {
        const std::size_t i = k % d;
        gradient[k] =
            kinds[i] == Kind::Real ? -(last[k] - baseLocation[i]) / (baseScale[i] * baseScale[i]) : 0;
    }
    for (std::size_t l = layers.size(); l-- > 0;)
        passGradient(layers[l], rows, stages.data() + l * size, gradient, workspace);
    for (std::size_t k = 0; k < size; k++)
        gradient[k] /= scale[k % d];
}

void SplineFlow::logDensityGradient(std::int64_t count, const double* y, double* gradient) const {
    Workspace workspace = makeWorkspace(count);
    const std::size_t d = kinds.size();
    std::vector<double> stages;
    for (std::int64_t r = 0; r < count; r += blockRows) {
        const int rows = static_cast<int>(std::min<std::int64_t>(blockRows, count - r));
        const std::size_t size = static_cast<std::size_t>(rows) * d;
        stages.resize((layers.size() + 1) * size);
        std::copy_n(y + r * description.dimension, size, stages.begin());
        std::fill_n(workspace.logDet.begin(), rows, 0.0);
        normalize(rows, stages.data());
        for (std::size_t l = 0; l < layers.size(); l++) {
            double* own = stages.data() + l * size;
            std::copy_n(own, size, own + size);
            passForward(layers[l], rows, own + size, workspace.logDet.data(), workspace);
        }
        double* result = gradient + r * description.dimension;
        blockGradient(rows, stages, result, workspace);
        for (std::size_t k = 0; k < static_cast<std::size_t>(rows); k++) {
            const double* last = stages.data() + layers.size() * size + k * d;
            if (!std::isfinite(workspace.logDet[k] + logBase(last)) ||
                !allFinite(y + (r + static_cast<std::int64_t>(k)) * description.dimension, d))
                std::fill_n(result + k * d, d, std::numeric_limits<double>::quiet_NaN());
        }
    }
}

void SplineFlow::sample(std::uint64_t seed, std::int64_t first, std::int64_t count, double* y,
                        double* density) const {
    Workspace workspace = makeWorkspace(count);
    for (std::int64_t r = 0; r < count; r += blockRows) {
        const int rows = static_cast<int>(std::min<std::int64_t>(blockRows, count - r));
        double* z = workspace.v.data();
        for (int k = 0; k < rows; k++) {
            CounterRandom random(seed, CounterRandom::Stream::Proposal,
                                 static_cast<std::uint64_t>(first + r + k));
            double* own = z + static_cast<std::size_t>(k) * kinds.size();
            for (std::size_t i = 0; i < kinds.size(); i++)
                own[i] = kinds[i] == Kind::Real ? random.normal()
                                                : (2 * random.fineUniform() - 1) *
                                                      (kinds[i] == Kind::Circular ? pi : description.bound);
            density[r + k] = logBase(own);
        }
        blockFromBase(rows, z, y + r * description.dimension, workspace.logDet.data(), workspace);
        for (int k = 0; k < rows; k++)
            density[r + k] -= workspace.logDet[static_cast<std::size_t>(k)];
    }
}

} // namespace OpenMMScore
