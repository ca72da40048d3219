"""Estimators of openmmscore.sampling in exactly solvable cases, and how often their errors hold."""

import json
import pathlib

import numpy as np
import pytest
from openmm import OpenMMException
from openmmscore.sampling import GaussianMixtureProposal, Weights, bar, mbar
from scipy import integrate, special, stats

DATA = pathlib.Path(__file__).parents[1] / "data" / "sampling"
NUM_SEEDS = 200
LOG_2PI = np.log(2 * np.pi)


def normalCase(d, seed, n):
    """Draws of N(0, 1) in d dimensions, weighted for exp(-|x|^2/(2v)): x, weights and v."""
    x = np.random.default_rng([seed, d]).standard_normal((n, d))
    v = 1 - 0.5 / np.sqrt(d)
    return x, Weights.fromEnergies(0.5 * (x**2).sum(axis=1) / v, stats.norm.logpdf(x).sum(axis=1)), v


def assertCovers(values, errors, exact, bias=0.0):
    """Assert that the errors hold as often as those of a normal distribution, within 5 sigma."""
    pulls = (np.asarray(values) - exact) / np.asarray(errors)
    for width, nominal in ((1, 0.6827), (2, 0.9545)):
        share = np.mean(np.abs(pulls) < width)
        assert abs(share - nominal) < 5 * np.sqrt(nominal * (1 - nominal) / len(pulls)) + bias, share
    # Neither biased by more than a third of an error, nor too large for what they claim.
    assert abs(pulls.mean()) < 5 / np.sqrt(len(pulls)) + bias
    assert 0.75 < pulls.std() < 1.25


@pytest.mark.parametrize("d", [1, 3, 22, 66])
def test_errorsHoldAsOftenAsTheySay(d):
    results = {"mean": [], "square": [], "logZ": [], "difference": [], "bin": [], "bootstrap": []}
    for seed in range(NUM_SEEDS):
        x, weights, v = normalCase(d, seed, 1000)
        results["mean"].append(weights.average(x[:, 0]))
        results["square"].append(weights.average((x**2).sum(axis=1)))
        results["logZ"].append(weights.logNormalization())
        results["difference"].append(weights.freeEnergyDifference(x[:, 0] < 0, x[:, 0] > 0.5))
        histogram = weights.histogram(x[:, 0], [0.0, 0.5], density=False)
        results["bin"].append((histogram.values[0], histogram.errors[0]))
        results["bootstrap"].append(weights.average(x[:, 0], "bootstrap", replicates=100, seed=seed))
    upper = stats.norm.sf(0.5 / np.sqrt(v))
    exact = {
        "mean": 0.0,
        "square": d * v,
        "logZ": 0.5 * d * (LOG_2PI + np.log(v)),
        "difference": -np.log(upper / 0.5),
        "bin": 0.5 - upper,
        "bootstrap": 0.0,
    }
    for name, estimates in results.items():
        assertCovers(*np.array(estimates).T, exact[name])


def test_targetDifferencesHoldAsOftenAsTheySay():
    estimates = []
    for seed in range(NUM_SEEDS):
        x, weights, v = normalCase(3, seed, 1000)
        u = 0.5 * (x**2).sum(axis=1)
        estimates.append(weights.targetDifference(weights.reweighted(u / v, u / v * 0.9)))
    assertCovers(*np.array(estimates).T, 1.5 * np.log(0.9))


def test_differencesOfFreeEnergyMatchAMixture():
    # Two basins of known weights in 2 particles; the proposal knows neither.
    target = GaussianMixtureProposal(
        means=[np.zeros((2, 3)), np.full((2, 3), 0.5)], covariances=[0.02, 0.03], weights=[0.8, 0.2]
    )
    proposal = GaussianMixtureProposal(
        means=[np.full((2, 3), 0.02), np.full((2, 3), 0.48)], covariances=[0.022, 0.033], weights=[0.5, 0.5]
    )
    x, logq = proposal.sample(40000, seed=3)
    u = 5.0 - target.logDensity(x)
    weights = Weights.fromEnergies(u, logq)
    logZ, error = weights.logNormalization()
    assert abs(logZ + 5.0) < 5 * error < 0.1
    # The plane half way between the means, weighed by the mixture's own components.
    side = x.mean(axis=(1, 2)) > 0.25
    share = sum(
        w * stats.norm.sf(0.25, mean, np.sqrt(c / 6)) for w, mean, c in ((0.8, 0, 0.02), (0.2, 0.5, 0.03))
    )
    value, error = weights.freeEnergyDifference(~side, side)
    assert abs(value + np.log(share / (1 - share))) < 5 * error < 0.3
    mean, error = weights.average(x)
    assert mean.shape == (2, 3) and np.all(np.abs(mean - 0.1) < 5 * error)


def doubleWell(x):
    """Reduced energy of a double well in two dimensions."""
    return 2 * (x[..., 0] ** 2 - 1) ** 2 + 0.5 * x[..., 0] + x[..., 1] ** 2


def doubleWellSamples(n, random):
    """Independent samples of exp(-doubleWell), by rejection."""
    x0 = np.empty(0)
    while len(x0) < n:
        trial = random.uniform(-3, 3, 20 * n)
        keep = np.log(random.uniform(size=20 * n)) < -(2 * (trial**2 - 1) ** 2 + 0.5 * trial) - 0.5
        x0 = np.append(x0, trial[keep])
    return np.stack([x0[:n], random.normal(0, np.sqrt(0.5), n)], axis=1)


@pytest.fixture(scope="module")
def quadrature():
    """ln Z, <x> and the free energy of x > 0 less that of x < 0, of the double well."""

    def marginal(x):
        return np.exp(-(2 * (x**2 - 1) ** 2 + 0.5 * x))

    left, right = (integrate.quad(marginal, *ends, epsabs=1e-13)[0] for ends in ((-5, 0), (0, 5)))
    first = integrate.quad(lambda x: x * marginal(x), -5, 5, epsabs=1e-13)[0]
    logZ = np.log((left + right) * np.sqrt(np.pi))
    return logZ, first / (left + right), np.log(left / right)


def test_aDoubleWellMatchesQuadrature(quadrature):
    logZ, mean, difference = quadrature
    x = np.random.default_rng(4).normal(0, [1.2, 0.8], (50000, 2))
    weights = Weights.fromEnergies(doubleWell(x), stats.norm.logpdf(x, 0, [1.2, 0.8]).sum(axis=1))
    assert weights.warnings() == []
    for (value, error), exact in (
        (weights.logNormalization(), logZ),
        (weights.average(x[:, 0]), mean),
        (weights.freeEnergyDifference(x[:, 0] < 0, x[:, 0] > 0), difference),
        (weights.smoothed().logNormalization(), logZ),
        (weights.truncated().average(x[:, 0]), mean),
    ):
        assert abs(value - exact) < 5 * error < 0.1
    # The profile along x_0, a bin's free energy against the integral over it.
    histogram = weights.histogram(x[:, 0], np.linspace(-1.6, 1.6, 17))
    edges = histogram.edges[0]
    for k, (density, error) in enumerate(zip(histogram.values, histogram.errors, strict=True)):
        inside = integrate.quad(lambda s: np.exp(-(2 * (s**2 - 1) ** 2 + 0.5 * s)), edges[k], edges[k + 1])[0]
        assert abs(density * 0.2 - inside * np.sqrt(np.pi) / np.exp(logZ)) < 5 * error * 0.2


def test_temperatureTransferMatchesQuadrature(quadrature):
    # Weights at one temperature, moved to 4/3 of it without drawing again.
    random = np.random.default_rng(5)
    x = random.normal(0, [1.3, 1.0], (40000, 2))
    logq = stats.norm.logpdf(x, 0, [1.3, 1.0]).sum(axis=1)
    u = doubleWell(x)
    hot = Weights.fromEnergies(u, logq).reweighted(u, 0.75 * u)
    marginal = integrate.quad(lambda s: np.exp(-0.75 * (2 * (s**2 - 1) ** 2 + 0.5 * s)), -6, 6)[0]
    value, error = hot.logNormalization()
    assert abs(value - np.log(marginal * np.sqrt(np.pi / 0.75))) < 5 * error < 0.1


def proposalAndFrames(seed, n=600, m=300):
    """Works between draws of a normal proposal (state 0) and frames of the double well (state 1)."""
    random = np.random.default_rng(seed)
    scale = np.array([1.2, 0.8])
    draws, frames = random.normal(0, scale, (n, 2)), doubleWellSamples(m, random)
    x = np.concatenate([draws, frames])
    return x, np.stack([-stats.norm.logpdf(x, 0, scale).sum(axis=1), doubleWell(x)]), (n, m)


def test_barAndMbarBetweenProposalAndFramesMatchQuadrature(quadrature):
    logZ, mean, _ = quadrature
    results = {"bar": [], "mbar": [], "average": [], "weights": []}
    for seed in range(NUM_SEEDS):
        x, u, (n, m) = proposalAndFrames(seed)
        weights = Weights.fromEnergies(u[1, :n], -u[0, :n])
        results["weights"].append(weights.logNormalization())
        results["bar"].append(bar(-weights.logWeights, (u[0] - u[1])[n:]))
        solution = mbar(u, (n, m))
        results["mbar"].append(solution.freeEnergyDifference(0, 1))
        results["average"].append(solution.average(u[1], x[:, 0]))
    exact = {"bar": -logZ, "mbar": -logZ, "average": mean, "weights": logZ}
    for name, estimates in results.items():
        assertCovers(*np.array(estimates).T, exact[name])
    np.testing.assert_allclose(np.array(results["bar"])[:, 0], np.array(results["mbar"])[:, 0], atol=1e-9)
    # Frames of the target make the estimate better than that of the draws alone.
    assert np.mean(np.array(results["bar"])[:, 1]) < np.mean(np.array(results["weights"])[:, 1])


def test_mbarAgreesWithPymbar():
    golden = json.loads((DATA / "mbar.json").read_text())
    x = np.array(golden["x"])
    parameters = zip(golden["centres"], golden["constants"], golden["offsets"], strict=True)
    u = np.array([0.5 * k * (x - c) ** 2 + offset for c, k, offset in parameters])
    solution = mbar(u, golden["counts"])
    values, errors = solution.freeEnergies()
    np.testing.assert_allclose(values, golden["freeEnergies"], atol=1e-8)
    np.testing.assert_allclose(errors, golden["errors"][0], atol=1e-8)
    np.testing.assert_allclose(solution.overlap(), golden["overlap"], atol=1e-8)
    other = golden["perturbed"]
    new = 0.5 * other["constant"] * (x - other["centre"]) ** 2
    np.testing.assert_allclose(solution.perturbed(new), [other["value"], other["error"]], atol=1e-8)
    found, expected = solution.average(new, x**2), golden["average"]
    np.testing.assert_allclose(found, [expected["value"], expected["error"]], atol=1e-8)
    logWeights = solution.logWeights(new)
    assert special.logsumexp(logWeights) == pytest.approx(0, abs=1e-12)
    assert np.exp(logWeights) @ x**2 == pytest.approx(found.value)
    pair = bar((u[1] - u[0])[:60], (u[0] - u[1])[60:100])
    np.testing.assert_allclose(pair, [golden["bar"]["value"], golden["bar"]["error"]], atol=1e-9)


def test_mbarAgainstPymbarItself():
    pymbar = pytest.importorskip("pymbar")
    random = np.random.default_rng(6)
    counts = [200, 30, 70, 100]
    x = np.concatenate([random.normal(0.8 * k, 1 + 0.1 * k, n) for k, n in enumerate(counts)])
    u = np.array([0.5 * ((x - 0.8 * k) / (1 + 0.1 * k)) ** 2 + 2 * k for k in range(4)])
    theirs = pymbar.MBAR(u, counts).compute_free_energy_differences()
    ours = mbar(u, counts)
    for i in range(4):
        for j in range(4):
            value, error = ours.freeEnergyDifference(i, j)
            assert value == pytest.approx(theirs["Delta_f"][i, j], abs=1e-6)
            assert error == pytest.approx(theirs["dDelta_f"][i, j], abs=1e-6)


def test_badStatesAreRefusedWithASentence():
    u = np.zeros((2, 5))
    cases = [
        (lambda: mbar(u, [2, 2]), r"must have the shape \[2,4\]"),
        (lambda: mbar(u[0], [5]), r"must have the shape \[1,5\]"),
        (lambda: mbar(u[:1], [5]), "two states or more"),
        (lambda: mbar(u, [5, 0]), "state 1 has 0 samples"),
        (lambda: mbar(u * np.nan, [3, 2]), "sample 0 in state 0 is nan"),
        (lambda: mbar([[0, 0, 900, 900], [900, 900, 0, 0]], [2, 2]), "do not overlap"),
        (lambda: mbar(u, [3, 2]).freeEnergyDifference(0, 2), "no state 2"),
        (lambda: mbar(u, [3, 2]).perturbed(np.zeros(4)), r"shape \[5\]"),
        (lambda: bar([], [1.0]), "no forward works"),
        (lambda: bar([np.nan], [1.0]), "forward work of sample 0 is nan"),
        (lambda: bar([np.inf], [1.0]), "do not overlap"),
    ]
    for call, sentence in cases:
        with pytest.raises(OpenMMException, match=sentence):
            call()
