// The solvers of continuous flows, against equations whose solutions are known.

#include "FlowIntegrator.h"

#include <cmath>
#include <functional>
#include <limits>

#include <gtest/gtest.h>

#include "openmmscore/models/ModelFile.h"

using namespace OpenMMScore;

namespace {

/** A velocity given as a function for one sample, with its divergence. */
class AnyVelocity : public VelocityField {
public:
    using Function = std::function<double(double t, const double* u, double* v)>;

    AnyVelocity(int d, Function function) : d(d), function(std::move(function)) {}
    int getDimension() const override { return d; }
    std::size_t getWorkspaceSize() const override { return 0; }
    void evaluate(const bool* active, const double* t, const double* u, double* v, double* divergence,
                  double*) const override {
        std::vector<double> at(d), rate(d);
        for (int lane = 0; lane < lanes; lane++) {
            if (!active[lane])
                continue;
            for (int i = 0; i < d; i++)
                at[i] = u[i * lanes + lane];
            const double sum = function(t[lane], at.data(), rate.data());
            if (divergence != nullptr)
                divergence[lane] = sum;
            for (int i = 0; i < d; i++)
                v[i * lanes + lane] = rate[i];
            numEvaluations++;
        }
    }
    void multiplyJacobian(const bool*, const double*, const double*, const double*, double*,
                          double*) const override {
        FAIL() << "not asked for";
    }

    mutable int numEvaluations = 0;

private:
    int d;
    Function function;
};

FlowSolver adaptive(double tolerance) {
    return {FlowSolver::Method::DormandPrince, tolerance, tolerance, 1};
}

/** du/dt = 50 (cos t - u) for one number: stiff enough that steps vary. */
double chase(double t, const double* u, double* v) {
    v[0] = 50 * (std::cos(t) - u[0]);
    return -50;
}

double chased(double t, double start) {
    // u = a cos t + b sin t + c exp(-50 t)
    const double a = 2500.0 / 2501, b = 50.0 / 2501;
    return a * std::cos(t) + b * std::sin(t) + (start - a) * std::exp(-50 * t);
}

/** The field of the golden case: (1 - t) A x + b cos t. */
struct Golden {
    ModelFile file = ModelFile::read(TEST_DATA_DIR "/prose/survey/cfm_euler.safetensors");
    std::vector<double> a = file.readTensor("A", {5, 5}), b = file.readTensor("b", {5});
    AnyVelocity velocity{5, [this](double t, const double* x, double* v) {
                             double trace = 0;
                             for (int i = 0; i < 5; i++) {
                                 v[i] = b[i] * std::cos(t);
                                 for (int j = 0; j < 5; j++)
                                     v[i] += (1 - t) * a[5 * i + j] * x[j];
                                 trace += (1 - t) * a[6 * i];
                             }
                             return trace;
                         }};

    void expectEnd(const char* name, const FlowSolver& solver, double to, double tolerance) {
        std::vector<double> x = file.readTensor("z", {8, 5}), logChange(8);
        FlowIntegrator(velocity, solver, 0).integrate(8, 0, to, x.data(), logChange.data());
        const std::vector<double> expected = file.readTensor(name, {8, 5});
        for (std::size_t i = 0; i < 40; i++)
            EXPECT_NEAR(x[i], expected[i], tolerance) << name << " " << i;
    }
};

} // namespace

TEST(FlowIntegrator, MatchesPublishedAndExactEndPoints) {
    Golden golden;
    golden.expectEnd("exact.x_at_1", adaptive(1e-10), 1, 1e-9);
    golden.expectEnd("correct.euler_99steps", {FlowSolver::Method::Euler, 1, 1, 99}, 1, 1e-12);
    golden.expectEnd("correct.rk4_20steps", {FlowSolver::Method::RungeKutta4, 1, 1, 20}, 1, 1e-12);
    // The published sampler makes one step more than there are, and so ends behind the data.
    golden.expectEnd("upstream.x_end_100steps", {FlowSolver::Method::Euler, 1, 1, 100}, 100.0 / 99, 1e-12);
}

TEST(FlowIntegrator, FollowsDensitiesExactly) {
    Golden golden;
    double x[5] = {1, -1, 0.5, 2, 0}, logChange;
    FlowIntegrator(golden.velocity, adaptive(1e-10), 0).integrate(1, 0, 1, x, &logChange);
    double trace = 0;
    for (int i = 0; i < 5; i++)
        trace += golden.a[6 * i];
    EXPECT_NEAR(logChange, -0.5 * trace, 1e-9);
}

TEST(FlowIntegrator, ErrorsAreOfTheOrderOfTheMethodAndBelowTheTolerance) {
    const AnyVelocity velocity(1, [](double t, const double* u, double* v) {
        v[0] = 3 * std::cos(2 * t) * u[0];
        return 3 * std::cos(2 * t);
    });
    const double exact = std::exp(1.5 * std::sin(2.0));
    const auto error = [&](const FlowSolver& solver) {
        double x = 1, logChange;
        FlowIntegrator(velocity, solver, 0).integrate(1, 0, 1, &x, &logChange);
        return std::abs(x - exact);
    };
    for (const auto& [method, order] :
         {std::pair(FlowSolver::Method::Euler, 1), std::pair(FlowSolver::Method::RungeKutta4, 4)}) {
        const double ratio = error({method, 1, 1, 50}) / error({method, 1, 1, 100});
        EXPECT_NEAR(std::log2(ratio), order, 0.1);
    }
    for (const double tolerance : {1e-4, 1e-6, 1e-8, 1e-10})
        EXPECT_LT(error(adaptive(tolerance)), 10 * tolerance);
}

TEST(FlowIntegrator, StepsAreASamplesOwn) {
    // One is far from where it is pulled to and needs short steps; the others are there.
    const AnyVelocity velocity(1, chase);
    const int count = 21;
    std::vector<double> alone(count), together(count), change(count), changeAlone(count);
    for (int i = 0; i < count; i++)
        alone[i] = together[i] = i % 5 == 3 ? 1e6 : 1 + 0.01 * i;
    FlowIntegrator(velocity, adaptive(1e-8), 0).integrate(count, 0, 1, together.data(), change.data());
    for (int i = 0; i < count; i++) {
        const double start = alone[i];
        FlowIntegrator(velocity, adaptive(1e-8), 0).integrate(1, 0, 1, &alone[i], &changeAlone[i]);
        EXPECT_EQ(alone[i], together[i]) << i;
        EXPECT_EQ(changeAlone[i], change[i]) << i;
        EXPECT_NEAR(alone[i], chased(1, start), 1e-6) << i;
        EXPECT_NEAR(change[i], 50, 1e-6);
    }
    const auto evaluations = [&](double start) {
        velocity.numEvaluations = 0;
        double x = start, logChange;
        FlowIntegrator(velocity, adaptive(1e-8), 0).integrate(1, 0, 1, &x, &logChange);
        return velocity.numEvaluations;
    };
    EXPECT_GT(evaluations(1e6), 1.2 * evaluations(1));
}

TEST(FlowIntegrator, LostTrajectoriesAreNaNAndTroubleNoOthers) {
    // u' = u^2 from 2 on reaches infinity at t = 1/2.
    const AnyVelocity velocity(1, [](double, const double* u, double* v) {
        v[0] = u[0] * u[0];
        return 2 * u[0];
    });
    for (const FlowSolver& solver :
         {adaptive(1e-6), FlowSolver{FlowSolver::Method::RungeKutta4, 1, 1, 400}}) {
        double u[3] = {0.5, 2, std::numeric_limits<double>::infinity()}, logChange[3];
        FlowIntegrator(velocity, solver, 0).integrate(3, 0, 1, u, logChange);
        EXPECT_NEAR(u[0], 1, 1e-5);
        EXPECT_NEAR(logChange[0], -2 * std::log(2.0), 1e-5);
        for (int i = 1; i < 3; i++)
            EXPECT_TRUE(std::isnan(u[i]) && std::isnan(logChange[i])) << i;
    }
}

TEST(FlowIntegrator, OfNoSamplesDoesNothing) {
    const AnyVelocity velocity(1, chase);
    FlowIntegrator(velocity, adaptive(1e-8), 0).integrate(0, 0, 1, nullptr, nullptr);
    EXPECT_EQ(velocity.numEvaluations, 0);
}
