#include "openmmscore/internal/MoleculeBatch.h"

#include <limits>

#include "AllocationCounter.h"
#include "ScoreForceTesting.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

namespace {

class MoleculeBatchTest : public ::testing::TestWithParam<MoleculeBatch::Engine> {
protected:
    MoleculeBatchTest()
        : force(addMolecules(system, makeTransformer(), copies)), positions(makePositions(5, copies)),
          batch(system, *force, GetParam(), 2) {}

    double evaluate(std::vector<Vec3>* forces, bool includeEnergy, double scale = 1) {
        const MoleculeBatch::Request request{positions, box, scale, forces, includeEnergy};
        batch.begin();
        // Backwards, by alternate threads: the order must not matter.
        for (int block = batch.getNumBlocks() - 1; block >= 0; block--)
            batch.evaluateBlock(block % 2, block, request);
        return batch.finish(request);
    }

    const int copies = 11;
    const Vec3 box[3] = {Vec3(2, 0, 0), Vec3(0, 2, 0), Vec3(0, 0, 2)};
    System system;
    ScoreForce* force;
    std::vector<Vec3> positions;
    MoleculeBatch batch;
};

TEST_P(MoleculeBatchTest, AllocatesNothingAfterTheFirstStep) {
    std::vector<Vec3> forces(positions.size());
    const double energy = evaluate(&forces, true);
    const long before = countAllocations();
    if (before == 0)
        GTEST_SKIP() << "the address sanitizer counts allocations itself";
    for (int step = 0; step < 10; step++)
        EXPECT_EQ(evaluate(&forces, true), energy);
    EXPECT_EQ(countAllocations(), before);
}

TEST_P(MoleculeBatchTest, AddsScaledForcesToWhatIsThere) {
    std::vector<Vec3> forces(positions.size()), twice(positions.size(), Vec3(1, 2, 3));
    evaluate(&forces, false);
    evaluate(&twice, false, 2.0);
    for (Vec3& f : forces)
        f = Vec3(1, 2, 3) + f * 2;
    expectNear(forces, twice, 1e-14);
}

TEST_P(MoleculeBatchTest, EnergyComesWithoutTheScale) {
    EXPECT_EQ(evaluate(nullptr, true, 5.0), evaluate(nullptr, true));
    EXPECT_EQ(evaluate(nullptr, false), 0.0);
}

TEST_P(MoleculeBatchTest, TheFirstBadMoleculeIsNamedAndForgotten) {
    const double energy = evaluate(nullptr, true);
    const std::vector<Vec3> good(positions);
    positions[5 * 3 + 2][2] = std::numeric_limits<double>::infinity();
    positions[5 * 9][0] = std::numeric_limits<double>::quiet_NaN();
    expectError([&] { evaluate(nullptr, true); }, "particle 17 (molecule 3) has a position");
    positions = good;
    EXPECT_EQ(evaluate(nullptr, true), energy);
}

TEST_P(MoleculeBatchTest, BlocksCoverAllMolecules) {
    EXPECT_EQ(batch.getNumMolecules(), copies);
    EXPECT_GE(batch.getNumBlocks(), 1);
    EXPECT_LE(batch.getNumBlocks(), copies);
}

INSTANTIATE_TEST_SUITE_P(Engines, MoleculeBatchTest,
                         ::testing::Values(MoleculeBatch::Engine::Plain, MoleculeBatch::Engine::Fast),
                         [](const auto& engine) {
                             return engine.param == MoleculeBatch::Engine::Plain ? "Plain" : "Fast";
                         });

} // namespace
