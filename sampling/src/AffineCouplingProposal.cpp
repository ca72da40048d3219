#include "openmmscore/sampling/AffineCouplingProposal.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "NormalDensity.h"
#include "openmmscore/models/CounterRandom.h"
#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

const std::string name = "AffineCouplingProposal: ";

void requireLength(const std::vector<double>& values, const std::string& what, std::size_t expected) {
    if (values.size() != expected)
        throw ShapeError(name + what + " holds " + std::to_string(values.size()) + " numbers, expected " +
                         std::to_string(expected));
    if (!std::all_of(values.begin(), values.end(), [](double value) { return std::isfinite(value); }))
        throw ShapeError(name + what + " holds a number that is not finite");
}

AffineCouplingProposal::Parameters check(AffineCouplingProposal::Parameters p) {
    const FrameCoordinates coordinates(p.count, p.frame);
    const auto d = static_cast<std::size_t>(coordinates.getDimension());
    requireLength(p.location, "location", d);
    requireLength(p.scale, "scale", d);
    for (std::size_t i = 0; i < d; i++)
        if (!(p.scale[i] > 0))
            throw ShapeError(name + "scale " + std::to_string(i) + " is " + std::to_string(p.scale[i]) +
                             ", expected a positive number");
    for (std::size_t l = 0; l < p.layers.size(); l++) {
        const AffineCouplingProposal::Layer& layer = p.layers[l];
        const std::size_t kept = AffineCouplingProposal::countKept(d, l), changed = d - kept;
        const std::size_t hidden = layer.hiddenBias.size();
        const std::string prefix = "layer " + std::to_string(l) + ": ";
        if (hidden == 0)
            throw ShapeError(name + prefix + "has no hidden units, expected one or more");
        requireLength(layer.hiddenBias, prefix + "hiddenBias", hidden);
        requireLength(layer.hiddenWeight, prefix + "hiddenWeight", hidden * kept);
        requireLength(layer.scaleWeight, prefix + "scaleWeight", changed * hidden);
        requireLength(layer.scaleBias, prefix + "scaleBias", changed);
        requireLength(layer.shiftWeight, prefix + "shiftWeight", changed * hidden);
        requireLength(layer.shiftBias, prefix + "shiftBias", changed);
    }
    return p;
}

double sumOfLogs(const std::vector<double>& values) {
    return std::accumulate(values.begin(), values.end(), 0.0,
                           [](double sum, double value) { return sum + std::log(value); });
}

} // namespace

/** What one layer computed for one sample. */
struct AffineCouplingProposal::Trace {
    std::vector<double> hidden;
    /** tanh(S h + s) and T h + t of each changed coordinate. */
    std::vector<double> logScale, shift;
    /** The changed coordinates on the side of z. */
    std::vector<double> before;
};

AffineCouplingProposal::AffineCouplingProposal(Parameters given)
    : parameters(check(std::move(given))), coordinates(parameters.count, parameters.frame),
      logConstant(-coordinates.getDimension() * halfLogTwoPi - sumOfLogs(parameters.scale)) {}

std::vector<AffineCouplingProposal::Trace> AffineCouplingProposal::makeTraces() const {
    std::vector<Trace> traces;
    for (const Layer& layer : parameters.layers) {
        const std::size_t changed = layer.scaleBias.size();
        traces.push_back({std::vector<double>(layer.hiddenBias.size()), std::vector<double>(changed),
                          std::vector<double>(changed), std::vector<double>(changed)});
    }
    return traces;
}

void AffineCouplingProposal::computeCoupling(std::size_t l, const double* v, Trace& trace) const {
    const Layer& layer = parameters.layers[l];
    const std::size_t hidden = trace.hidden.size(), changed = trace.shift.size();
    const std::size_t kept = layer.hiddenWeight.size() / hidden;
    for (std::size_t j = 0; j < hidden; j++) {
        double sum = layer.hiddenBias[j];
        for (std::size_t i = 0; i < kept; i++)
            sum += layer.hiddenWeight[j * kept + i] * v[2 * i + l % 2];
        trace.hidden[j] = std::tanh(sum);
    }
    for (std::size_t i = 0; i < changed; i++) {
        const auto product = [&](const std::vector<double>& weight) {
            return std::inner_product(trace.hidden.begin(), trace.hidden.end(),
                                      weight.begin() + static_cast<std::ptrdiff_t>(i * hidden), 0.0);
        };
        trace.logScale[i] = std::tanh(layer.scaleBias[i] + product(layer.scaleWeight));
        trace.shift[i] = layer.shiftBias[i] + product(layer.shiftWeight);
    }
}

void AffineCouplingProposal::sample(std::uint64_t seed, std::int64_t first, std::int64_t count,
                                    double* positions, double* density) const {
    std::vector<Trace> traces = makeTraces();
    std::vector<double> v(static_cast<std::size_t>(coordinates.getDimension()));
    for (std::int64_t i = 0; i < count; i++) {
        CounterRandom random(seed, CounterRandom::Stream::Proposal, static_cast<std::uint64_t>(first + i));
        for (double& each : v)
            each = random.normal();
        for (std::size_t l = 0; l < traces.size(); l++) {
            computeCoupling(l, v.data(), traces[l]);
            for (std::size_t j = 0; j < traces[l].shift.size(); j++) {
                double& changed = v[2 * j + 1 - l % 2];
                changed = changed * std::exp(traces[l].logScale[j]) + traces[l].shift[j];
            }
        }
        for (std::size_t j = 0; j < v.size(); j++)
            v[j] = parameters.location[j] + parameters.scale[j] * v[j];
        coordinates.toPositions(v.data(), positions + i * getNumCoordinates());
    }
    logDensity(count, positions, density);
}

double AffineCouplingProposal::invert(const double* positions, std::vector<Trace>& traces,
                                      std::vector<double>& v) const {
    coordinates.toCoordinates(positions, v.data());
    for (std::size_t j = 0; j < v.size(); j++)
        v[j] = (v[j] - parameters.location[j]) / parameters.scale[j];
    double logDensity = logConstant;
    for (std::size_t l = traces.size(); l-- > 0;) {
        computeCoupling(l, v.data(), traces[l]);
        for (std::size_t j = 0; j < traces[l].shift.size(); j++) {
            double& changed = v[2 * j + 1 - l % 2];
            changed = (changed - traces[l].shift[j]) * std::exp(-traces[l].logScale[j]);
            traces[l].before[j] = changed;
            logDensity -= traces[l].logScale[j];
        }
    }
    // The networks bound what they see, so an infinite position need not make the density NaN by itself.
    if (!std::all_of(positions, positions + getNumCoordinates(), [](double x) { return std::isfinite(x); }))
        return std::numeric_limits<double>::quiet_NaN();
    return logDensity - 0.5 * std::inner_product(v.begin(), v.end(), v.begin(), 0.0);
}

void AffineCouplingProposal::logDensity(std::int64_t count, const double* positions, double* density) const {
    std::vector<Trace> traces = makeTraces();
    std::vector<double> v(static_cast<std::size_t>(coordinates.getDimension()));
    for (std::int64_t i = 0; i < count; i++)
        density[i] = invert(positions + i * getNumCoordinates(), traces, v);
}

void AffineCouplingProposal::propagateGradient(std::size_t l, const Trace& trace,
                                               std::vector<double>& gradient) const {
    const Layer& layer = parameters.layers[l];
    const std::size_t hidden = trace.hidden.size(), changed = trace.shift.size();
    const std::size_t kept = layer.hiddenWeight.size() / hidden;
    std::vector<double> byHidden(hidden, 0.0);
    for (std::size_t i = 0; i < changed; i++) {
        // before = (after - shift) exp(-logScale), and log q holds -logScale besides.
        double& g = gradient[2 * i + 1 - l % 2];
        const double slope = 1 - trace.logScale[i] * trace.logScale[i];
        const double byScale = (-g * trace.before[i] - 1) * slope;
        g *= std::exp(-trace.logScale[i]);
        for (std::size_t j = 0; j < hidden; j++)
            byHidden[j] +=
                byScale * layer.scaleWeight[i * hidden + j] - g * layer.shiftWeight[i * hidden + j];
    }
    for (std::size_t j = 0; j < hidden; j++) {
        const double byInput = byHidden[j] * (1 - trace.hidden[j] * trace.hidden[j]);
        for (std::size_t i = 0; i < kept; i++)
            gradient[2 * i + l % 2] += byInput * layer.hiddenWeight[j * kept + i];
    }
}

void AffineCouplingProposal::logDensityGradient(std::int64_t count, const double* positions,
                                                double* gradient) const {
    std::vector<Trace> traces = makeTraces();
    std::vector<double> v(static_cast<std::size_t>(coordinates.getDimension()));
    for (std::int64_t i = 0; i < count; i++) {
        const double density = invert(positions + i * getNumCoordinates(), traces, v);
        for (double& each : v)
            each = std::isfinite(density) ? -each : std::numeric_limits<double>::quiet_NaN();
        for (std::size_t l = 0; l < traces.size(); l++)
            propagateGradient(l, traces[l], v);
        for (std::size_t j = 0; j < v.size(); j++)
            v[j] /= parameters.scale[j];
        coordinates.toPositions(v.data(), gradient + i * getNumCoordinates());
    }
}

} // namespace OpenMMScore
