#ifndef OPENMMSCORE_SAMPLING_FLOWCOORDINATES_H_
#define OPENMMSCORE_SAMPLING_FLOWCOORDINATES_H_

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "openmmscore/sampling/InternalCoordinates.h"

namespace OpenMMScore {

/**
 * Internal coordinates stretched so that any numbers are a molecule: what a flow maps. y [3 N - 6] lies as
 * u of InternalCoordinates does, with
 *
 *     bond      y = log(d / nm)
 *     angle     y = log tan(theta / 2)
 *     torsion   y = tau, a circular coordinate
 *               y = 2 tan((tau - c) / 2), about its centre c, where it is stiff (impropers, siblings, amide
 *               bonds): a narrow peak on a circle would have to be made from a uniform distribution
 *
 * All of these are one to one, onto all real numbers or the circle. So a normalised density of y is a
 * normalised density of the molecule, without a part that is lost to bonds below zero or angles beyond pi:
 *
 *     log q(Y) = log q(y) - log J(y),   J(y) = J(u) prod d_i prod sin(theta_i) prod 1 / (1 + y_k^2 / 4)
 *
 * with the last product over torsions that are not circular. Where doubles end, what is lost is what has
 * bonds outside [1e-6, 1e6] nm or an angle within 1e-6 of a straight line (|y| > 13.8, 14.5): of a normal
 * distribution about y = -2 with a width of 0.1, less than the smallest double.
 */
class FlowCoordinates {
public:
    using Result = InternalCoordinates::Result;

    /**
     * @param centres  [N - 3], in radians; NaN for circular torsions
     * @throws ShapeError  for rows that make no InternalCoordinates, another number of centres, or one that
     *                     is infinite
     */
    FlowCoordinates(std::vector<ZMatrixRow> rows, std::vector<double> centres);
    /**
     * Find the centres: the circular mean of each torsion that never is 90 degrees or more away from it;
     * others are circular.
     *
     * @param positions  [count, N, 3] in nm; configurations with another status than Ok are passed over
     * @throws ShapeError  if there are none with the status Ok
     */
    static FlowCoordinates fit(std::vector<ZMatrixRow> rows, std::int64_t count, const double* positions);

    const InternalCoordinates& getInternal() const { return internal; }
    int getNumParticles() const { return internal.getNumParticles(); }
    /** @return 3 N - 6 */
    int getDimension() const { return internal.getDimension(); }
    /** @return indices into y of the circular coordinates, ascending */
    const std::vector<int>& getCircular() const { return circular; }
    /** @return [N - 3]; NaN for circular torsions */
    const std::vector<double>& getCentres() const { return centres; }
    /** As InternalCoordinates::toInternal(), with log J(y); circular coordinates lie in [-pi, pi). */
    Result toFlow(const double* x, double* y) const;
    /**
     * As InternalCoordinates::toCartesian(), with log J(y). Fails where doubles end, see above.
     *
     * @param y  [3 N - 6], turned into u
     * @param x  written: [N, 3]
     */
    Result toPositions(double* y, double* x) const;
    /**
     * @return as JSON, {"kind": "internal", "rows": [[atom, bond, angle, torsion], ...], "centres": [...]}:
     * the object settings.coordinates of a proposal file (docs/model-format.md). Centres of circular torsions
     * are null
     */
    std::string writeSettings() const;
    /**
     * @param origin  what to call it in messages
     * @throws ModelFileError  if the text is not what writeSettings() writes
     */
    static FlowCoordinates readSettings(std::string_view json, const std::string& origin);

private:
    bool isCircular(std::size_t torsion) const { return std::isnan(centres[torsion]); }
    /** @return log |du/dy| */
    double stretch(const double* y) const;

    InternalCoordinates internal;
    std::vector<double> centres;
    std::vector<int> circular;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_FLOWCOORDINATES_H_
