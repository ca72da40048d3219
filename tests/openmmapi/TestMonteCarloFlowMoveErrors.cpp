#include "FlowMoveTesting.h"
#include "openmmscore/internal/MonteCarloFlowMoveImpl.h"
#include "openmmscore/models/Error.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

namespace {

/** What is wrong with a System or a Force is said in a sentence. */
class MonteCarloFlowMoveErrors : public ::testing::Test {
protected:
    MonteCarloFlowMoveErrors() {
        loadPlugins();
        for (int i = 0; i < 5; i++)
            system.addParticle(10);
        move = new MonteCarloFlowMove(makeGaussian(2, Proposal::Frame::Centred, 0.01), temperature);
        system.addForce(move);
    }
    void expectContextError(const std::string& text) {
        expectError(
            [&] {
                OpenMM::VerletIntegrator integrator(0.001);
                Context context(system, integrator, Platform::getPlatform("Reference"));
            },
            text);
    }
    System system;
    MonteCarloFlowMove* move;
};

TEST_F(MonteCarloFlowMoveErrors, Molecules) {
    expectContextError("there is no molecule to move");
    expectError([&] { move->addMolecule({0, 1, 2}); }, "molecule 0 has 3 particles, the proposal draws 2");
    expectError([&] { move->addMolecule({}); }, "has 0 particles");
    expectError([&] { move->addMolecule({1, 1}); }, "has particle 1 twice");
    expectError([&] { move->addMolecule({1, -2}); }, "index -2");
    expectError([&] { move->getMoleculeParticles(0); }, "there is no molecule 0");
    move->addMolecule({0, 1});
    move->addMolecule({2, 1});
    expectContextError("particle 1 is in molecule 0 and in molecule 1");
    move->setMoleculeParticles(1, {2, 5});
    expectContextError("index 5, the System has only 5 particles");
    EXPECT_EQ(move->getMoleculeParticles(1), (std::vector<int>{2, 5}));
}

TEST_F(MonteCarloFlowMoveErrors, Constraints) {
    move->addMolecule({0, 1});
    system.addConstraint(2, 3, 0.1);
    OpenMM::VerletIntegrator integrator(0.001);
    { Context context(system, integrator, Platform::getPlatform("Reference")); }
    system.addConstraint(4, 1, 0.1);
    expectContextError("particle 1 of molecule 0 has a constraint (to particle 4)");
}

TEST_F(MonteCarloFlowMoveErrors, MassesAndVirtualSites) {
    move->addMolecule({0, 1});
    system.setParticleMass(1, 0);
    expectContextError("particle 1 of molecule 0 has no mass");
    system.setVirtualSite(1, new OpenMM::TwoParticleAverageSite(2, 3, 0.5, 0.5));
    expectContextError("particle 1 of molecule 0 is a virtual site");
}

TEST_F(MonteCarloFlowMoveErrors, Arguments) {
    const auto proposal = makeGaussian(2, Proposal::Frame::Centred, 0.01);
    for (double wrong : {0.0, -300.0, std::nan(""), 1 / 0.0}) {
        expectError([&] { MonteCarloFlowMove(proposal, wrong); }, "must be positive and finite");
        expectError([&] { move->setDefaultTemperature(wrong); }, "must be positive and finite");
    }
    expectError([&] { MonteCarloFlowMove(proposal, 300, -1); }, "the frequency is -1 steps");
    expectError([&] { MonteCarloFlowMove(std::shared_ptr<const Proposal>(), 300); }, "no proposal");
    expectError([&] { MonteCarloFlowMove("no such file", 300); }, "no such file");
    EXPECT_EQ(move->getDefaultTemperature(), temperature);
    EXPECT_FALSE(move->usesPeriodicBoundaryConditions());
}

/** A proposal of one particle whose answers can be made to fail. */
class FaultyProposal : public Proposal {
public:
    int getNumParticles() const override { return 1; }
    std::string getFamily() const override { return "faulty"; }
    void sample(std::uint64_t, std::int64_t first, std::int64_t count, double* positions,
                double* logDensities) const override {
        for (std::int64_t i = 0; i < count; i++) {
            positions[3 * i] = drawn;
            positions[3 * i + 1] = positions[3 * i + 2] = 1e-3 * static_cast<double>(first + i);
            logDensities[i] = drawnDensity;
        }
    }
    void logDensity(std::int64_t count, const double*, double* result) const override {
        if (fails)
            throw Error("faulty: on purpose");
        std::fill_n(result, count, oldDensity);
    }
    std::string encode() const override { return "faulty"; }

    double drawn = 0, drawnDensity = 0, oldDensity = 0;
    bool fails = false;
};

class MonteCarloFlowMoveFaults : public ::testing::Test {
protected:
    MonteCarloFlowMoveFaults() { loadPlugins(); }
    /** @return what became of one attempt */
    MonteCarloFlowMove::Statistics attempt() {
        System system;
        system.addParticle(1);
        auto* move = new MonteCarloFlowMove(proposal, temperature, 1);
        move->addMolecule({0});
        system.addForce(move);
        OpenMM::VerletIntegrator integrator(0.001);
        Context context(system, integrator, Platform::getPlatform("Reference"));
        context.setPositions({Vec3(1, 2, 3)});
        makeMoves(context);
        const MonteCarloFlowMove::Statistics result = move->getStatistics(context);
        EXPECT_EQ(getPositions(context)[0][0], result.accepted == 1 ? proposal->drawn : 1.0);
        reason = move->getLastInvalidReason(context);
        return result;
    }
    std::shared_ptr<FaultyProposal> proposal = std::make_shared<FaultyProposal>();
    std::string reason;
};

TEST_F(MonteCarloFlowMoveFaults, AProposalThatIsNoNumberIsRejectedAndCounted) {
    EXPECT_EQ(attempt().accepted, 1);
    proposal->drawn = std::nan("");
    EXPECT_EQ(attempt().invalid, 1);
    EXPECT_NE(reason.find("drew"), std::string::npos);
    proposal->drawn = 0;
    for (double wrong : {std::nan(""), 1 / 0.0, -1 / 0.0}) {
        proposal->drawnDensity = wrong;
        EXPECT_EQ(attempt().invalid, 1);
    }
}

TEST_F(MonteCarloFlowMoveFaults, AConfigurationThatCannotBeProposedIsNotLeft) {
    proposal->oldDensity = -1 / 0.0;
    const MonteCarloFlowMove::Statistics result = attempt();
    EXPECT_EQ(result.attempted, 1);
    EXPECT_EQ(result.accepted, 0);
    EXPECT_EQ(result.invalid, 0);
    proposal->oldDensity = std::nan("");
    EXPECT_EQ(attempt().invalid, 1);
    EXPECT_NE(reason.find("present configuration"), std::string::npos);
}

TEST_F(MonteCarloFlowMoveFaults, AProposalsErrorReachesTheUser) {
    proposal->fails = true;
    expectError([&] { attempt(); }, "faulty: on purpose");
}

TEST(MonteCarloFlowMoveRule, IsMetropolisAndHastings) {
    const auto rule = MonteCarloFlowMoveImpl::computeLogAcceptance;
    EXPECT_EQ(rule(0, 0, 0), 0);
    EXPECT_EQ(rule(2, 0, 0), -2);
    EXPECT_EQ(rule(-2, 0, 0), 0);
    EXPECT_EQ(rule(0, 1, 4), -3);
    EXPECT_EQ(rule(5, 4, 1), -2);
    EXPECT_EQ(rule(-1 / 0.0, 0, 0), 0);
}

} // namespace
