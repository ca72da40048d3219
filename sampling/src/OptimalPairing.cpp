#include "openmmscore/sampling/OptimalPairing.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

/**
 * The algorithm of Jonker and Volgenant. It is our own because no library at hand fits: LEMON's network
 * simplex is as fast for a dense matrix, but promises results for whole numbers only, and its last release is
 * from 2014; others bring far more than one function with them.
 *
 * With prices v, a pairing in which every row has a column of least cost - price is optimal.
 */
class Assignment {
public:
    Assignment(const std::vector<double>& costs, int n)
        : costs(costs), n(n), prices(n), columnOf(n, none), rowOf(n, none), distances(n), pathRow(n),
          queue(n) {}

    std::vector<int> solve() {
        reduceColumns();
        std::vector<int> free;
        for (int row = 0; row < n; row++)
            if (columnOf[row] == none)
                free.push_back(row);
        for (int pass = 0; pass < 2; pass++)
            free = reduceRows(free);
        for (const int row : free)
            augment(row);
        return columnOf;
    }

private:
    static constexpr int none = -1;

    const double* row(int i) const { return &costs[static_cast<std::size_t>(i) * n]; }

    void pair(int i, int j) {
        columnOf[i] = j;
        rowOf[j] = i;
    }

    /** Let each column's price be its least cost, and pair it with that row if the row is still free. */
    void reduceColumns() {
        std::vector<int> best(n, 0);
        if (n > 0)
            std::copy_n(row(0), n, prices.begin());
        for (int i = 1; i < n; i++)
            for (int j = 0; j < n; j++)
                if (row(i)[j] < prices[j]) {
                    prices[j] = row(i)[j];
                    best[j] = i;
                }
        for (int j = n - 1; j >= 0; j--)
            if (columnOf[best[j]] == none)
                pair(best[j], j);
    }

    /** Give each free row its best column, at a price that its second best bears. @return rows left over */
    std::vector<int> reduceRows(std::vector<int> rows) {
        std::vector<int> left;
        // Rounding may let two rows outbid each other by nothing, for ever; paths settle what remains.
        for (int budget = 4 * n; !rows.empty(); budget--) {
            const int i = rows.back();
            rows.pop_back();
            if (budget <= 0) {
                left.push_back(i);
                continue;
            }
            int first = 0, second = none;
            double least = row(i)[0] - prices[0], next = std::numeric_limits<double>::infinity();
            for (int j = 1; j < n; j++) {
                const double reduced = row(i)[j] - prices[j];
                if (reduced >= next)
                    continue;
                if (reduced >= least) {
                    next = reduced;
                    second = j;
                }
                else {
                    next = least;
                    second = first;
                    least = reduced;
                    first = j;
                }
            }
            if (second != none && least < next)
                prices[first] -= next - least;
            else if (second != none && rowOf[first] != none)
                std::swap(first, second);
            const int displaced = rowOf[first];
            pair(i, first);
            if (displaced == none)
                continue;
            columnOf[displaced] = none;
            (least < next ? rows : left).push_back(displaced);
        }
        return left;
    }

    /** Find the cheapest way (Dijkstra's) from a free row to a free column, and turn its pairs over. */
    void augment(int freeRow) {
        std::iota(queue.begin(), queue.end(), 0);
        for (int j = 0; j < n; j++) {
            distances[j] = row(freeRow)[j] - prices[j];
            pathRow[j] = freeRow;
        }
        // Columns queue[0 ... settled) have their final distance, those up to `reached` the current least
        // one.
        int settled = 0, reached = 0, end = none;
        double least = 0;
        while (end == none) {
            if (settled == reached) {
                reached = collectNearest(settled, least);
                for (int k = settled; k < reached && end == none; k++)
                    if (rowOf[queue[k]] == none)
                        end = queue[k];
                if (end != none)
                    break;
            }
            const int through = queue[settled++];
            const int i = rowOf[through];
            const double offset = row(i)[through] - prices[through] - least;
            for (int k = reached; k < n; k++) {
                const int j = queue[k];
                const double distance = row(i)[j] - prices[j] - offset;
                if (distance >= distances[j])
                    continue;
                distances[j] = distance;
                pathRow[j] = i;
                if (distance > least)
                    continue;
                if (rowOf[j] == none) {
                    end = j;
                    break;
                }
                std::swap(queue[k], queue[reached++]);
            }
        }
        // Columns settled before the last distance keep their rows' choices optimal at these prices.
        for (int k = 0; k < settled; k++)
            prices[queue[k]] += std::min(0.0, distances[queue[k]] - least);
        while (end != none) {
            const int i = pathRow[end], previous = columnOf[i];
            pair(i, end);
            end = i == freeRow ? none : previous;
        }
    }

    /** Move the columns of least distance to the front of the rest. @return where they end */
    int collectNearest(int settled, double& least) {
        int reached = settled;
        least = std::numeric_limits<double>::infinity();
        for (int k = settled; k < n; k++) {
            const int j = queue[k];
            if (distances[j] > least)
                continue;
            if (distances[j] < least) {
                least = distances[j];
                reached = settled;
            }
            std::swap(queue[k], queue[reached++]);
        }
        return reached;
    }

    const std::vector<double>& costs;
    int n;
    std::vector<double> prices;
    std::vector<int> columnOf, rowOf;
    std::vector<double> distances;
    std::vector<int> pathRow, queue;
};

void requireFinite(const std::vector<double>& values) {
    if (!std::all_of(values.begin(), values.end(), [](double value) { return std::isfinite(value); }))
        throw ShapeError("optimalPairing: a number is not finite");
}

template <class Real>
std::vector<int> pairPoints(const Real* x0, const Real* x1, int count, int dimension) {
    if (count < 0 || dimension < 0)
        throw ShapeError("optimalPairing: expected sizes of 0 or more, got " + std::to_string(count) +
                         " and " + std::to_string(dimension));
    // |x0 - x1|^2 = |x0|^2 + |x1|^2 - 2 x0 x1, and the first two add the same to every pairing.
    const std::size_t n = count, d = dimension;
    std::vector<double> columns(d * n), costs(n * n, 0.0);
    for (std::size_t j = 0; j < n; j++)
        for (std::size_t k = 0; k < d; k++)
            columns[k * n + j] = x1[j * d + k];
    for (std::size_t i = 0; i < n; i++)
        for (std::size_t k = 0; k < d; k++) {
            const double factor = x0[i * d + k];
            const double* column = &columns[k * n];
            double* cost = &costs[i * n];
            for (std::size_t j = 0; j < n; j++)
                cost[j] -= factor * column[j];
        }
    return optimalAssignment(costs, count);
}

} // namespace

std::vector<int> optimalAssignment(const std::vector<double>& costs, int count) {
    if (count < 0 || costs.size() != static_cast<std::size_t>(count) * static_cast<std::size_t>(count))
        throw ShapeError("optimalAssignment: got " + std::to_string(costs.size()) + " costs for " +
                         std::to_string(count) + " rows and columns");
    requireFinite(costs);
    return Assignment(costs, count).solve();
}

std::vector<int> optimalPairing(const double* x0, const double* x1, int count, int dimension) {
    return pairPoints(x0, x1, count, dimension);
}

std::vector<int> optimalPairing(const float* x0, const float* x1, int count, int dimension) {
    return pairPoints(x0, x1, count, dimension);
}

} // namespace OpenMMScore
