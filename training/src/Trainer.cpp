#include "openmmscore/training/Trainer.h"

#include <algorithm>
#include <filesystem>

#include "Device.h"
#include "ModelAssembly.h"
#include "StageTrainer.h"
#include "WorkerPool.h"
#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace fs = std::filesystem;

namespace {

at::TensorOptions tensorOptions(const ExecutionConfig& execution) {
    return at::TensorOptions()
        .dtype(execution.doublePrecision ? at::kDouble : at::kFloat)
        .device(openDevice(execution.device));
}

int chooseThreads(const ExecutionConfig& execution, const at::TensorOptions& options) {
    if (!options.device().is_cpu())
        return 1;
    return execution.threads > 0 ? static_cast<int>(execution.threads)
                                 : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

} // namespace

class Trainer::Impl {
public:
    Impl(const TrainingConfig& config, Start start, int stage);
    bool run(const std::function<bool()>& stopRequested);
    std::string getModelPath() const;

private:
    std::string path(const std::string& file) const {
        return (fs::path(config.output.directory) / file).string();
    }
    StageFiles filesOf(std::size_t stage) const;
    void prepareFolder();
    void writeModel() const;

    TrainingConfig config;
    at::TensorOptions options;
    TrainingSet data;
    WorkerPool workers;
    Start start;
    std::vector<std::size_t> stages;
};

Trainer::Impl::Impl(const TrainingConfig& runConfig, Start startKind, int stage)
    : config(runConfig), options(tensorOptions(config.training)), data(config, options),
      workers(chooseThreads(config.training, options)), start(startKind) {
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
    config.resolveSteps(data.getNumTrainingFrames());
    if (stage >= 0 && asked > 0)
        config.stages[stage].steps = asked;
    prepareFolder();
}

StageFiles Trainer::Impl::filesOf(std::size_t stage) const {
    if (config.stages.size() == 1)
        return {path("model.safetensors"), path("checkpoint.safetensors"), path("log.jsonl")};
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
        if (start == Start::Overwrite)
            for (const std::string& file : {files.checkpoint, files.model})
                fs::remove(file, error);
    }
    if (start == Start::Resume && !found)
        throw Error(filesOf(stages[0]).checkpoint + ": there is no checkpoint to resume from");
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
    bool stopped = false;
    const auto stop = [&] { return stopped = stopped || stopRequested(); };
    for (std::size_t k : stages) {
        StageTrainer trainer(config, k, data, workers, options, filesOf(k));
        if (start == Start::Resume && fs::exists(filesOf(k).checkpoint))
            trainer.resume();
        else
            trainer.start();
        if (!trainer.run(stop, [this] { writeModel(); }))
            return false;
        if (stopped && k != stages.back())
            return false;
    }
    return true;
}

std::string Trainer::Impl::getModelPath() const {
    const std::string model = path("model.safetensors");
    return fs::exists(model) || stages.size() > 1 ? model : filesOf(stages[0]).model;
}

Trainer::Trainer(const TrainingConfig& config, Start start, int stage)
    : impl(std::make_unique<Impl>(config, start, stage)) {}
Trainer::~Trainer() = default;
bool Trainer::run(const std::function<bool()>& stopRequested) {
    return impl->run(stopRequested);
}
std::string Trainer::getModelPath() const {
    return impl->getModelPath();
}

} // namespace OpenMMScore
