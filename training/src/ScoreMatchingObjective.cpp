#include "ScoreMatchingObjective.h"

#include <algorithm>
#include <cmath>

#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

/** Rows of activations in one part of a batch: enough for a full-speed matrix product, few enough for the
 * cache. */
constexpr std::int64_t rowsPerPart = 320;

DenoisingScoreMatchingLoss matchingLoss(const NoiseSchedule& schedule, const TrainingConfig& config,
                                        std::size_t stage) {
    const ExpertDescription& expert = config.model.experts.at(stage);
    return {schedule,
            expert.lowerTime,
            expert.upperTime,
            config.stages.at(stage).timeMidpoint,
            config.model.schedule.isDiscrete() ? 0.0 : 1e-7,
            expert.scaling == Scaling::CleanData};
}

std::uint64_t seedOf(const TrainingConfig& config, std::size_t stage) {
    return config.seed + (static_cast<std::uint64_t>(stage) << 48);
}

} // namespace

ScoreMatchingObjective::ScoreMatchingObjective(const TrainingConfig& runConfig, std::size_t index,
                                               const TrainingSet& trainingSet,
                                               const at::TensorOptions& tensorOptions)
    : config(runConfig), stage(index), settings(config.stages.at(index)), data(trainingSet),
      options(tensorOptions), account{data.getFileName(),          data.getSha256(),
                                      data.getNumTrainingFrames(), data.getNumValidationFrames(),
                                      data.isWeighted(),           data.getEffectiveTrainingFrames()},
      schedule(config.model.schedule.create()), scoreMatching(matchingLoss(*schedule, config, stage)),
      network(TorchNetwork::create(config.model, static_cast<int>(stage), options)),
      validationBatch(data.validationBatch(config.output.validationSamples, stage)) {
    if (settings.fokkerPlanck.weight > 0.0)
        fokkerPlanck.emplace(dynamic_cast<const VariancePreserving&>(*schedule), scoreMatching,
                             settings.fokkerPlanck, config.model.space == ModelDescription::Space::Particles);
}

void ScoreMatchingObjective::initialize() {
    if (settings.startFrom.empty())
        network->initialize(seedOf(config, stage));
    else
        startFromFile();
}

void ScoreMatchingObjective::startFromFile() {
    const ModelFile file = ModelFile::read(settings.startFrom);
    const ModelDescription model = ModelDescription::fromJson(file.getDocument(), settings.startFrom);
    const auto numExperts = static_cast<int>(model.experts.size());
    // The only expert of a file needs no index.
    const int expert = numExperts == 1 ? 0 : settings.startExpert;
    if (expert >= numExperts)
        throw Error(settings.startFrom + ": start_expert is " + std::to_string(expert) + ", the file has " +
                    std::to_string(numExperts) + " experts (counted from 0)");
    const std::vector<TensorShape> theirs = expertTensors(model, expert);
    const std::vector<TensorShape>& ours = network->getShapes();
    std::vector<std::vector<double>> values;
    for (std::size_t i = 0; i < theirs.size(); i++) {
        const auto nameOf = [](const TensorShape& tensor) {
            return tensor.name.substr(tensor.name.find('.', 8) + 1);
        };
        if (theirs.size() != ours.size() || nameOf(theirs[i]) != nameOf(ours[i]) ||
            theirs[i].shape != ours[i].shape)
            throw Error(settings.startFrom + ": expert " + std::to_string(expert) +
                        " is another network than that of stage " + std::to_string(stage) +
                        " (sizes, head, time features and particles must be the same)");
        values.push_back(file.readTensor(theirs[i].name, theirs[i].shape));
    }
    if (std::abs(model.lengthScale / config.model.lengthScale - 1.0) > 0.01)
        throw Error(settings.startFrom + ": its length scale is " + std::to_string(model.lengthScale) +
                    " nm, that of the data " + std::to_string(config.model.lengthScale) +
                    " nm (set model.length_scale to keep the former)");
    network->importTensors(values);
}

LossNames ScoreMatchingObjective::lossNames() const {
    if (!fokkerPlanck)
        return {"score_matching", "", ""};
    return {"score_matching", "fokker_planck", "Fokker-Planck"};
}

bool ScoreMatchingObjective::isMlp() const {
    return config.model.experts[stage].architecture == ExpertDescription::Architecture::Mlp;
}

std::int64_t ScoreMatchingObjective::partSize(std::int64_t batchSize) const {
    if (!options.device().is_cpu())
        return batchSize;
    // A perceptron takes all points of the Fokker-Planck loss at once, see forFokkerPlanck().
    const std::int64_t rowsPerSample = !isMlp()       ? config.model.count
                                       : fokkerPlanck ? 1 + fokkerPlanck->getNumPoints()
                                                      : 1;
    return std::clamp<std::int64_t>(rowsPerPart / rowsPerSample, 1, batchSize);
}

// Samples are chosen evenly over the batch, so that it does not matter how it is cut and threads have equal
// work. Four evaluations a sample are made at once, so pieces are four times smaller than parts.
void ScoreMatchingObjective::forFokkerPlanck(const NoisedBatch& samples, std::int64_t first,
                                             std::int64_t batchSize,
                                             const std::function<void(const NoisedBatch&, double)>& f) const {
    if (!fokkerPlanck)
        return;
    // The same share of the validation's samples as of a batch's.
    const std::int64_t wanted =
        settings.fokkerPlanck.samples > 0 ? settings.fokkerPlanck.samples : settings.batchSize;
    const std::int64_t all = std::clamp<std::int64_t>(wanted * batchSize / settings.batchSize, 1, batchSize);
    std::vector<std::int64_t> chosen;
    for (std::int64_t i = 0; i < samples.size(); i++)
        if ((first + i + 1) * all / batchSize > (first + i) * all / batchSize)
            chosen.push_back(i);
    const bool whole = isMlp() || !options.device().is_cpu();
    const auto count = static_cast<std::int64_t>(chosen.size());
    const std::int64_t piece = whole ? count : std::max<std::int64_t>(1, partSize(batchSize) / 4);
    for (std::int64_t k = 0; k < count; k += piece) {
        const std::int64_t size = std::min(piece, count - k);
        f(samples.select({chosen.begin() + k, chosen.begin() + k + size}), 1.0 / double(all));
    }
}

void ScoreMatchingObjective::drawBatch(std::int64_t step, BatchPart share) {
    batch = data.trainingBatch(step, stage, share.first, share.count);
    batchBegin = share.first;
}

Losses ScoreMatchingObjective::addGradient(BatchPart part, at::Tensor& gradient) const {
    const NoisedBatch samples = batch.slice(part.first - batchBegin, part.count);
    const double scale = 1.0 / double(settings.batchSize);
    Losses losses;
    losses.main = scoreMatching.addGradient(*network, samples, scale, gradient);
    forFokkerPlanck(samples, part.first, settings.batchSize, [&](const NoisedBatch& some, double share) {
        losses.penalty += fokkerPlanck->addGradient(*network, some, share, gradient);
    });
    return losses;
}

Losses ScoreMatchingObjective::validationLoss(BatchPart part) const {
    const NoisedBatch samples = validationBatch.slice(part.first, part.count);
    Losses losses;
    losses.main = scoreMatching.value(*network, samples, 1.0 / double(validationBatch.size()));
    forFokkerPlanck(samples, part.first, validationBatch.size(), [&](const NoisedBatch& some, double share) {
        losses.penalty += fokkerPlanck->value(*network, some, share);
    });
    return losses;
}

void ScoreMatchingObjective::writeModel(const std::string& path, const at::Tensor& values,
                                        const std::string& provenance) const {
    ModelDescription description = config.model;
    description.experts = {config.model.experts[stage]};
    if (config.stages.size() > 1) {
        description.title += ", expert " + std::to_string(stage);
        const ExpertDescription& expert = description.experts[0];
        description.defaultDiffusionTime =
            std::clamp(description.defaultDiffusionTime, expert.lowerTime, expert.upperTime);
    }
    description.provenance = provenance;
    std::vector<NamedTensor> tensors = network->exportTensors(values);
    for (NamedTensor& tensor : tensors)
        tensor.name = "experts.0" + tensor.name.substr(tensor.name.find('.', 8));
    ModelFile::writeAtomically(path, ModelFile::encode(description.toJson(), tensors));
}

} // namespace OpenMMScore
