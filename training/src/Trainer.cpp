#include "openmmscore/training/Trainer.h"

#include <chrono>
#include <cmath>
#include <filesystem>
#include <optional>

#include <ATen/Parallel.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/zeros.h>
#include <nlohmann/json.hpp>
#include <torch/version.h>

#include "Checkpoint.h"
#include "Device.h"
#include "Optimizer.h"
#include "TrainingLog.h"
#include "WorkerPool.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/training/DenoisingScoreMatchingLoss.h"
#include "openmmscore/training/ExponentialMovingAverage.h"
#include "openmmscore/training/TrainingSet.h"

namespace OpenMMScore {

namespace fs = std::filesystem;

namespace {

/** Steps in a row that may fail before the run is given up. */
constexpr std::int64_t maxSkippedInRow = 20;
/** Rows of activations in one part of a batch: enough for a full-speed matrix product, few enough for the
 * cache. */
constexpr std::int64_t rowsPerPart = 320;

double secondsSince(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

at::TensorOptions tensorOptions(const OptimizationConfig& training) {
    return at::TensorOptions()
        .dtype(training.doublePrecision ? at::kDouble : at::kFloat)
        .device(openDevice(training.device));
}

int chooseThreads(const OptimizationConfig& training) {
    return training.threads > 0 ? static_cast<int>(training.threads)
                                : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

} // namespace

class Trainer::Impl {
public:
    Impl(const TrainingConfig& config, Start start);
    bool run(const std::function<bool()>& stopRequested);
    std::string path(const std::string& file) const {
        return (fs::path(config.output.directory) / file).string();
    }

private:
    void restore(Start start);
    void takeStep();
    double computeGradient(const NoisedBatch& batch);
    double validate();
    void report(double stepsPerSecond);
    void save();
    std::string provenance() const;
    std::int64_t partSize(std::int64_t batchSize) const;

    TrainingConfig config;
    at::TensorOptions options;
    TrainingSet data;
    std::unique_ptr<NoiseSchedule> schedule;
    DenoisingScoreMatchingLoss loss;
    std::unique_ptr<TorchNetwork> network;
    Optimizer optimizer;
    ExponentialMovingAverage average;
    WorkerPool workers;
    NoisedBatch validationBatch;
    Checkpoint state;
    at::Tensor gradient;
    std::optional<TrainingLog> log;
    std::optional<double> lastLoss, validationLoss;
    std::chrono::steady_clock::time_point startTime;
    double elapsedBefore = 0.0;
};

Trainer::Impl::Impl(const TrainingConfig& runConfig, Start start)
    : config(runConfig), options(tensorOptions(config.training)), data(config, options),
      schedule(config.model.schedule.create()),
      loss(*schedule, config.model.experts[0].lowerTime, config.model.experts[0].upperTime,
           config.training.timeMidpoint),
      network(TorchNetwork::create(config.model, 0, options)),
      optimizer(network->getFlatParameters(), config.training),
      average(network->getFlatParameters(), config.training.emaDecay),
      workers(options.device().is_cpu() ? chooseThreads(config.training) : 1),
      validationBatch(data.validationBatch(config.output.validationSamples)) {
    network->initialize(config.seed);
    average = ExponentialMovingAverage(network->getFlatParameters(), config.training.emaDecay);
    state.config = config.toJson();
    state.dataSha256 = data.getSha256();
    restore(start);
}

void Trainer::Impl::restore(Start start) {
    std::error_code error;
    fs::create_directories(config.output.directory, error);
    if (error)
        throw Error(config.output.directory + ": the output folder cannot be made: " + error.message());
    const std::string file = path("checkpoint.safetensors");
    if (start == Start::Fresh && fs::exists(file))
        throw Error(file +
                    ": there is a run in this folder already; continue it with --resume, or replace it with "
                    "--overwrite");
    if (start != Start::Resume) {
        log.emplace(path("log.jsonl"), std::nullopt);
        return;
    }
    if (!fs::exists(file))
        throw Error(file + ": there is no checkpoint to resume from");
    Checkpoint saved = Checkpoint::read(file, network->getNumParameters(), options);
    saved.checkContinues(file, state.config, state.dataSha256);
    saved.config = state.config;
    state = saved;
    network->getFlatParameters().copy_(state.parameters);
    average.getAverage().copy_(state.average);
    optimizer.setState(state.optimizer);
    elapsedBefore = state.elapsedSeconds;
    log.emplace(path("log.jsonl"), state.step);
}

std::int64_t Trainer::Impl::partSize(std::int64_t batchSize) const {
    if (!options.device().is_cpu())
        return batchSize;
    const bool mlp = config.model.experts[0].architecture == ExpertDescription::Architecture::Mlp;
    return std::clamp<std::int64_t>(rowsPerPart / (mlp ? 1 : config.model.count), 1, batchSize);
}

double Trainer::Impl::computeGradient(const NoisedBatch& batch) {
    const std::int64_t size = partSize(batch.size()), parts = (batch.size() + size - 1) / size;
    const at::Tensor partGradients = at::zeros({parts, network->getNumParameters()}, options);
    std::vector<double> losses(parts);
    workers.run(parts, [&](std::int64_t part) {
        at::Tensor target = partGradients[part];
        const NoisedBatch samples = batch.slice(part * size, std::min(size, batch.size() - part * size));
        losses[part] = loss.addGradient(*network, samples, 1.0 / double(batch.size()), target);
    });
    gradient = parts == 1 ? partGradients[0] : partGradients.sum(0);
    double total = 0.0;
    for (double x : losses)
        total += x;
    return total;
}

void Trainer::Impl::takeStep() {
    const double value = computeGradient(data.trainingBatch(state.step));
    if (std::isfinite(value) && at::isfinite(gradient.sum()).item<bool>()) {
        optimizer.step(gradient, state.step);
        average.update(network->getFlatParameters(), state.step - state.skipped);
        state.lossSum += value;
        state.lossCount++;
        state.skippedInRow = 0;
    }
    else {
        state.skipped++;
        state.skippedInRow++;
    }
    state.step++;
    if (state.skippedInRow >= maxSkippedInRow)
        throw NumericalError(
            "the loss or its gradient was not finite in " + std::to_string(maxSkippedInRow) +
            " steps in a row up to step " + std::to_string(state.step) +
            " (try a smaller training.learning_rate or training.gradient_clip; the last checkpoint "
            "is kept)");
}

/** The loss of the averaged weights at fixed draws. */
double Trainer::Impl::validate() {
    at::Tensor& parameters = network->getFlatParameters();
    const at::Tensor current = parameters.clone();
    parameters.copy_(average.getAverage());
    const std::int64_t total = validationBatch.size(), size = partSize(total),
                       parts = (total + size - 1) / size;
    std::vector<double> losses(parts);
    workers.run(parts, [&](std::int64_t part) {
        losses[part] =
            loss.value(*network, validationBatch.slice(part * size, std::min(size, total - part * size)),
                       1.0 / double(total));
    });
    parameters.copy_(current);
    double sum = 0.0;
    for (double x : losses)
        sum += x;
    return sum;
}

void Trainer::Impl::report(double stepsPerSecond) {
    const bool last = state.step == config.training.steps;
    const bool logged = state.step % config.output.logInterval == 0 || last;
    const bool validated = state.step % config.output.validationInterval == 0 || last;
    if (logged && state.lossCount > 0) {
        lastLoss = state.lossSum / double(state.lossCount);
        state.lossSum = 0.0;
        state.lossCount = 0;
    }
    if (validated)
        validationLoss = validate();
    TrainingStatus status{state.step,     config.training.steps,
                          state.skipped,  lastLoss,
                          validationLoss, optimizer.learningRate(state.step - 1),
                          stepsPerSecond, elapsedBefore + secondsSince(startTime)};
    log->showProgress(status, last);
    if (!validated)
        status.validationLoss.reset();
    if (logged || validated)
        log->write(status);
}

bool Trainer::Impl::run(const std::function<bool()>& stopRequested) {
    const std::string worth = data.isWeighted()
                                  ? " (by their weights worth " +
                                        std::to_string(std::llround(data.getEffectiveTrainingFrames())) + ")"
                                  : "";
    log->say("training " + std::to_string(network->getNumParameters()) + " parameters on " +
             std::to_string(data.getNumTrainingFrames()) + " frames" + worth + " with " +
             std::to_string(workers.getNumThreads()) + " threads, from step " + std::to_string(state.step) +
             " to " + std::to_string(config.training.steps) + ", into " + config.output.directory);
    startTime = std::chrono::steady_clock::now();
    // The speed shown is that of the last couple of hundred steps.
    auto windowStart = startTime;
    std::int64_t windowStep = state.step;
    double stepsPerSecond = 0.0;
    while (state.step < config.training.steps) {
        takeStep();
        const double seconds = secondsSince(windowStart);
        if (seconds > 5.0 || stepsPerSecond == 0.0)
            stepsPerSecond = double(state.step - windowStep) / seconds;
        if (seconds > 5.0) {
            windowStart = std::chrono::steady_clock::now();
            windowStep = state.step;
        }
        report(stepsPerSecond);
        const bool stop = stopRequested() && state.step < config.training.steps;
        if (stop || state.step % config.output.checkpointInterval == 0 || state.step == config.training.steps)
            save();
        if (stop)
            return false;
    }
    return true;
}

void Trainer::Impl::save() {
    state.elapsedSeconds = elapsedBefore + secondsSince(startTime);
    state.parameters = network->getFlatParameters();
    state.average = average.getAverage();
    state.optimizer = optimizer.getState();
    state.write(path("checkpoint.safetensors"));
    ModelDescription description = config.model;
    description.provenance = provenance();
    ModelFile::writeAtomically(
        path("model.safetensors"),
        ModelFile::encode(description.toJson(), network->exportTensors(average.getAverage())));
}

std::string Trainer::Impl::provenance() const {
    nlohmann::ordered_json json = {{"program", "openmmscore-train " OPENMMSCORE_VERSION},
                                   {"libtorch", TORCH_VERSION},
                                   {"data",
                                    {{"file", data.getFileName()},
                                     {"sha256", data.getSha256()},
                                     {"training_frames", data.getNumTrainingFrames()},
                                     {"validation_frames", data.getNumValidationFrames()}}},
                                   {"config", nlohmann::ordered_json::parse(config.toJson())},
                                   {"steps", state.step},
                                   {"steps_left_out", state.skipped},
                                   {"wall_time_seconds", std::round(10.0 * state.elapsedSeconds) / 10.0}};
    if (data.isWeighted())
        json["data"]["effective_training_frames"] = std::round(data.getEffectiveTrainingFrames());
    if (lastLoss)
        json["training_loss"] = *lastLoss;
    if (validationLoss)
        json["validation_loss"] = *validationLoss;
    return json.dump();
}

Trainer::Trainer(const TrainingConfig& config, Start start) : impl(std::make_unique<Impl>(config, start)) {}
Trainer::~Trainer() = default;
bool Trainer::run(const std::function<bool()>& stopRequested) {
    return impl->run(stopRequested);
}
std::string Trainer::getModelPath() const {
    return impl->path("model.safetensors");
}

} // namespace OpenMMScore
