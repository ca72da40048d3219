#ifndef OPENMMSCORE_SAMPLING_VELOCITYFIELD_H_
#define OPENMMSCORE_SAMPLING_VELOCITYFIELD_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "openmmscore/sampling/ContinuousFlow.h"
#include "openmmscore/sampling/FrameCoordinates.h"

namespace OpenMMScore {

/**
 * A velocity v(u, t) and what its divergence needs, for 8 samples at once, each in a lane and at a time of
 * its own. Arrays are [d, lanes]. What a lane gets is computed from that lane alone, in the same order
 * whichever lane it is. Immutable.
 */
class VelocityField {
public:
    static constexpr int lanes = 8;

    virtual ~VelocityField() = default;
    /** @return d */
    virtual int getDimension() const = 0;
    /** @return how many doubles of workspace the methods below need */
    virtual std::size_t getWorkspaceSize() const = 0;
    /**
     * @param active      [lanes]: which count; what others get is arbitrary, but their numbers must be finite
     * @param t           [lanes]
     * @param u           [d, lanes]
     * @param v           written: [d, lanes]
     * @param divergence  written: [lanes], sum_i dv_i / du_i; null if not wanted
     */
    virtual void evaluate(const bool* active, const double* t, const double* u, double* v, double* divergence,
                          double* workspace) const = 0;
    /**
     * Multiply a direction with dv/du.
     *
     * @param workspace  as evaluate() left it; u and t are those of that call
     * @param direction  [d, lanes]
     * @param product    written: [d, lanes]
     */
    virtual void multiplyJacobian(const bool* active, const double* t, const double* u,
                                  const double* direction, double* product, double* workspace) const = 0;

    /** @return whether differentiate() works */
    virtual bool isTwiceDifferentiable() const { return false; }
    /**
     * As evaluate(), and the derivative by u of s . v + div v, in which s stays as it is.
     *
     * @param s         [d, lanes]
     * @param gradient  written: [d, lanes]
     */
    virtual void differentiate(const double* t, const double* u, const double* s, double* v,
                               double* divergence, double* gradient, double* workspace) const;

    /** @return [d, 3N]: the directions B^T e_k of R^3N that coordinates belong to */
    static std::vector<double> makeDirections(const FrameCoordinates& coordinates);
    /** @param tensors  of the network: those of flow.getTensors() after location and scale */
    static std::unique_ptr<const VelocityField> create(const ContinuousFlowDescription& flow,
                                                       std::vector<std::vector<double>> tensors);
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_VELOCITYFIELD_H_
