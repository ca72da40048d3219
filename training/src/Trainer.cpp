#include "openmmscore/training/Trainer.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include <ATen/ops/zeros.h>

#include "Device.h"
#include "ModelAssembly.h"
#include "ProcessGroup.h"
#include "TrainingLoop.h"
#include "TrainingTask.h"
#include "WorkerPool.h"
#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace fs = std::filesystem;

namespace {

at::TensorOptions tensorOptions(const ExecutionConfig& execution, const ProcessGroup& group) {
    return at::TensorOptions()
        .dtype(execution.doublePrecision ? at::kDouble : at::kFloat)
        .device(openDevice(execution.device, group.getLocalRank()));
}

int chooseThreads(const ExecutionConfig& execution, const at::TensorOptions& options,
                  const ProcessGroup& group) {
    if (!options.device().is_cpu())
        return 1;
    if (execution.threads > 0)
        return static_cast<int>(execution.threads);
    // All processors of this machine, shared with the other processes on it.
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()) / group.getLocalSize());
}

} // namespace

class Trainer::Impl {
public:
    Impl(const TrainingConfig& config, Start start, int stage);
    bool run(const std::function<bool()>& stopRequested);
    std::string getModelPath() const;
    bool isFirst() const { return group->isFirst(); }

private:
    std::string path(const std::string& file) const {
        return (fs::path(config.output.directory) / file).string();
    }
    StageFiles filesOf(std::size_t stage) const;
    void prepareFolder();
    void writeModel() const;

    TrainingConfig config;
    std::unique_ptr<ProcessGroup> group;
    at::TensorOptions options;
    std::unique_ptr<TrainingTask> task;
    WorkerPool workers;
    Start start;
    std::vector<std::size_t> stages;
};

Trainer::Impl::Impl(const TrainingConfig& runConfig, Start startKind, int stage)
    : config(runConfig), group(ProcessGroup::fromEnvironment()),
      options(tensorOptions(config.training, *group)), task(TrainingTask::create(config, options)),
      workers(chooseThreads(config.training, options, *group)), start(startKind) {
    if (stage >= static_cast<int>(config.stages.size()))
        throw Error("there is no stage " + std::to_string(stage) + ": the run has " +
                    std::to_string(config.stages.size()) + ", counted from 0");
    for (std::size_t k = 0; k < config.stages.size(); k++)
        if (stage < 0 || stage == static_cast<int>(k))
            stages.push_back(k);
    // Of a single stage, the number of steps asked for is its own.
    const std::int64_t asked = config.totalSteps;
    if (stage >= 0)
        config.totalSteps = 0;
    config.resolveSteps(task->getNumTrainingFrames());
    if (stage >= 0 && asked > 0)
        config.stages[stage].steps = asked;
    for (const StageConfig& settings : config.stages)
        if (settings.batchSize < group->getSize())
            throw Error("training.batch_size is " + std::to_string(settings.batchSize) + ", too few for " +
                        std::to_string(group->getSize()) + " processes");
    prepareFolder();
    if (group->getSize() > 1 && options.device().is_cuda()) {
        const std::string problem = group->useGpus();
        if (!problem.empty() && group->isFirst())
            std::fprintf(stderr, "%s\n", problem.c_str());
    }
}

StageFiles Trainer::Impl::filesOf(std::size_t stage) const {
    if (config.stages.size() == 1)
        return {path(config.proposal ? "proposal.safetensors" : "model.safetensors"),
                path("checkpoint.safetensors"), path("log.jsonl")};
    const std::string number = "-" + std::to_string(stage);
    return {path("expert" + number + ".safetensors"), path("checkpoint" + number + ".safetensors"),
            path("log" + number + ".jsonl")};
}

void Trainer::Impl::prepareFolder() {
    std::error_code error;
    fs::create_directories(config.output.directory, error);
    if (error)
        throw Error(config.output.directory + ": the output folder cannot be made: " + error.message());
    bool found = false;
    for (std::size_t stage : stages) {
        const StageFiles files = filesOf(stage);
        found = found || fs::exists(files.checkpoint);
        if (start == Start::Fresh && found)
            throw Error(files.checkpoint +
                        ": there is a run in this folder already; continue it with --resume, or replace it "
                        "with --overwrite");
        if (start == Start::Overwrite && group->isFirst())
            for (const std::string& file : {files.checkpoint, files.model})
                fs::remove(file, error);
    }
    if (start == Start::Resume && !found)
        throw Error(filesOf(stages[0]).checkpoint + ": there is no checkpoint to resume from");
    // No process goes on, and writes, before all have looked.
    at::Tensor all = at::zeros({1}, at::kDouble);
    group->sum(all);
}

/** Put the experts together, if all are there. */
void Trainer::Impl::writeModel() const {
    std::vector<std::string> experts;
    for (std::size_t k = 0; k < config.stages.size(); k++)
        experts.push_back(filesOf(k).model);
    if (experts.size() > 1 &&
        std::all_of(experts.begin(), experts.end(), [](const std::string& file) { return fs::exists(file); }))
        writeMixture(config.model, experts, path("model.safetensors"));
}

bool Trainer::Impl::run(const std::function<bool()>& stopRequested) {
    for (std::size_t k : stages) {
        const std::unique_ptr<Objective> objective = task->objective(config, k);
        TrainingLoop loop(config, k, *objective, workers, *group, filesOf(k));
        if (start == Start::Resume && fs::exists(filesOf(k).checkpoint))
            loop.resume();
        else
            loop.start();
        if (!loop.run(stopRequested, [this] { writeModel(); }))
            return false;
        if (loop.wasStopped() && k != stages.back())
            return false;
    }
    return true;
}

std::string Trainer::Impl::getModelPath() const {
    const std::string model = path("model.safetensors");
    if (config.proposal)
        return filesOf(0).model;
    return fs::exists(model) || stages.size() > 1 ? model : filesOf(stages[0]).model;
}

Trainer::Trainer(const TrainingConfig& config, Start start, int stage)
    : impl(std::make_unique<Impl>(config, start, stage)) {}
Trainer::~Trainer() = default;
bool Trainer::run(const std::function<bool()>& stopRequested) {
    return impl->run(stopRequested);
}
bool Trainer::isFirst() const {
    return impl->isFirst();
}
std::string Trainer::getModelPath() const {
    return impl->getModelPath();
}

} // namespace OpenMMScore
