#ifndef OPENMMSCORE_TRAINING_FOKKERPLANCKLOSS_H_
#define OPENMMSCORE_TRAINING_FOKKERPLANCKLOSS_H_

#include "openmmscore/training/DenoisingScoreMatchingLoss.h"
#include "openmmscore/training/FokkerPlanckOptions.h"

namespace OpenMMScore {

/**
 * How far a network's energies are from following the Fokker-Planck equation of the diffusion. With log q =
 * -e, s = -de/dz and beta = beta(t), the density of a variance-preserving diffusion obeys
 *
 *     R(z, t) = beta/2 (div s + |s|^2 + z . s + D) - d/dt log q = 0
 *
 * where D is the number of dimensions (3 N - 3 for particles, whose energies know no common translation). The
 * divergence is estimated weakly: with v ~ N(0, perturbation^2) in every coordinate, p = z_t + v, q = z_t -
 * v,
 *
 *     R_v = beta/2 (v . (s(p) - s(q)) / (2 perturbation^2) + |s(p)|^2 + p . s(p) + D) - d/dt log q(p, t)
 *
 * and the square by a product of two independent estimates, which has the right mean, but may be negative:
 *
 *     L = weight mean_b w(t_b) R_v1 R_v2 / (number of coordinates)^2
 *
 * with w as for DenoisingScoreMatchingLoss. |s|^2 is taken as sum_d (|s_d| + 1e-7)^2, as published.
 *
 * Source: Plainer et al., arXiv:2506.17139 (ScoreMD), equations 8 to 11; Lai et al., ICML 2023, for the
 * residual.
 */
class FokkerPlanckLoss {
public:
    /**
     * @param matching   says how samples are noised and times are weighted; must outlive this object, like
     *                   schedule
     * @param particles  whether coordinates are those of particles
     */
    FokkerPlanckLoss(const VariancePreserving& schedule, const DenoisingScoreMatchingLoss& matching,
                     const FokkerPlanckOptions& options, bool particles);

    /**
     * @param batch  with perturbations
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
    /** @return at how many points the network is evaluated for each sample */
    int getNumPoints() const;
    /** @return shape [2, batch], float64: R_v1 and R_v2 */
    at::Tensor residuals(const TorchNetwork& network, const NoisedBatch& batch) const;

private:
    struct Points;
    struct Residuals;
    Points points(const TorchNetwork& network, const NoisedBatch& batch) const;
    Residuals residuals(const Points& points, const NoisedBatch& batch, const RecordedScore& recorded) const;
    Cotangents cotangents(const Points& points, const NoisedBatch& batch, const Residuals& found,
                          double scale) const;
    double loss(const NoisedBatch& batch, const Residuals& found, double scale) const;
    at::Tensor weights(const NoisedBatch& batch, double scale) const;

    const VariancePreserving& schedule;
    const DenoisingScoreMatchingLoss& matching;
    FokkerPlanckOptions options;
    bool particles;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_FOKKERPLANCKLOSS_H_
