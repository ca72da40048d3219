#include "StageTrainer.h"

#include <cmath>
#include <filesystem>

#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>
#include <nlohmann/json.hpp>
#include <torch/version.h>

#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

/** Steps in a row that may fail before the run is given up. */
constexpr std::int64_t maxSkippedInRow = 20;
/** Rows of activations in one part of a batch: enough for a full-speed matrix product, few enough for the
 * cache. */
constexpr std::int64_t rowsPerPart = 320;

double secondsSince(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

DenoisingScoreMatchingLoss matchingLoss(const NoiseSchedule& schedule, const TrainingConfig& config,
                                        std::size_t stage) {
    const ExpertDescription& expert = config.model.experts.at(stage);
    const bool discrete = config.model.schedule.kind == ScheduleDescription::Kind::CosineDdpm;
    return {schedule, expert.lowerTime, expert.upperTime, config.stages.at(stage).timeMidpoint,
            discrete ? 0.0 : 1e-7};
}

std::uint64_t seedOf(const TrainingConfig& config, std::size_t stage) {
    return config.seed + (static_cast<std::uint64_t>(stage) << 48);
}

} // namespace

StageTrainer::StageTrainer(const TrainingConfig& runConfig, std::size_t index, const TrainingSet& trainingSet,
                           WorkerPool& pool, const ProcessGroup& processes,
                           const at::TensorOptions& tensorOptions, StageFiles stageFiles)
    : config(runConfig), stage(index), settings(config.stages.at(index)), data(trainingSet), workers(pool),
      group(processes), options(tensorOptions), files(std::move(stageFiles)),
      schedule(config.model.schedule.create()), scoreMatching(matchingLoss(*schedule, config, stage)),
      network(TorchNetwork::create(config.model, static_cast<int>(stage), options)),
      optimizer(network->getFlatParameters(), settings),
      average(network->getFlatParameters(), settings.emaDecay, settings.emaInterval, settings.averaging),
      validationBatch(data.validationBatch(config.output.validationSamples, stage)) {
    if (settings.fokkerPlanck.weight > 0.0)
        fokkerPlanck.emplace(dynamic_cast<const VariancePreserving&>(*schedule), scoreMatching,
                             settings.fokkerPlanck, config.model.space == ModelDescription::Space::Particles);
    partGradients = at::zeros({numParts(shareOf(settings.batchSize)), network->getNumParameters()}, options);
    state.config = config.toJson(stage);
    state.dataSha256 = data.getSha256();
}

void StageTrainer::start() {
    if (settings.startFrom.empty())
        network->initialize(seedOf(config, stage));
    else
        startFromFile();
    average.getAverage().copy_(network->getFlatParameters());
    if (group.isFirst())
        log.emplace(files.log, std::nullopt);
}

void StageTrainer::startFromFile() {
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

void StageTrainer::resume() {
    Checkpoint saved = Checkpoint::read(files.checkpoint, network->getNumParameters(), options);
    saved.checkContinues(files.checkpoint, state.config, state.dataSha256);
    saved.config = state.config;
    state = saved;
    network->getFlatParameters().copy_(state.parameters);
    average.getAverage().copy_(state.average);
    optimizer.setState(state.optimizer);
    elapsedBefore = state.elapsedSeconds;
    if (group.isFirst())
        log.emplace(files.log, state.step);
}

std::int64_t StageTrainer::partSize(std::int64_t batchSize) const {
    if (!options.device().is_cpu())
        return batchSize;
    const bool mlp = config.model.experts[stage].architecture == ExpertDescription::Architecture::Mlp;
    return std::clamp<std::int64_t>(rowsPerPart / (mlp ? 1 : config.model.count), 1, batchSize);
}

std::int64_t StageTrainer::numParts(std::int64_t batchSize) const {
    const std::int64_t size = partSize(batchSize);
    return (batchSize + size - 1) / size;
}

void StageTrainer::forParts(const NoisedBatch& batch,
                            const std::function<void(const NoisedBatch&, std::int64_t)>& part) {
    const std::int64_t all = batch.size(), size = partSize(all);
    workers.run(numParts(all), [&](std::int64_t k) {
        part(all == size ? batch : batch.slice(k * size, std::min(size, all - k * size)), k);
    });
}

// Samples are chosen evenly over the batch, so that it does not matter how it is cut and threads have equal
// work. Four evaluations a sample are made at once, so pieces are four times smaller than parts.
void StageTrainer::forFokkerPlanck(const NoisedBatch& part, std::int64_t first, std::int64_t batchSize,
                                   const std::function<void(const NoisedBatch&, double)>& f) const {
    if (!fokkerPlanck)
        return;
    // The same share of the validation's samples as of a batch's.
    const std::int64_t wanted =
        settings.fokkerPlanck.samples > 0 ? settings.fokkerPlanck.samples : settings.batchSize;
    const std::int64_t all = std::clamp<std::int64_t>(wanted * batchSize / settings.batchSize, 1, batchSize);
    std::vector<std::int64_t> chosen;
    for (std::int64_t i = 0; i < part.size(); i++)
        if ((first + i + 1) * all / batchSize > (first + i) * all / batchSize)
            chosen.push_back(i);
    const bool mlp = config.model.experts[stage].architecture == ExpertDescription::Architecture::Mlp;
    const bool whole = mlp || !options.device().is_cpu();
    const auto count = static_cast<std::int64_t>(chosen.size());
    const std::int64_t piece = whole ? count : std::max<std::int64_t>(1, partSize(batchSize) / 4);
    for (std::int64_t k = 0; k < count; k += piece) {
        const std::int64_t size = std::min(piece, count - k);
        f(part.select({chosen.begin() + k, chosen.begin() + k + size}), 1.0 / double(all));
    }
}

std::int64_t StageTrainer::shareOf(std::int64_t count) const {
    return group.firstOf(count, group.getRank() + 1) - group.firstOf(count, group.getRank());
}

Losses StageTrainer::computeGradient(bool stopRequested) {
    const std::int64_t size = settings.batchSize;
    const NoisedBatch batch =
        data.trainingBatch(state.step, stage, group.firstOf(size, group.getRank()), shareOf(size));
    const std::int64_t begin = group.firstOf(size, group.getRank());
    const double scale = 1.0 / double(size);
    std::vector<Losses> parts(numParts(batch.size()));
    partGradients.zero_();
    forParts(batch, [&](const NoisedBatch& samples, std::int64_t k) {
        at::Tensor target = partGradients[k];
        parts[k].scoreMatching = scoreMatching.addGradient(*network, samples, scale, target);
        forFokkerPlanck(samples, begin + k * partSize(batch.size()), size,
                        [&](const NoisedBatch& some, double share) {
                            parts[k].fokkerPlanck += fokkerPlanck->addGradient(*network, some, share, target);
                        });
    });
    gradient = parts.size() == 1 ? partGradients[0] : partGradients.sum(0);
    group.sum(gradient);
    return sumOf(parts, stopRequested);
}

/** @return the sum over all parts of all processes; stopped becomes what any of them wants */
Losses StageTrainer::sumOf(const std::vector<Losses>& parts, bool stopRequested) {
    Losses total;
    for (const Losses& losses : parts)
        total += losses;
    stopped = stopRequested;
    if (group.getSize() == 1)
        return total;
    at::Tensor shared = at::zeros({3}, at::kDouble);
    double* numbers = shared.data_ptr<double>();
    numbers[0] = total.scoreMatching;
    numbers[1] = total.fokkerPlanck;
    numbers[2] = stopRequested ? 1.0 : 0.0;
    group.sum(shared);
    stopped = numbers[2] > 0.0;
    return {numbers[0], numbers[1]};
}

void StageTrainer::takeStep(bool stopRequested) {
    const Losses losses = computeGradient(stopRequested);
    if (std::isfinite(losses.total()) && std::isfinite(gradient.sum().item<double>())) {
        optimizer.step(gradient, state.step);
        average.update(network->getFlatParameters(), state.step - state.skipped);
        state.lossSum += losses;
        state.lossCount++;
        state.skippedInRow = 0;
    }
    else {
        state.skipped++;
        state.skippedInRow++;
    }
    state.step++;
    const std::int64_t perEpoch = data.getNumTrainingFrames() / settings.batchSize;
    if (settings.averaging == Averaging::UpstreamPerEpoch && state.step % perEpoch == 0)
        network->getFlatParameters().copy_(average.getAverage());
    if (state.skippedInRow >= maxSkippedInRow)
        throw NumericalError(
            "the loss or its gradient was not finite in " + std::to_string(maxSkippedInRow) +
            " steps in a row up to step " + std::to_string(state.step) +
            " (try a smaller training.learning_rate or training.gradient_clip; the last checkpoint "
            "is kept)");
}

/** The losses of the averaged weights at fixed draws. */
Losses StageTrainer::validate() {
    at::Tensor& parameters = network->getFlatParameters();
    const at::Tensor current = parameters.clone();
    parameters.copy_(average.getAverage());
    const std::int64_t all = validationBatch.size(), count = shareOf(all);
    const double scale = 1.0 / double(all);
    std::vector<Losses> parts;
    if (count > 0) {
        parts.resize(numParts(count));
        const std::int64_t begin = group.firstOf(all, group.getRank());
        const NoisedBatch batch = validationBatch.slice(begin, count);
        forParts(batch, [&](const NoisedBatch& samples, std::int64_t k) {
            parts[k].scoreMatching = scoreMatching.value(*network, samples, scale);
            forFokkerPlanck(samples, begin + k * partSize(count), all,
                            [&](const NoisedBatch& some, double share) {
                                parts[k].fokkerPlanck += fokkerPlanck->value(*network, some, share);
                            });
        });
    }
    parameters.copy_(current);
    return sumOf(parts, stopped);
}

void StageTrainer::report(double stepsPerSecond) {
    const bool last = state.step == settings.steps;
    const bool logged = state.step % config.output.logInterval == 0 || last;
    const bool validated = state.step % config.output.validationInterval == 0 || last;
    if (logged && state.lossCount > 0) {
        lastLosses = state.lossSum / double(state.lossCount);
        state.lossSum = {};
        state.lossCount = 0;
    }
    if (validated)
        validationLosses = validate();
    if (!log || (!logged && !validated && !log->isProgressDue()))
        return;
    TrainingStatus status;
    status.step = state.step;
    status.steps = settings.steps;
    status.skipped = state.skipped;
    status.losses = lastLosses;
    status.validationLosses = validationLosses;
    status.hasFokkerPlanck = fokkerPlanck.has_value();
    status.learningRate = optimizer.learningRate(state.step - 1);
    status.stepsPerSecond = stepsPerSecond;
    status.elapsedSeconds = elapsedBefore + secondsSince(startTime);
    if (config.stages.size() > 1)
        status.stage = static_cast<int>(stage);
    log->showProgress(status, last);
    if (!validated)
        status.validationLosses.reset();
    if (logged || validated)
        log->write(status);
}

void StageTrainer::announce() {
    const std::string worth = data.isWeighted()
                                  ? " (by their weights worth " +
                                        std::to_string(std::llround(data.getEffectiveTrainingFrames())) + ")"
                                  : "";
    const std::string which = config.stages.size() > 1 ? "stage " + std::to_string(stage) + ": " : "";
    const std::string processes =
        group.getSize() > 1 ? " in each of " + std::to_string(group.getSize()) + " processes" : "";
    log->say(which + "training " + std::to_string(network->getNumParameters()) + " parameters on " +
             std::to_string(data.getNumTrainingFrames()) + " frames" + worth + " with " +
             std::to_string(workers.getNumThreads()) + " threads" + processes + ", from step " +
             std::to_string(state.step) + " to " + std::to_string(settings.steps) + ", into " +
             config.output.directory);
}

bool StageTrainer::run(const std::function<bool()>& stopRequested, const std::function<void()>& written) {
    if (log)
        announce();
    startTime = std::chrono::steady_clock::now();
    // The speed shown is that of the last couple of hundred steps.
    auto windowStart = startTime;
    std::int64_t windowStep = state.step;
    double stepsPerSecond = 0.0;
    while (!isFinished()) {
        takeStep(stopRequested());
        const double seconds = secondsSince(windowStart);
        if (seconds > 5.0 || stepsPerSecond == 0.0)
            stepsPerSecond = double(state.step - windowStep) / seconds;
        if (seconds > 5.0) {
            windowStart = std::chrono::steady_clock::now();
            windowStep = state.step;
        }
        report(stepsPerSecond);
        const bool due = state.step % config.output.checkpointInterval == 0;
        if (group.isFirst() && (stopped || isFinished())) {
            save();
            written();
        }
        else if (group.isFirst() && due)
            trySaving(written);
        if (stopped && !isFinished())
            return false;
    }
    return true;
}

/**
 * Save in the middle of a run, which goes on if that fails: a full disk may have room again later. Without
 * any checkpoint to go back to it ends.
 */
void StageTrainer::trySaving(const std::function<void()>& written) {
    try {
        save();
        written();
    }
    catch (const Error& error) {
        if (!std::filesystem::exists(files.checkpoint))
            throw;
        log->say(std::string(error.what()) + "; the training goes on, and the next checkpoint is due in " +
                 std::to_string(config.output.checkpointInterval) + " steps");
    }
}

void StageTrainer::save() {
    state.elapsedSeconds = elapsedBefore + secondsSince(startTime);
    state.parameters = network->getFlatParameters();
    state.average = average.getAverage();
    state.optimizer = optimizer.getState();
    state.write(files.checkpoint);
    // The expert alone: a model of its own interval.
    ModelDescription description = config.model;
    description.experts = {config.model.experts[stage]};
    if (config.stages.size() > 1) {
        description.title += ", expert " + std::to_string(stage);
        const ExpertDescription& expert = description.experts[0];
        description.defaultDiffusionTime =
            std::clamp(description.defaultDiffusionTime, expert.lowerTime, expert.upperTime);
    }
    description.provenance = provenance();
    std::vector<NamedTensor> tensors = network->exportTensors(average.getAverage());
    for (NamedTensor& tensor : tensors)
        tensor.name = "experts.0" + tensor.name.substr(tensor.name.find('.', 8));
    ModelFile::writeAtomically(files.model, ModelFile::encode(description.toJson(), tensors));
}

std::string StageTrainer::provenance() const {
    nlohmann::ordered_json json = {{"program", "openmmscore-train " OPENMMSCORE_VERSION},
                                   {"libtorch", TORCH_VERSION},
                                   {"data",
                                    {{"file", data.getFileName()},
                                     {"sha256", data.getSha256()},
                                     {"training_frames", data.getNumTrainingFrames()},
                                     {"validation_frames", data.getNumValidationFrames()}}},
                                   {"config", nlohmann::ordered_json::parse(state.config)},
                                   {"steps", state.step},
                                   {"steps_left_out", state.skipped},
                                   {"wall_time_seconds", std::round(10.0 * state.elapsedSeconds) / 10.0}};
    if (data.isWeighted())
        json["data"]["effective_training_frames"] = std::round(data.getEffectiveTrainingFrames());
    const auto add = [&](const std::string& prefix, const std::optional<Losses>& losses) {
        if (!losses)
            return;
        json[prefix + "loss"] = losses->total();
        if (fokkerPlanck)
            json[prefix + "fokker_planck_loss"] = losses->fokkerPlanck;
    };
    add("training_", lastLosses);
    add("validation_", validationLosses);
    return json.dump();
}

} // namespace OpenMMScore
