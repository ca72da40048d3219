#ifndef OPENMMSCORE_SAMPLING_INTERNALGRADIENT_H_
#define OPENMMSCORE_SAMPLING_INTERNALGRADIENT_H_

#include "openmmscore/sampling/FlowCoordinates.h"

namespace OpenMMScore {

/**
 * Turn the gradient of log q(y), y being FlowCoordinates, into that of log q(x) = log q(y) - log J(y) by
 * positions.
 *
 * @param x     [N, 3], for which toFlow() has the status Ok
 * @param y     [3 N - 6], what it gives
 * @param byY   [3 N - 6], changed
 * @param byX   written: [N, 3]
 */
void toPositionGradient(const FlowCoordinates& coordinates, const double* x, const double* y, double* byY,
                        double* byX);

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_INTERNALGRADIENT_H_
