// Averages over many molecules of models whose averages are known exactly. Seeds are fixed; tolerances are
// five standard errors, measured from the spread between molecules, which are independent.
#include <cmath>

#include "ScoreForceTesting.h"
#include "openmmscore/ScoreLangevinIntegrator.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;
using Integrator = ScoreLangevinIntegrator;

namespace {

constexpr double boltzmann = 8.31446261815324e-3;

/**
 * A perceptron on a plain vector of 2 numbers with the energy 2 x^2 - 4 x tanh(2 x) + y^2/2, nearly: the
 * wells of x lie at about +-1. swish(u) + swish(-u) = u tanh(u/2), quadratic for small u.
 */
std::shared_ptr<const ScoreModel> makeDoubleWell() {
    ModelDescription description = describe(ModelDescription::Space::Vector, 2, {mlpExpert({6}, 0, 1)});
    std::vector<NamedTensor> tensors = fillWeights(description);
    for (NamedTensor& tensor : tensors)
        std::fill(tensor.values.begin(), tensor.values.end(), 0.0);
    const std::size_t rowLength = tensors[0].shape[1];
    auto add = [&](int pair, int coordinate, double inner, double outer) {
        for (int sign : {0, 1}) {
            tensors[0].values[(2 * pair + sign) * rowLength + coordinate] = sign == 0 ? inner : -inner;
            tensors[2].values[2 * pair + sign] = outer;
        }
    };
    add(0, 0, 0.1, 400.0); // 2 x^2
    add(1, 0, 4.0, -1.0);  // -4 x tanh(2 x)
    add(2, 1, 0.1, 100.0); // y^2/2
    return makeModel(description, tensors);
}

/** @return <f> of exp(-e(x, y)) by quadrature */
double average(const ScoreModel& model, double (*f)(double, double)) {
    double sum = 0, weight = 0, t = 0;
    const double h = 0.02;
    for (double x = -4; x <= 4; x += h)
        for (double y = -6; y <= 6; y += h) {
            const std::vector<double> z = {x, y};
            double energy;
            model.evaluate(1, z, {&t, 1}, {}, &energy, nullptr);
            sum += f(x, y) * std::exp(-energy);
            weight += std::exp(-energy);
        }
    return sum / weight;
}

double xSquared(double x, double) {
    return x * x;
}
double ySquared(double, double y) {
    return y * y;
}

struct Estimate {
    double mean = 0, error = 0;
    static Estimate of(const std::vector<double>& values) {
        const double n = static_cast<double>(values.size());
        Estimate e;
        double square = 0;
        for (double v : values)
            e.mean += v / n;
        for (double v : values)
            square += (v - e.mean) * (v - e.mean);
        e.error = std::sqrt(square / (n - 1) / n);
        return e;
    }
};

/** Runs molecules of a two-dimensional model and averages x^2, y^2 and m v^2/kT of each over time. */
struct Sampling {
    Estimate x2, y2, kinetic;
    double acceptance = 1;

    Sampling(const std::shared_ptr<const ScoreModel>& model, Platform& platform, Integrator::Scheme scheme,
             double stepSize, int molecules = 200, int samples = 200, int interval = 20) {
        System system;
        addMolecules(system, model, molecules);
        Integrator integrator(300.0, 5.0, stepSize);
        integrator.setScheme(scheme);
        integrator.setRandomNumberSeed(20);
        Context context(system, integrator, platform);
        std::vector<Vec3> positions;
        for (int m = 0; m < molecules; m++)
            positions.push_back(Vec3(m % 2 == 0 ? 1 : -1, 0.1 * (m % 7), 0));
        context.setPositions(positions);
        context.setVelocitiesToTemperature(300.0, 4);
        integrator.step(500);
        std::vector<double> x(molecules, 0.0), y(molecules, 0.0), k(molecules, 0.0);
        for (int s = 0; s < samples; s++) {
            integrator.step(interval);
            State state = context.getState(State::Positions | State::Velocities);
            for (int m = 0; m < molecules; m++) {
                const Vec3 &r = state.getPositions()[m], &v = state.getVelocities()[m];
                x[m] += r[0] * r[0] / samples;
                y[m] += r[1] * r[1] / samples;
                k[m] +=
                    system.getParticleMass(m) * (v[0] * v[0] + v[1] * v[1]) / (2 * boltzmann * 300 * samples);
            }
        }
        x2 = Estimate::of(x);
        y2 = Estimate::of(y);
        kinetic = Estimate::of(k);
        acceptance = integrator.getAcceptanceRate();
    }
};

class SamplingTest : public PlatformTest {};

} // namespace

TEST_P(SamplingTest, HarmonicModelHasTheExactVarianceAndTemperature) {
    const double stiffness = 4;
    auto model = makeHarmonic(2, stiffness);
    for (auto scheme : {Integrator::LFMiddle, Integrator::Legacy, Integrator::Metropolized}) {
        // omega = sqrt(k kT/m) = 0.9/ps; the legacy scheme's variance is off by (omega dt)^2/4, here 2e-5.
        Sampling s(model, getPlatform(), scheme, 0.01, 200, 200, 50);
        EXPECT_NEAR(1 / stiffness, s.x2.mean, 5 * s.x2.error) << "scheme " << scheme;
        EXPECT_NEAR(1 / stiffness, s.y2.mean, 5 * s.y2.error) << "scheme " << scheme;
        EXPECT_NEAR(1, s.kinetic.mean, 5 * s.kinetic.error) << "scheme " << scheme;
        EXPECT_LT(s.x2.error, 0.02) << "the test would see nothing";
    }
}

TEST_P(SamplingTest, DoubleWellHasItsExactAverages) {
    auto model = makeDoubleWell();
    const double x2 = average(*model, xSquared), y2 = average(*model, ySquared);
    for (auto scheme : {Integrator::LFMiddle, Integrator::Metropolized}) {
        Sampling s(model, getPlatform(), scheme, 0.05);
        EXPECT_NEAR(x2, s.x2.mean, 5 * s.x2.error) << "scheme " << scheme;
        EXPECT_NEAR(y2, s.y2.mean, 5 * s.y2.error) << "scheme " << scheme;
    }
}

TEST_P(SamplingTest, MetropolizedIsExactWhereThePlainSchemeIsNot) {
    // In the wells omega is about 1.5/ps: a step of 1 ps is near the limit of stability.
    auto model = makeDoubleWell();
    const double x2 = average(*model, xSquared), step = 0.9;
    Sampling plain(model, getPlatform(), Integrator::Legacy, step);
    Sampling exact(model, getPlatform(), Integrator::Metropolized, step);
    EXPECT_GT(std::abs(plain.x2.mean - x2), 10 * plain.x2.error);
    EXPECT_NEAR(x2, exact.x2.mean, 5 * exact.x2.error);
    EXPECT_GT(exact.acceptance, 0.2);
    EXPECT_LT(exact.acceptance, 0.95);
}

TEST_P(SamplingTest, ParticlesOfAMoleculeHaveNoiseOfTheirOwn) {
    // Without forces the momenta of particles are independent, and their sum has the variance 3 kT sum m.
    System system;
    ScoreForce* force = addMolecules(system, makeTransformer(), 300);
    force->setDefaultScale(0);
    for (auto scheme : {Integrator::LFMiddle, Integrator::Legacy, Integrator::Metropolized}) {
        Integrator integrator(300.0, 20.0, 0.05);
        integrator.setScheme(scheme);
        integrator.setRandomNumberSeed(9);
        Context context(system, integrator, getPlatform());
        context.setPositions(makePositions(5, 300));
        integrator.step(20);
        const std::vector<Vec3> v = context.getState(State::Velocities).getVelocities();
        std::vector<double> squares;
        for (int m = 0; m < 300; m++) {
            Vec3 momentum;
            double mass = 0;
            for (int i = 5 * m; i < 5 * m + 5; i++) {
                momentum += v[i] * system.getParticleMass(i);
                mass += system.getParticleMass(i);
            }
            squares.push_back(momentum.dot(momentum) / (3 * boltzmann * 300 * mass));
        }
        const Estimate e = Estimate::of(squares);
        EXPECT_NEAR(1, e.mean, 5 * e.error) << "scheme " << scheme;
    }
}

TEST_P(SamplingTest, MoleculesMayHaveTemperaturesOfTheirOwn) {
    const double stiffness = 4;
    System system;
    addMolecules(system, makeHarmonic(2, stiffness), 400);
    Integrator integrator(300.0, 5.0, 0.01);
    integrator.setAllowTemperatureMismatch(true);
    integrator.setRandomNumberSeed(2);
    std::vector<double> temperatures(400, 150.0);
    std::fill(temperatures.begin() + 200, temperatures.end(), 600.0);
    integrator.setMoleculeTemperatures(temperatures);
    Context context(system, integrator, getPlatform());
    context.setPositions(std::vector<Vec3>(400));
    integrator.step(2000);
    std::vector<Vec3> x = context.getState(State::Positions).getPositions();
    for (int half : {0, 1}) {
        std::vector<double> squares;
        for (int m = 200 * half; m < 200 * half + 200; m++)
            squares.push_back(0.5 * (x[m][0] * x[m][0] + x[m][1] * x[m][1]));
        Estimate e = Estimate::of(squares);
        EXPECT_NEAR(temperatures[200 * half] / 300 / stiffness, e.mean, 5 * e.error);
    }
}

INSTANTIATE_ON_PLATFORMS(SamplingTest);
