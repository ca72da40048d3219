#ifndef OPENMMSCORE_TESTS_OPENMMAPI_SCOREFORCETESTING_H_
#define OPENMMSCORE_TESTS_OPENMMAPI_SCOREFORCETESTING_H_

#include <memory>
#include <string>
#include <vector>

#include <OpenMM.h>
#include <gtest/gtest.h>
#include <openmm/internal/ContextImpl.h>

#include "TestModels.h"
#include "openmmscore/ScoreForce.h"

namespace OpenMMScore::testing {

using OpenMM::Context;
using OpenMM::OpenMMException;
using OpenMM::Platform;
using OpenMM::State;
using OpenMM::System;
using OpenMM::Vec3;

/** Loads OpenMM's CPU platform, then our plugins, once per program. */
inline void loadPlugins() {
    static const bool loaded = [] {
        Platform::loadPluginLibrary(OPENMM_PLUGIN_DIR "/libOpenMMCPU.so");
        Platform::loadPluginLibrary(SCORE_REFERENCE_PLUGIN);
        Platform::loadPluginLibrary(SCORE_CPU_PLUGIN);
        return true;
    }();
    (void)loaded;
}

/** A fixture for cases that run on each platform. */
class PlatformTest : public ::testing::TestWithParam<std::string> {
protected:
    PlatformTest() { loadPlugins(); }
    Platform& getPlatform() const { return Platform::getPlatform(GetParam()); }
    /** @return the relative error that the platform's arithmetic may leave: CPU computes in float */
    double getTolerance() const { return GetParam() == "Reference" ? 1e-11 : 2e-5; }
};

#define INSTANTIATE_ON_PLATFORMS(Fixture)                                                                    \
    INSTANTIATE_TEST_SUITE_P(Platforms, Fixture, ::testing::Values("Reference", "CPU"),                      \
                             [](const auto& platform) { return platform.param; })

/** @return a graph transformer of 5 particles with random weights and times 0 to 1 */
inline ModelDescription describeTransformer(int count = 5) {
    ExpertDescription expert = transformerExpert(16, 2, 0, 1);
    expert.graphTransformer.heads = 2;
    expert.graphTransformer.headSize = 8;
    return describe(ModelDescription::Space::Particles, count, {expert});
}

inline std::shared_ptr<const ScoreModel> makeTransformer() {
    static const auto model = makeModel(describeTransformer());
    return model;
}

/** @return the same with two features for each particle, of 20 and 3 values */
inline std::shared_ptr<const ScoreModel> makeTransferable() {
    static const auto model = [] {
        ModelDescription description = describeTransformer();
        description.features = {{"residue", 20}, {"chain", 3}};
        description.experts[0].graphTransformer.embeddingWidth = 4;
        return makeModel(description);
    }();
    return model;
}

/** @return an energy of a plain vector of 2 numbers */
inline std::shared_ptr<const ScoreModel> makePerceptron() {
    static const auto model =
        makeModel(describe(ModelDescription::Space::Vector, 2, {mlpExpert({12, 9}, 0, 1)}));
    return model;
}

/** @return a score for t >= 0.5, an energy below */
inline std::shared_ptr<const ScoreModel> makeMixture() {
    static const auto model = [] {
        ModelDescription description = describeTransformer();
        ExpertDescription energy = description.experts[0], score = energy;
        score.lowerTime = energy.upperTime = 0.5;
        score.head = Head::Score;
        description.experts = {score, energy};
        return makeModel(description);
    }();
    return model;
}

/**
 * A perceptron whose energy is stiffness/2 |z|^2 to a relative 1e-4/12 for |z| of the order of 1:
 * swish(x) + swish(-x) = x tanh(x/2) = x^2/2 - x^4/24 + ..., with x = z/100.
 */
inline std::shared_ptr<const ScoreModel> makeHarmonic(int dimension, double stiffness) {
    ModelDescription description =
        describe(ModelDescription::Space::Vector, dimension, {mlpExpert({2 * dimension}, 0, 1)});
    std::vector<NamedTensor> tensors = fillWeights(description);
    const double a = 0.01;
    const std::size_t rowLength = tensors[0].shape[1];
    for (NamedTensor& tensor : tensors)
        std::fill(tensor.values.begin(), tensor.values.end(), 0.0);
    for (int i = 0; i < dimension; i++) {
        tensors[0].values[2 * i * rowLength + i] = a;
        tensors[0].values[(2 * i + 1) * rowLength + i] = -a;
        tensors[2].values[2 * i] = tensors[2].values[2 * i + 1] = stiffness / (a * a);
    }
    return makeModel(description, tensors);
}

/** @return features for one molecule of makeTransferable() */
inline std::vector<int> someFeatures(int molecule) {
    std::vector<int> features;
    for (int i = 0; i < 5; i++) {
        features.push_back((7 * i + 3 * molecule) % 20);
        features.push_back((i + molecule) % 3);
    }
    return features;
}

/** Adds molecules to a System, and a ScoreForce that acts on them. @return the Force, the System's */
inline ScoreForce* addMolecules(System& system, const std::shared_ptr<const ScoreModel>& model, int copies) {
    auto* force = new ScoreForce(model);
    for (int m = 0; m < copies; m++) {
        std::vector<int> particles;
        for (int i = 0; i < force->getNumModelParticles(); i++)
            particles.push_back(system.addParticle(12.0 + i));
        force->addMolecule(particles, force->getNumFeatures() > 0 ? someFeatures(m) : std::vector<int>());
    }
    system.addForce(force);
    return force;
}

/** @return shape [copies * numParticles]: crooked chains with bonds of about 0.15 nm, 1.2 nm apart */
inline std::vector<Vec3> makePositions(int numParticles, int copies) {
    Filler filler;
    std::vector<Vec3> positions;
    for (int m = 0; m < copies; m++)
        for (int i = 0; i < numParticles; i++) {
            Vec3 noise(filler.next(), filler.next(), filler.next());
            positions.push_back(Vec3(1.2 * (m % 5) + 0.12 * i, 1.2 * (m / 5 % 5) + 0.05 * (i % 2),
                                     1.2 * (m / 25) + 0.03 * (i % 3)) +
                                noise * 0.03);
        }
    return positions;
}

/** A Context with an integrator of its own, at the given positions. */
class Simulation {
public:
    Simulation(const System& system, Platform& platform, const std::vector<Vec3>& positions,
               const std::map<std::string, std::string>& properties = {})
        : integrator(0.001), context(system, integrator, platform, properties) {
        context.setPositions(positions);
    }
    double getEnergy(int groups = -1) {
        return context.getState(State::Energy, false, groups).getPotentialEnergy();
    }
    std::vector<Vec3> getForces(int groups = -1) {
        return context.getState(State::Forces, false, groups).getForces();
    }

    OpenMM::VerletIntegrator integrator;
    Context context;
};

/** Compares bit for bit. */
inline void expectSame(const std::vector<Vec3>& a, const std::vector<Vec3>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); i++)
        for (int k = 0; k < 3; k++)
            EXPECT_EQ(a[i][k], b[i][k]) << "particle " << i << ", coordinate " << k;
}

/** Compares to a tolerance relative to the greatest component. */
inline void expectNear(const std::vector<Vec3>& a, const std::vector<Vec3>& b, double tolerance) {
    ASSERT_EQ(a.size(), b.size());
    double greatest = 0;
    for (const Vec3& v : a)
        greatest = std::max({greatest, std::abs(v[0]), std::abs(v[1]), std::abs(v[2])});
    for (std::size_t i = 0; i < a.size(); i++)
        for (int k = 0; k < 3; k++)
            EXPECT_NEAR(a[i][k], b[i][k], tolerance * greatest) << "particle " << i << ", coordinate " << k;
}

/** Expects an OpenMMException whose sentence holds the text. */
template <typename Action>
void expectError(const Action& action, const std::string& text) {
    try {
        action();
        ADD_FAILURE() << "no exception; expected: " << text;
    }
    catch (const OpenMMException& error) {
        EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
    }
}

/** Reaches what OpenMM keeps from its users. */
class ContextAccess : public OpenMM::HarmonicBondForce {
public:
    static OpenMM::ContextImpl& getImpl(Context& context) { return ContextAccess().getContextImpl(context); }
};

} // namespace OpenMMScore::testing

#endif // OPENMMSCORE_TESTS_OPENMMAPI_SCOREFORCETESTING_H_
