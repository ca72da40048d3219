// Dynamics with OpenMM's own integrators.
#include "ScoreForceTesting.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

namespace {

class ScoreForceDynamicsTest : public PlatformTest {};

TEST_P(ScoreForceDynamicsTest, VarianceInAHarmonicModelIsExact) {
    // U = kT stiffness/2 |x|^2, so each coordinate has variance 1/stiffness (length scale 1 nm). The
    // positions of the LF-Middle scheme have it for every step size.
    const int copies = 50, steps = 6000;
    const double stiffness = 25;
    System system;
    addMolecules(system, makeHarmonic(2, stiffness), copies);
    OpenMM::LangevinMiddleIntegrator integrator(300, 4.5, 0.05);
    integrator.setRandomNumberSeed(11);
    Context context(system, integrator, getPlatform(),
                    GetParam() == "CPU" ? std::map<std::string, std::string>{{"Threads", "2"}}
                                        : std::map<std::string, std::string>());
    context.setPositions(std::vector<Vec3>(copies));
    context.setVelocitiesToTemperature(300, 5);
    integrator.step(200);
    std::vector<double> sums(2 * copies, 0.0);
    for (int step = 0; step < steps; step++) {
        integrator.step(1);
        const State state = context.getState(State::Positions);
        for (int i = 0; i < 2 * copies; i++)
            sums[i] += std::pow(state.getPositions()[i / 2][i % 2], 2);
    }
    // Coordinates are independent, so their spread tells the error of the mean.
    double mean = 0, square = 0;
    for (double sum : sums) {
        mean += sum / steps / sums.size();
        square += std::pow(sum / steps, 2) / sums.size();
    }
    const double error = std::sqrt((square - mean * mean) / (sums.size() - 1));
    EXPECT_LT(error, 0.02 / stiffness);
    EXPECT_NEAR(mean, 1 / stiffness, 5 * error);
}

TEST_P(ScoreForceDynamicsTest, VerletConservesTheEnergy) {
    System system;
    addMolecules(system, makeTransformer(), 2);
    OpenMM::VerletIntegrator integrator(0.0005);
    Context context(system, integrator, getPlatform());
    context.setPositions(makePositions(5, 2));
    context.setVelocitiesToTemperature(300, 3);
    auto getTotal = [&] {
        const State state = context.getState(State::Energy);
        return state.getPotentialEnergy() + state.getKineticEnergy();
    };
    integrator.step(1);
    const double start = getTotal();
    for (int i = 0; i < 20; i++) {
        integrator.step(10);
        EXPECT_NEAR(getTotal(), start, 0.05);
    }
}

TEST_P(ScoreForceDynamicsTest, MoleculesDoNotFeelEachOther) {
    // The first molecule takes the same path alone and among nine.
    const std::vector<Vec3> positions = makePositions(5, 9);
    System alone, together;
    addMolecules(alone, makeTransformer(), 1);
    addMolecules(together, makeTransformer(), 9);
    Simulation one(alone, getPlatform(), {positions.begin(), positions.begin() + 5});
    Simulation nine(together, getPlatform(), positions);
    one.integrator.step(50);
    nine.integrator.step(50);
    const std::vector<Vec3> path = nine.context.getState(State::Positions).getPositions();
    expectSame(one.context.getState(State::Positions).getPositions(), {path.begin(), path.begin() + 5});
}

INSTANTIATE_ON_PLATFORMS(ScoreForceDynamicsTest);

} // namespace
