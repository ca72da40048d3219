#ifndef OPENMMSCORE_SAMPLING_CONTINUOUSFLOWPROPOSAL_H_
#define OPENMMSCORE_SAMPLING_CONTINUOUSFLOWPROPOSAL_H_

#include <memory>
#include <optional>
#include <vector>

#include "openmmscore/sampling/ContinuousFlow.h"
#include "openmmscore/sampling/FlowCoordinates.h"
#include "openmmscore/sampling/FlowProposal.h"
#include "openmmscore/sampling/FrameCoordinates.h"

namespace OpenMMScore {

class CounterRandom;
class ProposalContents;
class VelocityField;

/** How the differential equations of a continuous flow are solved. */
struct FlowSolver {
    /** DormandPrince: order 5 with an embedded order 4 for the error, and steps of each sample's own (Dormand
     * and Prince 1980). RungeKutta4 and Euler: equal steps, and no account of the error. */
    enum class Method { DormandPrince, RungeKutta4, Euler };
    Method method = Method::DormandPrince;
    /** A step's error may be absolute + relative |value|: root mean square over the coordinates, and the
     * log density by itself. 1e-12 to 1. */
    double absoluteTolerance = 1e-6, relativeTolerance = 1e-6;
    /** Of the methods with equal steps, 1 to 1000000. */
    int numSteps = 50;

    bool operator==(const FlowSolver&) const = default;
};

/** How the divergence of the velocity is found. */
struct FlowTrace {
    /**
     * Hutchinson: the mean over probes e of e . (J e), where each e has components +1 and -1 at random and
     * stays the same along a trajectory (Grathwohl et al., ICLR 2019, arXiv:1810.01367). log q is unbiased
     * then, but a weight exp(-log q) is not, and its noise adds to the variance of weights.
     */
    enum class Method { Exact, Hutchinson };
    Method method = Method::Exact;
    /** 1 to 4096. */
    int numProbes = 1;
    /** Whether sample() and logDensity() may give densities with noise. */
    bool allowNoisyWeights = false;

    bool operator==(const FlowTrace&) const = default;
};

/**
 * A continuous normalising flow (ContinuousFlowDescription) whose density follows from
 *
 *     d log q / dt = -div v(u, t)
 *
 * along the trajectory of a sample: sample() integrates from the base to the data, logDensity() back. The two
 * agree to the solver's tolerance, and a sample's bits do not depend on the samples beside it. Everything is
 * computed in float64.
 */
class ContinuousFlowProposal : public FlowProposal {
public:
    struct Parameters {
        ContinuousFlowDescription flow;
        /** In the order and the shapes of flow.getTensors(). */
        std::vector<std::vector<double>> tensors;
        FlowSolver solver;
        FlowTrace trace;
        /** What turns positions into y, of a flow of internal coordinates. Orientations are drawn uniformly,
         * log q = log q(y) - log J(y), and positions without such coordinates have a density that is NaN. */
        std::optional<FlowCoordinates> coordinates = std::nullopt;
    };

    /** @throws ShapeError  if a length does not fit, a number is not finite or out of its range, or a scale
     * is not positive (of a circular coordinate: is not 1), or coordinates are not those of the flow */
    explicit ContinuousFlowProposal(Parameters parameters);
    ~ContinuousFlowProposal() override;

    int getNumParticles() const override { return coordinates.getNumParticles(); }
    Frame getFrame() const override { return coordinates.getFrame(); }
    int getNumCoordinates() const override { return coordinates.getNumCoordinates(); }
    std::string getFamily() const override { return "continuous-flow"; }
    /** @return whether the network is a perceptron and the trace exact */
    bool hasGradient() const override;
    const Parameters& getParameters() const { return parameters; }
    /**
     * As Proposal::sample(). A sample whose trajectory cannot be integrated (a velocity that is not finite,
     * or 10000 steps) has positions and a density of NaN.
     *
     * @throws Error  if densities would have noise and the trace does not allow that
     */
    void sample(std::uint64_t seed, std::int64_t first, std::int64_t count, double* positions,
                double* logDensity) const override;
    /** As Proposal::logDensity(), with the remarks of sample(). */
    void logDensity(std::int64_t count, const double* positions, double* logDensity) const override;
    /** As Proposal::logDensityGradient(); costs about four times as much as a density. */
    void logDensityGradient(std::int64_t count, const double* positions, double* gradient) const override;
    int getBaseDimension() const override { return parameters.flow.getDimension(); }
    /** As FlowProposal::toBase(), with the remarks of sample(); the base is standard normal, and uniform from
     * -pi to pi of circular coordinates. */
    void toBase(std::int64_t count, const double* positions, double* z, double* logDet) const override;
    /** Molecules of internal coordinates come oriented as FlowCoordinates::toPositions() does. */
    void fromBase(std::int64_t count, const double* z, double* positions, double* logDet) const override;
    /**
     * logDensity() together with the variance of that estimate for each sample, from the scatter of its
     * probes; zero for an exact trace. Works whether noise is allowed or not.
     *
     * @throws Error  if there is only one probe
     */
    void estimateLogDensity(std::int64_t count, const double* positions, double* logDensity,
                            double* variance) const;
    /**
     * The velocity in normalised coordinates and its exact divergence.
     *
     * @param u           [count, d]
     * @param t           [count], 0 at the base, 1 at the data
     * @param velocity    written: [count, d]
     * @param divergence  written: [count]
     */
    void computeVelocity(std::int64_t count, const double* u, const double* t, double* velocity,
                         double* divergence) const;
    std::string encode() const override;
    /** Make one from a file whose family is getFamily(); makeProposal() is the caller. */
    static std::shared_ptr<const Proposal> fromContents(const ProposalContents& contents);

private:
    void requireWeights() const;
    double logBase(const double* z) const;
    void drawBase(CounterRandom& random, double* z) const;
    /** Bring circular coordinates to [-pi, pi). */
    void wrapAngles(double* u) const;
    /** Positions to y, or the way back, which may change y. @return log J(y), or zero */
    double toFlow(const double* x, double* y) const;
    double toPositions(double* y, double* x) const;
    /** How many log densities are followed at once. */
    std::size_t getNumDensities() const;
    void integrate(std::int64_t count, double from, double to, double* u, double* logChange) const;
    /** Take positions to the base. @param logChanges  written: [count, getNumDensities()], as toBase() */
    void invert(std::int64_t count, const double* positions, double* z, double* logChanges) const;

    Parameters parameters;
    FrameCoordinates coordinates;
    std::vector<bool> isCircular;
    std::unique_ptr<const VelocityField> velocity;
    /** The logarithm of the product of all scales. */
    double logScale;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_CONTINUOUSFLOWPROPOSAL_H_
