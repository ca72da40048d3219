#include "openmmscore/sampling/FrameCoordinates.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "openmmscore/models/Error.h"

namespace OpenMMScore {

FrameCoordinates::FrameCoordinates(int givenCount, Proposal::Frame givenFrame)
    : count(givenCount), frame(givenFrame) {
    const int least = frame == Proposal::Frame::Centred ? 2 : 1;
    constexpr int most = 4096;
    if (count < least || count > most)
        throw ShapeError(std::string("Proposal: the number of ") +
                         (frame == Proposal::Frame::Vector ? "dimensions" : "particles") + " is " +
                         std::to_string(count) + ", expected " + std::to_string(least) + " to " +
                         std::to_string(most) +
                         (least == 2 ? " (one particle without its centroid has no coordinates)" : ""));
}

void FrameCoordinates::toCoordinates(const double* x, double* y) const {
    if (frame != Proposal::Frame::Centred) {
        std::copy_n(x, getNumCoordinates(), y);
        return;
    }
    for (int axis = 0; axis < 3; axis++) {
        // Relative to the first particle, so that a molecule far from the origin loses no digits.
        double sum = 0;
        for (int k = 1; k < count; k++) {
            const double position = x[3 * k + axis] - x[axis];
            y[3 * (k - 1) + axis] = (sum - k * position) / std::sqrt(k * (k + 1.0));
            sum += position;
        }
    }
}

void FrameCoordinates::toPositions(const double* y, double* x) const {
    if (frame != Proposal::Frame::Centred) {
        std::copy_n(y, getNumCoordinates(), x);
        return;
    }
    for (int axis = 0; axis < 3; axis++) {
        double later = 0;
        for (int k = count - 1; k > 0; k--) {
            const double scaled = y[3 * (k - 1) + axis] / std::sqrt(k * (k + 1.0));
            x[3 * k + axis] = later - k * scaled;
            later += scaled;
        }
        x[axis] = later;
    }
}

} // namespace OpenMMScore
