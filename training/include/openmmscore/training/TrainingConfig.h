#ifndef OPENMMSCORE_TRAINING_TRAININGCONFIG_H_
#define OPENMMSCORE_TRAINING_TRAININGCONFIG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "openmmscore/models/ModelDescription.h"
#include "openmmscore/training/DataConfig.h"

namespace OpenMMScore {

/** Numbers of the optimiser and of the loss. */
struct OptimizationConfig {
    std::int64_t steps = 0;
    std::int64_t batchSize = 0;
    double learningRate = 3e-4, finalLearningRate = 1e-5;
    double weightDecay = 1e-4;
    double emaDecay = 0.999;
    /** Each component of the gradient is cut to +- this. */
    double gradientClip = 1000.0;
    /** Diffusion times are drawn uniformly between these. */
    double lowerTime = 1e-5, upperTime = 1.0;
    /** Times below and above this count alike in total. */
    double timeMidpoint = 0.5;
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
    OptimizationConfig training;
    OutputConfig output;
    /**
     * The model to be: one expert, and particles as far as the file names them. Space, count and, if
     * measureLengthScale, lengthScale come from the data.
     */
    ModelDescription model;
    bool measureLengthScale = true;

    /**
     * @param preparedData  what `openmmscore train` has made of the trajectories that the file names, or ""
     * @throws Error  if the file cannot be read or is no TOML, or a key is unknown, missing, of the wrong
     * type or out of range; the sentence names the file and the key
     */
    static TrainingConfig read(const std::string& path, const std::string& preparedData = "");
    /**
     * @return a JSON object of all values that decide what the trained weights will be, without paths; equal
     * for two runs that may continue each other
     */
    std::string toJson() const;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_TRAININGCONFIG_H_
