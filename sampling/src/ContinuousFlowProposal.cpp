#include "openmmscore/sampling/ContinuousFlowProposal.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <string>
#include <utility>

#include "FlowIntegrator.h"
#include "NormalDensity.h"
#include "openmmscore/models/CounterRandom.h"
#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

using Parameters = ContinuousFlowProposal::Parameters;

const std::string name = "ContinuousFlowProposal: ";
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
// How many samples are worked on before their coordinates leave the cache.
constexpr std::int64_t piece = 256;
constexpr double pi = std::numbers::pi;
/** Sub-index of the random numbers of orientations; those of the flow have 0. */
constexpr std::uint32_t orientationNumbers = 1;

void requireRange(const std::string& what, double value, double least, double most) {
    if (!(value >= least && value <= most))
        throw ShapeError(name + what + " is " + std::to_string(value) + ", expected " +
                         std::to_string(least) + " to " + std::to_string(most));
}

void checkTensors(const Parameters& p) {
    const std::vector<TensorShape> shapes = p.flow.getTensors();
    if (p.tensors.size() != shapes.size())
        throw ShapeError(name + "got " + std::to_string(p.tensors.size()) + " tensors, expected " +
                         std::to_string(shapes.size()) + " (see ContinuousFlowDescription::getTensors())");
    for (std::size_t k = 0; k < shapes.size(); k++) {
        const std::vector<double>& values = p.tensors[k];
        const std::int64_t expected = std::accumulate(shapes[k].shape.begin(), shapes[k].shape.end(),
                                                      std::int64_t(1), std::multiplies<>());
        if (static_cast<std::int64_t>(values.size()) != expected)
            throw ShapeError(name + shapes[k].name + " holds " + std::to_string(values.size()) +
                             " numbers, expected " + std::to_string(expected));
        if (!std::all_of(values.begin(), values.end(), [](double value) { return std::isfinite(value); }))
            throw ShapeError(name + shapes[k].name + " holds a number that is not finite");
    }
    for (const double scale : p.tensors[1])
        if (!(scale > 0))
            throw ShapeError(name + "a scale is " + std::to_string(scale) + ", expected a positive number");
    for (const int c : p.flow.circular)
        if (p.tensors[1][c] != 1)
            throw ShapeError(name + "the scale of the circular coordinate " + std::to_string(c) + " is " +
                             std::to_string(p.tensors[1][c]) + ", expected 1");
}

void checkCoordinates(const Parameters& p) {
    if (p.flow.internal != p.coordinates.has_value())
        throw ShapeError(name + "a flow of internal coordinates, and no other, comes with these");
    if (p.coordinates && p.coordinates->getNumParticles() != p.flow.count)
        throw ShapeError(name + "the internal coordinates have " +
                         std::to_string(p.coordinates->getNumParticles()) + " particles, the flow " +
                         std::to_string(p.flow.count));
    if (p.coordinates && p.coordinates->getCircular() != p.flow.circular)
        throw ShapeError(name + "the flow's circular coordinates are not those of the internal coordinates "
                                "(torsions without a centre)");
}

Parameters check(Parameters p) {
    checkTensors(p);
    checkCoordinates(p);
    requireRange("the absolute tolerance", p.solver.absoluteTolerance, 1e-12, 1);
    requireRange("the relative tolerance", p.solver.relativeTolerance, 1e-12, 1);
    requireRange("the number of steps", p.solver.numSteps, 1, 1e6);
    requireRange("the number of probes", p.trace.numProbes, 1, 4096);
    return p;
}

double sumOfLogs(const std::vector<double>& values) {
    return std::accumulate(values.begin(), values.end(), 0.0,
                           [](double sum, double value) { return sum + std::log(value); });
}

/** A number that depends on every bit of where a trajectory starts, so that probes follow from it alone. */
std::uint64_t hash(int d, const double* u) {
    std::uint64_t h = 0;
    for (int i = 0; i < d; i++) {
        // The mixing of SplitMix64: Steele, Lea and Flood, OOPSLA 2014.
        h += std::bit_cast<std::uint64_t>(u[i]) + 0x9E3779B97F4A7C15;
        h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9;
        h = (h ^ (h >> 27)) * 0x94D049BB133111EB;
        h ^= h >> 31;
    }
    return h;
}

double mean(std::size_t count, const double* values) {
    return std::accumulate(values, values + count, 0.0) / static_cast<double>(count);
}

} // namespace

ContinuousFlowProposal::ContinuousFlowProposal(Parameters given)
    : parameters(check(std::move(given))), coordinates(parameters.flow.count, parameters.flow.frame),
      isCircular(parameters.flow.whichAreCircular()),
      velocity(
          VelocityField::create(parameters.flow, {parameters.tensors.begin() + 2, parameters.tensors.end()})),
      logScale(sumOfLogs(parameters.tensors[1])) {}

ContinuousFlowProposal::~ContinuousFlowProposal() = default;

std::size_t ContinuousFlowProposal::getNumDensities() const {
    return parameters.trace.method == FlowTrace::Method::Exact ? 1 : parameters.trace.numProbes;
}

double ContinuousFlowProposal::logBase(const double* z) const {
    double sum = 0;
    for (std::size_t i = 0; i < isCircular.size(); i++)
        sum -= isCircular[i] ? 2 * halfLogTwoPi : halfLogTwoPi + 0.5 * z[i] * z[i];
    return sum;
}

void ContinuousFlowProposal::drawBase(CounterRandom& random, double* z) const {
    for (std::size_t i = 0; i < isCircular.size(); i++)
        z[i] = isCircular[i] ? pi * (2 * random.uniform() - 1) : random.normal();
}

void ContinuousFlowProposal::wrapAngles(double* u) const {
    for (const int c : parameters.flow.circular)
        u[c] -= 2 * pi * std::floor((u[c] + pi) / (2 * pi));
}

double ContinuousFlowProposal::toFlow(const double* x, double* y) const {
    if (parameters.coordinates)
        return parameters.coordinates->toFlow(x, y).logJacobian;
    coordinates.toCoordinates(x, y);
    return 0;
}

double ContinuousFlowProposal::toPositions(double* y, double* x) const {
    if (parameters.coordinates)
        return parameters.coordinates->toPositions(y, x).logJacobian;
    coordinates.toPositions(y, x);
    return 0;
}

void ContinuousFlowProposal::requireWeights() const {
    if (parameters.trace.method == FlowTrace::Method::Hutchinson && !parameters.trace.allowNoisyWeights)
        throw Error(name + "its trace is Hutchinson's estimate, so its densities have noise, which biases "
                           "weights; choose the exact trace, or allow noisy weights (estimateLogDensity() "
                           "tells their variance)");
}

void ContinuousFlowProposal::integrate(std::int64_t count, double from, double to, double* u,
                                       double* logChange) const {
    const int d = getBaseDimension();
    const bool exact = parameters.trace.method == FlowTrace::Method::Exact;
    std::vector<std::uint64_t> keys;
    for (std::int64_t i = 0; !exact && i < count; i++)
        keys.push_back(hash(d, u + i * d));
    const auto drawProbe = [&](std::int64_t sample, int probe, double* direction) {
        CounterRandom random(keys[sample], CounterRandom::Stream::Probe, probe);
        for (int i = 0; i < d; i++)
            direction[i] = random.below(2) == 0 ? -1 : 1;
    };
    FlowIntegrator(*velocity, parameters.solver, exact ? 0 : parameters.trace.numProbes, drawProbe)
        .integrate(count, from, to, u, logChange);
}

void ContinuousFlowProposal::sample(std::uint64_t seed, std::int64_t first, std::int64_t count,
                                    double* positions, double* density) const {
    const int d = getBaseDimension(), width = coordinates.getNumCoordinates();
    const auto numbers = [&](std::int64_t sample, std::uint32_t purpose) {
        return CounterRandom(seed, CounterRandom::Stream::Proposal,
                             static_cast<std::uint64_t>(first + sample), purpose);
    };
    std::vector<double> z(d * std::min(piece, count)), base(std::min(piece, count));
    for (std::int64_t start = 0; start < count; start += piece) {
        const std::int64_t size = std::min(piece, count - start);
        for (std::int64_t i = 0; i < size; i++) {
            CounterRandom random = numbers(start + i, 0);
            drawBase(random, &z[i * d]);
            base[i] = logBase(&z[i * d]);
        }
        fromBase(size, z.data(), positions + start * width, density + start);
        for (std::int64_t i = 0; i < size; i++) {
            density[start + i] = base[i] - density[start + i];
            CounterRandom random = numbers(start + i, orientationNumbers);
            if (parameters.coordinates)
                parameters.coordinates->getInternal().orient(random, positions + (start + i) * width);
        }
    }
}

void ContinuousFlowProposal::fromBase(std::int64_t count, const double* z, double* positions,
                                      double* logDet) const {
    requireWeights();
    const int d = getBaseDimension(), width = coordinates.getNumCoordinates();
    const std::size_t numDensities = getNumDensities();
    const std::vector<double>&location = parameters.tensors[0], &scale = parameters.tensors[1];
    std::vector<double> u(z, z + count * d), changes(count * numDensities);
    integrate(count, 0, 1, u.data(), changes.data());
    for (std::int64_t i = 0; i < count; i++) {
        double* y = &u[i * d];
        for (int j = 0; j < d; j++)
            y[j] = location[j] + scale[j] * y[j];
        wrapAngles(y);
        logDet[i] =
            toPositions(y, positions + i * width) + logScale - mean(numDensities, &changes[i * numDensities]);
    }
}

void ContinuousFlowProposal::invert(std::int64_t count, const double* positions, double* z,
                                    double* logChanges) const {
    const int d = getBaseDimension(), width = coordinates.getNumCoordinates();
    const std::size_t numDensities = getNumDensities();
    const std::vector<double>&location = parameters.tensors[0], &scale = parameters.tensors[1];
    std::vector<double> logJacobian(count);
    for (std::int64_t i = 0; i < count; i++) {
        const double* x = positions + i * width;
        double* u = z + i * d;
        logJacobian[i] = toFlow(x, u);
        // Coordinates may ignore a centroid that is infinite; a density may not.
        const bool finite = std::all_of(x, x + width, [](double value) { return std::isfinite(value); });
        for (int j = 0; j < d; j++)
            u[j] = finite ? (u[j] - location[j]) / scale[j] : nan;
        wrapAngles(u);
    }
    integrate(count, 1, 0, z, logChanges);
    for (std::int64_t i = 0; i < count; i++)
        wrapAngles(z + i * d);
    for (std::size_t k = 0; k < count * numDensities; k++)
        logChanges[k] = -logScale - logChanges[k] - logJacobian[k / numDensities];
}

void ContinuousFlowProposal::toBase(std::int64_t count, const double* positions, double* z,
                                    double* logDet) const {
    requireWeights();
    const std::size_t numDensities = getNumDensities();
    std::vector<double> changes(count * numDensities);
    invert(count, positions, z, changes.data());
    for (std::int64_t i = 0; i < count; i++)
        logDet[i] = mean(numDensities, &changes[i * numDensities]);
}

void ContinuousFlowProposal::logDensity(std::int64_t count, const double* positions, double* density) const {
    const int d = getBaseDimension(), width = coordinates.getNumCoordinates();
    std::vector<double> z(d * std::min(piece, count));
    for (std::int64_t start = 0; start < count; start += piece) {
        const std::int64_t size = std::min(piece, count - start);
        toBase(size, positions + start * width, z.data(), density + start);
        for (std::int64_t i = 0; i < size; i++)
            density[start + i] += logBase(&z[i * d]);
    }
}

void ContinuousFlowProposal::estimateLogDensity(std::int64_t count, const double* positions, double* density,
                                                double* variance) const {
    const int d = getBaseDimension();
    const std::size_t n = getNumDensities();
    const bool exact = parameters.trace.method == FlowTrace::Method::Exact;
    if (!exact && n < 2)
        throw Error(name + "the variance of a density is estimated from the scatter of its probes, but there "
                           "is only one; choose two or more");
    std::vector<double> z(count * d), changes(count * n);
    invert(count, positions, z.data(), changes.data());
    for (std::int64_t i = 0; i < count; i++) {
        const double *each = &changes[i * n], average = mean(n, each);
        density[i] = logBase(&z[i * d]) + average;
        double squares = 0;
        for (std::size_t p = 0; p < n; p++)
            squares += (each[p] - average) * (each[p] - average);
        variance[i] = exact ? 0 : squares / static_cast<double>(n * (n - 1));
    }
}

void ContinuousFlowProposal::computeVelocity(std::int64_t count, const double* u, const double* t,
                                             double* result, double* divergence) const {
    constexpr int lanes = VelocityField::lanes;
    const int d = getBaseDimension();
    std::vector<double> at(d * lanes), v(d * lanes), workspace(velocity->getWorkspaceSize());
    for (std::int64_t start = 0; start < count; start += lanes) {
        bool active[lanes];
        double times[lanes] = {}, divergences[lanes];
        for (int lane = 0; lane < lanes; lane++) {
            active[lane] = start + lane < count;
            for (int i = 0; i < d; i++)
                at[i * lanes + lane] = active[lane] ? u[(start + lane) * d + i] : 0;
            times[lane] = active[lane] ? t[start + lane] : 0;
        }
        velocity->evaluate(active, times, at.data(), v.data(), divergences, workspace.data());
        for (int lane = 0; lane < lanes && active[lane]; lane++) {
            for (int i = 0; i < d; i++)
                result[(start + lane) * d + i] = v[i * lanes + lane];
            divergence[start + lane] = divergences[lane];
        }
    }
}

} // namespace OpenMMScore
