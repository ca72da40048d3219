#ifndef OPENMMSCORE_SAMPLING_ZMATRIX_H_
#define OPENMMSCORE_SAMPLING_ZMATRIX_H_

#include <array>
#include <vector>

namespace OpenMMScore {

/**
 * One row of a Z-matrix: an atom and those placed before it that say where it goes. Its bond length is the
 * distance atom-bond, its angle the one at bond between atom and angle, its torsion the dihedral angle
 * atom-bond-angle-torsion. The first row has no references, the second one, the third two; those missing are
 * -1.
 */
struct ZMatrixRow {
    int atom = -1, bond = -1, angle = -1, torsion = -1;
    bool operator==(const ZMatrixRow&) const = default;
};

/**
 * Make a Z-matrix of a molecule whose atoms are bonded into one piece; they keep their numbers, only the
 * order of rows is chosen.
 *
 * It grows from one end of the longest chain of heavy atoms, along bonds and breadth first; an atom's
 * references are its parent, grandparent and great-grandparent in that tree, so reference atoms lie on a line
 * only where the molecule itself has a linear angle. Heavy atoms precede light ones, and of the atoms on one
 * bond the largest branch comes first: torsions of the chain are those that people name.
 *
 * A ring is cut where its two arms meet. The bond that is cut is none of the coordinates, which stay exact
 * all the same; but only a narrow, curved region of them keeps the ring closed, so their distribution has
 * strong correlations.
 *
 * @param bonds   pairs of atoms, 0 to numAtoms - 1; repeats do no harm
 * @param masses  [numAtoms] in amu, or empty. Up to 3.5 is light (hydrogen, dummies); without masses an atom
 *                with a single bond is
 * @throws ShapeError  if there are fewer than 3 atoms, an index is out of range, an atom is bonded to itself,
 *                     or no chain of bonds leads from one atom to another
 */
std::vector<ZMatrixRow> makeZMatrix(int numAtoms, const std::vector<std::array<int, 2>>& bonds,
                                    const std::vector<double>& masses = {});

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_ZMATRIX_H_
