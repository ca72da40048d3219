#include "TrainingTask.h"

#include "FlowMatchingObjective.h"
#include "ScoreMatchingObjective.h"
#include "SplineFlowObjective.h"
#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

/** Find before the training, not at its end, what a model file would not take. */
void checkDescription(const ModelDescription& model) {
    try {
        model.toJson();
    }
    catch (const Error& error) {
        const std::string message = error.what(), origin = "ModelDescription: ";
        throw Error("no model file could be written of this configuration: " +
                    message.substr(message.rfind(origin, 0) == 0 ? origin.size() : 0));
    }
}

class ScoreModelTask : public TrainingTask {
public:
    ScoreModelTask(TrainingConfig& config, const at::TensorOptions& tensorOptions)
        : options(tensorOptions), data(config, options) {
        checkDescription(config.model);
    }
    std::int64_t getNumTrainingFrames() const override { return data.getNumTrainingFrames(); }
    std::unique_ptr<Objective> objective(const TrainingConfig& config, std::size_t stage) const override {
        return std::make_unique<ScoreMatchingObjective>(config, stage, data, options);
    }

private:
    at::TensorOptions options;
    TrainingSet data;
};

class FlowTask : public TrainingTask {
public:
    FlowTask(const TrainingConfig& config, const at::TensorOptions& tensorOptions)
        : options(tensorOptions), frames(config, options) {}
    std::int64_t getNumTrainingFrames() const override { return frames.getAccount().numTrainingFrames; }
    std::unique_ptr<Objective> objective(const TrainingConfig& config, std::size_t /*stage*/) const override {
        if (config.proposal.family == ProposalConfig::Family::ContinuousFlow)
            return std::make_unique<FlowMatchingObjective>(config, frames, options);
        return std::make_unique<SplineFlowObjective>(config, frames, options);
    }

private:
    at::TensorOptions options;
    FlowFrames frames;
};

} // namespace

std::unique_ptr<TrainingTask> TrainingTask::create(TrainingConfig& config, const at::TensorOptions& options) {
    if (config.proposal)
        return std::make_unique<FlowTask>(config, options);
    return std::make_unique<ScoreModelTask>(config, options);
}

} // namespace OpenMMScore
