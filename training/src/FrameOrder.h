#ifndef OPENMMSCORE_TRAINING_FRAMEORDER_H_
#define OPENMMSCORE_TRAINING_FRAMEORDER_H_

#include <cstdint>
#include <vector>

#include "TrainingFrames.h"

namespace OpenMMScore {

/**
 * Which frames are for training and which for validation, and in which order they are used.
 *
 * An epoch goes once through all training frames in random order or, where frames have weights, through a
 * systematic resample of them. Everything is a function of the seed.
 */
class FrameOrder {
public:
    /** @throws Error  if all frames for training, or for validation, have the weight zero */
    FrameOrder(const TrainingFrames& source, const DataConfig& data, std::uint64_t seed);

    /** @return the frames of the source, those for training first; places below are counted in this list */
    const std::vector<std::int64_t>& getFrames() const { return frames; }
    /** @return shape [frames], in that order; empty if equal */
    const std::vector<double>& getWeights() const { return weights; }
    std::int64_t getNumTraining() const { return numTraining; }
    std::int64_t getNumValidation() const { return static_cast<std::int64_t>(frames.size()) - numTraining; }
    bool isWeighted() const { return !weights.empty(); }
    /** @return how many equally weighted frames the training frames are worth */
    double getEffectiveTraining() const;
    /** @return places of samples first ... first+count-1 of an epoch; not for several threads at once */
    std::vector<std::int64_t> draw(std::uint64_t epoch, std::int64_t first, std::int64_t count) const;
    /** @return places of so many frames for validation (for training if there are none), in turn */
    std::vector<std::int64_t> drawValidation(std::int64_t count) const;

private:
    void shuffle(std::uint64_t epoch) const;

    std::uint64_t seed;
    std::vector<std::int64_t> frames;
    std::vector<double> weights;
    std::int64_t numTraining = 0;
    /** The permutation of the epoch that was asked for last. */
    mutable std::vector<std::int64_t> order;
    mutable std::uint64_t orderEpoch = ~std::uint64_t(0);
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_FRAMEORDER_H_
