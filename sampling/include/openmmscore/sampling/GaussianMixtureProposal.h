#ifndef OPENMMSCORE_SAMPLING_GAUSSIANMIXTUREPROPOSAL_H_
#define OPENMMSCORE_SAMPLING_GAUSSIANMIXTUREPROPOSAL_H_

#include <memory>
#include <vector>

#include "openmmscore/sampling/FrameCoordinates.h"

namespace OpenMMScore {

class ProposalContents;

/**
 * A mixture of K normal distributions, q(x) = sum_k w_k N(x; m_k, C_k); one normal distribution for K = 1.
 *
 * In the frame Centred it is the distribution of x - centroid(x) when x follows that mixture: again a mixture
 * of normal distributions, in 3N - 3 dimensions. Centroids of the means do not matter then.
 */
class GaussianMixtureProposal : public Proposal {
public:
    /** What is given of each covariance matrix: one variance, its diagonal, or all of it. */
    enum class Covariance { Isotropic, Diagonal, Full };

    struct Parameters {
        /** N, or d in the frame Vector. */
        int count = 0;
        Frame frame = Frame::Absolute;
        /** [K]: positive; divided by their sum. */
        std::vector<double> weights;
        /** [K, N, 3] in nm, or [K, d] in the frame Vector; d takes the place of 3N below as well. */
        std::vector<double> means;
        Covariance covariance = Covariance::Isotropic;
        /** In nm^2. Isotropic: [K]. Diagonal: [K, 3N]. Full: [K, 3N, 3N], symmetric, positive definite. */
        std::vector<double> covariances;
    };

    /**
     * @throws ShapeError  if a length does not fit, a weight or variance is not positive, a matrix is not
     *                     symmetric and positive definite, or its factors would need more than 256 MiB
     */
    explicit GaussianMixtureProposal(Parameters parameters);

    int getNumParticles() const override { return coordinates.getNumParticles(); }
    Frame getFrame() const override { return coordinates.getFrame(); }
    int getNumCoordinates() const override { return coordinates.getNumCoordinates(); }
    std::string getFamily() const override { return "gaussian-mixture"; }
    bool hasGradient() const override { return true; }
    /** @return weights divided by their sum, and the rest as it was given */
    const Parameters& getParameters() const { return parameters; }
    void sample(std::uint64_t seed, std::int64_t first, std::int64_t count, double* positions,
                double* logDensity) const override;
    void logDensity(std::int64_t count, const double* positions, double* logDensity) const override;
    void logDensityGradient(std::int64_t count, const double* positions, double* gradient) const override;
    std::string encode() const override;
    /** Make one from a file whose family is getFamily(); makeProposal() is the caller. */
    static std::shared_ptr<const Proposal> fromContents(const ProposalContents& contents);

private:
    /** A component in the d coordinates of the frame: y = mean + factor z with z standard normal. */
    struct Component {
        double logWeight = 0;
        /** Log of the weight over the normalisation, so that log density = logScale - |z|^2 / 2. */
        double logScale = 0;
        std::vector<double> mean;
        /** One standard deviation, d of them, or the lower triangle of a [d, d] matrix, row by row. */
        std::vector<double> factor;
    };
    struct Workspace;

    Component makeComponent(std::size_t k) const;
    /** Turn parameters.covariances into the square root of one covariance matrix of y. */
    std::vector<double> factorize(std::size_t k) const;
    /** Replace z by factor z, in place. */
    void scale(const Component& component, double* z) const;
    /** Replace r by z with factor z = r, in place; then, if transposed, by factor^-T z. */
    void solve(const Component& component, double* r) const;
    void solveTransposed(const Component& component, double* z) const;
    /** @return log q; leaves each component's term and z in the workspace */
    double evaluate(const double* positions, Workspace& work) const;

    Parameters parameters;
    FrameCoordinates coordinates;
    /** What Component::factor holds: the frame Centred mixes the coordinates of a diagonal matrix. */
    Covariance factorKind;
    std::vector<Component> components;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_GAUSSIANMIXTUREPROPOSAL_H_
