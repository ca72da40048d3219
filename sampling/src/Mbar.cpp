#include "openmmscore/sampling/Mbar.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <utility>

#include "SmallCholesky.h"
#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

} // namespace

Mbar::Mbar(std::span<const std::int64_t> numSamples, std::vector<double> reducedEnergies)
    : energies(std::move(reducedEnergies)) {
    const std::size_t numStates = numSamples.size();
    if (numStates < 2)
        throw ShapeError("mbar: there must be two states or more, got " + std::to_string(numStates));
    std::size_t sum = 0;
    for (std::size_t k = 0; k < numStates; k++) {
        if (numSamples[k] < 1)
            throw ShapeError(
                "mbar: state " + std::to_string(k) + " has " + std::to_string(numSamples[k]) +
                " samples; leave a state without samples out, and ask for its perturbed free energy");
        counts.push_back(static_cast<double>(numSamples[k]));
        sum += numSamples[k];
    }
    if (energies.size() != numStates * sum)
        throw ShapeError("mbar: " + std::to_string(numStates) + " states with " + std::to_string(sum) +
                         " samples need " + std::to_string(numStates * sum) + " reduced energies, got " +
                         std::to_string(energies.size()));
    logDenominators.resize(sum);
    checkEnergies();
    guessFreeEnergies();
    solve();
}

void Mbar::checkEnergies() const {
    const std::size_t n = getNumSamples();
    for (std::size_t i = 0; i < n; i++) {
        bool allowed = false;
        for (std::size_t k = 0; k < counts.size(); k++) {
            const double u = energies[k * n + i];
            if (std::isnan(u) || u == -infinity)
                throw NumericalError(
                    "mbar: the reduced energy of sample " + std::to_string(i) + " in state " +
                    std::to_string(k) + " is " + std::to_string(u) +
                    "; leave such a sample out, or make it +infinity if the state forbids it");
            allowed |= u < infinity;
        }
        if (!allowed)
            throw NumericalError("mbar: sample " + std::to_string(i) +
                                 " has an infinite energy in every state");
    }
}

void Mbar::guessFreeEnergies() {
    freeEnergies.assign(counts.size(), 0);
    std::size_t begin = 0;
    for (std::size_t k = 1; k < counts.size(); k++) {
        // From each state to the next by Bennett's method.
        const auto middle = begin + static_cast<std::size_t>(counts[k - 1]);
        const auto end = middle + static_cast<std::size_t>(counts[k]);
        const auto before = energiesOf(k - 1), after = energiesOf(k);
        std::vector<double> forward, reverse;
        for (std::size_t i = begin; i < end; i++) {
            const double work = i < middle ? after[i] - before[i] : before[i] - after[i];
            if (std::isfinite(work))
                (i < middle ? forward : reverse).push_back(work);
        }
        begin = middle;
        double difference = 0;
        try {
            difference = computeBar(forward, reverse).value;
        }
        catch (const Error&) {
            // Neighbours in the list need not overlap. Any start will do, a mean work is near enough.
            if (!forward.empty())
                difference =
                    std::reduce(forward.begin(), forward.end()) / static_cast<double>(forward.size());
        }
        freeEnergies[k] = freeEnergies[k - 1] + difference;
    }
}

std::vector<double> Mbar::computeDenominators(std::span<const double> f) const {
    const std::size_t n = getNumSamples(), numStates = counts.size();
    std::vector<double> result(n), offsets(numStates);
    for (std::size_t k = 0; k < numStates; k++)
        offsets[k] = f[k] + std::log(counts[k]);
    for (std::size_t i = 0; i < n; i++) {
        double largest = -infinity, sum = 0;
        for (std::size_t k = 0; k < numStates; k++)
            largest = std::max(largest, offsets[k] - energies[k * n + i]);
        for (std::size_t k = 0; k < numStates; k++)
            sum += std::exp(offsets[k] - energies[k * n + i] - largest);
        result[i] = largest + std::log(sum);
    }
    return result;
}

double Mbar::computeObjective(std::span<const double> f, std::span<const double> denominators) const {
    double sum = 0;
    for (double each : denominators)
        sum += each;
    for (std::size_t k = 0; k < counts.size(); k++)
        sum -= counts[k] * f[k];
    return sum;
}

std::vector<double> Mbar::computeHessian(std::vector<double>& gradient) const {
    const std::size_t n = getNumSamples(), numStates = counts.size();
    std::vector<double> hessian(numStates * numStates), p(numStates);
    gradient.assign(numStates, 0);
    for (std::size_t i = 0; i < n; i++) {
        for (std::size_t k = 0; k < numStates; k++) {
            p[k] = counts[k] * std::exp(freeEnergies[k] - energies[k * n + i] - logDenominators[i]);
            gradient[k] += p[k];
        }
        for (std::size_t k = 0; k < numStates; k++)
            for (std::size_t j = 0; j <= k; j++)
                hessian[k * numStates + j] += j == k ? p[k] * (1 - p[k]) : -p[k] * p[j];
    }
    for (std::size_t k = 0; k < numStates; k++) {
        gradient[k] -= counts[k];
        for (std::size_t j = 0; j < k; j++)
            hessian[j * numStates + k] = hessian[k * numStates + j];
    }
    return hessian;
}

double Mbar::step() {
    std::vector<double> gradient;
    const std::vector<double> hessian = computeHessian(gradient);
    const std::size_t numStates = counts.size();
    const double before = computeObjective(freeEnergies, logDenominators);
    // Newton, halved until it descends. What is lost by rounding in the sum over samples is no ascent.
    double rounding = 0;
    for (double each : logDenominators)
        rounding += 1e-14 * std::abs(each);
    SmallCholesky factor(hessian, numStates);
    if (factor.isPositive()) {
        const std::vector<double> direction = factor.solve(gradient);
        for (int halvings = 0; halvings < 10; halvings++) {
            const double scale = std::ldexp(1.0, -halvings);
            std::vector<double> f = freeEnergies;
            double change = 0;
            for (std::size_t k = 0; k < numStates; k++) {
                f[k] -= scale * direction[k];
                change = std::max(change, std::abs(scale * direction[k]));
            }
            std::vector<double> denominators = computeDenominators(f);
            if (computeObjective(f, denominators) <= before + (change < 1e-6 ? rounding : 0.0)) {
                freeEnergies = std::move(f);
                logDenominators = std::move(denominators);
                return change;
            }
        }
    }
    // The self-consistent step always descends: equation 11 as an assignment, with f_0 = 0.
    std::vector<double> f(numStates);
    for (std::size_t k = 0; k < numStates; k++)
        f[k] = freeEnergies[k] - std::log(std::max(gradient[k] / counts[k] + 1, 1e-300));
    double change = 0;
    for (std::size_t k = numStates; k-- > 0;) {
        f[k] -= f[0];
        change = std::max(change, std::abs(f[k] - freeEnergies[k]));
    }
    logDenominators = computeDenominators(f);
    freeEnergies = std::move(f);
    return change;
}

void Mbar::solve() {
    const int limit = 1000;
    logDenominators = computeDenominators(freeEnergies);
    double scale = 1;
    for (double f : freeEnergies)
        scale = std::max(scale, std::abs(f));
    while (step() > 1e-12 * scale)
        if (++numIterations == limit)
            throw NumericalError("mbar: the free energies have not converged after " + std::to_string(limit) +
                                 " steps; states do not overlap, put others between them");
    std::vector<double> gradient;
    SmallCholesky factor(computeHessian(gradient), counts.size());
    if (!factor.isPositive())
        throw NumericalError("mbar: some states do not overlap, directly or through others, so their free "
                             "energies are unknown; put states between them");
    inverseHessian = factor.computeInverse();
}

double Mbar::computeVariance(std::span<const double> v) const {
    // v Theta v with Theta = W^T (1 - W N W^T)^+ W of the paper's appendix D, by Woodbury's identity:
    // Theta = G + G_s^T N H^-1 N G_s, where G = W^T W, s are the sampled states and H is the Hessian.
    const std::size_t n = getNumSamples(), numStates = counts.size();
    std::vector<double> projected(numStates);
    double variance = 0;
    for (std::size_t i = 0; i < n; i++) {
        variance += v[i] * v[i];
        for (std::size_t k = 0; k < numStates; k++)
            projected[k] +=
                counts[k] * std::exp(freeEnergies[k] - energies[k * n + i] - logDenominators[i]) * v[i];
    }
    for (std::size_t k = 0; k < numStates; k++)
        for (std::size_t j = 0; j < numStates; j++)
            variance += projected[k] * inverseHessian[k * numStates + j] * projected[j];
    return variance;
}

Estimate Mbar::computeDifference(std::size_t i, std::size_t j) const {
    const std::size_t numStates = counts.size();
    if (i >= numStates || j >= numStates)
        throw ShapeError("mbar: there is no state " + std::to_string(std::max(i, j)) + ", there are " +
                         std::to_string(numStates));
    if (i == j)
        return {0, 0};
    const double* H = inverseHessian.data();
    const double variance = H[i * numStates + i] + H[j * numStates + j] - 2 * H[i * numStates + j] -
                            1 / counts[i] - 1 / counts[j];
    return {freeEnergies[j] - freeEnergies[i], std::sqrt(std::max(0.0, variance))};
}

std::vector<double> Mbar::computeOverlap() const {
    const std::size_t n = getNumSamples(), numStates = counts.size();
    std::vector<double> overlap(numStates * numStates), w(numStates);
    for (std::size_t s = 0; s < n; s++) {
        for (std::size_t k = 0; k < numStates; k++)
            w[k] = std::exp(freeEnergies[k] - energies[k * n + s] - logDenominators[s]);
        for (std::size_t k = 0; k < numStates; k++)
            for (std::size_t j = 0; j < numStates; j++)
                overlap[k * numStates + j] += w[k] * w[j] * counts[j];
    }
    return overlap;
}

std::vector<double> Mbar::computeLogWeights(std::span<const double> target) const {
    const std::size_t n = getNumSamples();
    if (target.size() != n)
        throw ShapeError("mbar: there are " + std::to_string(n) + " samples but " +
                         std::to_string(target.size()) + " reduced energies");
    std::vector<double> result(n);
    for (std::size_t i = 0; i < n; i++) {
        if (std::isnan(target[i]) || target[i] == -infinity)
            throw NumericalError("mbar: the reduced energy of sample " + std::to_string(i) + " is " +
                                 std::to_string(target[i]));
        result[i] = -target[i] - logDenominators[i];
    }
    const double sum = logSumExp(result);
    if (sum == -infinity)
        throw NumericalError("mbar: the state has an infinite energy at every sample");
    for (double& each : result)
        each -= sum;
    return result;
}

Estimate Mbar::computePerturbed(std::span<const double> target) const {
    std::vector<double> v = computeLogWeights(target);
    // All samples have one normalisation in common; any of finite energy tells it.
    const auto i =
        static_cast<std::size_t>(std::ranges::find_if(v, [](double x) { return x > -infinity; }) - v.begin());
    const double f = v[i] + target[i] + logDenominators[i];
    for (std::size_t s = 0; s < v.size(); s++)
        v[s] = std::exp(v[s]) - std::exp(freeEnergies[0] - energies[s] - logDenominators[s]);
    return {f, std::sqrt(std::max(0.0, computeVariance(v)))};
}

Estimate Mbar::computeAverage(std::span<const double> target, std::span<const double> values) const {
    const LogWeights weights(computeLogWeights(target));
    const double mean = OpenMMScore::computeAverage(weights, values).value;
    std::vector<double> v = weights.getNormalized();
    for (std::size_t i = 0; i < v.size(); i++)
        v[i] = v[i] == 0 ? 0 : v[i] * (values[i] - mean);
    return {mean, std::sqrt(std::max(0.0, computeVariance(v)))};
}

} // namespace OpenMMScore
