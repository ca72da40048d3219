// Coordinates that a flow may set to any numbers: one to one, with the volume that goes with them.

#include <cmath>
#include <limits>
#include <numbers>

#include <gtest/gtest.h>

#include "Molecules.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/sampling/FlowCoordinates.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

namespace {

using std::numbers::pi;
using Kind = InternalCoordinates::Kind;
using Status = InternalCoordinates::Status;

FlowCoordinates coordinatesOf(const Molecule& molecule) {
    Filler filler;
    std::vector<double> centres(static_cast<std::size_t>(molecule.numAtoms - 3));
    const InternalCoordinates internal(rowsOf(molecule));
    for (std::size_t k = 0; k < centres.size(); k++)
        centres[k] =
            internal.getKind(static_cast<int>(k)) == Kind::Rotation ? std::nan("") : 3 * filler.next();
    return {rowsOf(molecule), centres};
}

class FlowCoordinatesTest : public ::testing::TestWithParam<Molecule> {
protected:
    const FlowCoordinates coordinates = coordinatesOf(GetParam());
    const std::size_t n = static_cast<std::size_t>(GetParam().numAtoms), d = 3 * n - 6;
    Filler filler;

    Values anyNumbers() {
        Values y(d);
        for (std::size_t i = 0; i < d; i++)
            y[i] = i < n - 1 ? -2 + filler.next() : 2.5 * filler.next();
        return y;
    }
    FlowCoordinates::Result place(Values y, Values& x) const {
        x.resize(3 * n);
        return coordinates.toPositions(y.data(), x.data());
    }
};

} // namespace

TEST_P(FlowCoordinatesTest, AnyNumbersComeBackWithTheSameVolume) {
    for (int trial = 0; trial < 20; trial++) {
        const Values y = anyNumbers();
        Values x, back(d);
        const auto backward = place(y, x);
        const auto forward = coordinates.toFlow(x.data(), back.data());
        ASSERT_EQ(backward.status, Status::Ok);
        ASSERT_EQ(forward.status, Status::Ok);
        EXPECT_NEAR(forward.logJacobian, backward.logJacobian, 1e-9);
        for (std::size_t i = 0; i < d; i++)
            EXPECT_NEAR(back[i], y[i], 1e-9) << i;
    }
}

/** The volume of u is tested with InternalCoordinates; here that of y against u, coordinate by coordinate. */
TEST_P(FlowCoordinatesTest, VolumeIsThatOfTheStretchedCoordinates) {
    const Values y = anyNumbers();
    Values x, u(d);
    const double found = place(y, x).logJacobian;
    double expected = coordinates.getInternal().toInternal(x.data(), u.data()).logJacobian;
    for (std::size_t i = 0; i < d; i++) {
        const double h = 1e-5;
        Values above = y, below = y;
        above[i] += h;
        below[i] -= h;
        // toPositions() leaves u where y was.
        coordinates.toPositions(above.data(), x.data());
        coordinates.toPositions(below.data(), x.data());
        expected += std::log((above[i] - below[i]) / (2 * h));
    }
    EXPECT_NEAR(found, expected, 1e-7);
}

TEST_P(FlowCoordinatesTest, TorsionsWithoutACentreAreCircular) {
    std::vector<int> expected;
    for (std::size_t k = 0; k + 3 < n; k++)
        if (coordinates.getInternal().getKind(static_cast<int>(k)) == Kind::Rotation)
            expected.push_back(static_cast<int>(2 * n - 3 + k));
    EXPECT_EQ(coordinates.getCircular(), expected);
    Values y = anyNumbers(), x, other;
    place(y, x);
    for (int i : expected)
        y[static_cast<std::size_t>(i)] += 2 * pi;
    place(y, other);
    for (std::size_t i = 0; i < x.size(); i++)
        EXPECT_NEAR(other[i], x[i], 1e-13);
}

TEST_P(FlowCoordinatesTest, FitPutsCentresWhereStiffTorsionsAre) {
    std::vector<double> frames;
    const auto add = [&](double torsion) {
        Values u(d, 0.3), x(3 * n);
        for (std::size_t k = n - 1; k < d; k++)
            u[k] = k < 2 * n - 3 ? 1.8 : torsion;
        coordinates.getInternal().toCartesian(u.data(), x.data());
        frames.insert(frames.end(), x.begin(), x.end());
    };
    // Narrow about 3.2 radians, across the border at pi.
    for (double torsion : {3.0, 3.2, 3.4})
        add(torsion);
    frames.insert(frames.end(), 3 * n, 0.5); // all atoms in one place
    const FlowCoordinates fitted = FlowCoordinates::fit(rowsOf(GetParam()), 4, frames.data());
    EXPECT_TRUE(fitted.getCircular().empty());
    for (double centre : fitted.getCentres())
        EXPECT_NEAR(std::remainder(centre - 3.2, 2 * pi), 0, 1e-10);
    EXPECT_THROW(FlowCoordinates::fit(rowsOf(GetParam()), 1, frames.data() + 9 * n), ShapeError);

    add(3.2 - 2.2); // moves the mean by 0.3
    const FlowCoordinates wide = FlowCoordinates::fit(rowsOf(GetParam()), 5, frames.data());
    EXPECT_EQ(wide.getCircular().size(), n - 3);
}

TEST_P(FlowCoordinatesTest, SettingsComeBack) {
    const std::string settings = coordinates.writeSettings();
    const FlowCoordinates read = FlowCoordinates::readSettings(settings, "test");
    EXPECT_EQ(read.getInternal().getRows(), coordinates.getInternal().getRows());
    for (std::size_t k = 0; k + 3 < n; k++)
        EXPECT_TRUE(std::isnan(coordinates.getCentres()[k])
                        ? std::isnan(read.getCentres()[k])
                        : read.getCentres()[k] == coordinates.getCentres()[k]);
    EXPECT_EQ(read.writeSettings(), settings);
}

TEST_P(FlowCoordinatesTest, WhatDoublesCannotHoldHasAStatus) {
    const double inf = std::numeric_limits<double>::infinity();
    for (auto [index, value] : {std::pair{std::size_t{0}, -20.0}, std::pair{std::size_t{0}, 800.0},
                                std::pair{n - 1, 20.0}, std::pair{n - 1, -800.0}, std::pair{d - 1, inf}}) {
        Values y = anyNumbers(), x;
        y[index] = value;
        const auto result = place(y, x);
        EXPECT_NE(result.status, Status::Ok);
        EXPECT_TRUE(std::isnan(result.logJacobian));
    }
}

INSTANTIATE_TEST_SUITE_P(Molecules, FlowCoordinatesTest,
                         ::testing::Values(water, methane, ethane, ring, square),
                         [](const auto& each) { return std::string(each.param.name); });

TEST(FlowCoordinates, SaysWhatIsWrongWithItsSettings) {
    const auto expect = [](const std::string& text, const std::string& part) {
        try {
            FlowCoordinates::readSettings(text, "file");
            ADD_FAILURE() << "accepted, expected: " << part;
        }
        catch (const ModelFileError& error) {
            EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
        }
    };
    const std::string rows = "[[0,-1,-1,-1],[1,0,-1,-1],[2,1,0,-1],[3,1,0,2]]";
    expect("{\"kind\":\"cartesian\",\"rows\":" + rows + ",\"centres\":[1]}", "expected 'internal'");
    expect("{\"kind\":\"internal\",\"rows\":" + rows + ",\"centres\":[\"1\"]}", "centres[0]");
    expect("{\"kind\":\"internal\",\"rows\":" + rows + ",\"centres\":[]}", "centres");
    expect("{\"kind\":\"internal\",\"rows\":" + rows + "}", "centres");
    expect(R"({"kind":"internal","rows":[[0,-1,-1,-1],[1,0,-1,-1],[2,3,0,-1],[3,1,0,2]],"centres":[1]})",
           "row 2: refers to atom 3");
    expect(R"({"kind":"internal","rows":[[0,-1,-1,-1],[1,0,-1,-1],[2,4,0,-1],[3,1,0,2]],"centres":[1]})",
           "rows[2][1]");
    EXPECT_THROW(FlowCoordinates(rowsOf(methane), {0.5}), ShapeError);
    EXPECT_THROW(FlowCoordinates(rowsOf(methane), {0.5, std::numeric_limits<double>::infinity()}),
                 ShapeError);
}
