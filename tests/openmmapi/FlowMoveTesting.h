#ifndef OPENMMSCORE_TESTS_OPENMMAPI_FLOWMOVETESTING_H_
#define OPENMMSCORE_TESTS_OPENMMAPI_FLOWMOVETESTING_H_

#include <cmath>
#include <memory>
#include <vector>

#include "ScoreForceTesting.h"
#include "openmmscore/MonteCarloFlowMove.h"
#include "openmmscore/sampling/GaussianMixtureProposal.h"

namespace OpenMMScore::testing {

constexpr double gasConstant = 8.31446261815324e-3;
constexpr double temperature = 300.0;
constexpr double kT = gasConstant * temperature;

/** @return one normal distribution of N particles about a mean (zero if not given), variance in nm^2 */
inline std::shared_ptr<const Proposal> makeGaussian(int numParticles, Proposal::Frame frame, double variance,
                                                    std::vector<double> mean = {}) {
    GaussianMixtureProposal::Parameters parameters;
    parameters.count = numParticles;
    parameters.frame = frame;
    parameters.weights = {1.0};
    parameters.means = mean.empty() ? std::vector<double>(3 * numParticles) : std::move(mean);
    parameters.covariances = {variance};
    return std::make_shared<GaussianMixtureProposal>(parameters);
}

/** @return two normal distributions of one particle at x = -0.3 and 0.3 nm, with unequal weights */
inline std::shared_ptr<const Proposal> makeTwoWells() {
    GaussianMixtureProposal::Parameters parameters;
    parameters.count = 1;
    parameters.weights = {0.65, 0.35};
    parameters.means = {-0.3, 0.02, 0, 0.3, 0, 0.01};
    parameters.covariances = {0.0036, 0.003};
    return std::make_shared<GaussianMixtureProposal>(parameters);
}

/** Makes the moves that are due, without a time step. */
inline bool makeMoves(Context& context) {
    context.setStepCount(context.getStepCount() + 1);
    return ContextAccess::getImpl(context).updateContextState();
}

inline std::vector<Vec3> getPositions(Context& context) {
    return context.getState(State::Positions).getPositions();
}

inline std::vector<Vec3> getVelocities(Context& context) {
    return context.getState(State::Velocities).getVelocities();
}

/** Adds a force that pulls particles to the origin: stiffness/2 |x|^2. */
inline void addTether(System& system, const std::vector<int>& particles, double stiffness) {
    auto* force = new OpenMM::CustomExternalForce("0.5*tether*(x*x+y*y+z*z)");
    force->addGlobalParameter("tether", stiffness);
    for (int particle : particles)
        force->addParticle(particle);
    system.addForce(force);
}

/** The mean of many numbers, and how certain it is. */
class Average {
public:
    void add(double value) {
        n++;
        sum += value;
        squares += value * value;
    }
    double getMean() const { return sum / n; }
    double getError() const { return std::sqrt((squares / n - getMean() * getMean()) / (n - 1)); }

private:
    double n = 0, sum = 0, squares = 0;
};

/** 5 sigma: about one seed in two million fails. */
inline void expectMean(const Average& average, double expected, const std::string& what) {
    EXPECT_NEAR(average.getMean(), expected, 5 * average.getError()) << what;
}

} // namespace OpenMMScore::testing

#endif // OPENMMSCORE_TESTS_OPENMMAPI_FLOWMOVETESTING_H_
