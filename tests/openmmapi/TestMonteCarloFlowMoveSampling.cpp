// The stationary distribution is exactly that of the System. Tolerances are 5 sigma of independent runs, and
// seeds are fixed.
#include <algorithm>
#include <functional>
#include <random>

#include "FlowMoveTesting.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

namespace {

class MonteCarloFlowMoveSampling : public ::testing::Test {
protected:
    MonteCarloFlowMoveSampling() { loadPlugins(); }
    Platform& platform = Platform::getPlatform("Reference");
};

/** A barrier of 40 kT between wells of which the right one is deeper by about 1.3 kT. */
double doubleWell(double x) {
    const double s = x / 0.3;
    return 100 * (s * s - 1) * (s * s - 1) - 5.5 * x;
}

System makeDoubleWell() {
    System system;
    system.addParticle(20.0);
    auto* force = new OpenMM::CustomExternalForce("100*((x/0.3)^2-1)^2 - 5.5*x + 500*(y*y+z*z)");
    force->addParticle(0);
    system.addForce(force);
    return system;
}

/** @return chi-square of counts against probabilities */
double chiSquare(const std::vector<double>& counts, const std::vector<double>& probabilities) {
    double n = 0, sum = 0;
    for (double count : counts)
        n += count;
    for (std::size_t i = 0; i < counts.size(); i++)
        sum += std::pow(counts[i] - n * probabilities[i], 2) / (n * probabilities[i]);
    return sum;
}

/** @return the share of exp(-u/kT) in each interval between edges */
std::vector<double> quadrature(const std::vector<double>& edges, const std::function<double(double)>& u) {
    std::vector<double> shares;
    double total = 0;
    for (std::size_t i = 0; i + 1 < edges.size(); i++) {
        const int n = 2000;
        const double width = (edges[i + 1] - edges[i]) / n;
        double sum = 0;
        for (int k = 0; k < n; k++)
            sum += std::exp(-u(edges[i] + (k + 0.5) * width) / kT) * width;
        shares.push_back(sum);
        total += sum;
    }
    for (double& share : shares)
        share /= total;
    return shares;
}

TEST_F(MonteCarloFlowMoveSampling, ADoubleWellThatDynamicsNeverCrossesIsPopulatedAsQuadratureSays) {
    const std::vector<double> edges = {-0.6, -0.32, -0.3, -0.28, 0, 0.28, 0.29, 0.3, 0.31, 0.32, 0.6};
    const std::vector<double> probabilities = quadrature(edges, doubleWell);
    std::vector<double> counts(probabilities.size());
    Average kinetic;
    int crossedAlone = 0;
    const int numSeeds = 3000;
    for (int seed = 1; seed <= numSeeds; seed++) {
        System system = makeDoubleWell();
        auto* move = new MonteCarloFlowMove(makeTwoWells(), temperature, seed <= 50 ? 0 : 3);
        move->addMolecule({0});
        move->setRandomNumberSeed(seed);
        system.addForce(move);
        OpenMM::LangevinMiddleIntegrator integrator(temperature, 5.0, 0.002);
        integrator.setRandomNumberSeed(seed);
        Context context(system, integrator, platform);
        context.setPositions({Vec3(-0.3, 0, 0)});
        context.setVelocitiesToTemperature(temperature, seed);
        integrator.step(300);
        const double x = getPositions(context)[0][0];
        if (seed <= 50) {
            crossedAlone += x > 0;
            continue;
        }
        const auto bin = std::upper_bound(edges.begin(), edges.end(), x) - edges.begin() - 1;
        ASSERT_TRUE(bin >= 0 && bin < static_cast<int>(counts.size()));
        counts[bin]++;
        const Vec3 v = getVelocities(context)[0];
        kinetic.add(20.0 * v.dot(v) / (3 * kT));
    }
    EXPECT_EQ(crossedAlone, 0);
    const double degrees = static_cast<double>(counts.size()) - 1;
    // Chi-square has mean n and variance 2n; 5 sigma of its cube root, which is nearly normal.
    const double limit = degrees * std::pow(1 - 2 / (9 * degrees) + 5 * std::sqrt(2 / (9 * degrees)), 3);
    EXPECT_LT(chiSquare(counts, probabilities), limit);
    // Half-step velocities of a leapfrog are a little hotter: (omega dt)^2/4, below 1 %.
    EXPECT_NEAR(kinetic.getMean(), 1.0, 5 * kinetic.getError() + 0.01);
}

/**
 * Particles in springs: U = x^T K x/2 for each of the three axes. The distribution is normal with covariance
 * kT K^-1, and can be drawn from exactly.
 */
class SpringSystem {
public:
    explicit SpringSystem(int numParticles) : n(numParticles), stiffness(n * n) {
        for (int i = 0; i < n; i++)
            system.addParticle(i % 2 == 0 ? 3.0 + i : 30.0);
        bonds = new OpenMM::HarmonicBondForce();
        tethers = new OpenMM::CustomExternalForce("0.5*k*(x*x+y*y+z*z)");
        tethers->addPerParticleParameter("k");
        system.addForce(bonds);
        system.addForce(tethers);
    }
    void addSpring(int i, int j, double k) {
        bonds->addBond(i, j, 0.0, k);
        stiffness[i * n + i] += k;
        stiffness[j * n + j] += k;
        stiffness[i * n + j] -= k;
        stiffness[j * n + i] -= k;
    }
    void addTether(int i, double k) {
        tethers->addParticle(i, {k});
        stiffness[i * n + i] += k;
    }
    /** Invert K by Gauss-Jordan elimination, and factorize kT K^-1 = L L^T. */
    void finish() {
        std::vector<double> a(stiffness);
        covariance.assign(n * n, 0);
        for (int i = 0; i < n; i++)
            covariance[i * n + i] = kT;
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) {
                if (i == j)
                    continue;
                const double f = a[j * n + i] / a[i * n + i];
                for (int k = 0; k < n; k++) {
                    a[j * n + k] -= f * a[i * n + k];
                    covariance[j * n + k] -= f * covariance[i * n + k];
                }
            }
        for (int i = 0; i < n; i++)
            for (int k = 0; k < n; k++)
                covariance[i * n + k] /= a[i * n + i];
        factor.assign(n * n, 0);
        for (int i = 0; i < n; i++)
            for (int j = 0; j <= i; j++) {
                double s = covariance[i * n + j];
                for (int k = 0; k < j; k++)
                    s -= factor[i * n + k] * factor[j * n + k];
                factor[i * n + j] = i == j ? std::sqrt(s) : s / factor[j * n + j];
            }
    }
    std::vector<Vec3> draw(std::mt19937_64& random) const {
        std::normal_distribution<double> normal;
        std::vector<Vec3> z(n), positions(n);
        for (Vec3& v : z)
            v = Vec3(normal(random), normal(random), normal(random));
        for (int i = 0; i < n; i++)
            for (int j = 0; j <= i; j++)
                positions[i] += z[j] * factor[i * n + j];
        return positions;
    }

    System system;
    const int n;
    std::vector<double> covariance;

private:
    OpenMM::HarmonicBondForce* bonds;
    OpenMM::CustomExternalForce* tethers;
    std::vector<double> stiffness, factor;
};

/** Starts many times from the exact distribution, makes moves only, and expects that it is still there. */
void expectInvariance(SpringSystem& springs, MonteCarloFlowMove* move, Platform& platform) {
    springs.finish();
    springs.system.addForce(move);
    OpenMM::VerletIntegrator integrator(0.001);
    Context context(springs.system, integrator, platform);
    std::mt19937_64 random(7);
    std::vector<Average> products(springs.n * springs.n);
    for (int run = 0; run < 4000; run++) {
        context.setPositions(springs.draw(random));
        for (int round = 0; round < 4; round++)
            makeMoves(context);
        const std::vector<Vec3> x = getPositions(context);
        for (int i = 0; i < springs.n; i++)
            for (int j = 0; j <= i; j++)
                products[i * springs.n + j].add(x[i].dot(x[j]) / 3);
    }
    for (int i = 0; i < springs.n; i++)
        for (int j = 0; j <= i; j++)
            expectMean(products[i * springs.n + j], springs.covariance[i * springs.n + j],
                       "particles " + std::to_string(i) + " and " + std::to_string(j));
    EXPECT_GT(move->getExpectedAcceptance(context), 0.1);
    EXPECT_LT(move->getExpectedAcceptance(context), 0.9);
}

TEST_F(MonteCarloFlowMoveSampling, CentredMovesOfTwoMoleculesKeepTheDistributionOfALargerSystem) {
    // Molecules {0, 3} and {4, 1} with unequal masses; 2 is the rest of the System. Tethers act on single
    // particles, so the centre of mass and the shape depend on each other.
    SpringSystem springs(5);
    springs.addSpring(0, 3, 300);
    springs.addSpring(4, 1, 200);
    springs.addSpring(3, 1, 100);
    springs.addSpring(2, 4, 150);
    springs.addTether(0, 80);
    springs.addTether(2, 50);
    auto* move = new MonteCarloFlowMove(makeGaussian(2, Proposal::Frame::Centred, 0.012), temperature, 1);
    move->addMolecule({0, 3});
    move->addMolecule({4, 1});
    move->setRandomNumberSeed(3);
    expectInvariance(springs, move, platform);
}

TEST_F(MonteCarloFlowMoveSampling, AbsoluteMovesKeepTheDistributionOfALargerSystem) {
    SpringSystem springs(4);
    springs.addSpring(0, 1, 100);
    springs.addSpring(1, 2, 100);
    springs.addSpring(2, 3, 80);
    springs.addTether(1, 100);
    springs.addTether(3, 60);
    auto* move = new MonteCarloFlowMove(
        makeGaussian(2, Proposal::Frame::Absolute, 0.02, {0.02, 0, 0, -0.02, 0.01, 0}), temperature, 1);
    move->addMolecule({1, 2});
    move->setRandomNumberSeed(3);
    expectInvariance(springs, move, platform);
}

TEST_F(MonteCarloFlowMoveSampling, AnAnharmonicChainHasBondsAndAnglesAsInQuadrature) {
    const double r0 = 0.1, k = 700, k4 = 2e5, theta0 = 1.9, kTheta = 4;
    auto bond = [&](double r) { return 0.5 * k * std::pow(r - r0, 2) + k4 * std::pow(r - r0, 4); };
    auto angle = [&](double theta) { return 0.5 * kTheta * std::pow(theta - theta0, 2); };
    System system;
    for (double mass : {1.0, 12.0, 30.0})
        system.addParticle(mass);
    auto* bonds = new OpenMM::CustomBondForce("350*(r-0.1)^2 + 2e5*(r-0.1)^4");
    bonds->addBond(0, 1);
    bonds->addBond(1, 2);
    auto* angles = new OpenMM::HarmonicAngleForce();
    angles->addAngle(0, 1, 2, theta0, kTheta);
    system.addForce(bonds);
    system.addForce(angles);
    auto* move = new MonteCarloFlowMove(makeGaussian(3, Proposal::Frame::Centred, 0.006), temperature, 1);
    move->addMolecule({0, 1, 2});
    move->setRandomNumberSeed(11);
    system.addForce(move);
    OpenMM::VerletIntegrator integrator(0.001);

    // Moves alone, from one start: the chain forgets it.
    Context context(system, integrator, platform);
    context.setPositions({Vec3(0.1, 0, 5), Vec3(0, 0, 5), Vec3(0, 0.1, 5)});
    const auto centre = [](const std::vector<Vec3>& x) { return (x[0] + x[1] * 12 + x[2] * 30) / 43; };
    const Vec3 start = centre(getPositions(context));
    const std::vector<double> bondEdges = {0.0, 0.05, 0.07, 0.09, 0.11, 0.13, 0.15, 0.3};
    const std::vector<double> angleEdges = {0.0, 1.0, 1.4, 1.7, 2.0, 2.4, 3.141592};
    // A block of moves gives one number for each bin, so that correlations in it do no harm.
    const int numBlocks = 80, blockLength = 400;
    std::vector<Average> bondShares(bondEdges.size() - 1), angleShares(angleEdges.size() - 1);
    Average orientation;
    for (int block = 0; block < numBlocks; block++) {
        std::vector<double> bondCounts(bondShares.size()), angleCounts(angleShares.size());
        double upright = 0;
        for (int i = 0; i < blockLength; i++) {
            makeMoves(context);
            const std::vector<Vec3> x = getPositions(context);
            const Vec3 a = x[0] - x[1], b = x[2] - x[1];
            const double r = std::sqrt(a.dot(a)), theta = std::acos(a.dot(b) / (r * std::sqrt(b.dot(b))));
            bondCounts[std::upper_bound(bondEdges.begin(), bondEdges.end(), r) - bondEdges.begin() - 1]++;
            angleCounts[std::upper_bound(angleEdges.begin(), angleEdges.end(), theta) - angleEdges.begin() -
                        1]++;
            upright += a[2] * a[2] / (r * r);
        }
        orientation.add(upright / blockLength);
        for (std::size_t i = 0; i < bondShares.size(); i++)
            bondShares[i].add(bondCounts[i] / blockLength);
        for (std::size_t i = 0; i < angleShares.size(); i++)
            angleShares[i].add(angleCounts[i] / blockLength);
    }
    const auto bondExact = quadrature(bondEdges, [&](double r) { return bond(r) - 2 * kT * std::log(r); });
    const auto angleExact =
        quadrature(angleEdges, [&](double theta) { return angle(theta) - kT * std::log(std::sin(theta)); });
    for (std::size_t i = 0; i < bondExact.size(); i++)
        expectMean(bondShares[i], bondExact[i], "bond bin " + std::to_string(i));
    for (std::size_t i = 0; i < angleExact.size(); i++)
        expectMean(angleShares[i], angleExact[i], "angle bin " + std::to_string(i));
    expectMean(orientation, 1.0 / 3, "orientation");
    const Vec3 drift = centre(getPositions(context)) - start;
    EXPECT_LT(std::sqrt(drift.dot(drift)), 1e-10);
}

} // namespace
