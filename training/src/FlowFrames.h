#ifndef OPENMMSCORE_TRAINING_FLOWFRAMES_H_
#define OPENMMSCORE_TRAINING_FLOWFRAMES_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "FrameOrder.h"
#include "Objective.h"
#include "openmmscore/sampling/FlowCoordinates.h"
#include "openmmscore/sampling/FrameCoordinates.h"
#include "openmmscore/training/TrainingConfig.h"

namespace OpenMMScore {

/**
 * The frames to learn a proposal from, in the coordinates of its flow: converted once, and standardised,
 *
 *     v = (y - location) / scale      circular coordinates: v = wrap(y - location), scale 1
 *
 * with the mean and standard deviation of the training frames. The location of a circular coordinate is such
 * that the cut, half a turn away from it, lies where fewest frames are; of a boxed one location and scale are
 * such that its interval becomes that of the splines. Positions that are turned at random have the location
 * zero and one scale for each three coordinates, or one for all where a network of particles sees them.
 *
 * Where particles are renamed in cycles, frames are converted again each time they are used.
 *
 * Arrays of samples are transposed, [coordinates, samples], and on the CPU.
 */
class FlowFrames {
public:
    /**
     * Read the frames that a configuration names.
     *
     * @throws Error  if they are unusable: damaged, of the wrong shape, with numbers that are not finite, too
     *                few, or without internal coordinates
     */
    FlowFrames(const TrainingConfig& config, const at::TensorOptions& options);
    ~FlowFrames();

    int getDimension() const { return dimension; }
    /** @return N, or d of plain numbers */
    int getCount() const { return count; }
    const std::vector<int>& getCircular() const { return circular; }
    const std::vector<double>& getLocation() const { return location; }
    const std::vector<double>& getScale() const { return scale; }
    /** @return what turns positions into internal coordinates, if these are the flow's */
    const std::optional<FlowCoordinates>& getInternal() const { return internal; }
    const DataAccount& getAccount() const { return account; }
    /** @return samples first ... first+count-1 of the batch of a step */
    at::Tensor trainingBatch(std::int64_t step, std::int64_t first, std::int64_t count) const;
    /** @return so many frames for validation, or as many as there are */
    at::Tensor validationBatch(std::int64_t count) const;

private:
    at::Tensor convert(const TrainingFrames& source, const TrainingConfig& config);
    at::Tensor convertPositions(const TrainingFrames& source, const TrainingConfig& config);
    /** @return whether a frame of positions, [particles, 3], has coordinates y */
    bool convertFrame(const double* x, double* y) const;
    void findScales(const at::Tensor& y);
    void findScale(const at::Tensor& y, int coordinate);
    void checkScales(const std::string& path) const;
    /** @param all  whether one scale is for all coordinates, not for each three */
    void shareScales(bool all);
    void findBoxes(const at::Tensor& y, const ProposalConfig& proposal, const std::string& path);
    void keep(const at::Tensor& y);
    void keepPositions(const TrainingFrames& source);
    /** Turn y into v. */
    void standardize(double* y) const;
    /** Change v of the frame at a place by what is drawn each time it is used. */
    void vary(std::int64_t place, CounterRandom& random, double* v) const;
    at::Tensor gather(const std::vector<std::int64_t>& places) const;

    at::TensorOptions options;
    std::uint64_t seed;
    std::int64_t batchSize;
    double noise;
    bool rotations = false;
    int dimension = 0, count = 0;
    std::vector<int> circular;
    /** shape [coordinates] */
    std::vector<bool> isCircular, isBoxed;
    /** The largest |v| of boxed coordinates. */
    double bound = 0.0;
    std::vector<std::vector<std::int64_t>> cycles;
    std::vector<double> location, scale;
    std::optional<FlowCoordinates> internal;
    std::optional<FrameCoordinates> centred;
    std::unique_ptr<FrameOrder> order;
    DataAccount account;
    /** shape [frames, coordinates]: v, in the order of FrameOrder */
    at::Tensor frames;
    /** shape [frames, 3 particles], float32, in the same order; undefined without cycles */
    at::Tensor positions;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_FLOWFRAMES_H_
