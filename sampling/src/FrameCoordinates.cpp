#include "openmmscore/sampling/FrameCoordinates.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "openmmscore/models/Error.h"

namespace OpenMMScore {

FrameCoordinates::FrameCoordinates(int numParticles, Proposal::Frame frame)
    : numParticles(numParticles), frame(frame) {
    const int least = frame == Proposal::Frame::Centred ? 2 : 1;
    constexpr int most = 4096;
    if (numParticles < least || numParticles > most)
        throw ShapeError("Proposal: the number of particles is " + std::to_string(numParticles) +
                         ", expected " + std::to_string(least) + " to " + std::to_string(most) +
                         (least == 2 ? " (one particle without its centroid has no coordinates)" : ""));
}

void FrameCoordinates::toCoordinates(const double* x, double* y) const {
    if (frame == Proposal::Frame::Absolute) {
        std::copy_n(x, 3 * numParticles, y);
        return;
    }
    for (int axis = 0; axis < 3; axis++) {
        // Relative to the first particle, so that a molecule far from the origin loses no digits.
        double sum = 0;
        for (int k = 1; k < numParticles; k++) {
            const double position = x[3 * k + axis] - x[axis];
            y[3 * (k - 1) + axis] = (sum - k * position) / std::sqrt(k * (k + 1.0));
            sum += position;
        }
    }
}

void FrameCoordinates::toPositions(const double* y, double* x) const {
    if (frame == Proposal::Frame::Absolute) {
        std::copy_n(y, 3 * numParticles, x);
        return;
    }
    for (int axis = 0; axis < 3; axis++) {
        double later = 0;
        for (int k = numParticles - 1; k > 0; k--) {
            const double scaled = y[3 * (k - 1) + axis] / std::sqrt(k * (k + 1.0));
            x[3 * k + axis] = later - k * scaled;
            later += scaled;
        }
        x[axis] = later;
    }
}

} // namespace OpenMMScore
