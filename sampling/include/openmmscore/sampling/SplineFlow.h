#ifndef OPENMMSCORE_SAMPLING_SPLINEFLOW_H_
#define OPENMMSCORE_SAMPLING_SPLINEFLOW_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "openmmscore/sampling/SplineFlowDescription.h"

namespace OpenMMScore {

/**
 * A normalising flow of rational-quadratic splines between y, d plain numbers, and z of its base
 * distribution, in float64; SplineFlowDescription says what it computes. Circular coordinates of y may be
 * given with any number of turns, and come back in [-pi, pi).
 *
 * Samples are computed in blocks; a sample's result does not depend, bit for bit, on the others beside it. An
 * object does not change once it is made, and all methods may be called from several threads at once.
 */
class SplineFlow {
public:
    /** By the names of splineFlowTensors(), row-major. */
    using Tensors = std::map<std::string, std::vector<double>>;

    /**
     * @throws ShapeError  if the description describes no flow; a tensor is missing, superfluous, of another
     *                     length or not finite; a scale is not positive, or not 1 for a circular coordinate;
     *                     knots of an autoregressive layer depend on what they may not depend on
     */
    SplineFlow(SplineFlowDescription description, Tensors tensors);
    ~SplineFlow();

    const SplineFlowDescription& getDescription() const { return description; }
    const Tensors& getTensors() const { return tensors; }
    /** @return d */
    int getDimension() const { return description.dimension; }
    /**
     * @param y       [count, d]
     * @param z       written: [count, d]; boxed coordinates that lie outside their box stay there
     * @param logDet  written: [count], log |det dz/dy|
     */
    void toBase(std::int64_t count, const double* y, double* z, double* logDet) const;
    /**
     * @param z       [count, d]
     * @param y       written: [count, d]
     * @param logDet  written: [count], log |det dy/dz|
     */
    void fromBase(std::int64_t count, const double* z, double* y, double* logDet) const;
    /**
     * @param y           [count, d]
     * @param logDensity  written: [count]; -infinity outside a box, NaN where a number is not finite
     */
    void logDensity(std::int64_t count, const double* y, double* logDensity) const;
    /**
     * @param y         [count, d]
     * @param gradient  written: [count, d], derivative of the log density with respect to y; NaN where the
     *                  density is zero or NaN. At a knot, where the density has a kink, that of one side
     */
    void logDensityGradient(std::int64_t count, const double* y, double* gradient) const;
    /**
     * Draw samples first ... first+count-1 of the sequence that the seed names, as Proposal::sample() does.
     *
     * @param y           written: [count, d]
     * @param logDensity  written: [count]; what logDensity() gives, but for rounding
     */
    void sample(std::uint64_t seed, std::int64_t first, std::int64_t count, double* y,
                double* logDensity) const;

private:
    struct Layer;
    struct Workspace;

    void checkTensors() const;
    Workspace makeWorkspace(std::int64_t count) const;
    /** The steps of SplineFlowDescription for one block, in place; log-determinants are added to. */
    void normalize(int rows, double* v) const;
    void denormalize(int rows, double* v) const;
    void passForward(const Layer& layer, int rows, double* v, double* logDet, Workspace& workspace) const;
    void passBackward(const Layer& layer, int rows, double* v, double* logDet, Workspace& workspace) const;
    /** Apply one coordinate's splines to a block. */
    void transform(const Layer& layer, std::size_t p, bool inverse, int rows, double* v, double* logDet,
                   Workspace& workspace) const;
    void blockToBase(int rows, const double* y, double* z, double* logDet, Workspace& workspace) const;
    void blockFromBase(int rows, const double* z, double* y, double* logDet, Workspace& workspace) const;
    /** The gradient of a block whose values before every layer lie in stages, [layers + 1, rows, d]. */
    void blockGradient(int rows, const std::vector<double>& stages, double* gradient,
                       Workspace& workspace) const;
    /** One layer of that: gradient by what it gives into gradient by what it gets, [rows, d], in place. */
    void passGradient(const Layer& layer, int rows, const double* v, double* gradient,
                      Workspace& workspace) const;
    /** @return log base(z) */
    double logBase(const double* z) const;

    SplineFlowDescription description;
    Tensors tensors;
    std::vector<SplineFlowDescription::Kind> kinds;
    std::vector<Layer> layers;
    /** location and scale of y, and of the base, [d] each. */
    std::vector<double> location, scale, baseLocation, baseScale;
    /** log |det dz/dy| of both scales together, and what the base's density always has. */
    double logScales = 0, logBaseConstant = 0;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_SPLINEFLOW_H_
