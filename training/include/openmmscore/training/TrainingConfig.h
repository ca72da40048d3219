#ifndef OPENMMSCORE_TRAINING_TRAININGCONFIG_H_
#define OPENMMSCORE_TRAINING_TRAININGCONFIG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "openmmscore/models/ModelDescription.h"
#include "openmmscore/training/DataConfig.h"
#include "openmmscore/training/FokkerPlanckOptions.h"
#include "openmmscore/training/ProposalConfig.h"

namespace OpenMMScore {

/** What becomes of the weights' running average. */
enum class Averaging {
    /** average <- d average + (1 - d) weights, and it is what is validated and saved */
    Running,
    /** average <- (1 - d) average + d weights, with the decay d the other way round, and at the end of every
     * epoch the weights are replaced with it (as published with ScoreMD) */
    UpstreamPerEpoch
};

/** How one expert is trained: the numbers of its optimiser and of its loss. */
struct StageConfig {
    /** One of the two is zero; TrainingConfig::resolveSteps() turns epochs into steps. */
    std::int64_t steps = 0, epochs = 0;
    std::int64_t batchSize = 0;
    double learningRate = 3e-4, finalLearningRate = 1e-5;
    double weightDecay = 1e-4;
    /** Of the average of the weights, which is updated every so many steps. */
    double emaDecay = 0.999;
    std::int64_t emaInterval = 1;
    Averaging averaging = Averaging::Running;
    /** Each component of the gradient is cut to +- this. */
    double gradientClip = 1000.0;
    /** Before that, the gradient is scaled down to this length if it is longer; 0 for any length. */
    double gradientNorm = 0.0;
    /** After so many validations without a better loss the run ends, and the best weights are what it leaves;
     * 0 for never. */
    std::int64_t earlyStopping = 0;
    /** Standard deviation of what is added to a proposal's coordinates each time they are used, in units of
     * their own standard deviations; not to circular ones. */
    double noise = 0.0;
    /** Diffusion times are drawn uniformly between these. */
    double lowerTime = 1e-5, upperTime = 1.0;
    /** Times below and above this count alike in total. */
    double timeMidpoint = 0.5;
    /** Whether the times of a batch are spread over equal parts of the interval, one in each. */
    bool stratifiedTimes = false;
    /** Of a discrete diffusion: whether half of all draws are levels below 100. */
    bool preferLowLevels = true;
    FokkerPlanckOptions fokkerPlanck;
    /** A model file and the index of its expert whose weights are where to begin; "" for random weights. */
    std::string startFrom;
    int startExpert = 0;
};

/** Where and in what arithmetic the work is done. */
struct ExecutionConfig {
    bool randomRotations = true;
    bool doublePrecision = false;
    std::string device = "cpu";
    /** 0: as many as there are processors. */
    std::int64_t threads = 0;
};

/** What is written, and when. */
struct OutputConfig {
    std::string directory;
    std::int64_t logInterval = 100, validationInterval = 1000, checkpointInterval = 1000;
    std::int64_t validationSamples = 2048;
};

/**
 * A training run as its TOML file describes it; docs/training.md lists the keys.
 */
struct TrainingConfig {
    std::uint64_t seed = 1;
    DataConfig data;
    ExecutionConfig training;
    OutputConfig output;
    /**
     * The model to be: its experts, and particles as far as the file names them. Space, count and, if
     * measureLengthScale, lengthScale come from the data.
     */
    ModelDescription model;
    bool measureLengthScale = true;
    /** What is trained instead of a model, if its family says so. */
    ProposalConfig proposal;
    /** One for each expert, in the model's order, which is also that of the training. */
    std::vector<StageConfig> stages;
    /** If not zero, the number of steps of all stages together, divided in proportion to what they have. */
    std::int64_t totalSteps = 0;

    /**
     * @param preparedData  what `openmmscore train` has made of the trajectories that the file names, or ""
     * @throws Error  if the file cannot be read or is no TOML, or a key is unknown, missing, of the wrong
     * type or out of range; the sentence names the file and the key
     */
    static TrainingConfig read(const std::string& path, const std::string& preparedData = "");
    /**
     * Turn epochs into steps, and apply totalSteps.
     *
     * @throws Error  if that leaves a stage without steps
     */
    void resolveSteps(std::int64_t numTrainingFrames);
    /**
     * @return a JSON object of all values that decide what the trained weights of one expert will be, without
     * paths; equal for two runs that may continue each other
     */
    std::string toJson(std::size_t stage) const;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_TRAININGCONFIG_H_
