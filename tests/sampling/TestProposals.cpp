// What every proposal promises, checked on all families and frames; then what each family promises itself.

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numbers>

#include <gtest/gtest.h>

#include "Draws.h"
#include "Proposals.h"
#include "SplineFlows.h"
#include "openmmscore/models/Error.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

namespace {

using Covariance = GaussianMixtureProposal::Covariance;
using Frame = Proposal::Frame;

double density(const Proposal& proposal, const std::vector<double>& positions) {
    double result;
    proposal.logDensity(1, positions.data(), &result);
    return result;
}

struct Case {
    const char* name;
    std::shared_ptr<const Proposal> proposal;
    /** Variances of normal distributions wider than it, and narrower (0: it is no blob that has such). */
    double wide, narrow;
};

std::vector<Case> allCases() {
    std::vector<Case> cases;
    const auto add = [&](const char* name, auto proposal) { cases.push_back({name, proposal, 0.15, 0.01}); };
    const auto mix = [](int n, std::size_t k, Covariance c, Frame f) {
        return std::make_shared<GaussianMixtureProposal>(mixture(n, k, c, f));
    };
    add("IsotropicAbsolute", mix(1, 3, Covariance::Isotropic, Frame::Absolute));
    add("DiagonalAbsolute", mix(1, 2, Covariance::Diagonal, Frame::Absolute));
    add("FullAbsolute", mix(1, 2, Covariance::Full, Frame::Absolute));
    add("IsotropicCentred", mix(2, 2, Covariance::Isotropic, Frame::Centred));
    add("DiagonalCentred", mix(2, 2, Covariance::Diagonal, Frame::Centred));
    add("FullCentred", mix(2, 2, Covariance::Full, Frame::Centred));
    add("CouplingAbsolute", std::make_shared<AffineCouplingProposal>(coupling(1, 4, 5)));
    add("CouplingCentred", std::make_shared<AffineCouplingProposal>(coupling(2, 3, 4, Frame::Centred)));
    cases.push_back({"SplineAbsolute", splineFlow(1, Frame::Absolute, false, {}, {}, 0.3), 0.25, 0.02});
    add("SplineCentred", splineFlow(2, Frame::Centred, true, {}, {}, 0.3));
    cases.push_back(
        {"SplineTransformer", splineFlow(2, Frame::Centred, true, {}, {}, 0.3, true), 0.25, 0.02});
    cases.push_back(
        {"SplineTransformerCouplings", splineFlow(1, Frame::Absolute, false, {}, {}, 0.3, true), 0.25, 0.02});
    cases.push_back({"SplineInternal", internalFlow(3, 0.3), 0.02, 0});
    return cases;
}

class ProposalTest : public ::testing::TestWithParam<Case> {
protected:
    const Proposal& proposal = *GetParam().proposal;
    const std::size_t width = static_cast<std::size_t>(proposal.getNumCoordinates());
};

} // namespace

TEST_P(ProposalTest, SamplesDoNotDependOnHowTheyAreCut) {
    const Draw whole = draw(proposal, 7, 100, 20);
    for (std::int64_t i = 19; i >= 0; i--) {
        const Draw one = draw(proposal, 7, 100 + i, 1);
        EXPECT_EQ(one.logDensity[0], whole.logDensity[static_cast<std::size_t>(i)]);
        for (std::size_t j = 0; j < width; j++)
            EXPECT_EQ(one.positions[j], whole.positions[static_cast<std::size_t>(i) * width + j]);
    }
    EXPECT_NE(draw(proposal, 8, 100, 1).positions[0], whole.positions[0]);
    EXPECT_NE(draw(proposal, 7 + (std::uint64_t(1) << 32), 100, 1).positions[0], whole.positions[0]);
    EXPECT_NE(draw(proposal, 7, 100 + (std::int64_t(1) << 32), 1).positions[0], whole.positions[0]);
}

TEST_P(ProposalTest, SampledDensityIsTheDensityOfTheSample) {
    const Draw drawn = draw(proposal, 3, 0, 50);
    std::vector<double> again(50);
    proposal.logDensity(50, drawn.positions.data(), again.data());
    // Those that draw by an inverse need not round alike.
    for (std::size_t i = 0; i < 50; i++)
        EXPECT_NEAR(again[i], drawn.logDensity[i], proposal.getFamily() == "spline-flow" ? 1e-9 : 0);
}

TEST_P(ProposalTest, GradientIsThatOfTheDensity) {
    const Draw drawn = draw(proposal, 5, 0, 4);
    std::vector<double> gradient(4 * width);
    ASSERT_TRUE(proposal.hasGradient());
    proposal.logDensityGradient(4, drawn.positions.data(), gradient.data());
    for (std::size_t i = 0; i < 4 * width; i++) {
        std::vector<double> x(&drawn.positions[i / width * width],
                              &drawn.positions[i / width * width] + width);
        const double centre = x[i % width], h = 1e-5;
        x[i % width] = centre + h;
        const double above = density(proposal, x);
        x[i % width] = centre - h;
        const double below = density(proposal, x);
        // Differences of second order: errors of h^2 times a third derivative, below 1e-6 of the scale here.
        EXPECT_NEAR(gradient[i], (above - below) / (2 * h), 1e-4 * (1 + std::abs(gradient[i]))) << i;
    }
}

TEST_P(ProposalTest, CentredOnesIgnoreTheCentroid) {
    const Draw drawn = draw(proposal, 9, 0, 1);
    std::vector<double> moved = drawn.positions;
    for (std::size_t i = 0; i < width; i++)
        moved[i] += 1.5 + static_cast<double>(i % 3);
    if (proposal.getFrame() == Frame::Absolute) {
        EXPECT_GT(std::abs(density(proposal, moved) - drawn.logDensity[0]), 1.0);
        return;
    }
    EXPECT_NEAR(density(proposal, moved), drawn.logDensity[0], 1e-10 * std::abs(drawn.logDensity[0]) + 1e-9);
    for (std::size_t axis = 0; axis < 3; axis++) {
        double sum = 0;
        for (std::size_t i = axis; i < width; i += 3)
            sum += drawn.positions[i];
        EXPECT_NEAR(sum, 0, 1e-14);
    }
}

/** E_p[q(x)/p(x)] = 1 and E_q[p(x)/q(x)] = 1, with one isotropic normal distribution for p. */
TEST_P(ProposalTest, DensityIsNormalisedAndThatOfTheSamples) {
    auto wide = mixture(proposal.getNumParticles(), 1, Covariance::Isotropic, proposal.getFrame());
    wide.means.assign(width, 0.0);
    wide.covariances = {GetParam().wide};
    auto narrow = wide;
    narrow.covariances = {std::max(GetParam().narrow, 1e-9)};
    narrow.means = draw(proposal, 1, 0, 1).positions;
    const int count = 40000;
    const auto expectOne = [&](const Proposal& from, const Proposal& to) {
        const Draw drawn = draw(from, 11, 0, count);
        std::vector<double> other(count);
        to.logDensity(count, drawn.positions.data(), other.data());
        double sum = 0, squares = 0;
        for (int i = 0; i < count; i++) {
            const double ratio =
                std::exp(other[static_cast<std::size_t>(i)] - drawn.logDensity[static_cast<std::size_t>(i)]);
            sum += ratio;
            squares += ratio * ratio;
        }
        const double mean = sum / count, error = std::sqrt((squares / count - mean * mean) / count);
        EXPECT_NEAR(mean, 1, 5 * error);
        EXPECT_LT(error, 0.06);
    };
    expectOne(GaussianMixtureProposal(wide), proposal);
    if (GetParam().narrow > 0)
        expectOne(proposal, GaussianMixtureProposal(narrow));
}

TEST_P(ProposalTest, PositionsThatAreNotFiniteHaveADensityThatIsNaN) {
    for (double bad : {std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity(),
                       std::numeric_limits<double>::quiet_NaN()})
        for (std::size_t i = 0; i < width; i++) {
            std::vector<double> x = draw(proposal, 1, 0, 1).positions;
            x[i] = bad;
            EXPECT_TRUE(std::isnan(density(proposal, x))) << bad << " at " << i;
        }
    EXPECT_FALSE(std::isnan(density(proposal, draw(proposal, 1, 0, 1).positions)));
}

INSTANTIATE_TEST_SUITE_P(Families, ProposalTest, ::testing::ValuesIn(allCases()),
                         [](const auto& each) { return std::string(each.param.name); });

TEST(FrameCoordinates, AreOrthonormal) {
    const FrameCoordinates coordinates(5, Frame::Centred);
    ASSERT_EQ(coordinates.getDimension(), 12);
    std::vector<double> y(12), x(15), back(12);
    for (std::size_t i = 0; i < 12; i++) {
        y.assign(12, 0.0);
        y[i] = 1;
        coordinates.toPositions(y.data(), x.data());
        coordinates.toCoordinates(x.data(), back.data());
        double norm = 0;
        for (double each : x)
            norm += each * each;
        EXPECT_NEAR(norm, 1, 1e-14);
        for (std::size_t j = 0; j < 12; j++)
            EXPECT_NEAR(back[j], y[j], 1e-14);
    }
}

TEST(GaussianMixtureProposal, HasTheMomentsOfItsParameters) {
    const auto parameters = mixture(2, 1, Covariance::Full);
    const GaussianMixtureProposal proposal(parameters);
    const int count = 40000;
    const Draw drawn = draw(proposal, 2, 0, count);
    for (std::size_t i = 0; i < 6; i++)
        for (std::size_t j = 0; j <= i; j++) {
            double mean = 0, product = 0;
            for (std::size_t n = 0; n < count; n++) {
                const double a = drawn.positions[6 * n + i] - parameters.means[i];
                const double b = drawn.positions[6 * n + j] - parameters.means[j];
                mean += a / count;
                product += a * b / count;
            }
            const auto c = [&](std::size_t a, std::size_t b) { return parameters.covariances[6 * a + b]; };
            EXPECT_NEAR(mean, 0, 5 * std::sqrt(c(i, i) / count));
            EXPECT_NEAR(product, c(i, j), 5 * std::sqrt((c(i, i) * c(j, j) + c(i, j) * c(i, j)) / count));
        }
}

TEST(GaussianMixtureProposal, KindsOfCovarianceAgree) {
    for (Frame frame : {Frame::Absolute, Frame::Centred}) {
        auto isotropic = mixture(3, 2, Covariance::Isotropic, frame);
        auto diagonal = isotropic, full = isotropic;
        diagonal.covariance = Covariance::Diagonal;
        full.covariance = Covariance::Full;
        diagonal.covariances.clear();
        full.covariances.assign(2 * 81, 0.0);
        for (std::size_t k = 0; k < 2; k++)
            for (std::size_t i = 0; i < 9; i++) {
                diagonal.covariances.push_back(isotropic.covariances[k]);
                full.covariances[k * 81 + i * 10] = isotropic.covariances[k];
            }
        const GaussianMixtureProposal one(isotropic), two(diagonal), three(full);
        const Draw drawn = draw(one, 1, 0, 10), second = draw(two, 1, 0, 10), third = draw(three, 1, 0, 10);
        for (std::size_t i = 0; i < 10; i++) {
            EXPECT_NEAR(second.logDensity[i], drawn.logDensity[i], 1e-12);
            EXPECT_NEAR(third.logDensity[i], drawn.logDensity[i], 1e-12);
        }
    }
}

TEST(GaussianMixtureProposal, DrawsComponentsByWeight) {
    auto parameters = mixture(1, 3, Covariance::Isotropic);
    parameters.weights = {2, 6, 12};
    parameters.means = {0, 0, 0, 100, 0, 0, 200, 0, 0};
    const GaussianMixtureProposal proposal(parameters);
    EXPECT_EQ(proposal.getParameters().weights[1], 0.3);
    const int count = 20000;
    const Draw drawn = draw(proposal, 4, 0, count);
    double counts[3] = {};
    for (std::size_t i = 0; i < count; i++)
        counts[static_cast<std::size_t>(std::lround(drawn.positions[3 * i] / 100))]++;
    for (std::size_t k = 0; k < 3; k++) {
        const double p = proposal.getParameters().weights[k];
        EXPECT_NEAR(counts[k] / count, p, 5 * std::sqrt(p * (1 - p) / count));
    }
}

TEST(GaussianMixtureProposal, SaysWhatIsWrongWithItsParameters) {
    const auto expect = [](auto change, const std::string& part) {
        auto parameters = mixture(2, 2, Covariance::Full);
        change(parameters);
        try {
            GaussianMixtureProposal proposal(parameters);
            ADD_FAILURE() << "accepted, expected: " << part;
        }
        catch (const ShapeError& error) {
            EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
        }
    };
    const double nan = std::nan("");
    expect([](auto& p) { p.weights.clear(); }, "weights is empty");
    expect([](auto& p) { p.weights[1] = 0; }, "number 1 of weights is 0.000000, expected a positive number");
    expect([](auto& p) { p.means.pop_back(); }, "means holds 11 numbers, expected 12 ([K, N, 3])");
    expect([nan](auto& p) { p.means[3] = nan; }, "number 3 of means is not finite");
    expect([](auto& p) { p.covariances[1] += 0.1; },
           "covariance matrix 0 is not symmetric at row 1, column 0");
    expect([](auto& p) { p.covariances[36] = -1; }, "covariance matrix 1 is not positive definite");
    expect([](auto& p) { p.covariances.pop_back(); },
           "covariances holds 71 numbers, expected 72 ([K, 3N, 3N])");
    expect([](auto& p) { p.count = 0; }, "the number of particles is 0, expected 1 to 4096");
    expect(
        [](auto& p) {
            p = mixture(1, 1, Covariance::Isotropic);
            p.frame = Frame::Centred;
        },
        "expected 2 to 4096");
    expect([](auto& p) { p = mixture(4096, 1, Covariance::Diagonal, Frame::Centred); }, "more than 256 MiB");
}

TEST(AffineCouplingProposal, WithoutLayersIsANormalDistribution) {
    auto parameters = coupling(2, 0, 0);
    const AffineCouplingProposal flow(parameters);
    auto normal = mixture(2, 1, Covariance::Diagonal);
    normal.means = parameters.location;
    for (std::size_t i = 0; i < 6; i++)
        normal.covariances[i] = parameters.scale[i] * parameters.scale[i];
    const GaussianMixtureProposal gaussian(normal);
    const Draw drawn = draw(flow, 1, 0, 5);
    for (std::size_t i = 0; i < 5; i++) {
        const std::vector<double> x(&drawn.positions[6 * i], &drawn.positions[6 * i] + 6);
        EXPECT_NEAR(density(gaussian, x), drawn.logDensity[i], 1e-12);
    }
}

TEST(AffineCouplingProposal, SaysWhatIsWrongWithItsParameters) {
    auto parameters = coupling(2, 2, 3);
    parameters.layers[1].shiftBias.pop_back();
    try {
        AffineCouplingProposal flow(parameters);
        ADD_FAILURE();
    }
    catch (const ShapeError& error) {
        EXPECT_STREQ(error.what(), "AffineCouplingProposal: layer 1: shiftBias holds 2 numbers, expected 3");
    }
}
