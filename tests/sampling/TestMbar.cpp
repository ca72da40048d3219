#include <cmath>
#include <fstream>
#include <limits>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "openmmscore/models/CounterRandom.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/sampling/Mbar.h"

using namespace OpenMMScore;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double notANumber = std::numeric_limits<double>::quiet_NaN();

/** Harmonic states u = k/2 (x - centre)^2 + offset, of which ln Z = ln sqrt(2 pi / k) - offset. */
struct Harmonic {
    double centre, k, offset;

    double energy(double x) const { return k / 2 * (x - centre) * (x - centre) + offset; }
    double freeEnergy() const { return 0.5 * std::log(k) + offset; } // less the common constant
};

struct Samples {
    std::vector<std::int64_t> counts;
    std::vector<double> x;

    Samples(const std::vector<Harmonic>& states, std::int64_t each, std::uint64_t seed) {
        for (std::size_t s = 0; s < states.size(); s++) {
            counts.push_back(each);
            for (std::int64_t i = 0; i < each; i++) {
                CounterRandom random(seed, CounterRandom::Stream::Sample, s * each + i);
                x.push_back(states[s].centre + random.normal() / std::sqrt(states[s].k));
            }
        }
    }
};

std::vector<double> energiesOf(const std::vector<Harmonic>& states, const std::vector<double>& x) {
    std::vector<double> energies;
    for (const Harmonic& state : states)
        for (double each : x)
            energies.push_back(state.energy(each));
    return energies;
}

std::vector<double> worksOf(const Samples& samples, const Harmonic& from, const Harmonic& to,
                            std::size_t begin, std::size_t end) {
    std::vector<double> works;
    for (std::size_t i = begin; i < end; i++)
        works.push_back(to.energy(samples.x[i]) - from.energy(samples.x[i]));
    return works;
}

nlohmann::json loadGolden() {
    std::ifstream file(TEST_DATA_DIR "/sampling/mbar.json");
    return nlohmann::json::parse(file);
}

std::vector<Harmonic> goldenStates(const nlohmann::json& golden) {
    std::vector<Harmonic> states;
    for (int s = 0; s < 3; s++)
        states.push_back({golden["centres"][s], golden["constants"][s], golden["offsets"][s]});
    return states;
}

} // namespace

TEST(Bar, AgreesWithPymbar) {
    const auto golden = loadGolden();
    const auto states = goldenStates(golden);
    const auto x = golden["x"].get<std::vector<double>>();
    std::vector<double> forward, reverse;
    for (int i = 0; i < 100; i++) {
        const double work = states[1].energy(x[i]) - states[0].energy(x[i]);
        if (i < 60)
            forward.push_back(work);
        else
            reverse.push_back(-work);
    }
    const Estimate found = computeBar(forward, reverse);
    EXPECT_NEAR(found.value, golden["bar"]["value"].get<double>(), 1e-9);
    EXPECT_NEAR(found.error, golden["bar"]["error"].get<double>(), 1e-9);
}

TEST(Bar, MatchesExactDifferencesHoweverLarge) {
    for (double offset : {0.0, 3.0, -1e4, 1e6}) {
        const std::vector<Harmonic> states = {{0, 1, 0}, {0.7, 1.5, offset}};
        const Samples samples(states, 4000, 2);
        const Estimate found = computeBar(worksOf(samples, states[0], states[1], 0, 4000),
                                          worksOf(samples, states[1], states[0], 4000, 8000));
        EXPECT_NEAR(found.value, states[1].freeEnergy() - states[0].freeEnergy(), 5 * found.error) << offset;
        EXPECT_LT(found.error, 0.03);
    }
}

TEST(Bar, CountsSamplesThatTheOtherStateForbids) {
    // State 1 is the right half of state 0: f_1 - f_0 = ln 2.
    std::vector<double> forward, reverse(500, 0.0);
    for (int i = 0; i < 1000; i++)
        forward.push_back(i % 2 == 0 ? infinity : 0.0);
    const Estimate found = computeBar(forward, reverse);
    EXPECT_NEAR(found.value, std::log(2.0), 1e-9);
    EXPECT_GT(found.error, 0);
}

TEST(Bar, RefusesWhatHasNoAnswer) {
    const std::vector<double> works = {1, 2};
    EXPECT_THROW(computeBar({}, works), Error);
    EXPECT_THROW(computeBar(works, {}), Error);
    EXPECT_THROW(computeBar(std::vector<double>{notANumber}, works), NumericalError);
    EXPECT_THROW(computeBar(works, std::vector<double>{-infinity}), NumericalError);
    EXPECT_THROW(computeBar(std::vector<double>{infinity}, works), Error);
    EXPECT_THROW(computeBar(std::vector<double>{1e6}, std::vector<double>{1e6}), Error);
}

TEST(Mbar, AgreesWithPymbar) {
    const auto golden = loadGolden();
    const auto states = goldenStates(golden);
    const auto x = golden["x"].get<std::vector<double>>();
    const Mbar mbar(golden["counts"].get<std::vector<std::int64_t>>(), energiesOf(states, x));
    const auto overlap = mbar.computeOverlap();
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            const Estimate found = mbar.computeDifference(i, j);
            EXPECT_NEAR(found.value, golden["differences"][i][j].get<double>(), 1e-8);
            EXPECT_NEAR(found.error, golden["errors"][i][j].get<double>(), 1e-8);
            EXPECT_NEAR(overlap[3 * i + j], golden["overlap"][i][j].get<double>(), 1e-8);
        }
    const Harmonic other{golden["perturbed"]["centre"], golden["perturbed"]["constant"], 0};
    std::vector<double> energies, squares;
    for (double each : x) {
        energies.push_back(other.energy(each));
        squares.push_back(each * each);
    }
    const Estimate perturbed = mbar.computePerturbed(energies);
    EXPECT_NEAR(perturbed.value, golden["perturbed"]["value"].get<double>(), 1e-8);
    EXPECT_NEAR(perturbed.error, golden["perturbed"]["error"].get<double>(), 1e-8);
    const Estimate average = mbar.computeAverage(energies, squares);
    EXPECT_NEAR(average.value, golden["average"]["value"].get<double>(), 1e-8);
    EXPECT_NEAR(average.error, golden["average"]["error"].get<double>(), 1e-8);
}

TEST(Mbar, EqualsBarForTwoStates) {
    const std::vector<Harmonic> states = {{0, 1, 0}, {1, 2, -500}};
    const Samples samples(states, 300, 3);
    const Mbar mbar(samples.counts, energiesOf(states, samples.x));
    const Estimate found = mbar.computeDifference(0, 1);
    const Estimate bar = computeBar(worksOf(samples, states[0], states[1], 0, 300),
                                    worksOf(samples, states[1], states[0], 300, 600));
    EXPECT_NEAR(found.value, bar.value, 1e-9);
    EXPECT_NEAR(found.error / bar.error, 1, 0.1); // two asymptotic formulas for one thing
}

TEST(Mbar, MatchesExactFreeEnergiesOfALadder) {
    std::vector<Harmonic> states;
    for (int s = 0; s < 8; s++)
        states.push_back({1.2 * s, 1 + 0.3 * s, 100.0 * s * (s % 2 == 0 ? 1 : -1)});
    const Samples samples(states, 500, 4);
    const Mbar mbar(samples.counts, energiesOf(states, samples.x));
    for (std::size_t k = 1; k < states.size(); k++) {
        const Estimate found = mbar.computeDifference(0, k);
        EXPECT_NEAR(found.value, states[k].freeEnergy() - states[0].freeEnergy(), 5 * found.error) << k;
        EXPECT_LT(found.error, 1) << k;
        EXPECT_NEAR(mbar.getFreeEnergies()[k], found.value, 1e-12);
    }
    EXPECT_LT(mbar.getNumIterations(), 30);
    EXPECT_EQ(mbar.computeDifference(3, 3).error, 0);
}

TEST(Mbar, DoesNotNeedNeighboursInTheListToOverlap) {
    // State 1 overlaps with 0 through 2 and 3 alone.
    const std::vector<Harmonic> states = {{0, 4, 0}, {3, 4, 800}, {1, 4, -30}, {2, 4, 5}};
    const Samples samples(states, 2000, 5);
    const Mbar mbar(samples.counts, energiesOf(states, samples.x));
    const Estimate found = mbar.computeDifference(0, 1);
    EXPECT_NEAR(found.value, 800, 5 * found.error);
    EXPECT_LT(found.error, 0.3);
}

TEST(Mbar, ASampledStateIsAPerturbedOneToo) {
    const std::vector<Harmonic> states = {{0, 1, 0}, {1, 1.5, 7}, {2, 1, -3}};
    const Samples samples(states, 200, 6);
    const auto energies = energiesOf(states, samples.x);
    const Mbar mbar(samples.counts, energies);
    const std::vector<double> third(energies.begin() + 1200, energies.end());
    const Estimate perturbed = mbar.computePerturbed(third), sampled = mbar.computeDifference(0, 2);
    EXPECT_NEAR(perturbed.value, sampled.value, 1e-9);
    EXPECT_NEAR(perturbed.error, sampled.error, 1e-9);
    EXPECT_NEAR(logSumExp(mbar.computeLogWeights(third)), 0, 1e-12);
}

TEST(Mbar, ForbiddenSamplesAreNoTrouble) {
    // A normal, and its right half: f_1 - f_0 = ln 2.
    std::vector<double> energies(2 * 3000);
    std::vector<double> x;
    for (int i = 0; i < 3000; i++) {
        CounterRandom random(7, CounterRandom::Stream::Sample, i);
        const double normal = random.normal();
        x.push_back(i < 2000 ? normal : std::abs(normal));
        energies[i] = x[i] * x[i] / 2;
        energies[3000 + i] = x[i] > 0 ? energies[i] : infinity;
    }
    const Mbar mbar(std::vector<std::int64_t>{2000, 1000}, energies);
    const Estimate found = mbar.computeDifference(0, 1);
    EXPECT_NEAR(found.value, std::log(2.0), 5 * found.error);
    EXPECT_GT(found.error, 0);
}

TEST(Mbar, RefusesWhatHasNoAnswer) {
    using Counts = std::vector<std::int64_t>;
    EXPECT_THROW(Mbar(Counts{2}, {1, 2}), ShapeError);
    EXPECT_THROW(Mbar(Counts{2, 0}, {1, 2, 3, 4}), ShapeError);
    EXPECT_THROW(Mbar(Counts{1, 1}, {1, 2, 3}), ShapeError);
    EXPECT_THROW(Mbar(Counts{1, 1}, {1, notANumber, 3, 4}), NumericalError);
    EXPECT_THROW(Mbar(Counts{1, 1}, {1, -infinity, 3, 4}), NumericalError);
    EXPECT_THROW(Mbar(Counts{1, 1}, {1, infinity, 3, infinity}), NumericalError);
    // Two states a thousand widths apart, and two that exclude each other.
    const std::vector<Harmonic> apart = {{0, 1, 0}, {1000, 1, 0}};
    const Samples samples(apart, 50, 8);
    EXPECT_THROW(Mbar(samples.counts, energiesOf(apart, samples.x)), NumericalError);
    EXPECT_THROW(Mbar(Counts{1, 1}, {0, infinity, infinity, 0}), NumericalError);
}
