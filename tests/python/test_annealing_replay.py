"""Annealed runs of a published sampler, repeated with its recorded random numbers (tests/data/annealing)."""

import json
import pathlib

import numpy as np
import pytest
from openmmscore.sampling import AnnealedSampler, annealing, mala, ula, withinBand
from openmmscore.sampling.annealingmoves import takeMove
from openmmscore.sampling.annealingpath import Path, Walkers, effectiveFraction, logMean, normalised
from safetensors import safe_open
from sampling_targets import AnalyticTarget

FOLDER = pathlib.Path(__file__).parents[1] / "data" / "annealing"
LN_2PI = np.log(2 * np.pi)


def load(name):
    with safe_open(FOLDER / f"{name}.safetensors", framework="numpy") as file:
        arrays = {key: file.get_tensor(key) for key in file.keys()}
        metadata = file.metadata()
    for key in ("x", "x_init", "noise", "mala_uniform"):
        if key in arrays:
            arrays[key] = arrays[key].astype(np.float64)
    return arrays, metadata


class Normal:
    """The toy's proposal; it draws the recorded configurations."""

    frame = "absolute"

    def __init__(self, start):
        self.start = start

    def sample(self, n, seed=0, first=0):
        return self.start[first : first + n], self.logDensity(self.start[first : first + n])

    def logDensity(self, x):
        return -0.5 * (x**2).sum(axis=(1, 2)) - 0.5 * x[0].size * LN_2PI

    def logDensityGradient(self, x):
        return -x


class LengthOfCentre(Normal):
    """With the original's term: the density of the centre of mass' length is divided out of the proposal."""

    def logDensity(self, x):
        sigma = 1 / np.sqrt(x.shape[1])
        r2 = (x.mean(axis=1) ** 2).sum(axis=1) / sigma**2
        return super().logDensity(x) - (0.5 * np.log(2 / np.pi) + np.log(r2) - 0.5 * r2 - np.log(sigma))

    def logDensityGradient(self, x):
        sigma = 1 / np.sqrt(x.shape[1])
        centre = x.mean(axis=1, keepdims=True)
        r2 = (centre**2).sum(axis=2, keepdims=True) / sigma**2
        return -x - (2 / r2 - 1) * centre / (sigma**2 * x.shape[1])


class Wells(AnalyticTarget):
    """The toy's target."""

    def __init__(self, metadata):
        self.p = json.loads(metadata["params"])

    def energiesAndForces(self, x):
        a, b, c, k = (self.p[name] for name in "abck")
        along, across = x[..., 0], x[..., 1:]
        energy = a * (along**2 - b) ** 2 + c * along + 0.5 * k * (across**2).sum(axis=2)
        gradient = np.concatenate([(4 * a * along * (along**2 - b) + c)[..., None], k * across], axis=2)
        return energy.sum(axis=1), -gradient, np.zeros(len(x), dtype=int)


class Recorded:
    """The numbers of one step."""

    def __init__(self, data, step):
        self.data, self.step = data, step

    def normal(self, shape):
        assert self.data["noise"][self.step].shape == shape
        return self.data["noise"][self.step]

    def uniform(self, n):
        return self.data["mala_uniform"][self.step]


def systematic(weights, offset):
    points = (offset + np.arange(len(weights))) / len(weights)
    return np.minimum(np.searchsorted(np.cumsum(weights), points), len(weights) - 1)


def setUp(name):
    data, metadata = load(name)
    count, isMala = int(metadata["M"]), metadata["mala"] == "true"
    adapt = withinBand(0.55, 0.6, 1.1) if metadata["adaptive"] == "true" else None
    step = float(metadata["init_eps"]) / count
    return data, metadata, count, mala(step, adapt) if isMala else ula(step)


RUNS = ["smc_ula_every", "smc_mala_adaptive_com"]


@pytest.mark.parametrize("name", RUNS)
def test_runsGiveTheCorrectNumbers(name, monkeypatch):
    data, metadata, count, move = setUp(name)
    monkeypatch.setattr(annealing, "_Random", lambda seed, level, repeat: Recorded(data, level))
    offsets, maps = iter(data["resample_uniform_correct"]), []

    def resample(weights, _):
        maps.append(systematic(weights, next(offsets)))
        return maps[-1]

    useCentre = metadata["use_com"] == "true"
    sampler = AnnealedSampler(
        Normal(data["x_init"]),
        Wells(metadata),
        levels=count,
        move=move,
        threshold=float(metadata["ess_threshold"]),
        resampling=resample,
        resampleBeforeMove=False,
        centreOfMass=1 / np.sqrt(4) if useCentre else None,
        chunkSize=50,
    )
    result = sampler.run(len(data["x_init"]))

    history = result.histories[0]
    np.testing.assert_allclose(history.levels, data["correct.tau"], rtol=1e-14)
    np.testing.assert_allclose(history.effectiveFraction, data["correct.ess"], rtol=1e-9)
    np.testing.assert_allclose(history.acceptance, data["correct.acceptance"], rtol=1e-12)
    np.testing.assert_array_equal(history.resampled, data["correct.resampled"])
    recorded = data["correct.index"][data["correct.resampled"].astype(bool)]
    np.testing.assert_array_equal(np.array(maps), recorded)
    np.testing.assert_array_equal(result.ancestor, data["correct.lineage"])
    np.testing.assert_allclose(result.positions, data["correct.x_final"], rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(
        result.logWeight - history.logZ, data["correct.logw_final"], rtol=1e-9, atol=1e-10
    )
    np.testing.assert_allclose(result.logNormalization().value, data["correct.logZ_estimate"][0], rtol=1e-10)


@pytest.mark.parametrize("name", RUNS)
def test_movesAndWeightsGiveTheOriginalsNumbersWithTheOriginalsLadder(name):
    """Levels 0 to 1 - 1/M: the first step rejects everything, and the last is followed by a resampling."""
    data, metadata, count, move = setUp(name)
    kind = LengthOfCentre if metadata["use_com"] == "true" else Normal
    x = data["x_init"]
    path = Path(kind(x), Wells(metadata), None, 1024)
    walkers = Walkers(x, path.evaluate(x), np.zeros(len(x)), np.arange(len(x)))
    offsets = iter(data["resample_uniform_upstream"])
    stepSize, level = move.stepSize, 0.0
    for step, tau in enumerate(data["upstream_f64.tau"]):
        walkers = walkers.reweighted(tau - level)
        acceptance = 0.0 if move.kind == "mala" else 1.0
        if tau > level:
            walkers, acceptance = takeMove(move, path, walkers, tau, stepSize, Recorded(data, step))
        level = tau
        assert acceptance == pytest.approx(data["upstream_f64.acceptance"][step], rel=1e-12)
        stepSize = stepSize if move.adapt is None else move.adapt(stepSize, acceptance)
        assert effectiveFraction(walkers.logWeight) == pytest.approx(data["upstream_f64.ess"][step], rel=1e-9)
        if data["upstream_f64.resampled"][step]:
            index = systematic(normalised(walkers.logWeight), next(offsets))
            np.testing.assert_array_equal(index, data["upstream_f64.index"][step])
            walkers = walkers.resampled(index)
    assert level == pytest.approx(1 - 1 / count)
    np.testing.assert_array_equal(walkers.ancestor, data["upstream_f64.lineage"])
    np.testing.assert_allclose(walkers.positions, data["upstream_f64.x_final"], rtol=1e-9, atol=1e-10)


def weigh(data, metadata, kind, centreOfMass):
    path = Path(kind(data["x"]), Wells(metadata), centreOfMass, 100)
    n = len(data["x"])
    walkers = Walkers(data["x"], path.evaluate(data["x"]), np.zeros(n), np.arange(n))
    return walkers.reweighted(1.0).logWeight


def test_oneStepGivesTheWeightsOfImportanceSampling():
    data, metadata = load("snis_com1_filter002")
    logWeight = weigh(data, metadata, Normal, 1 / np.sqrt(4))
    np.testing.assert_allclose(logWeight, data["correct.logw_all.f64"], rtol=1e-12)
    assert effectiveFraction(logWeight) == pytest.approx(data["correct.ess_fraction_all.f64"][0], rel=1e-12)
    assert logMean(logWeight) == pytest.approx(data["correct.log_mean_weight.f64"][0], rel=1e-12)


def test_theOriginalsWeightsAreThoseOfTheLengthOfTheCentre():
    data, metadata = load("snis_com1_filter002")
    logWeight = weigh(data, metadata, LengthOfCentre, None)
    np.testing.assert_allclose(logWeight, data["upstream_formula.logw_all.f64"], rtol=1e-12)
    kept = logWeight <= np.quantile(logWeight, 1 - float(metadata["quantile_filter"]))
    np.testing.assert_array_equal(kept, data["upstream_formula.keep.u8"].astype(bool))
    assert effectiveFraction(logWeight[kept]) == pytest.approx(
        data["upstream_formula.ess_fraction_kept.f64"][0], rel=1e-12
    )
