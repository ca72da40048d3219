// Exact assignment: against every permutation, against published partners, and by what proves an optimum.

#include "openmmscore/sampling/OptimalPairing.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <numeric>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "openmmscore/models/CounterRandom.h"
#include "openmmscore/models/Error.h"

using namespace OpenMMScore;

namespace {

using Vector = std::vector<double>;

Vector normals(std::uint64_t seed, int count) {
    CounterRandom random(seed, CounterRandom::Stream::Sample, 0);
    Vector values(static_cast<std::size_t>(count));
    for (double& value : values)
        value = random.normal();
    return values;
}

double squaredDistance(const double* a, const double* b, int d) {
    double sum = 0;
    for (int k = 0; k < d; k++)
        sum += (a[k] - b[k]) * (a[k] - b[k]);
    return sum;
}

double total(const Vector& x0, const Vector& x1, const std::vector<int>& partners, int d) {
    double sum = 0;
    for (std::size_t i = 0; i < partners.size(); i++)
        sum += squaredDistance(&x0[i * d], &x1[partners[i] * d], d);
    return sum;
}

double totalCost(const Vector& costs, const std::vector<int>& columns) {
    double sum = 0;
    for (std::size_t i = 0; i < columns.size(); i++)
        sum += costs[i * columns.size() + columns[i]];
    return sum;
}

bool isPermutation(std::vector<int> values) {
    std::sort(values.begin(), values.end());
    for (std::size_t i = 0; i < values.size(); i++)
        if (values[i] != static_cast<int>(i))
            return false;
    return true;
}

/**
 * A pairing is of least cost exactly if no cycle of exchanges lowers it: row i takes the column of row j at
 * the price c_i,p(j) - c_i,p(i). Bellman and Ford's search finds one if there is any.
 */
bool hasImprovingCycle(const Vector& costs, const std::vector<int>& columns) {
    const std::size_t n = columns.size();
    Vector distance(n, 0.0);
    for (std::size_t round = 0; round < n; round++) {
        bool changed = false;
        for (std::size_t i = 0; i < n; i++)
            for (std::size_t j = 0; j < n; j++) {
                const double through = distance[i] + costs[i * n + columns[j]] - costs[i * n + columns[i]];
                if (through < distance[j] - 1e-9) {
                    distance[j] = through;
                    changed = true;
                }
            }
        if (!changed)
            return false;
    }
    return true;
}

} // namespace

TEST(OptimalPairing, IsTheBestOfAllPermutations) {
    for (int n = 0; n <= 6; n++)
        for (std::uint64_t seed = 0; seed < 30; seed++) {
            Vector costs = normals(seed, n * n);
            // Whole numbers in every other case: many permutations are equally good then.
            for (double& cost : costs)
                cost = seed % 2 == 0 ? std::round(2 * cost) : cost;
            std::vector<int> order(static_cast<std::size_t>(n));
            std::iota(order.begin(), order.end(), 0);
            double best = std::numeric_limits<double>::infinity();
            do
                best = std::min(best, totalCost(costs, order));
            while (std::next_permutation(order.begin(), order.end()));
            const std::vector<int> found = optimalAssignment(costs, n);
            EXPECT_TRUE(isPermutation(found));
            EXPECT_NEAR(totalCost(costs, found), best, 1e-12) << n << " " << seed;
        }
}

TEST(OptimalPairing, FindsPublishedPartners) {
    std::ifstream file(TEST_DATA_DIR "/sampling/pairing.json");
    const nlohmann::json golden = nlohmann::json::parse(file);
    const Vector x0 = golden["x0"], x1 = golden["x1"];
    const std::vector<int> expected = golden["partners"], found = optimalPairing(x0.data(), x1.data(), 48, 5);
    EXPECT_EQ(found, expected);
    EXPECT_NEAR(total(x0, x1, found, 5), golden["totalCost"].get<double>(), 1e-4);
    const std::vector<float> y0(x0.begin(), x0.end()), y1(x1.begin(), x1.end());
    EXPECT_EQ(optimalPairing(y0.data(), y1.data(), 48, 5), expected);
}

TEST(OptimalPairing, OfABatchCannotBeImproved) {
    const int n = 150;
    for (const int d : {1, 2, 20}) {
        const Vector x0 = normals(1, n * d);
        Vector x1 = normals(2, n * d);
        // Data in four groups, so that whole groups compete for the same points.
        for (int i = 0; i < n; i++)
            x1[i * d] = 0.3 * x1[i * d] + 3 * (i % 4);
        const std::vector<int> partners = optimalPairing(x0.data(), x1.data(), n, d);
        ASSERT_TRUE(isPermutation(partners));
        Vector costs;
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++)
                costs.push_back(squaredDistance(&x0[i * d], &x1[j * d], d));
        EXPECT_FALSE(hasImprovingCycle(costs, partners)) << d;
        std::vector<int> worse = partners;
        std::swap(worse[0], worse[1]);
        EXPECT_TRUE(d == 1 || hasImprovingCycle(costs, worse)) << d;
    }
}

TEST(OptimalPairing, OfNumbersIsThatOfTheirOrder) {
    const int n = 200;
    const Vector x0 = normals(3, n), x1 = normals(4, n);
    const std::vector<int> partners = optimalPairing(x0.data(), x1.data(), n, 1);
    std::vector<int> order0(n), order1(n);
    std::iota(order0.begin(), order0.end(), 0);
    std::iota(order1.begin(), order1.end(), 0);
    std::sort(order0.begin(), order0.end(), [&](int a, int b) { return x0[a] < x0[b]; });
    std::sort(order1.begin(), order1.end(), [&](int a, int b) { return x1[a] < x1[b]; });
    for (int k = 0; k < n; k++)
        EXPECT_EQ(partners[order0[k]], order1[k]);
}

TEST(OptimalPairing, EndsWhereAllIsEqual) {
    const Vector same(3 * 100, 0.1);
    EXPECT_TRUE(isPermutation(optimalPairing(same.data(), same.data(), 100, 3)));
    Vector two = same;
    std::fill(two.begin(), two.begin() + 150, 1e6);
    EXPECT_TRUE(isPermutation(optimalPairing(two.data(), same.data(), 100, 3)));
    EXPECT_TRUE(isPermutation(optimalPairing(two.data(), two.data(), 100, 3)));
}

TEST(OptimalPairing, RefusesWhatIsNoCost) {
    Vector costs(9, 1.0);
    EXPECT_THROW(optimalAssignment(costs, 2), ShapeError);
    EXPECT_THROW(optimalAssignment(costs, -3), ShapeError);
    costs[4] = std::nan("");
    EXPECT_THROW(optimalAssignment(costs, 3), ShapeError);
    EXPECT_THROW(optimalPairing(costs.data(), costs.data(), 3, 3), ShapeError);
    EXPECT_TRUE(optimalPairing(costs.data(), costs.data(), 0, 3).empty());
}
