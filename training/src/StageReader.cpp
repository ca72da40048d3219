#include "StageReader.h"

#include <algorithm>

namespace OpenMMScore {

namespace {

/** Random numbers are told stages apart by the bits above the step (TrainingSet). */
constexpr std::int64_t largestStep = std::int64_t(1) << 38;

/** Either a number of steps or one of epochs; a later table's word replaces an earlier one's. */
void readLength(ConfigTable& table, StageConfig& stage) {
    if (table.has("steps") && table.has("epochs"))
        table.fail("epochs", "stands beside steps; give one of them");
    if (table.has("steps"))
        stage.epochs = 0;
    if (table.has("epochs"))
        stage.steps = 0;
    // Both are asked for in any case, so that both are known names.
    const std::int64_t steps = table.integer("steps", 1, std::max<std::int64_t>(stage.steps, 1), largestStep);
    const std::int64_t epochs = table.integer("epochs", 1, std::max<std::int64_t>(stage.epochs, 1));
    if (table.has("steps"))
        stage.steps = steps;
    if (table.has("epochs"))
        stage.epochs = epochs;
}

void readAveraging(ConfigTable& table, StageConfig& stage) {
    const bool upstream = stage.averaging == Averaging::UpstreamPerEpoch;
    stage.averaging = table.choice("ema", {"running", "upstream-per-epoch"}, upstream ? 1 : 0) == 0
                          ? Averaging::Running
                          : Averaging::UpstreamPerEpoch;
    stage.emaDecay = between(table, "ema_decay", 0.0, 0.999999, stage.emaDecay);
    stage.emaInterval = table.integer("ema_interval", 1, stage.emaInterval);
}

} // namespace

void readOptimization(ConfigTable& table, const std::string& file, StageConfig& stage,
                      bool& hasFinalLearningRate) {
    readLength(table, stage);
    stage.batchSize =
        table.integer("batch_size", 1, stage.batchSize > 0 ? std::optional(stage.batchSize) : std::nullopt);
    stage.learningRate = positive(table, "learning_rate", stage.learningRate);
    hasFinalLearningRate = hasFinalLearningRate || table.has("final_learning_rate");
    if (!hasFinalLearningRate)
        stage.finalLearningRate = std::min(stage.finalLearningRate, stage.learningRate);
    stage.finalLearningRate =
        between(table, "final_learning_rate", 0.0, stage.learningRate, stage.finalLearningRate);
    stage.weightDecay = between(table, "weight_decay", 0.0, 1.0, stage.weightDecay);
    stage.gradientClip = positive(table, "gradient_clip", stage.gradientClip);
    stage.gradientNorm = between(table, "gradient_norm", 0.0, 1e12, stage.gradientNorm);
    stage.earlyStopping = table.integer("early_stopping", 0, stage.earlyStopping);
    readAveraging(table, stage);
    const std::string start = table.text("start_from", "");
    if (!start.empty())
        stage.startFrom = relativeTo(file, start);
}

ExecutionConfig readExecution(ConfigTable& table) {
    ExecutionConfig execution;
    execution.randomRotations = table.flag("random_rotations", true);
    execution.doublePrecision = table.choice("precision", {"float32", "float64"}, 0) == 1;
    execution.device = table.choice("device", {"cpu", "cuda"}, 0) == 0 ? "cpu" : "cuda";
    execution.threads = table.integer("threads", 0, 0);
    return execution;
}

} // namespace OpenMMScore
