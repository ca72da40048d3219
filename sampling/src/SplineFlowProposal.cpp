#include "openmmscore/sampling/SplineFlowProposal.h"

#include <algorithm>
#include <utility>

#include "InternalGradient.h"
#include "openmmscore/models/CounterRandom.h"
#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

/** So many samples at once are enough for the flow, and memory for coordinates stays small. */
constexpr std::int64_t chunkSize = 256;
/** Sub-index of the random numbers of orientations; those of the flow have 0. */
constexpr std::uint32_t orientationNumbers = 1;

[[noreturn]] void fail(const std::string& what) {
    throw ShapeError("SplineFlowProposal: " + what);
}

/** Call use(first, size) for chunks of a whole. */
template <class Use>
void forChunks(std::int64_t count, Use&& use) {
    for (std::int64_t at = 0; at < count; at += chunkSize)
        use(at, std::min(chunkSize, count - at));
}

} // namespace

SplineFlowProposal::SplineFlowProposal(int count, Frame frame, SplineFlowDescription description,
                                       SplineFlow::Tensors tensors)
    : coordinates(count, frame), flow(std::move(description), std::move(tensors)) {
    requireDimension(coordinates.getDimension());
}

SplineFlowProposal::SplineFlowProposal(FlowCoordinates given, SplineFlowDescription description,
                                       SplineFlow::Tensors tensors)
    : coordinates(given.getNumParticles(), Frame::Centred), internal(std::move(given)),
      flow(std::move(description), std::move(tensors)) {
    requireDimension(internal->getDimension());
    if (flow.getDescription().circular != internal->getCircular())
        fail("the flow's circular coordinates are not those of the internal coordinates (torsions "
             "without a centre)");
}

void SplineFlowProposal::requireDimension(int expected) const {
    if (flow.getDimension() != expected)
        fail("the flow has " + std::to_string(flow.getDimension()) + " dimensions, its coordinates have " +
             std::to_string(expected));
}

void SplineFlowProposal::toFlow(std::int64_t count, const double* x, double* y, double* logJacobian) const {
    for (std::int64_t i = 0; i < count; i++, x += getNumCoordinates(), y += flow.getDimension()) {
        logJacobian[i] = 0;
        if (internal)
            logJacobian[i] = internal->toFlow(x, y).logJacobian;
        else
            coordinates.toCoordinates(x, y);
    }
}

void SplineFlowProposal::fromFlow(std::int64_t count, double* y, double* x, double* logJacobian) const {
    for (std::int64_t i = 0; i < count; i++, x += getNumCoordinates(), y += flow.getDimension()) {
        logJacobian[i] = 0;
        if (internal)
            logJacobian[i] = internal->toPositions(y, x).logJacobian;
        else
            coordinates.toPositions(y, x);
    }
}

void SplineFlowProposal::sample(std::uint64_t seed, std::int64_t first, std::int64_t count, double* positions,
                                double* density) const {
    std::vector<double> y(static_cast<std::size_t>(std::min(count, chunkSize) * flow.getDimension()));
    double logJacobian[chunkSize];
    forChunks(count, [&](std::int64_t at, std::int64_t size) {
        flow.sample(seed, first + at, size, y.data(), density + at);
        double* x = positions + at * getNumCoordinates();
        fromFlow(size, y.data(), x, logJacobian);
        for (std::int64_t i = 0; internal && i < size; i++, x += getNumCoordinates()) {
            density[at + i] -= logJacobian[i];
            CounterRandom random(seed, CounterRandom::Stream::Proposal,
                                 static_cast<std::uint64_t>(first + at + i), orientationNumbers);
            internal->getInternal().orient(random, x);
        }
    });
}

void SplineFlowProposal::logDensity(std::int64_t count, const double* positions, double* density) const {
    std::vector<double> y(static_cast<std::size_t>(std::min(count, chunkSize) * flow.getDimension()));
    double logJacobian[chunkSize];
    forChunks(count, [&](std::int64_t at, std::int64_t size) {
        toFlow(size, positions + at * getNumCoordinates(), y.data(), logJacobian);
        flow.logDensity(size, y.data(), density + at);
        for (std::int64_t i = 0; i < size; i++)
            density[at + i] -= logJacobian[i];
    });
}

void SplineFlowProposal::logDensityGradient(std::int64_t count, const double* positions,
                                            double* gradient) const {
    const std::int64_t d = flow.getDimension(), width = getNumCoordinates();
    std::vector<double> y(static_cast<std::size_t>(std::min(count, chunkSize) * d)), byY(y.size());
    double logJacobian[chunkSize];
    forChunks(count, [&](std::int64_t at, std::int64_t size) {
        toFlow(size, positions + at * width, y.data(), logJacobian);
        flow.logDensityGradient(size, y.data(), byY.data());
        for (std::int64_t i = 0; i < size; i++) {
            double* own = byY.data() + i * d;
            if (internal)
                toPositionGradient(*internal, positions + (at + i) * width, y.data() + i * d, own,
                                   gradient + (at + i) * width);
            else
                coordinates.toPositions(own, gradient + (at + i) * width);
        }
    });
}

void SplineFlowProposal::toBase(std::int64_t count, const double* positions, double* z,
                                double* logDet) const {
    std::vector<double> y(static_cast<std::size_t>(std::min(count, chunkSize) * flow.getDimension()));
    double logJacobian[chunkSize];
    forChunks(count, [&](std::int64_t at, std::int64_t size) {
        toFlow(size, positions + at * getNumCoordinates(), y.data(), logJacobian);
        flow.toBase(size, y.data(), z + at * flow.getDimension(), logDet + at);
        for (std::int64_t i = 0; i < size; i++)
            logDet[at + i] -= logJacobian[i];
    });
}

void SplineFlowProposal::fromBase(std::int64_t count, const double* z, double* positions,
                                  double* logDet) const {
    std::vector<double> y(static_cast<std::size_t>(std::min(count, chunkSize) * flow.getDimension()));
    double logJacobian[chunkSize];
    forChunks(count, [&](std::int64_t at, std::int64_t size) {
        flow.fromBase(size, z + at * flow.getDimension(), y.data(), logDet + at);
        fromFlow(size, y.data(), positions + at * getNumCoordinates(), logJacobian);
        for (std::int64_t i = 0; i < size; i++)
            logDet[at + i] += logJacobian[i];
    });
}

} // namespace OpenMMScore
