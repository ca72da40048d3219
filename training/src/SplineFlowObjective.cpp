#include "SplineFlowObjective.h"

#include <algorithm>
#include <numeric>

#include "openmmscore/models/CounterRandom.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/sampling/ProposalFile.h"
#include "openmmscore/sampling/SplineFlowProposal.h"

namespace OpenMMScore {

namespace {

/** Enough columns for a full-speed matrix product, few enough for the cache; measured on AVX-512. */
constexpr std::int64_t samplesPerPart = 128;
/** Of transformers: in small parts calls of LibTorch would cost more than what they compute. */
constexpr std::int64_t tokensPerPart = 2048, mostSamplesPerPart = 512;

std::vector<int> permutation(int count, std::uint64_t seed, std::uint64_t index) {
    CounterRandom random(seed, CounterRandom::Stream::Initialization, index, 1);
    std::vector<int> order(count);
    std::iota(order.begin(), order.end(), 0);
    for (int i = count - 1; i > 0; i--)
        std::swap(order[i], order[random.below(static_cast<std::uint64_t>(i) + 1)]);
    return order;
}

} // namespace

SplineFlowDescription describeSplineFlow(const ProposalConfig& config, int dimension,
                                         const std::vector<int>& circular) {
    using Type = SplineFlowDescription::Layer::Type;
    SplineFlowDescription description = config.flow;
    description.dimension = dimension;
    description.circular = circular;
    std::sort(description.circular.begin(), description.circular.end());
    for (std::int64_t l = 0; l < config.numLayers; l++) {
        SplineFlowDescription::Layer& layer = description.layers.emplace_back(config.layer);
        const bool pairs = layer.type == Type::Coupling;
        layer.transformed =
            permutation(dimension, config.permutationSeed, static_cast<std::uint64_t>(pairs ? l / 2 : l));
        if (!pairs || dimension == 1)
            continue;
        const auto middle = layer.transformed.begin() + (dimension + 1) / 2;
        l % 2 == 0 ? layer.transformed.erase(middle, layer.transformed.end())
                   : layer.transformed.erase(layer.transformed.begin(), middle);
        std::sort(layer.transformed.begin(), layer.transformed.end());
    }
    return description;
}

SplineFlowObjective::SplineFlowObjective(const TrainingConfig& runConfig, const FlowFrames& flowFrames,
                                         const at::TensorOptions& options)
    : config(runConfig), frames(flowFrames),
      flow(describeSplineFlow(config.proposal, frames.getDimension(), frames.getCircular()),
           frames.getLocation(), frames.getScale(), config.proposal.permutationSeed, options),
      masked(flow.getMask().min().item<double>() == 0.0),
      validationBatch(frames.validationBatch(config.output.validationSamples)) {}

void SplineFlowObjective::initialize() {
    const std::string& file = config.stages[0].startFrom;
    if (file.empty()) {
        flow.initialize(config.seed);
        return;
    }
    const auto start = std::dynamic_pointer_cast<const SplineFlowProposal>(readProposal(file));
    if (!start || writeSplineFlowSettings(start->getFlow().getDescription()) !=
                      writeSplineFlowSettings(flow.getDescription()))
        throw Error(file + ": training.start_from is no spline flow like that of [proposal] (layers, sizes, "
                           "coordinates and permutation_seed must be the same)");
    // Coordinates stay normalised as these frames want it: weights are where to begin, whatever frames they
    // saw.
    std::vector<std::vector<double>> values;
    for (const SplineFlowTensor& tensor : splineFlowTensors(flow.getDescription()))
        values.push_back(tensor.name == "location" ? frames.getLocation()
                         : tensor.name == "scale"  ? frames.getScale()
                                                   : start->getFlow().getTensors().at(tensor.name));
    flow.importTensors(values);
}

std::int64_t SplineFlowObjective::partSize(std::int64_t batchSize) const {
    using Network = SplineFlowDescription::Network;
    const bool transformer = config.proposal.layer.network == Network::Transformer;
    const std::int64_t samples =
        transformer ? std::clamp(tokensPerPart / frames.getDimension(), samplesPerPart, mostSamplesPerPart)
                    : samplesPerPart;
    return std::clamp<std::int64_t>(samples, 1, batchSize);
}

void SplineFlowObjective::drawBatch(std::int64_t step, BatchPart share) {
    batch = frames.trainingBatch(step, share.first, share.count);
    batchBegin = share.first;
}

Losses SplineFlowObjective::addGradient(BatchPart part, at::Tensor& gradient) const {
    const at::Tensor v = batch.narrow(1, part.first - batchBegin, part.count).contiguous();
    const double scale = 1.0 / double(config.stages[0].batchSize);
    const double loss = flow.addGradient(v, -scale, gradient);
    if (masked)
        gradient.mul_(flow.getMask());
    return {loss, 0.0};
}

Losses SplineFlowObjective::validationLoss(BatchPart part) const {
    const at::Tensor v = validationBatch.narrow(1, part.first, part.count).contiguous();
    return {-flow.logDensity(v).sum().item<double>() / double(numValidationSamples()), 0.0};
}

void SplineFlowObjective::writeModel(const std::string& path, const at::Tensor& values,
                                     const std::string& provenance) const {
    SplineFlow::Tensors tensors;
    for (NamedTensor& tensor : flow.exportTensors(values))
        tensors[tensor.name] = std::move(tensor.values);
    if (frames.getInternal()) {
        const SplineFlowProposal proposal(*frames.getInternal(), flow.getDescription(), std::move(tensors));
        writeProposal(proposal, path, provenance);
        return;
    }
    const bool vector = config.proposal.coordinates == ProposalConfig::Coordinates::Vector;
    const SplineFlowProposal proposal(frames.getCount(),
                                      vector ? Proposal::Frame::Vector : Proposal::Frame::Centred,
                                      flow.getDescription(), std::move(tensors));
    writeProposal(proposal, path, provenance);
}

} // namespace OpenMMScore
