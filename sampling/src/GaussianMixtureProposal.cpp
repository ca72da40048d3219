#include "openmmscore/sampling/GaussianMixtureProposal.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <utility>

#include "NormalDensity.h"
#include "openmmscore/models/CounterRandom.h"
#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

constexpr const char* name = "GaussianMixtureProposal: ";
constexpr std::size_t maxFactorElements = std::size_t(1) << 25;

using Parameters = GaussianMixtureProposal::Parameters;

void requireLength(const std::vector<double>& values, const char* what, std::size_t expected,
                   const char* shape) {
    if (values.size() != expected)
        throw ShapeError(std::string(name) + what + " holds " + std::to_string(values.size()) +
                         " numbers, expected " + std::to_string(expected) + " (" + shape + ")");
    for (std::size_t i = 0; i < values.size(); i++)
        if (!std::isfinite(values[i]))
            throw ShapeError(std::string(name) + "number " + std::to_string(i) + " of " + what +
                             " is not finite");
}

void requirePositive(const std::vector<double>& values, const char* what) {
    for (std::size_t i = 0; i < values.size(); i++)
        if (!(values[i] > 0))
            throw ShapeError(std::string(name) + "number " + std::to_string(i) + " of " + what + " is " +
                             std::to_string(values[i]) + ", expected a positive number");
}

/** @return the parameters with weights that sum to one */
Parameters check(Parameters p) {
    // Sizes are products of the number of particles, which this checks.
    const FrameCoordinates coordinates(p.count, p.frame);
    const std::size_t components = p.weights.size();
    if (components == 0)
        throw ShapeError(std::string(name) + "weights is empty, expected one number for each component");
    const std::size_t width = static_cast<std::size_t>(coordinates.getNumCoordinates());
    requireLength(p.weights, "weights", components, "[K]");
    requirePositive(p.weights, "weights");
    requireLength(p.means, "means", components * width, "[K, N, 3]");
    using enum GaussianMixtureProposal::Covariance;
    if (p.covariance == Isotropic)
        requireLength(p.covariances, "covariances", components, "[K]");
    else if (p.covariance == Diagonal)
        requireLength(p.covariances, "covariances", components * width, "[K, 3N]");
    else
        requireLength(p.covariances, "covariances", components * width * width, "[K, 3N, 3N]");
    if (p.covariance != Full)
        requirePositive(p.covariances, "covariances");
    const double sum = std::accumulate(p.weights.begin(), p.weights.end(), 0.0);
    if (!std::isfinite(sum))
        throw ShapeError(std::string(name) + "the sum of the weights is not finite");
    // Dividing twice would change last bits, so a copy through a file would draw other samples.
    const double rounding = std::numeric_limits<double>::epsilon() * static_cast<double>(p.weights.size());
    if (std::abs(sum - 1) <= rounding)
        return p;
    for (double& weight : p.weights)
        weight /= sum;
    requirePositive(p.weights, "the normalised weights");
    return p;
}

/** Replace the lower triangle of a symmetric matrix by its Cholesky factor. @return false unless positive */
bool factorizeCholesky(double* a, std::size_t d) {
    for (std::size_t i = 0; i < d; i++) {
        double* row = a + i * d;
        for (std::size_t j = 0; j <= i; j++) {
            const double* other = a + j * d;
            double sum = row[j];
            for (std::size_t k = 0; k < j; k++)
                sum -= row[k] * other[k];
            if (j < i)
                row[j] = sum / other[j];
            else if (sum > 0)
                row[j] = std::sqrt(sum);
            else
                return false;
        }
    }
    return true;
}

} // namespace

struct GaussianMixtureProposal::Workspace {
    Workspace(std::size_t components, std::size_t dimension)
        : y(dimension), z(components, std::vector<double>(dimension)), terms(components) {}
    std::vector<double> y;
    std::vector<std::vector<double>> z;
    std::vector<double> terms;
};

GaussianMixtureProposal::GaussianMixtureProposal(Parameters given)
    : parameters(check(std::move(given))), coordinates(parameters.count, parameters.frame),
      factorKind(parameters.covariance) {
    if (factorKind == Covariance::Diagonal && getFrame() == Frame::Centred)
        factorKind = Covariance::Full;
    const std::size_t width = static_cast<std::size_t>(coordinates.getNumCoordinates());
    if (factorKind == Covariance::Full && parameters.weights.size() * width * width > maxFactorElements)
        throw ShapeError(std::string(name) + std::to_string(parameters.weights.size()) + " matrices of [" +
                         std::to_string(width) + ", " + std::to_string(width) +
                         "] numbers are more than 256 MiB; give one variance for each component");
    for (std::size_t k = 0; k < parameters.weights.size(); k++)
        components.push_back(makeComponent(k));
}

GaussianMixtureProposal::Component GaussianMixtureProposal::makeComponent(std::size_t k) const {
    const auto d = static_cast<std::size_t>(coordinates.getDimension());
    Component component;
    component.mean.resize(d);
    coordinates.toCoordinates(
        &parameters.means[k * static_cast<std::size_t>(coordinates.getNumCoordinates())],
        component.mean.data());
    component.factor = factorize(k);
    component.logWeight = std::log(parameters.weights[k]);
    component.logScale = component.logWeight - static_cast<double>(d) * halfLogTwoPi;
    if (factorKind == Covariance::Isotropic)
        component.logScale -= static_cast<double>(d) * std::log(component.factor[0]);
    else
        for (std::size_t i = 0; i < d; i++)
            component.logScale -= std::log(component.factor[factorKind == Covariance::Full ? i * d + i : i]);
    return component;
}

std::vector<double> GaussianMixtureProposal::factorize(std::size_t k) const {
    const auto d = static_cast<std::size_t>(coordinates.getDimension());
    const std::size_t width = static_cast<std::size_t>(coordinates.getNumCoordinates());
    if (factorKind == Covariance::Isotropic)
        return {std::sqrt(parameters.covariances[k])};
    std::vector<double> factor;
    if (factorKind == Covariance::Diagonal) {
        for (std::size_t i = 0; i < width; i++)
            factor.push_back(std::sqrt(parameters.covariances[k * width + i]));
        return factor;
    }

    // The covariance of y = B x is B C B^T: first the rows, then the columns.
    std::vector<double> full(width * width);
    if (parameters.covariance == Covariance::Full)
        std::copy_n(&parameters.covariances[k * width * width], width * width, full.begin());
    else
        for (std::size_t i = 0; i < width; i++)
            full[i * width + i] = parameters.covariances[k * width + i];
    for (std::size_t i = 0; i < width; i++)
        for (std::size_t j = 0; j < i; j++)
            if (std::abs(full[i * width + j] - full[j * width + i]) >
                1e-9 * std::sqrt(std::abs(full[i * width + i] * full[j * width + j])))
                throw ShapeError(std::string(name) + "covariance matrix " + std::to_string(k) +
                                 " is not symmetric at row " + std::to_string(i) + ", column " +
                                 std::to_string(j));
    std::vector<double> half(width * d), column(width), image(d);
    for (std::size_t i = 0; i < width; i++)
        coordinates.toCoordinates(&full[i * width], &half[i * d]);
    factor.resize(d * d);
    for (std::size_t j = 0; j < d; j++) {
        for (std::size_t i = 0; i < width; i++)
            column[i] = half[i * d + j];
        coordinates.toCoordinates(column.data(), image.data());
        for (std::size_t i = 0; i < d; i++)
            factor[i * d + j] = image[i];
    }
    if (!factorizeCholesky(factor.data(), d))
        throw ShapeError(std::string(name) + "covariance matrix " + std::to_string(k) +
                         " is not positive definite" +
                         (getFrame() == Frame::Centred ? " (in the space of zero centroid)" : "") +
                         "; add a small variance to its diagonal");
    return factor;
}

void GaussianMixtureProposal::scale(const Component& component, double* z) const {
    const auto d = static_cast<std::size_t>(coordinates.getDimension());
    const std::vector<double>& factor = component.factor;
    if (factorKind != Covariance::Full) {
        for (std::size_t i = 0; i < d; i++)
            z[i] *= factor[factorKind == Covariance::Diagonal ? i : 0];
        return;
    }
    for (std::size_t i = d; i-- > 0;) {
        double sum = 0;
        for (std::size_t j = 0; j <= i; j++)
            sum += factor[i * d + j] * z[j];
        z[i] = sum;
    }
}

void GaussianMixtureProposal::solve(const Component& component, double* r) const {
    const auto d = static_cast<std::size_t>(coordinates.getDimension());
    const std::vector<double>& factor = component.factor;
    if (factorKind != Covariance::Full) {
        for (std::size_t i = 0; i < d; i++)
            r[i] /= factor[factorKind == Covariance::Diagonal ? i : 0];
        return;
    }
    for (std::size_t i = 0; i < d; i++) {
        double sum = r[i];
        for (std::size_t j = 0; j < i; j++)
            sum -= factor[i * d + j] * r[j];
        r[i] = sum / factor[i * d + i];
    }
}

void GaussianMixtureProposal::solveTransposed(const Component& component, double* z) const {
    if (factorKind != Covariance::Full) {
        solve(component, z);
        return;
    }
    const auto d = static_cast<std::size_t>(coordinates.getDimension());
    const std::vector<double>& factor = component.factor;
    for (std::size_t i = d; i-- > 0;) {
        z[i] /= factor[i * d + i];
        for (std::size_t j = 0; j < i; j++)
            z[j] -= factor[i * d + j] * z[i];
    }
}

void GaussianMixtureProposal::sample(std::uint64_t seed, std::int64_t first, std::int64_t count,
                                     double* positions, double* density) const {
    const auto d = static_cast<std::size_t>(coordinates.getDimension());
    std::vector<double> y(d);
    for (std::int64_t i = 0; i < count; i++) {
        CounterRandom random(seed, CounterRandom::Stream::Proposal, static_cast<std::uint64_t>(first + i));
        // The last component takes what rounding leaves of the sum.
        double remaining = random.fineUniform();
        std::size_t k = 0;
        while (k + 1 < components.size() && remaining >= parameters.weights[k])
            remaining -= parameters.weights[k++];
        for (double& each : y)
            each = random.normal();
        scale(components[k], y.data());
        for (std::size_t j = 0; j < d; j++)
            y[j] += components[k].mean[j];
        coordinates.toPositions(y.data(), positions + i * getNumCoordinates());
    }
    logDensity(count, positions, density);
}

double GaussianMixtureProposal::evaluate(const double* positions, Workspace& work) const {
    const std::size_t d = work.y.size();
    coordinates.toCoordinates(positions, work.y.data());
    for (std::size_t k = 0; k < components.size(); k++) {
        std::vector<double>& z = work.z[k];
        for (std::size_t i = 0; i < d; i++)
            z[i] = work.y[i] - components[k].mean[i];
        solve(components[k], z.data());
        work.terms[k] = components[k].logScale - 0.5 * std::inner_product(z.begin(), z.end(), z.begin(), 0.0);
    }
    // A position that is not finite makes every term NaN or minus infinity.
    if (!std::all_of(positions, positions + getNumCoordinates(), [](double x) { return std::isfinite(x); }))
        return std::numeric_limits<double>::quiet_NaN();
    const double most = *std::max_element(work.terms.begin(), work.terms.end());
    if (!std::isfinite(most))
        return most;
    double sum = 0;
    for (double term : work.terms)
        sum += std::exp(term - most);
    return most + std::log(sum);
}

void GaussianMixtureProposal::logDensity(std::int64_t count, const double* positions, double* density) const {
    Workspace work(components.size(), static_cast<std::size_t>(coordinates.getDimension()));
    for (std::int64_t i = 0; i < count; i++)
        density[i] = evaluate(positions + i * getNumCoordinates(), work);
}

void GaussianMixtureProposal::logDensityGradient(std::int64_t count, const double* positions,
                                                 double* gradient) const {
    const auto d = static_cast<std::size_t>(coordinates.getDimension());
    Workspace work(components.size(), d);
    std::vector<double> sum(d);
    for (std::int64_t i = 0; i < count; i++) {
        const double density = evaluate(positions + i * getNumCoordinates(), work);
        std::fill(sum.begin(), sum.end(), 0.0);
        for (std::size_t k = 0; k < components.size(); k++) {
            const double share = std::exp(work.terms[k] - density);
            solveTransposed(components[k], work.z[k].data());
            for (std::size_t j = 0; j < d; j++)
                sum[j] -= share * work.z[k][j];
        }
        coordinates.toPositions(sum.data(), gradient + i * getNumCoordinates());
    }
}

} // namespace OpenMMScore
