#ifndef OPENMMSCORE_SAMPLING_FRAMECOORDINATES_H_
#define OPENMMSCORE_SAMPLING_FRAMECOORDINATES_H_

#include <vector>

#include "openmmscore/sampling/Proposal.h"

namespace OpenMMScore {

/**
 * Orthonormal coordinates y = B x of the space that a Proposal's density lives on.
 *
 *     Absolute   y = x, d = 3 N
 *     Centred    d = 3 N - 3: for each axis, y_k = (x_0 + ... + x_(k-1) - k x_k) / sqrt(k (k + 1)) for
 *                k = 1 ... N - 1 (Helmert's matrix). y does not depend on the centroid of x
 *     Vector     y = x, any d
 *
 * The rows of B are orthonormal, so a density of y is the density of x in the sense of Proposal, without a
 * Jacobian. Coordinates lie particle by particle: [N, 3] or [N - 1, 3].
 */
class FrameCoordinates {
public:
    /**
     * @param count  N, or d in the frame Vector
     * @throws ShapeError  unless it is 1 or more, or 2 or more when centred, and at most 4096
     */
    FrameCoordinates(int count, Proposal::Frame frame);

    /** @return N; 0 in the frame Vector */
    int getNumParticles() const { return frame == Proposal::Frame::Vector ? 0 : count; }
    /** @return how many numbers x has: 3 N, or d in the frame Vector */
    int getNumCoordinates() const { return frame == Proposal::Frame::Vector ? count : 3 * count; }
    Proposal::Frame getFrame() const { return frame; }
    /** @return d */
    int getDimension() const {
        return frame == Proposal::Frame::Centred ? 3 * count - 3 : getNumCoordinates();
    }
    /**
     * @param x  [N, 3], or [d]; so below
     * @param y  written: [d], B x; may not overlap x
     */
    void toCoordinates(const double* x, double* y) const;
    /**
     * The transpose, which also turns a gradient by y into one by x.
     *
     * @param y  [d]
     * @param x  written: [N, 3], B^T y, whose centroid is zero when centred; may not overlap y
     */
    void toPositions(const double* y, double* x) const;

private:
    int count;
    Proposal::Frame frame;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_FRAMECOORDINATES_H_
