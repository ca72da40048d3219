#ifndef OPENMMSCORE_TRAINING_TRAININGFRAMES_H_
#define OPENMMSCORE_TRAINING_TRAININGFRAMES_H_

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "openmmscore/models/CounterRandom.h"
#include "openmmscore/models/ModelDescription.h"
#include "openmmscore/training/DataConfig.h"

namespace OpenMMScore {

/** The frames that a run's files hold: selected, in nm, checked, and each centred if it is of particles. */
struct TrainingFrames {
    bool particles = false;
    /** shape [frames, coordinates], float64; molecule after molecule */
    at::Tensor values;
    /** shape [frames]; with a mean of one over the frames of each molecule; empty if all are equal */
    std::vector<double> weights;
    /** shape [frames]: index into DataConfig::molecules */
    std::vector<std::int64_t> molecules;
    /** Of the data file, or of the list of all files' digests, weights and features where there is more. */
    std::string sha256;
    /** Without folders; of several, the first and how many there are. */
    std::string fileName;

    /**
     * @param temperature  K, for bias energies
     * @throws Error  if a file is damaged, of the wrong shape or not finite, or weights are not what weights
     *                can be; the sentence names the file and the frame
     */
    static TrainingFrames read(const DataConfig& data, double temperature);

private:
    void append(const MoleculeData& molecule, const DataConfig& data, double temperature,
                std::vector<at::Tensor>& parts, std::string& digests);
};

/** @return (sum w)^2 / sum w^2: how many equally weighted frames are worth as much (Kish's sample size) */
double effectiveFrames(const double* weights, std::int64_t count);
/**
 * Systematic resampling: an increasing list of `draws` indices in which each index appears weight/total *
 * draws times, rounded up or down so that the expectation over offsets is exact. Equal weights and as many
 * draws as weights give every index once.
 *
 * @param offset  uniform in (0, 1)
 */
std::vector<std::int64_t> resampleSystematic(const double* weights, std::int64_t count, std::int64_t draws,
                                             double offset);

/** Subtract the mean position of one frame, [numParticles, 3]. */
void centre(double* frame, std::int64_t numParticles);

/** Rotate all positions of a frame by a rotation drawn uniformly; takes four normal numbers. */
void rotate(double* frame, std::int64_t numParticles, CounterRandom& random);

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_TRAININGFRAMES_H_
