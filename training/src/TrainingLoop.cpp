#include "TrainingLoop.h"

#include <cmath>
#include <filesystem>

#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>
#include <nlohmann/json.hpp>
#include <torch/version.h>

#include "openmmscore/models/Error.h"
#include "openmmscore/models/ModelFile.h"

namespace OpenMMScore {

namespace {

/** Steps in a row that may fail before the run is given up. */
constexpr std::int64_t maxSkippedInRow = 20;

double secondsSince(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/** @return how many steps made a model or a proposal, -1 if there is none that can be read */
std::int64_t stepsOf(const std::string& path) {
    try {
        const auto document = nlohmann::json::parse(ModelFile::read(path).getDocument());
        return document.at("provenance").at("steps").get<std::int64_t>();
    }
    catch (const std::exception&) {
        return -1;
    }
}

/** Remove what a write that was killed has left beside a file (ModelFile::writeAtomically). */
void removeLeftovers(const std::string& path) {
    namespace fs = std::filesystem;
    const fs::path file(path);
    const std::string start = file.filename().string() + ".tmp-";
    std::error_code error;
    for (const fs::directory_entry& entry : fs::directory_iterator(file.parent_path(), error))
        if (entry.path().filename().string().rfind(start, 0) == 0)
            fs::remove(entry.path(), error);
}

std::int64_t numParts(std::int64_t count, std::int64_t size) {
    return (count + size - 1) / size;
}

} // namespace

TrainingLoop::TrainingLoop(const TrainingConfig& runConfig, std::size_t index, Objective& what,
                           WorkerPool& pool, const ProcessGroup& processes, StageFiles stageFiles)
    : config(runConfig), stage(index), settings(config.stages.at(index)), objective(what), workers(pool),
      group(processes), files(std::move(stageFiles)), optimizer(objective.getParameters(), settings),
      average(objective.getParameters(), settings.emaDecay, settings.emaInterval, settings.averaging) {
    const std::int64_t count = shareOf(settings.batchSize).count;
    partGradients = at::zeros({numParts(count, objective.partSize(count)), objective.getParameters().numel()},
                              objective.getParameters().options());
    state.config = config.toJson(stage);
    state.dataSha256 = objective.getData().sha256;
}

void TrainingLoop::start() {
    objective.initialize();
    average.getAverage().copy_(objective.getParameters());
    openLog(std::nullopt);
}

void TrainingLoop::resume() {
    at::Tensor& parameters = objective.getParameters();
    Checkpoint saved = Checkpoint::read(files.checkpoint, state, parameters);
    if (saved.step > settings.steps)
        throw Error(files.checkpoint + ": the checkpoint is of step " + std::to_string(saved.step) +
                    ", the run has only " + std::to_string(settings.steps) +
                    " (see training.steps and --steps)");
    saved.config = state.config;
    state = saved;
    parameters.copy_(state.parameters);
    average.getAverage().copy_(state.average);
    optimizer.setState(state.optimizer);
    elapsedBefore = state.elapsedSeconds;
    openLog(state.step);
}

void TrainingLoop::openLog(std::optional<std::int64_t> resumeAfter) {
    if (!group.isFirst())
        return;
    for (const std::string& file : {files.model, files.checkpoint})
        removeLeftovers(file);
    log.emplace(files.log, resumeAfter);
}

BatchPart TrainingLoop::shareOf(std::int64_t count) const {
    const std::int64_t first = group.firstOf(count, group.getRank());
    return {first, group.firstOf(count, group.getRank() + 1) - first};
}

void TrainingLoop::forParts(BatchPart share, std::int64_t size,
                            const std::function<void(BatchPart, std::int64_t)>& f) {
    workers.run(numParts(share.count, size), [&](std::int64_t k) {
        f({share.first + k * size, std::min(size, share.count - k * size)}, k);
    });
}

Losses TrainingLoop::computeGradient(bool stopRequested) {
    const BatchPart share = shareOf(settings.batchSize);
    const std::int64_t size = objective.partSize(share.count);
    objective.drawBatch(state.step, share);
    std::vector<Losses> parts(numParts(share.count, size));
    partGradients.zero_();
    forParts(share, size, [&](BatchPart part, std::int64_t k) {
        at::Tensor target = partGradients[k];
        parts[k] = objective.addGradient(part, target);
    });
    gradient = parts.size() == 1 ? partGradients[0] : partGradients.sum(0);
    group.sum(gradient);
    return sumOf(parts, stopRequested);
}

/** @return the sum over all parts of all processes; stopped becomes what any of them wants */
Losses TrainingLoop::sumOf(const std::vector<Losses>& parts, bool stopRequested) {
    Losses total;
    for (const Losses& losses : parts)
        total += losses;
    stopped = stopRequested;
    if (group.getSize() == 1)
        return total;
    at::Tensor shared = at::zeros({3}, at::kDouble);
    double* numbers = shared.data_ptr<double>();
    numbers[0] = total.main;
    numbers[1] = total.penalty;
    numbers[2] = stopRequested ? 1.0 : 0.0;
    group.sum(shared);
    stopped = numbers[2] > 0.0;
    return {numbers[0], numbers[1]};
}

void TrainingLoop::takeStep(bool stopRequested) {
    const Losses losses = computeGradient(stopRequested);
    if (std::isfinite(losses.total()) && std::isfinite(gradient.sum().item<double>())) {
        optimizer.step(gradient, state.step);
        average.update(objective.getParameters(), state.step - state.skipped);
        state.lossSum += losses;
        state.lossCount++;
        state.skippedInRow = 0;
    }
    else {
        state.skipped++;
        state.skippedInRow++;
    }
    state.step++;
    const std::int64_t perEpoch = objective.getData().numTrainingFrames / settings.batchSize;
    if (settings.averaging == Averaging::UpstreamPerEpoch && state.step % perEpoch == 0)
        objective.getParameters().copy_(average.getAverage());
    if (state.skippedInRow >= maxSkippedInRow)
        throw NumericalError(
            "the loss or its gradient was not finite in " + std::to_string(maxSkippedInRow) +
            " steps in a row up to step " + std::to_string(state.step) +
            " (try a smaller training.learning_rate or training.gradient_clip; the last checkpoint "
            "is kept)");
}

/** The losses of the averaged weights at fixed draws. */
Losses TrainingLoop::validate() {
    at::Tensor& parameters = objective.getParameters();
    const at::Tensor current = parameters.clone();
    parameters.copy_(average.getAverage());
    const BatchPart share = shareOf(objective.numValidationSamples());
    std::vector<Losses> parts;
    if (share.count > 0) {
        const std::int64_t size = objective.partSize(share.count);
        parts.resize(numParts(share.count, size));
        forParts(share, size,
                 [&](BatchPart part, std::int64_t k) { parts[k] = objective.validationLoss(part); });
    }
    parameters.copy_(current);
    return sumOf(parts, stopped);
}

void TrainingLoop::compare(const Losses& losses) {
    if (settings.earlyStopping == 0)
        return;
    Checkpoint::Best& best = state.best;
    // A loss that is not a number is never better.
    if (best.average.defined() ? losses.total() < best.loss : std::isfinite(losses.total()))
        best = {average.getAverage().clone(), losses.total(), state.step, 0};
    else
        best.validationsSince++;
}

void TrainingLoop::report(double stepsPerSecond) {
    const bool last = state.step == settings.steps;
    const bool logged = state.step % config.output.logInterval == 0 || last;
    const bool validated = state.step % config.output.validationInterval == 0 || last;
    if (logged && state.lossCount > 0) {
        lastLosses = state.lossSum / double(state.lossCount);
        state.lossSum = {};
        state.lossCount = 0;
    }
    if (validated) {
        validationLosses = validate();
        compare(*validationLosses);
    }
    if (!log || (!logged && !validated && !log->isProgressDue()))
        return;
    TrainingStatus status;
    status.step = state.step;
    status.steps = settings.steps;
    status.skipped = state.skipped;
    status.losses = lastLosses;
    status.validationLosses = validationLosses;
    status.names = objective.lossNames();
    status.learningRate = optimizer.learningRate(state.step - 1);
    status.stepsPerSecond = stepsPerSecond;
    status.elapsedSeconds = elapsedBefore + secondsSince(startTime);
    if (config.stages.size() > 1)
        status.stage = static_cast<int>(stage);
    log->showProgress(status, last || hasStoppedEarly());
    if (hasStoppedEarly())
        log->say("no better validation loss since step " + std::to_string(state.best.step) + " (" +
                 std::to_string(state.best.loss) + "), whose weights are kept; the training ends");
    if (!validated)
        status.validationLosses.reset();
    if (logged || validated)
        log->write(status);
}

void TrainingLoop::announce() {
    const DataAccount& data = objective.getData();
    const std::string worth =
        data.weighted
            ? " (by their weights worth " + std::to_string(std::llround(data.effectiveTrainingFrames)) + ")"
            : "";
    const std::string which = config.stages.size() > 1 ? "stage " + std::to_string(stage) + ": " : "";
    const std::string processes =
        group.getSize() > 1 ? " in each of " + std::to_string(group.getSize()) + " processes" : "";
    log->say(which + "training " + std::to_string(objective.getParameters().numel()) + " parameters on " +
             std::to_string(data.numTrainingFrames) + " frames" + worth + " with " +
             std::to_string(workers.getNumThreads()) + " threads" + processes + ", from step " +
             std::to_string(state.step) + " to " + std::to_string(settings.steps) + ", into " +
             config.output.directory);
}

bool TrainingLoop::run(const std::function<bool()>& stopRequested, const std::function<void()>& written) {
    if (log)
        announce();
    startTime = std::chrono::steady_clock::now();
    if (isFinished())
        completeFiles(written);
    // The speed shown is that of the last couple of hundred steps.
    auto windowStart = startTime;
    std::int64_t windowStep = state.step;
    double stepsPerSecond = 0.0;
    while (!isFinished()) {
        takeStep(stopRequested());
        const double seconds = secondsSince(windowStart);
        if (seconds > 5.0 || windowStart == startTime)
            stepsPerSecond = double(state.step - windowStep) / seconds;
        if (seconds > 5.0) {
            windowStart = std::chrono::steady_clock::now();
            windowStep = state.step;
        }
        report(stepsPerSecond);
        const bool due = state.step % config.output.checkpointInterval == 0;
        if (isFinished() && state.skipped == state.step)
            throw NumericalError("the loss or its gradient was not finite in any of " +
                                 std::to_string(state.step) +
                                 " steps, so that there is no model (try a smaller training.learning_rate)");
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

/** The run may have been ended between its last checkpoint and what is written after that. */
void TrainingLoop::completeFiles(const std::function<void()>& written) {
    if (!group.isFirst())
        return;
    if (stepsOf(files.model) != state.step)
        save();
    written();
}

/**
 * Save in the middle of a run, which goes on if that fails: a full disk may have room again later. Without
 * any checkpoint to go back to it ends.
 */
void TrainingLoop::trySaving(const std::function<void()>& written) {
    try {
        save();
        written();
    }
    catch (const NumericalError&) {
        throw;
    }
    catch (const Error& error) {
        if (!std::filesystem::exists(files.checkpoint))
            throw;
        log->say(std::string(error.what()) + "; the training goes on, and the next checkpoint is due in " +
                 std::to_string(config.output.checkpointInterval) + " steps");
    }
}

void TrainingLoop::save() {
    state.elapsedSeconds = elapsedBefore + secondsSince(startTime);
    state.parameters = objective.getParameters();
    state.average = average.getAverage();
    if (!std::isfinite(state.parameters.sum().item<double>()) ||
        !std::isfinite(state.average.sum().item<double>()))
        throw NumericalError("the weights are not finite after step " + std::to_string(state.step) +
                             " (try a smaller training.learning_rate; the last checkpoint is kept)");
    state.optimizer = optimizer.getState();
    state.write(files.checkpoint);
    const at::Tensor& best = state.best.average;
    objective.writeModel(files.model, best.defined() ? best : average.getAverage(), provenance());
}

std::string TrainingLoop::provenance() const {
    const DataAccount& data = objective.getData();
    nlohmann::ordered_json json = {{"program", "openmmscore-train " OPENMMSCORE_VERSION},
                                   {"libtorch", TORCH_VERSION},
                                   {"data",
                                    {{"file", data.fileName},
                                     {"sha256", data.sha256},
                                     {"training_frames", data.numTrainingFrames},
                                     {"validation_frames", data.numValidationFrames}}},
                                   {"config", nlohmann::ordered_json::parse(state.config)},
                                   {"steps", state.step},
                                   {"steps_left_out", state.skipped},
                                   {"wall_time_seconds", std::round(10.0 * state.elapsedSeconds) / 10.0}};
    if (data.weighted)
        json["data"]["effective_training_frames"] = std::round(data.effectiveTrainingFrames);
    const LossNames names = objective.lossNames();
    const auto add = [&](const std::string& prefix, const std::optional<Losses>& losses) {
        if (!losses)
            return;
        json[prefix + "loss"] = losses->total();
        if (names.hasPenalty())
            json[prefix + names.penalty + "_loss"] = losses->penalty;
    };
    add("training_", lastLosses);
    add("validation_", validationLosses);
    if (state.best.average.defined()) {
        json["best_step"] = state.best.step;
        json["best_validation_loss"] = state.best.loss;
    }
    return json.dump();
}

} // namespace OpenMMScore
