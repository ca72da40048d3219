// Internal coordinates: round trips, the volume element against determinants by finite differences, and what
// cannot be placed.

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include <gtest/gtest.h>

#include "Determinant.h"
#include "Molecules.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/sampling/FrameCoordinates.h"
#include "openmmscore/sampling/InternalCoordinates.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

namespace {

using std::numbers::pi;
using Kind = InternalCoordinates::Kind;
using Status = InternalCoordinates::Status;

InternalCoordinates coordinatesOf(const Molecule& molecule) {
    return InternalCoordinates(rowsOf(molecule));
}

Values rotate(const Values& x, double a, double b, double c) {
    Values y = x;
    const auto turn = [&](std::size_t i, std::size_t j, double angle) {
        for (std::size_t k = 0; k < y.size(); k += 3) {
            const double p = y[k + i], q = y[k + j];
            y[k + i] = std::cos(angle) * p - std::sin(angle) * q;
            y[k + j] = std::sin(angle) * p + std::cos(angle) * q;
        }
    };
    turn(0, 1, a);
    turn(1, 2, b);
    turn(0, 1, c);
    return y;
}

double distance(const Values& x, int i, int j) {
    double sum = 0;
    for (int axis = 0; axis < 3; axis++) {
        const double difference =
            x[static_cast<std::size_t>(3 * i + axis)] - x[static_cast<std::size_t>(3 * j + axis)];
        sum += difference * difference;
    }
    return std::sqrt(sum);
}

/** (a - d) . ((b - d) x (c - d)): its sign is the handedness. */
double tripleProduct(const Values& x) {
    double v[3][3];
    for (std::size_t i = 0; i < 3; i++)
        for (std::size_t axis = 0; axis < 3; axis++)
            v[i][axis] = x[3 * i + axis] - x[9 + axis];
    return v[0][0] * (v[1][1] * v[2][2] - v[1][2] * v[2][1]) -
           v[0][1] * (v[1][0] * v[2][2] - v[1][2] * v[2][0]) +
           v[0][2] * (v[1][0] * v[2][1] - v[1][1] * v[2][0]);
}

class MoleculeTest : public ::testing::TestWithParam<Molecule> {
protected:
    const InternalCoordinates coordinates = coordinatesOf(GetParam());
    const int n = GetParam().numAtoms;
    const std::size_t d = static_cast<std::size_t>(3 * n - 6);
    Filler filler;

    Values internal(const Values& x) const {
        Values u(d);
        EXPECT_EQ(coordinates.toInternal(x.data(), u.data()).status, Status::Ok);
        return u;
    }
    Values cartesian(const Values& u) const {
        Values x(3 * static_cast<std::size_t>(n));
        EXPECT_EQ(coordinates.toCartesian(u.data(), x.data()).status, Status::Ok);
        return x;
    }
};

} // namespace

TEST_P(MoleculeTest, ShapeAndHandednessComeBack) {
    for (int trial = 0; trial < 20; trial++) {
        const Values x = anyPositions(n, filler), back = cartesian(internal(x));
        for (int i = 0; i < n; i++)
            for (int j = 0; j < i; j++)
                EXPECT_NEAR(distance(back, i, j), distance(x, i, j), 1e-11);
        if (n > 3) {
            EXPECT_NEAR(tripleProduct(back), tripleProduct(x), 1e-12);
        }
    }
}

TEST_P(MoleculeTest, CoordinatesComeBackWithTheSameVolume) {
    const Values u = internal(anyPositions(n, filler)), x = cartesian(u);
    Values again(d), other(x.size());
    const auto forward = coordinates.toInternal(x.data(), again.data());
    const auto backward = coordinates.toCartesian(u.data(), other.data());
    EXPECT_NEAR(forward.logJacobian, backward.logJacobian, 1e-10);
    for (std::size_t i = 0; i < d; i++)
        EXPECT_NEAR(std::remainder(again[i] - u[i], 2 * pi), 0, 1e-10);
}

TEST_P(MoleculeTest, CoordinatesIgnorePlaceAndOrientation) {
    const Values x = anyPositions(n, filler), u = internal(x);
    Values moved = rotate(x, 0.7, 2.1, -1.3);
    for (double& each : moved)
        each -= 3;
    const Values same = internal(moved);
    for (std::size_t i = 0; i < d; i++)
        EXPECT_NEAR(same[i], u[i], 1e-10);
}

TEST_P(MoleculeTest, MirrorImageChangesTheSignOfTorsionsAlone) {
    Values x = anyPositions(n, filler);
    const Values u = internal(x);
    for (double& each : x)
        each = -each;
    const Values mirrored = internal(x);
    const std::size_t numTorsions = static_cast<std::size_t>(n - 3);
    for (std::size_t i = 0; i < d; i++)
        EXPECT_NEAR(mirrored[i], i < d - numTorsions ? u[i] : -u[i], 1e-10);
}

/** The determinant of Helmert coordinates by (u, three angles of Euler), whose measure is sin b da db dc. */
TEST_P(MoleculeTest, VolumeElementIsTheDeterminant) {
    const FrameCoordinates frame(n, Proposal::Frame::Centred);
    const std::size_t width = d + 3;
    const Values u = internal(anyPositions(n, filler));
    Values parameters = u;
    parameters.insert(parameters.end(), {0.4, 1.1, -2.3});
    const auto helmert = [&](const Values& p) {
        const Values x = cartesian(Values(p.begin(), p.begin() + static_cast<std::ptrdiff_t>(d)));
        const Values turned = rotate(x, p[d], p[d + 1], p[d + 2]);
        Values y(width);
        frame.toCoordinates(turned.data(), y.data());
        return y;
    };
    Values jacobian(width * width);
    for (std::size_t j = 0; j < width; j++) {
        const double h = 1e-5;
        Values above = parameters, below = parameters;
        above[j] += h;
        below[j] -= h;
        const Values a = helmert(above), b = helmert(below);
        for (std::size_t i = 0; i < width; i++)
            jacobian[i * width + j] = (a[i] - b[i]) / (2 * h);
    }
    Values x(3 * static_cast<std::size_t>(n));
    const double expected = logDeterminant(jacobian, width) - std::log(std::sin(1.1)) + std::log(8 * pi * pi);
    // Differences of second order leave 1e-10 times a third derivative, a number below 1e3 here.
    EXPECT_NEAR(coordinates.toCartesian(u.data(), x.data()).logJacobian, expected, 1e-6);
}

TEST_P(MoleculeTest, EachAtomHangsOnABondOfTheMolecule) {
    for (const ZMatrixRow& row : coordinates.getRows()) {
        if (row.bond < 0)
            continue;
        const auto isThis = [&](const std::array<int, 2>& bond) {
            return bond == std::array{row.atom, row.bond} || bond == std::array{row.bond, row.atom};
        };
        EXPECT_TRUE(std::any_of(GetParam().bonds.begin(), GetParam().bonds.end(), isThis)) << row.atom;
    }
}

/** So that a torsion is undefined only where the molecule has a straight angle. */
TEST_P(MoleculeTest, ReferencesOfATorsionFormAnAngleOfAnotherRow) {
    const std::vector<ZMatrixRow>& rows = coordinates.getRows();
    for (std::size_t i = 3; i < rows.size(); i++) {
        const ZMatrixRow& row = rows[i];
        const auto isTheirs = [&](const ZMatrixRow& other) {
            return other.bond == row.angle && ((other.atom == row.bond && other.angle == row.torsion) ||
                                               (other.atom == row.torsion && other.angle == row.bond));
        };
        const auto isBranch = [&](const ZMatrixRow& other) {
            return other.bond == row.bond && other.atom == row.torsion && other.angle == row.angle;
        };
        EXPECT_TRUE(std::any_of(rows.begin(), rows.end(), isTheirs) ||
                    std::any_of(rows.begin(), rows.end(), isBranch))
            << row.atom;
    }
}

TEST_P(MoleculeTest, WhatCannotBePlacedHasAStatus) {
    const auto expectNaN = [](const Values& values) {
        for (double each : values)
            EXPECT_TRUE(std::isnan(each));
    };
    const Values x = anyPositions(n, filler), u = internal(x);
    const auto n1 = static_cast<std::size_t>(n - 1);
    const double inf = std::numeric_limits<double>::infinity();
    for (auto [index, value, status] :
         {std::tuple{std::size_t{0}, 0.0, Status::Bond}, std::tuple{n1 - 1, -0.1, Status::Bond},
          std::tuple{n1, 0.0, Status::Angle}, std::tuple{2 * n1 - 2, pi, Status::Angle},
          std::tuple{n1, -0.5, Status::Angle}, std::tuple{d - 1, inf, Status::NotFinite},
          std::tuple{std::size_t{0}, 1e308, Status::Bond},
          std::tuple{std::size_t{1}, std::nan(""), Status::NotFinite}}) {
        Values bad = u, y(x.size());
        bad[index] = value;
        const auto result = coordinates.toCartesian(bad.data(), y.data());
        EXPECT_EQ(result.status, status);
        EXPECT_TRUE(std::isnan(result.logJacobian));
        expectNaN(y);
    }
    Values bad(d);
    const auto expect = [&](const Values& y, Status status) {
        const auto result = coordinates.toInternal(y.data(), bad.data());
        EXPECT_EQ(result.status, status);
        EXPECT_TRUE(std::isnan(result.logJacobian));
        expectNaN(bad);
    };
    Values y = x;
    y[4] = std::nan("");
    expect(y, Status::NotFinite);
    const ZMatrixRow& second = coordinates.getRows()[1];
    y = x;
    for (std::size_t axis = 0; axis < 3; axis++)
        y[3 * static_cast<std::size_t>(second.atom) + axis] =
            y[3 * static_cast<std::size_t>(second.bond) + axis];
    expect(y, Status::Bond);
    for (std::size_t i = 0; i < y.size(); i++)
        y[i] = static_cast<double>(i / 3) * (i % 3 == 0 ? 0.1 : i % 3 == 1 ? 0.05 : 0.02);
    expect(y, Status::Angle);
}

TEST_P(MoleculeTest, RandomOrientationKeepsTheShapeAndCentres) {
    const Values x = anyPositions(n, filler);
    Values turned = x;
    CounterRandom random(5, CounterRandom::Stream::Proposal, 1);
    coordinates.orient(random, turned.data());
    for (std::size_t axis = 0; axis < 3; axis++) {
        double sum = 0;
        for (std::size_t i = axis; i < turned.size(); i += 3)
            sum += turned[i];
        EXPECT_NEAR(sum, 0, 1e-13);
    }
    const Values u = internal(x), same = internal(turned);
    for (std::size_t i = 0; i < d; i++)
        EXPECT_NEAR(same[i], u[i], 1e-10);
}

INSTANTIATE_TEST_SUITE_P(Molecules, MoleculeTest, ::testing::ValuesIn(molecules),
                         [](const auto& each) { return std::string(each.param.name); });

/** Averages over all rotations R: R_ij is 0, R_ij R_kl is delta_ik delta_jl / 3. */
TEST(InternalCoordinates, OrientationsAreUniform) {
    const InternalCoordinates coordinates = coordinatesOf(cyclopropane);
    const int count = 20000;
    double mean[9] = {}, squares[9] = {}, trace[4] = {};
    for (int s = 0; s < count; s++) {
        // Its atoms at 2/3 e_x - 1/3 e_y, ... after centring, so that differences are those of R's columns.
        Values x{1, 0, 0, 0, 1, 0, 0, 0, 1};
        CounterRandom random(3, CounterRandom::Stream::Proposal, static_cast<std::uint64_t>(s));
        coordinates.orient(random, x.data());
        for (int i = 0; i < 9; i++) {
            const double value = x[static_cast<std::size_t>(i)];
            mean[i] += value / count;
            squares[i] += value * value / count;
        }
        // The angle between an arm before and after: its cosine is uniform on (-1, 1).
        const double cosine = (2 * x[0] - x[1] - x[2]) / 3 / (2.0 / 3);
        double power = 1;
        for (double& each : trace)
            each += (power *= cosine) / count;
    }
    for (int i = 0; i < 9; i++) {
        // A centred arm has the squared length 2/3.
        EXPECT_NEAR(mean[i], 0, 5 * std::sqrt(2.0 / 9 / count));
        EXPECT_NEAR(squares[i], 2.0 / 9, 5 * 0.2 / std::sqrt(count));
    }
    for (int k = 0; k < 4; k++) {
        const double expected = k % 2 == 0 ? 0 : 1.0 / (k + 2);
        EXPECT_NEAR(trace[k], expected, 5 * 0.6 / std::sqrt(count)) << k;
    }
}

TEST(InternalCoordinates, KnowWhichTorsionsTurnABond) {
    const InternalCoordinates coordinates = coordinatesOf(ethane);
    int rotations = 0, siblings = 0;
    for (int t = 0; t < 5; t++) {
        rotations += coordinates.getKind(t) == Kind::Rotation;
        siblings += coordinates.getKind(t) == Kind::Sibling;
        EXPECT_EQ(coordinates.getKind(coordinates.getFirstSibling(t)) == Kind::Rotation,
                  coordinates.getKind(t) != Kind::Improper);
    }
    EXPECT_EQ(rotations, 1);
    EXPECT_EQ(siblings + rotations, 3);
    for (int t = 0; t < 2; t++)
        EXPECT_EQ(coordinatesOf(methane).getKind(t), Kind::Improper);
}

TEST(InternalCoordinates, SiblingsHaveAllReferencesInCommon) {
    const std::vector<ZMatrixRow> chain = {{0, -1, -1, -1}, {1, 0, -1, -1}, {2, 1, 0, -1}, {3, 2, 1, 0}};
    for (auto [bond, angle, torsion, kind] :
         {std::tuple{2, 1, 0, Kind::Sibling}, std::tuple{2, 3, 0, Kind::Rotation},
          std::tuple{2, 1, 3, Kind::Improper}, std::tuple{3, 1, 0, Kind::Rotation}}) {
        std::vector<ZMatrixRow> rows = chain;
        rows.push_back({4, bond, angle, torsion});
        EXPECT_EQ(InternalCoordinates(rows).getKind(1), kind) << bond << angle << torsion;
    }
}

TEST(InternalCoordinates, TurningABondChangesOneCoordinate) {
    const InternalCoordinates coordinates = coordinatesOf(ethane);
    Filler filler;
    Values x = anyPositions(8, filler), u(18);
    coordinates.toInternal(x.data(), u.data());
    Values y(24);
    coordinates.toCartesian(u.data(), y.data());
    for (int t = 0; t < 5; t++)
        if (coordinates.getKind(t) == Kind::Rotation)
            u[static_cast<std::size_t>(13 + t)] += 0.5;
    Values z(24);
    coordinates.toCartesian(u.data(), z.data());
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < i; j++) {
            EXPECT_NEAR(distance(z, i, j), distance(y, i, j), 1e-12);
            EXPECT_NEAR(distance(z, i + 4, j + 4), distance(y, i + 4, j + 4), 1e-12);
        }
    for (int i = 1; i < 4; i++)
        for (int j = 5; j < 8; j++)
            EXPECT_GT(std::abs(distance(z, i, j) - distance(y, i, j)), 1e-4);
}

TEST(InternalCoordinates, AreTheAnglesPeopleMean) {
    // Four atoms with right angles and a dihedral of +90 degrees: looking from 1 to 2, 3 is clockwise of 0.
    const InternalCoordinates chain({{0}, {1, 0}, {2, 1, 0}, {3, 2, 1, 0}});
    const Values x{1, 0, 0, 0, 0, 0, 0, 0, -2, 0, 3, -2};
    Values u(6);
    chain.toInternal(x.data(), u.data());
    const double expected[] = {1, 2, 3, pi / 2, pi / 2, 0};
    for (std::size_t i = 0; i < 5; i++)
        EXPECT_NEAR(u[i], expected[i], 1e-14);
    // b1 = (-1,0,0), b2 = (0,0,-2), b3 = (0,3,0): atan2(|b2| b1.(b2xb3), (b1xb2).(b2xb3)) = atan2(-12, 0).
    EXPECT_NEAR(u[5], -pi / 2, 1e-14);
    Values trans{1, 0, 0, 0, 0, 0, 0, 0, -2, -3, 0, -2};
    chain.toInternal(trans.data(), u.data());
    EXPECT_NEAR(std::abs(u[5]), pi, 1e-14);
    EXPECT_LT(u[5], pi);
}

TEST(InternalCoordinates, SaysWhatIsWrongWithItsRows) {
    const auto expect = [](std::vector<ZMatrixRow> rows, const std::string& part) {
        try {
            InternalCoordinates coordinates(rows);
            ADD_FAILURE() << "accepted, expected: " << part;
        }
        catch (const ShapeError& error) {
            EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
        }
    };
    expect({{0}, {1, 0}}, "a molecule of 2 atoms has no angle, expected 3 or more");
    expect({{0}, {1, 2}, {2, 1, 0}}, "row 1: refers to atom 2, which has no earlier row");
    expect({{0}, {1, 0}, {2, 1, 1}}, "row 2: refers to an atom twice");
    expect({{0}, {1, 0}, {2, 1, 0, 0}}, "row 2: has 3 or more references, expected 2");
    expect({{0}, {1, 0}, {1, 1, 0}}, "row 2: places atom 1, expected each of 0 to 2 once");
    expect({{0}, {1, 0}, {2, 1, 0}, {3, 2, 1, -1}}, "row 3: refers to atom -1");
}
