// Which atoms a molecule's internal coordinates refer to.

#include <algorithm>
#include <utility>

#include <gtest/gtest.h>

#include "Molecules.h"
#include "openmmscore/models/Error.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

TEST(ZMatrix, SaysWhatIsWrongWithTheMolecule) {
    const auto expect = [](int n, const Bonds& bonds, const Values& masses, const std::string& part) {
        try {
            makeZMatrix(n, bonds, masses);
            ADD_FAILURE() << "accepted, expected: " << part;
        }
        catch (const ShapeError& error) {
            EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
        }
    };
    expect(2, {{0, 1}}, {}, "has 2 atoms, expected 3 or more");
    expect(4, {{0, 1}, {2, 3}}, {}, "no chain of bonds leads from atom 0 to atom 2");
    expect(3, {{0, 1}, {1, 3}}, {}, "a bond has atom 3, expected 0 to 2");
    expect(3, {{0, 1}, {1, 1}}, {}, "atom 1 is bonded to itself");
    expect(3, {{0, 1}, {1, 2}}, {1, 1}, "2 masses for 3 atoms");
}

TEST(ZMatrix, PlacesHeavyAtomsFirst) {
    const std::vector<ZMatrixRow> rows = makeZMatrix(ring.numAtoms, ring.bonds, ring.masses);
    for (std::size_t i = 0; i < rows.size(); i++)
        EXPECT_EQ(ring.masses[static_cast<std::size_t>(rows[i].atom)] < 3.5, i >= 7);
}

TEST(ZMatrix, TakesTheLargestBranchFirst) {
    // A chain 0 ... 6 with 8-9 and 7 on its middle: what hangs on the bond 2-3 starts with 4, then 8.
    const Bonds bonds = {{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 5}, {5, 6}, {3, 7}, {3, 8}, {8, 9}};
    std::vector<int> atoms;
    for (const ZMatrixRow& row : makeZMatrix(10, bonds, Values(10, 12)))
        if (row.bond == 3)
            atoms.push_back(row.atom);
    EXPECT_EQ(atoms, (std::vector<int>{4, 8, 7}));
}

TEST(ZMatrix, DoesNotDependOnTheOrderOfBonds) {
    Bonds bonds = ring.bonds;
    std::reverse(bonds.begin(), bonds.end());
    for (auto& [a, b] : bonds)
        std::swap(a, b);
    bonds.push_back(bonds[0]);
    EXPECT_EQ(makeZMatrix(9, bonds, ring.masses), makeZMatrix(9, ring.bonds, ring.masses));
}
