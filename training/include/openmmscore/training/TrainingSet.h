#ifndef OPENMMSCORE_TRAINING_TRAININGSET_H_
#define OPENMMSCORE_TRAINING_TRAININGSET_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "openmmscore/training/TrainingConfig.h"

namespace OpenMMScore {

class FrameOrder;
struct TrainingFrames;

/** Clean samples with the draws that noise them. */
struct NoisedBatch {
    /** shape [batch, coordinates]: z_0, in the network's dtype */
    at::Tensor clean;
    /** shape [batch], float64: diffusion times */
    at::Tensor times;
    /** shape [batch, coordinates]: standard normal */
    at::Tensor noise;
    /** shape [2, batch, coordinates]: standard normal; undefined unless FokkerPlanckLoss needs them */
    at::Tensor perturbations;
    /** shape [batch, particles, features], int64: what the network is told about each particle; undefined
     * for networks that are told nothing */
    at::Tensor features = {};

    std::int64_t size() const { return times.size(0); }
    /** @return samples first ... first+count-1, sharing memory */
    NoisedBatch slice(std::int64_t first, std::int64_t count) const;
    /** @return copies of samples by their indices */
    NoisedBatch select(const std::vector<std::int64_t>& indices) const;
};

/**
 * The frames to learn from: selected, centred (particles), divided by the length scale and split into a part
 * for training and one for validation.
 *
 * Where frames have weights, an epoch is a systematic resample of the training frames in proportion to them,
 * in random order: a frame of twice the weight comes twice as often, so the loss needs no weights, every
 * sample of a batch counts alike, and no work is spent on frames that hardly count. (A weighted loss has the
 * same expectation, but its gradient is as noisy as that of a batch smaller by the ratio of effective to all
 * frames.) With equal weights each frame comes once, as without weights.
 *
 * Everything drawn is a function of the seed and of where it is used (step and sample), so a run that is
 * continued draws what it would have drawn.
 */
class TrainingSet {
public:
    /**
     * Read the frames that the configuration names.
     *
     * @param config  its model gets space, count and, if measured, lengthScale
     * @throws Error  if the file is unusable: damaged, of the wrong shape, with numbers that are not finite,
     * too short
     */
    TrainingSet(TrainingConfig& config, const at::TensorOptions& options);

    ~TrainingSet();

    std::int64_t getNumTrainingFrames() const;
    std::int64_t getNumValidationFrames() const;
    /** @return how many equally weighted frames the training frames are worth: (sum w)^2 / sum w^2 */
    double getEffectiveTrainingFrames() const;
    bool isWeighted() const;
    /** @return SHA-256 of the data (TrainingFrames.h), and its name without folders */
    const std::string& getSha256() const { return sha256; }
    const std::string& getFileName() const { return fileName; }
    /**
     * @param step   from 0: batches go through a fresh permutation (resample, with weights) of all training
     * frames every epoch; what is left over of an epoch is dropped
     * @param stage  whose batch size, times and Fokker-Planck loss count
     */
    NoisedBatch trainingBatch(std::int64_t step, std::size_t stage = 0) const;
    /** Samples first ... first+count-1 of such a batch. */
    NoisedBatch trainingBatch(std::int64_t step, std::size_t stage, std::int64_t first,
                              std::int64_t count) const;
    /**
     * The fixed batch on which every validation is done: frames of the validation part (of the training part
     * if there is none), in turn, at evenly spread diffusion times.
     */
    NoisedBatch validationBatch(std::int64_t size, std::size_t stage = 0) const;

private:
    struct Draws;
    NoisedBatch assemble(const std::vector<std::int64_t>& indices, const Draws& draws) const;
    void arrange(const TrainingFrames& source);
    void keepFeatures(const TrainingConfig& config, const std::string& path);

    std::vector<StageConfig> stages;
    ScheduleDescription schedule;
    bool randomRotations;
    std::uint64_t seed;
    bool particles;
    /** shape [frames, coordinates], float64, network units; training frames first */
    at::Tensor frames;
    /** shape [frames]: which molecule it is */
    std::vector<std::int64_t> molecules;
    /** shape [molecules, particles, features]; undefined without */
    at::Tensor features;
    at::TensorOptions options;
    std::string sha256, fileName;
    std::unique_ptr<FrameOrder> order;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_TRAININGSET_H_
