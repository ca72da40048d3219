#include "TrainingTask.h"

#include "ScoreMatchingObjective.h"

namespace OpenMMScore {

namespace {

class ScoreModelTask : public TrainingTask {
public:
    ScoreModelTask(TrainingConfig& config, const at::TensorOptions& tensorOptions)
        : options(tensorOptions), data(config, options) {}
    std::int64_t getNumTrainingFrames() const override { return data.getNumTrainingFrames(); }
    std::unique_ptr<Objective> objective(const TrainingConfig& config, std::size_t stage) const override {
        return std::make_unique<ScoreMatchingObjective>(config, stage, data, options);
    }

private:
    at::TensorOptions options;
    TrainingSet data;
};

} // namespace

std::unique_ptr<TrainingTask> TrainingTask::create(TrainingConfig& config, const at::TensorOptions& options) {
    return std::make_unique<ScoreModelTask>(config, options);
}

} // namespace OpenMMScore
