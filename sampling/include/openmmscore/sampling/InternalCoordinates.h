#ifndef OPENMMSCORE_SAMPLING_INTERNALCOORDINATES_H_
#define OPENMMSCORE_SAMPLING_INTERNALCOORDINATES_H_

#include <cstddef>
#include <vector>

#include "openmmscore/models/CounterRandom.h"
#include "openmmscore/sampling/ZMatrix.h"

namespace OpenMMScore {

/**
 * Bond lengths, angles and torsions of a molecule in place of its positions x [N, 3], nm, and the volume that
 * goes with them. The coordinates are u [3 N - 6], in the order of the Z-matrix's rows:
 *
 *     u[0 ... N-2]          bond lengths of rows 1 ... N-1, nm
 *     u[N-1 ... 2N-4]       angles of rows 2 ... N-1, radians, between 0 and pi
 *     u[2N-3 ... 3N-7]      torsions of rows 3 ... N-1, radians, from -pi to below pi
 *
 * Torsions are dihedral angles in the sense of IUPAC (trans is pi), except for siblings: where an earlier row
 * has the same three references and its torsion is a rotation about their bond, the difference of the two
 * dihedral angles is stored. So the substituents of an atom turn together, and where rotation about the bond
 * has several minima, one coordinate has several modes and not three (see getKind()).
 *
 * Volume: with Y the positions relative to their centroid, measured with the metric of R^3N as a Centred
 * Proposal does, and dR the invariant measure of rotations, whose total is 8 pi^2,
 *
 *     dY = N^(-3/2) d_1^2 d_2^2 sin(theta_2) prod_(i >= 3) [ d_i^2 sin(theta_i) ] du dR
 *
 * over rows i (each atom in spherical coordinates about those before it; N^(-3/2) is the determinant between
 * positions relative to the first atom and those relative to the centroid). Taking orientations as equally
 * likely, a density q(u) is the density
 *
 *     log q(Y) = log q(u) - log J(u),   J = 8 pi^2 N^(-3/2) d_1^2 d_2^2 sin(theta_2) prod d_i^2 sin(theta_i)
 *
 * in nm^-(3N-3). All methods report log J. Mirror images differ in the signs of all torsions.
 *
 * The methods allocate nothing and may be called from several threads at once.
 */
class InternalCoordinates {
public:
    enum class Status : int {
        Ok = 0,
        /** A number is not finite. */
        NotFinite = 1,
        /** A bond is shorter than shortest, or longer than longest. */
        Bond = 2,
        /** An angle is within straightest of 0 or pi, or outside; or reference atoms lie on a line. */
        Angle = 3
    };
    struct Result {
        Status status = Status::Ok;
        /** log J, NaN unless the status is Ok. */
        double logJacobian = 0;
        /** The first row that cannot be, or 0. */
        int row = 0;
    };
    /** What a torsion is. */
    enum class Kind {
        /** A dihedral angle along a chain of bonds, which turns everything behind the bond. */
        Rotation,
        /** A dihedral angle whose first and last atom hang on the same one. */
        Improper,
        /** The difference of two dihedral angles with the same references. */
        Sibling
    };
    /** Limits of bonds in nm, and of angles in radians from a straight line: beyond, digits are lost. */
    static constexpr double shortest = 1e-6, longest = 1e6, straightest = 1e-6;

    /**
     * @throws ShapeError  unless each of N >= 3 atoms, 0 to N - 1, has one row, whose references have earlier
     *                     ones and are all different
     */
    explicit InternalCoordinates(std::vector<ZMatrixRow> rows);

    int getNumParticles() const { return static_cast<int>(rows.size()); }
    /** @return 3 N - 6 */
    int getDimension() const { return 3 * getNumParticles() - 6; }
    const std::vector<ZMatrixRow>& getRows() const { return rows; }
    /** @param torsion  0 to N - 4, that of row torsion + 3 */
    Kind getKind(int torsion) const { return kinds[static_cast<std::size_t>(torsion)]; }
    /** @return the torsion from which a Sibling is counted, itself for others */
    int getFirstSibling(int torsion) const { return first[static_cast<std::size_t>(torsion)]; }
    /**
     * @param x  [N, 3]; where the molecule is and how it is turned do not matter
     * @param u  written: [3 N - 6]; all NaN unless the status is Ok
     */
    Result toInternal(const double* x, double* u) const;
    /**
     * @param u  [3 N - 6]; torsions may be any finite numbers
     * @param x  written: [N, 3], with the first row's atom at the origin, the second one's on the positive z
     *           axis and the third one's in the xz plane, x > 0; all NaN unless the status is Ok
     */
    Result toCartesian(const double* u, double* x) const;
    /**
     * Centre a molecule and turn it by a random rotation, all being equally likely.
     *
     * @param random  gives four normal numbers
     * @param x       [N, 3], changed
     */
    void orient(CounterRandom& random, double* x) const;

private:
    Result fail(Status status, std::size_t row, double* values, std::size_t count) const;
    /** @return log J of bonds and angles that have been checked */
    double computeLogJacobian(const double* u) const;

    std::vector<ZMatrixRow> rows;
    /** [N - 3] */
    std::vector<Kind> kinds;
    std::vector<int> first;
    double logConstant;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_INTERNALCOORDINATES_H_
