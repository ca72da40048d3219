#include "FlowMatchingObjective.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/tensor.h>

#include "BestRotations.h"
#include "openmmscore/models/CounterRandom.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/sampling/ContinuousFlowProposal.h"
#include "openmmscore/sampling/OptimalPairing.h"
#include "openmmscore/sampling/ProposalFile.h"

namespace OpenMMScore {

namespace {

using Stream = CounterRandom::Stream;

/** Enough rows for a full-speed matrix product, few enough for the cache. */
constexpr std::int64_t samplesPerPart = 256;
/** The same for networks of particles, whose work is that of pairs. */
constexpr std::int64_t pairsPerPart = 8192;

/** @return how many kinds of particles there are */
int countKinds(const TrainingConfig& config, const FlowFrames& frames) {
    const std::vector<std::int64_t>& kinds = config.proposal.kinds;
    if (!kinds.empty() && static_cast<int>(kinds.size()) != frames.getCount())
        throw Error(config.data.molecules[0].file + ": proposal.kinds is for " +
                    std::to_string(kinds.size()) + " particles, the frames have " +
                    std::to_string(frames.getCount()));
    return kinds.empty() ? frames.getCount()
                         : static_cast<int>(*std::max_element(kinds.begin(), kinds.end())) + 1;
}

ContinuousFlowDescription describe(const TrainingConfig& config, const FlowFrames& frames) {
    const ProposalConfig& proposal = config.proposal;
    ContinuousFlowDescription description = proposal.continuous;
    description.count = frames.getCount();
    description.frame = proposal.coordinates == ProposalConfig::Coordinates::Vector
                            ? Proposal::Frame::Vector
                            : Proposal::Frame::Centred;
    if (description.network == ContinuousFlowDescription::Network::Egnn)
        description.egnn.nodeFeatures = countKinds(config, frames);
    description.internal = frames.getInternal().has_value();
    description.circular = frames.getCircular();
    if (description.circular.empty())
        description.angleFrequencies = 0;
    return description;
}

/** @return [N, kinds], 1 where a particle is of a kind; empty for what is no EGNN */
std::vector<double> nodeFeatures(const TrainingConfig& config, const FlowFrames& frames) {
    if (config.proposal.continuous.network != ContinuousFlowDescription::Network::Egnn)
        return {};
    const auto count = static_cast<std::size_t>(frames.getCount());
    const auto numKinds = static_cast<std::size_t>(countKinds(config, frames));
    std::vector<double> features(count * numKinds, 0.0);
    for (std::size_t i = 0; i < count; i++)
        features[i * numKinds +
                 (config.proposal.kinds.empty() ? i : static_cast<std::size_t>(config.proposal.kinds[i]))] =
            1.0;
    return features;
}

/** Write to each base sample in a block, [size, d], the frame that belongs to it. */
void pairAsTheyAre(int size, int d, const double* u0, const double* u1, double* ends) {
    const std::vector<int> partners = optimalPairing(u0, u1, size, d);
    for (int i = 0; i < size; i++)
        std::copy_n(u1 + static_cast<std::ptrdiff_t>(partners[i]) * d, d,
                    ends + static_cast<std::ptrdiff_t>(i) * d);
}

/** The same where some coordinates are circular. */
void pairAround(const FlowPaths& paths, int size, int d, const double* u0, const double* u1, double* ends) {
    const auto row = [d](const double* all, int i) { return all + static_cast<std::ptrdiff_t>(i) * d; };
    std::vector<double> costs;
    for (int i = 0; i < size; i++)
        for (int j = 0; j < size; j++)
            costs.push_back(paths.squaredDistance(row(u0, i), row(u1, j)));
    const std::vector<int> partners = optimalAssignment(costs, size);
    for (int i = 0; i < size; i++)
        std::copy_n(row(u1, partners[i]), d, ends + static_cast<std::ptrdiff_t>(i) * d);
}

/** The same where any frame may be turned. Coordinates are vectors of three, and turn like positions. */
void pairAligned(int size, int d, const double* u0, const double* u1, double* ends) {
    const auto vectors = [&](const double* rows) {
        return at::from_blob(const_cast<double*>(rows), {size, d / 3, 3}, at::kDouble);
    };
    const at::Tensor samples = vectors(u0), frames = vectors(u1);
    const at::Tensor costs = bestOverlaps(samples, frames).neg().contiguous();
    const double* each = costs.data_ptr<double>();
    const std::vector<int> partners = optimalAssignment({each, each + costs.numel()}, size);
    const at::Tensor chosen = frames.index_select(0, at::tensor(partners, at::kLong));
    vectors(ends).copy_(turnOnto(samples, chosen));
}

} // namespace

FlowMatchingObjective::Paths FlowMatchingObjective::Paths::slice(std::int64_t first,
                                                                 std::int64_t count) const {
    return {points.narrow(0, first, count), velocities.narrow(0, first, count),
            times.narrow(0, first, count)};
}

FlowMatchingObjective::FlowMatchingObjective(const TrainingConfig& runConfig, const FlowFrames& flowFrames,
                                             const at::TensorOptions& tensorOptions)
    : config(runConfig), frames(flowFrames), options(tensorOptions),
      paths(config.proposal.paths, config.proposal.sigma, describe(config, frames).whichAreCircular()),
      network(TorchVelocity::create(describe(config, frames), options, nodeFeatures(config, frames))) {
    validation = drawPaths(frames.validationBatch(config.output.validationSamples).t(), true, 0, 0);
}

void FlowMatchingObjective::initialize() {
    const std::string& file = config.stages[0].startFrom;
    if (file.empty()) {
        network->initialize(config.seed);
        return;
    }
    const auto start = std::dynamic_pointer_cast<const ContinuousFlowProposal>(readProposal(file));
    if (!start || start->getParameters().flow != network->getDescription())
        throw Error(file + ": training.start_from is no continuous flow like that of [proposal] (velocity, "
                           "sizes, time_frequencies and coordinates must be the same)");
    network->importTensors(start->getParameters().tensors);
}

std::int64_t FlowMatchingObjective::partSize(std::int64_t batchSize) const {
    if (!options.device().is_cpu())
        return batchSize;
    const std::int64_t count = frames.getCount();
    const std::int64_t most = config.proposal.hasParticleNetwork()
                                  ? std::clamp<std::int64_t>(pairsPerPart / (count * count), 8, 64)
                                  : samplesPerPart;
    return std::clamp<std::int64_t>(most, 1, batchSize);
}

FlowMatchingObjective::Paths FlowMatchingObjective::drawPaths(const at::Tensor& frameRows, bool forValidation,
                                                              std::uint64_t index, std::int64_t first) const {
    const at::Tensor u1 = frameRows.to(at::kCPU, at::kDouble).contiguous();
    const std::int64_t count = u1.size(0), d = u1.size(1);
    at::Tensor u0 = at::empty_like(u1), eps = at::empty_like(u1), times = at::empty({count}, at::kDouble);
    for (std::int64_t i = 0; i < count; i++) {
        const auto place = static_cast<std::uint32_t>(first + i);
        CounterRandom random(config.seed, forValidation ? Stream::Validation : Stream::Perturbation, index,
                             place);
        paths.draw(random, u0.data_ptr<double>() + i * d, eps.data_ptr<double>() + i * d);
        // For validation by the golden ratio: evenly spread, and not in step with the order of the frames.
        times.data_ptr<double>()[i] =
            forValidation ? std::fmod(0.5 + 0.61803398874989485 * double(place), 1.0) : random.uniform();
    }
    at::Tensor ends = at::empty_like(u1);
    const std::int64_t block = std::max<std::int64_t>(1, config.proposal.pairing);
    for (std::int64_t begin = 0; begin < count; begin += block) {
        const auto size = static_cast<int>(std::min(block, count - begin));
        const double *from = u0.data_ptr<double>() + begin * d, *to = u1.data_ptr<double>() + begin * d;
        double* partners = ends.data_ptr<double>() + begin * d;
        if (paths.hasCircular())
            pairAround(paths, size, int(d), from, to, partners);
        else
            (config.proposal.align ? pairAligned : pairAsTheyAre)(size, int(d), from, to, partners);
    }
    at::Tensor points = at::empty_like(u1), rates = at::empty_like(u1);
    for (std::int64_t i = 0; i < count; i++) {
        const auto at = [&](const at::Tensor& rows) { return rows.data_ptr<double>() + i * d; };
        paths.follow(times.data_ptr<double>()[i], at(u0), at(ends), at(eps), at(points), at(rates));
    }
    return {points.to(options), rates.to(options), times};
}

// What is paired must not depend on how a batch is shared out, so whole blocks are drawn.
void FlowMatchingObjective::drawBatch(std::int64_t step, BatchPart share) {
    const std::int64_t all = config.stages[0].batchSize;
    const std::int64_t block = std::max<std::int64_t>(1, config.proposal.pairing);
    const std::int64_t first = share.first / block * block;
    const std::int64_t end = std::min(all, (share.first + share.count + block - 1) / block * block);
    batch = drawPaths(frames.trainingBatch(step, first, end - first).t(), false,
                      static_cast<std::uint64_t>(step), first);
    batchBegin = first;
}

Losses FlowMatchingObjective::addGradient(BatchPart part, at::Tensor& gradient) const {
    const Paths paths = batch.slice(part.first - batchBegin, part.count);
    return {network->addGradient(paths.points, paths.times, paths.velocities,
                                 1.0 / double(config.stages[0].batchSize), gradient),
            0.0};
}

Losses FlowMatchingObjective::validationLoss(BatchPart part) const {
    const Paths paths = validation.slice(part.first, part.count);
    const at::Tensor difference = network->velocity(paths.points, paths.times) - paths.velocities;
    const double share = 1.0 / double(numValidationSamples() * difference.size(1));
    return {share * (difference * difference).sum(at::kDouble).item<double>(), 0.0};
}

void FlowMatchingObjective::writeModel(const std::string& path, const at::Tensor& values,
                                       const std::string& provenance) const {
    const ContinuousFlowProposal proposal(
        {network->getDescription(),
         network->exportTensors(frames.getLocation(), frames.getScale(), values),
         {},
         {},
         frames.getInternal()});
    writeProposal(proposal, path, provenance);
}

} // namespace OpenMMScore
