#ifndef OPENMMSCORE_TESTS_MOLECULES_H_
#define OPENMMSCORE_TESTS_MOLECULES_H_

#include <array>
#include <vector>

#include "TestModels.h"
#include "openmmscore/sampling/ZMatrix.h"

namespace OpenMMScore::testing {

using Bonds = std::vector<std::array<int, 2>>;
using Values = std::vector<double>;

struct Molecule {
    const char* name;
    int numAtoms;
    Bonds bonds;
    Values masses;
};

inline const Molecule water{"water", 3, {{1, 0}, {0, 2}}, {16, 1, 1}};
inline const Molecule methane{"methane", 5, {{0, 4}, {1, 4}, {2, 4}, {3, 4}}, {1, 1, 1, 1, 12}};
inline const Molecule ethane{
    "ethane", 8, {{0, 1}, {0, 2}, {0, 3}, {0, 4}, {4, 5}, {4, 6}, {4, 7}}, {12, 1, 1, 1, 12, 1, 1, 1}};
/** Proline's ring with two hydrogens and a chain on it. */
inline const Molecule ring{"ring",
                           9,
                           {{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 0}, {1, 5}, {5, 6}, {1, 7}, {3, 8}},
                           {14, 12, 12, 12, 12, 12, 16, 1, 1}};
/** A ring of three, a star and a ring of four: no chain of heavy atoms is long. */
inline const Molecule cyclopropane{"cyclopropane", 3, {{0, 1}, {1, 2}, {2, 0}}, {12, 12, 12}};
inline const Molecule tetrahedron{
    "tetrahedron", 4, {{0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}}, {31, 31, 31, 31}};
inline const Molecule square{"square", 4, {{0, 1}, {1, 2}, {2, 3}, {3, 0}}, {12, 12, 12, 12}};
inline const Molecule diborane{"diborane",
                               8,
                               {{0, 2}, {0, 3}, {1, 2}, {1, 3}, {0, 4}, {0, 5}, {1, 6}, {1, 7}},
                               {11, 11, 1, 1, 1, 1, 1, 1}};
/** A ring of four with arms, one of which makes the other way round the ring the larger branch. */
inline const Molecule arms{"arms",
                           8,
                           {{0, 1}, {1, 2}, {2, 3}, {3, 0}, {2, 4}, {3, 5}, {3, 6}, {3, 7}},
                           {12, 12, 12, 12, 12, 12, 12, 12}};
/** A light atom with a heavy one behind it. */
inline const Molecule bridge{"bridge", 6, {{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 5}}, {12, 12, 12, 12, 1, 12}};
inline const std::vector<Molecule> molecules{water,  methane, ethane, ring,        cyclopropane,
                                             square, arms,    bridge, tetrahedron, diborane};

inline std::vector<ZMatrixRow> rowsOf(const Molecule& molecule) {
    return makeZMatrix(molecule.numAtoms, molecule.bonds, molecule.masses);
}

/** Positions in general, far from any degenerate frame. */
inline Values anyPositions(int numAtoms, Filler& filler) {
    Values x(3 * static_cast<std::size_t>(numAtoms));
    for (double& each : x)
        each = 0.2 * filler.next() + 5;
    return x;
}

} // namespace OpenMMScore::testing

#endif // OPENMMSCORE_TESTS_MOLECULES_H_
