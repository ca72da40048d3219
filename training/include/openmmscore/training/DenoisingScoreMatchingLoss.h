#ifndef OPENMMSCORE_TRAINING_DENOISINGSCOREMATCHINGLOSS_H_
#define OPENMMSCORE_TRAINING_DENOISINGSCOREMATCHINGLOSS_H_

#include "openmmscore/models/NoiseSchedule.h"
#include "openmmscore/torch/TorchNetwork.h"
#include "openmmscore/training/TrainingSet.h"

namespace OpenMMScore {

/**
 * How well a network tells the noise in a sample. With z_t = m(t) z_0 + sigma(t) eps and the network's score
 * s,
 *
 *     L = mean_b w(t_b) mean_d (|eps_bd + sigma(t_b) s_d(z_tb, t_b)| + 1e-7)^2
 *
 * where w makes the times below and above a midpoint count alike in total: w = (t1 - t0)/(2 (mid - t0)) for t
 * <= mid and (t1 - t0)/(2 (t1 - mid)) above. A centred sample says nothing about the mean of its noise, so
 * for N particles L cannot fall below mean w / N.
 *
 * Of networks that predict clean data it is their error instead, as if times weighed sigma^2/m^2 as much:
 * |eps + sigma s| = m/sigma |predicted - clean|.
 *
 * Source: Vincent, Neural Computation 23 (2011) 1661; the weighting sigma^2 of Song et al., arXiv:2011.13456.
 */
class DenoisingScoreMatchingLoss {
public:
    /**
     * @param lower, upper, midpoint  t0, t1 and mid
     * @param offset                  what is added to every absolute value; 0 gives the loss of Two-for-One
     * @param ofCleanData             whether it is the error of predicted clean data
     */
    DenoisingScoreMatchingLoss(const NoiseSchedule& schedule, double lower, double upper, double midpoint,
                               double offset = 1e-7, bool ofCleanData = false);

    /** @return w(t) */
    double timeWeight(double t) const;
    /** @return shape [batch, coordinates]: z_t */
    at::Tensor noised(const NoisedBatch& batch) const;
    /**
     * @param scale  what the sum over samples is multiplied by: 1/batch size for a whole batch
     * @return the loss
     */
    double value(const TorchNetwork& network, const NoisedBatch& batch, double scale) const;
    /**
     * Compute the loss and its derivative with respect to all parameters.
     *
     * @param gradient  shape [network.getNumParameters()]; the derivative is added to it
     * @return the loss
     */
    double addGradient(const TorchNetwork& network, const NoisedBatch& batch, double scale,
                       at::Tensor& gradient) const;

private:
    struct Residual {
        double loss;
        /** Derivative of the loss with respect to the score. */
        at::Tensor cotangent;
    };
    Residual residual(const at::Tensor& score, const NoisedBatch& batch, double scale) const;

    const NoiseSchedule& schedule;
    double lower, upper, midpoint, offset;
    bool cleanData;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_DENOISINGSCOREMATCHINGLOSS_H_
