// Densities of what a diffusion model samples, followed along its deterministic way.
#include <cmath>

#include <gtest/gtest.h>

#include "Determinant.h"
#include "DiffusionModels.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/sampling/FrameCoordinates.h"
#include "openmmscore/sampling/ProbabilityFlow.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

namespace {

constexpr auto particles = ModelDescription::Space::Particles;
constexpr auto vector = ModelDescription::Space::Vector;

/**
 * Two experts in the plane whose energies are about those of normal numbers: with swish, x and -x together
 * give x tanh(x/2), to which random terms are added.
 */
std::shared_ptr<const ScoreModel> plane() {
    const ModelDescription description =
        describe(vector, 2, {mlpExpert({12}, 0.4, 1), mlpExpert({9}, 0, 0.4)});
    std::vector<NamedTensor> tensors = fillWeights(description);
    for (std::size_t k = 0; k < tensors.size(); k += 4) {
        std::vector<double>&first = tensors[k].values, &last = tensors[k + 2].values;
        const auto inputs = tensors[k].shape[1];
        for (int row = 0; row < 4; row++) {
            for (int c = 0; c < inputs; c++)
                first[row * inputs + c] = c == row / 2 ? (row % 2 == 0 ? 0.2 : -0.2) : 0.0;
            last[row] = 25.0;
        }
    }
    return makeModel(description, tensors);
}

TEST(ProbabilityFlow, DensityIntegratesToOne) {
    ProbabilityFlow flow(plane(), {}, 0, 60, 1);
    EXPECT_EQ(2, flow.getNumDimensions());
    const int n = 50;
    const double range = 10, width = 2 * range / n;
    std::vector<double> z, logDensity(n * n, 0.0);
    for (int i = 0; i < n * n; i++) {
        z.push_back(-range + (i % n + 0.5) * width);
        z.push_back(-range + (i / n + 0.5) * width);
    }
    flow.absorb(n * n, z.data(), logDensity.data(), 0, flow.getNumSteps());
    flow.addPrior(n * n, z.data(), logDensity.data());
    double sum = 0, largest = 0;
    for (double value : logDensity) {
        sum += std::exp(value) * width * width;
        largest = std::max(largest, std::exp(value));
    }
    EXPECT_NEAR(1, sum, 2e-3);
    EXPECT_GT(largest, 5e-3);
}

void expectThereAndBack(const std::shared_ptr<const ScoreModel>& model, double endTime, int numSteps) {
    ProbabilityFlow flow(model, {}, endTime, numSteps, 2);
    const int width = model->getDescription().getNumCoordinates(), count = 40;
    std::vector<double> z(count * width), logDensity(count), back(count, 0.0);
    flow.drawStart(1, 0, count, z.data(), logDensity.data());
    const std::vector<double> start = z;
    for (int i = 0; i < flow.getNumSteps(); i++)
        flow.generate(count, z.data(), logDensity.data(), i, i + 1);
    EXPECT_NE(start, z);
    flow.absorb(count, z.data(), back.data(), 0, 7);
    flow.absorb(count, z.data(), back.data(), 7, flow.getNumSteps());
    flow.addPrior(count, z.data(), back.data());
    for (std::size_t i = 0; i < z.size(); i++)
        EXPECT_NEAR(start[i], z[i], 1e-3);
    for (int m = 0; m < count; m++)
        EXPECT_NEAR(logDensity[m], back[m], 3e-3);
}

TEST(ProbabilityFlow, LeadsThereAndBack) {
    expectThereAndBack(plane(), 0, 90);
    expectThereAndBack(plane(), 0.03, 90);
    // Random networks of particles are no diffusion's, so the way is short and weights are small.
    ModelDescription description = describe(
        particles, 3, {transformerExpert(8, 1, 0.95, 1, Head::Score), transformerExpert(8, 2, 0, 0.95)});
    for (ExpertDescription& expert : description.experts)
        expert.graphTransformer.headSize = 6;
    expectThereAndBack(makeModel(description, 0.5), 0.9, 30);
}

/** What generate() says of densities, against the Jacobian of the whole way by differences. */
void expectJacobian(const std::shared_ptr<const ScoreModel>& model, Proposal::Frame frame, double endTime) {
    ProbabilityFlow flow(model, {}, endTime, 150, 2, ProbabilityFlow::Engine::Plain);
    const ModelDescription& description = model->getDescription();
    const FrameCoordinates coordinates(description.count, frame);
    const int d = coordinates.getDimension(), width = description.getNumCoordinates();
    ASSERT_EQ(d, flow.getNumDimensions());
    std::vector<double> start(width), density(1), y(d);
    flow.drawStart(4, 0, 1, start.data(), density.data());
    coordinates.toCoordinates(start.data(), y.data());
    const double prior = density[0], h = 1e-5;
    std::vector<double> moved;
    for (int k = 0; k < 2 * d; k++) {
        std::vector<double> other = y, x(width);
        other[k / 2] += k % 2 == 0 ? h : -h;
        coordinates.toPositions(other.data(), x.data());
        moved.insert(moved.end(), x.begin(), x.end());
    }
    flow.generate(2 * d, moved.data(), nullptr, 0, flow.getNumSteps());
    flow.generate(1, start.data(), density.data(), 0, flow.getNumSteps());
    std::vector<double> jacobian;
    for (int k = 0; k < d; k++) {
        std::vector<double> above(d), below(d);
        coordinates.toCoordinates(&moved[std::size_t(2 * k) * width], above.data());
        coordinates.toCoordinates(&moved[std::size_t(2 * k + 1) * width], below.data());
        for (int j = 0; j < d; j++)
            jacobian.push_back((above[j] - below[j]) / (2 * h));
    }
    const double logVolume = logDeterminant(jacobian, static_cast<std::size_t>(d));
    EXPECT_GT(std::abs(logVolume), 0.01);
    EXPECT_NEAR(prior - logVolume, density[0], 1e-5);
}

TEST(ProbabilityFlow, DensityIsThatOfTheJacobian) {
    expectJacobian(randomModel(3), Proposal::Frame::Vector, 0);
    expectJacobian(randomModel(3, Head::Score), Proposal::Frame::Vector, 0);
    expectJacobian(makeModel(describe(particles, 3, {transformerExpert(8, 1, 0, 1)}), 0.3),
                   Proposal::Frame::Centred, 0.5);
    expectJacobian(makeModel(describe(particles, 2, {transformerExpert(8, 1, 0, 1, Head::Score)}), 0.3),
                   Proposal::Frame::Centred, 0.5);
}

TEST(ProbabilityFlow, EnginesAgree) {
    const auto model = makeModel(describe(particles, 3, {transformerExpert(16, 2, 0, 1)}), 0.5);
    ProbabilityFlow fast(model, {}, 0.3, 12, 2);
    ProbabilityFlow plain(model, {}, 0.3, 12, 2, ProbabilityFlow::Engine::Plain);
    std::vector<double> z(2 * 9), density(2);
    fast.drawStart(1, 0, 2, z.data(), density.data());
    std::vector<double> other = z, otherDensity = density;
    fast.generate(2, z.data(), density.data(), 0, fast.getNumSteps());
    plain.generate(2, other.data(), otherDensity.data(), 0, plain.getNumSteps());
    // Densities of graph transformers are differentiated in float64 by both.
    EXPECT_EQ(z, other);
    EXPECT_EQ(density, otherDensity);
    fast.drawStart(1, 0, 2, z.data(), density.data());
    fast.generate(2, z.data(), nullptr, 0, fast.getNumSteps());
    for (std::size_t i = 0; i < z.size(); i++)
        EXPECT_NEAR(other[i], z[i], 1e-5);
}

TEST(ProbabilityFlow, FreeParticlesAreWhatTheScheduleMakesOfThem) {
    // Without a score, dz/dt = -beta/2 z: from the noise the way only widens by 1/m(end) for each of D.
    const auto model = makeModel(describe(particles, 3, {transformerExpert(8, 1, 0, 1)}), 0.0);
    ProbabilityFlow flow(model, {}, 0.2, 50, 1);
    ASSERT_EQ(6, flow.getNumDimensions());
    std::vector<double> z(9), logDensity(1);
    flow.drawStart(3, 5, 1, z.data(), logDensity.data());
    const std::vector<double> start = z;
    const double before = logDensity[0];
    flow.generate(1, z.data(), logDensity.data(), 0, flow.getNumSteps());
    const NoiseSchedule& schedule = model->getSchedule();
    const double factor = schedule.meanCoefficient(0.2) / schedule.meanCoefficient(1);
    for (int i = 0; i < 9; i++)
        EXPECT_NEAR(factor * start[i], z[i], 1e-4 * factor);
    EXPECT_NEAR(before - 6 * std::log(factor), logDensity[0], 1e-4);
}

TEST(ProbabilityFlow, RefusesWhatItCannotDo) {
    ModelDescription description = describe(vector, 2, {mlpExpert({4}, 0, 1)});
    const auto model = makeModel(description);
    EXPECT_THROW(ProbabilityFlow(model, {}, 1.0, 10, 1), Error);
    EXPECT_THROW(ProbabilityFlow(model, {}, std::nan(""), 10, 1), Error);
    EXPECT_THROW(ProbabilityFlow(model, {}, 0, 0, 1), Error);
    EXPECT_THROW(ProbabilityFlow(model, {}, 0, 10, 0), Error);
    EXPECT_THROW(ProbabilityFlow(model, {1}, 0, 10, 1), ShapeError);
    EXPECT_THROW(ProbabilityFlow(makeModel(describe(vector, 2, {mlpExpert({4}, 0, 0.5)})), {}, 0, 10, 1),
                 Error);
    description.experts[0].scaling = Scaling::InverseSigma;
    description.defaultDiffusionTime = 0.1;
    EXPECT_THROW(ProbabilityFlow(makeModel(description), {}, 0, 10, 1), Error);
    EXPECT_NO_THROW(ProbabilityFlow(makeModel(description), {}, 0.1, 10, 1));
    description.schedule.kind = ScheduleDescription::Kind::CosineDdpm;
    EXPECT_NO_THROW(ProbabilityFlow(makeModel(description), {}, 0, 10, 1));
    EXPECT_THROW(ProbabilityFlow(makeModel(description), {}, 0.999, 10, 1), Error);
}

} // namespace
