"""openmmscore.sampling.Weights beside other programs' numbers and exactly solvable cases."""

import json
import pathlib
import pickle
import resource
import warnings

import numpy as np
import pytest
from openmm import OpenMMException, unit
from openmmscore.sampling import Weights, WeightWarning, resample
from safetensors.numpy import load_file
from scipy import stats

DATA = pathlib.Path(__file__).parents[1] / "data" / "sampling"
PSIS = json.loads((DATA / "psis.json").read_text())["cases"]
SCHEMES = ["multinomial", "stratified", "systematic", "residual"]


@pytest.fixture
def weights():
    """Uneven weights without warnings: 4000 samples of the standard normal for a wider one."""
    x = np.random.default_rng(1).standard_normal(4000)
    return Weights(-0.5 * (x - 0.2) ** 2 / 1.1 + 0.5 * x**2), x


@pytest.mark.parametrize("name", sorted(PSIS))
def test_paretoSmoothingAgreesWithArviZ(name):
    case = PSIS[name]
    weights = Weights(np.array(case["logWeights"], dtype=float))
    assert weights.paretoK() == pytest.approx(case["k"], abs=1e-12)
    smoothed = weights.smoothed()
    with np.errstate(divide="ignore"):
        found = np.log(smoothed.normalized)
    np.testing.assert_allclose(found, np.array(case["smoothed"], dtype=float), atol=1e-12)
    assert smoothed.raw is weights and "Pareto" in smoothed.treatment
    assert smoothed.summary().raw.paretoK == weights.paretoK()


@pytest.mark.filterwarnings("ignore::openmmscore.sampling.WeightWarning")
def test_logWeightsAndTruncationAgreeWithNumPy():
    golden = load_file(DATA / "importance.safetensors")
    weights = Weights.fromEnergies(golden["E_target.f64"], -golden["E_source_no_com.f64"])
    n = len(weights)
    np.testing.assert_allclose(weights.logWeights, golden["correct.logw_all.f64"], atol=1e-12)
    assert weights.effectiveSampleSize() / n == pytest.approx(
        golden["correct.ess_fraction_all.f64"][0], rel=1e-12
    )
    assert weights.logNormalization().value == pytest.approx(
        golden["correct.log_mean_weight.f64"][0], rel=1e-12
    )
    cut = weights.truncated(0.02)
    np.testing.assert_allclose(cut.logWeights, golden["truncated.logw_all.f64"], atol=1e-12)
    assert cut.effectiveSampleSize() / n == pytest.approx(
        golden["truncated.ess_fraction_all.f64"][0], rel=1e-12
    )
    kept = golden["upstream_formula.keep.u8"].astype(bool)
    reference = Weights(weights.logWeights, ~kept)
    dropped = weights.truncated(0.02, drop=True)
    np.testing.assert_array_equal(dropped.logWeights, reference.logWeights)
    assert dropped.raw is weights and dropped.summary().raw == weights.summary()


@pytest.mark.filterwarnings("ignore::openmmscore.sampling.WeightWarning")
def test_systematicResamplingAgreesWithNumPy():
    # The offset is drawn inside; the C++ tests give one. Here: every choice is that of some offset.
    golden = json.loads((DATA / "systematic.json").read_text())
    weights = Weights(golden["logWeights"])
    expected = np.bincount(golden["indices"], minlength=300)
    found = np.bincount(weights.resample(), minlength=300)
    assert np.all(np.abs(found - expected) <= 1) and np.all(np.abs(found - 300 * weights.normalized) < 1)


def test_perfectProposalIsWorthAllItsSamples():
    for noise in (0.0, 1e-14):
        weights = Weights(3.0 + noise * np.random.default_rng(2).standard_normal(1000))
        assert weights.effectiveSampleSize() == pytest.approx(1000, rel=1e-12)
        assert weights.perplexity() == pytest.approx(1000, rel=1e-12)
        assert weights.largestShare() == pytest.approx(1e-3)
        assert weights.paretoK() == -np.inf and weights.paretoTail() is None
        logZ, error = weights.logNormalization()
        assert logZ == pytest.approx(3.0, abs=1e-12) and error == pytest.approx(0, abs=1e-8)
        assert weights.warnings() == []
        values = np.random.default_rng(3).standard_normal(1000)
        mean, error = weights.average(values)
        assert mean == pytest.approx(values.mean(), abs=1e-12)
        assert error == pytest.approx(stats.sem(values), rel=1e-9)


def test_effectiveSampleSizesOfKnownWeights():
    weights = Weights(np.log([4.0, 2.0, 1.0, 1.0]))
    assert weights.effectiveSampleSize() == pytest.approx(64 / 22)
    assert weights.perplexity() == pytest.approx(2**1.75)
    assert weights.largestShare() == 0.5
    np.testing.assert_allclose(weights.normalized, [0.5, 0.25, 0.125, 0.125])


@pytest.mark.filterwarnings("ignore::openmmscore.sampling.WeightWarning")
def test_nothingOverflows():
    for shift in (1e5, -1e5):
        weights = Weights(np.array([0.0, -1.0, -2.0]) + shift)
        plain = Weights([0.0, -1.0, -2.0])
        np.testing.assert_allclose(weights.normalized, plain.normalized, rtol=1e-9)
        assert weights.logNormalization().value == pytest.approx(plain.logNormalization().value + shift)


@pytest.mark.filterwarnings("ignore::openmmscore.sampling.WeightWarning")
def test_plantedBrokenSamplesChangeNothingButTheCounts(weights):
    good, x = weights
    n, planted = len(good), [5, 17, 100, 2000]
    logWeights = np.insert(good.logWeights, planted, [np.nan, np.inf, -np.inf, 1e300])
    values = np.insert(x, planted, [np.nan, np.inf, -np.inf, 1e300])
    status = (~np.isin(np.arange(n + 4), np.array(planted) + np.arange(4))).astype(int) * -1 + 1
    status[status != 0] = [1, 1, 2, 3]
    mixed = Weights(logWeights, status)
    assert mixed.statusCounts == {0: n, 1: 2, 2: 1, 3: 1} and mixed.summary().numZero == 4
    assert len(mixed) == n + 4
    np.testing.assert_array_equal(mixed.normalized[status == 0], good.normalized)
    assert np.all(mixed.normalized[status != 0] == 0)
    assert mixed.effectiveSampleSize() == good.effectiveSampleSize()
    assert mixed.average(values).value == good.average(x).value
    assert mixed.average(values).error == pytest.approx(good.average(x).error, rel=1e-6)
    edges = np.linspace(-3, 3, 7)
    np.testing.assert_array_equal(mixed.histogram(values, edges).values, good.histogram(x, edges).values)
    # They are draws all the same: the mean weight is over all of them.
    expected = good.logNormalization().value + np.log(n / (n + 4))
    assert mixed.logNormalization().value == pytest.approx(expected, abs=1e-12)
    assert not np.isin(mixed.resample(10000), np.flatnonzero(status)).any()


def test_orderDoesNotMatter(weights):
    one, x = weights
    order = np.random.default_rng(5).permutation(len(x))
    other = Weights(one.logWeights[order])
    assert other.paretoK() == pytest.approx(one.paretoK(), abs=1e-12)
    assert other.effectiveSampleSize() == pytest.approx(one.effectiveSampleSize(), rel=1e-12)
    np.testing.assert_allclose(other.average(x[order]), one.average(x), rtol=1e-10)
    np.testing.assert_allclose(other.logNormalization(), one.logNormalization(), rtol=1e-10)
    assert other.smoothed().logNormalization().value == pytest.approx(one.smoothed().logNormalization().value)


def test_theFittedTailIsThatOfTheWeights():
    # Weights of mean 1 with P(w > x) = (0.6/x)^2.5: beyond any threshold a generalised Pareto distribution.
    weights = Weights(np.log(0.6) - 0.4 * np.log(np.random.default_rng(2).uniform(size=20000)))
    tail = weights.paretoTail()
    assert tail.fraction == pytest.approx(425 / 20000)
    assert tail.survival(tail.threshold) == tail.fraction
    for x in (1.2, 2.0, 4.0):
        x = x * tail.threshold
        assert tail.survival(x) == pytest.approx((0.6 / x) ** 2.5, rel=0.35)
        share = np.mean(weights.normalized * len(weights) > x)
        assert tail.survival(x) == pytest.approx(share, rel=0.35)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_resamplingIsUnbiased(scheme):
    shares = np.array([0.0, 0.31, 0.004, 0.0, 0.246, 0.44, 0.0])
    counts = np.array([np.bincount(resample(shares, 5, scheme, seed=s), minlength=7) for s in range(4000)])
    assert np.all(counts.sum(axis=1) == 5) and np.all(counts[:, shares == 0] == 0)
    error = np.sqrt(counts.var(axis=0) / len(counts)) + 1e-12
    assert np.all(np.abs(counts.mean(axis=0) - 5 * shares) < 5 * error)
    if scheme == "systematic":
        assert np.all(np.abs(counts - 5 * shares) < 1)
    if scheme == "residual":
        assert np.all(counts >= np.floor(5 * shares))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_resamplingIsSafeInTheLastBin(scheme):
    # 0.1 ten times sums to 1 - 1e-16; zero weights at the end must never be chosen.
    shares = np.concatenate([np.full(10, 0.1), np.zeros(3)])
    for seed in range(200):
        chosen = resample(shares, 1000, scheme, seed)
        assert chosen.min() >= 0 and chosen.max() <= 9
    assert len(resample(shares, 0, scheme)) == 0
    assert set(resample([0.0, 2.0, 0.0], 4, scheme)) == {1}


def test_seedsNameChoices(weights):
    one, _ = weights
    for scheme in SCHEMES:
        np.testing.assert_array_equal(one.resample(50, scheme, 3), one.resample(50, scheme, 3))
        assert not np.array_equal(one.resample(50, scheme, 3), one.resample(50, scheme, 4))
        np.testing.assert_array_equal(resample(one, 50, scheme, 3), one.resample(50, scheme, 3))


def test_averagesOfArraysAndQuantities(weights):
    one, x = weights
    values = np.stack([x, x**2, np.ones_like(x)], axis=1).reshape(-1, 3, 1)
    mean, error = one.average(values)
    assert mean.shape == error.shape == (3, 1)
    np.testing.assert_allclose(mean[1, 0], one.average(x**2).value)
    assert mean[2, 0] == pytest.approx(1) and error[2, 0] == pytest.approx(0, abs=1e-12)
    quantity = one.average(unit.Quantity(x, unit.nanometer))
    assert quantity.value.value_in_unit(unit.angstrom) == pytest.approx(10 * one.average(x).value)
    assert quantity.error.unit == unit.nanometer


def test_bootstrapAgreesWithTheDeltaMethod(weights):
    one, x = weights
    options = {"error": "bootstrap", "replicates": 400, "seed": 1}
    pairs = [
        (one.average(x), one.average(x, **options)),
        (one.logNormalization(), one.logNormalization(**options)),
        (one.freeEnergyDifference(x < 0, x > 1), one.freeEnergyDifference(x < 0, x > 1, **options)),
    ]
    for delta, bootstrap in pairs:
        assert delta.value == bootstrap.value
        # 400 replicates know a standard deviation to 1/sqrt(800) = 3.5 %.
        assert bootstrap.error == pytest.approx(delta.error, rel=0.2)
    h, b = one.histogram(x, np.linspace(-2, 2, 9)), one.histogram(x, np.linspace(-2, 2, 9), **options)
    np.testing.assert_allclose(b.errors, h.errors, rtol=0.25)
    assert np.all(b.errors != h.errors)
    assert one.average(x, **options).error == one.average(x, **options).error
    assert one.average(x, "bootstrap", 400, 2).error != one.average(x, **options).error


def test_histogramIsTheWeightedOneOfNumPy(weights):
    one, x = weights
    h = one.histogram(x, 20, (-2, 2), density=False)
    expected, edges = np.histogram(x, 20, (-2, 2), weights=one.normalized)
    np.testing.assert_allclose(h.values, expected, atol=1e-15)
    np.testing.assert_array_equal(h.edges[0], edges)
    for k in (3, 10):
        inside = (x >= edges[k]) & (x < edges[k + 1])
        assert h.errors[k] == pytest.approx(one.average(inside).error, rel=1e-9)
    y = np.stack([x, x**2], axis=1)
    h = one.histogram(y, [5, 4], [(-2, 2), (0, 3)])
    expected, *_ = np.histogram2d(*y.T, [5, 4], [(-2, 2), (0, 3)], weights=one.normalized)
    np.testing.assert_allclose(h.values, expected / (0.8 * 0.75), atol=1e-14)
    full = one.histogram(x, 30)
    assert np.sum(full.values * np.diff(full.edges[0])) == pytest.approx(1)
    free, _ = full.freeEnergy()
    assert free.min() == 0 and np.argmin(free) == np.argmax(full.values)


def test_reweightingEqualsDrawingTheWeightsAgain():
    x = np.random.default_rng(6).standard_normal(3000)
    logq = stats.norm.logpdf(x)
    old, new = 0.5 * x**2 / 0.8, 0.7 * x**2 + 0.1 * x
    first, second = Weights.fromEnergies(old, logq), Weights.fromEnergies(new, logq)
    np.testing.assert_allclose(first.reweighted(old, new).logWeights, second.logWeights, atol=1e-12)
    value, error = first.targetDifference(second)
    exact = np.log(np.sqrt(2 * np.pi * 0.8)) - np.log(np.sqrt(2 * np.pi / 1.4)) - 0.01 / (4 * 0.7)
    assert abs(value - exact) < 5 * error
    assert first.targetDifference(first) == (0, 0)
    status = np.zeros(3000, int)
    status[:2] = 4
    new[:2] = np.nan
    assert first.reweighted(old, new, status).statusCounts == {0: 2998, 4: 2}
    before = Weights(first.logWeights, np.where(np.arange(3000) == 1, 3, 0))
    assert before.reweighted(old, new, status).statusCounts == {0: 2998, 3: 1, 4: 1}
    assert (
        first.reweighted(old, np.where(x > 2, np.inf, new), status).summary().numZero == 2 + (x[2:] > 2).sum()
    )
    with pytest.raises(OpenMMException, match="sample 0 has the log weight"):
        first.reweighted(old, new)
    with pytest.raises(OpenMMException, match="reweight the raw ones"):
        first.smoothed().reweighted(old, old)


def test_badWeightsWarnOnceInWords():
    heavy = Weights(np.random.default_rng(7).normal(0, 4, 2000))
    assert len(heavy.warnings()) == 2
    assert "k-hat" in heavy.warnings()[0] and "fewer than 100" in heavy.warnings()[1]
    with pytest.warns(WeightWarning) as caught:
        heavy.average(np.ones(2000))
    assert [str(w.message) for w in caught] == heavy.warnings()
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        heavy.logNormalization()
    assert heavy.smoothed().warnings() == heavy.warnings()
    assert "heavy tail" in str(heavy.summary())
    with pytest.warns(WeightWarning, match="fewer than 100"):
        Weights(np.linspace(0, 0.1, 80)).logNormalization()


def test_treatmentsAccumulateAndKeepTheRawWeights(weights):
    one, _ = weights
    both = one.truncated().smoothed()
    assert both.raw is one and "sqrt(n)" in both.treatment and "Pareto" in both.treatment
    assert one.treatment == "none" and one.raw is None
    limit = one.logNormalization().value + 0.5 * np.log(len(one))
    np.testing.assert_allclose(one.truncated().logWeights, np.minimum(one.logWeights, limit))


def test_pickledWeightsAreTheSame(weights):
    one, _ = weights
    copy = pickle.loads(pickle.dumps(one.smoothed()))
    assert copy.summary() == one.smoothed().summary()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (([0.0, np.nan],), "log weight of sample 1 is nan"),
        (([np.inf, 0.0],), "log weight of sample 0 is inf"),
        (([-np.inf, -np.inf],), "none of 2 samples has a weight above zero"),
        (([0.0, 1.0], [1, 2]), "2 have a status other than 0"),
        (([],), "there are no samples"),
        (([0.0, 1.0], [0]), r"status must have the shape \[2\]"),
        (([[0.0]],), "one dimension"),
        ((["a"],), "array of numbers"),
        (
            (unit.Quantity(np.zeros(2), unit.kilojoule_per_mole),),
            "without a unit, their unit is kilojoule",
        ),
    ],
)
def test_badWeightsAreRefusedWithASentence(arguments, sentence):
    with pytest.raises(OpenMMException, match=sentence):
        Weights(*arguments)


def test_badArgumentsAreRefusedWithASentence(weights):
    one, x = weights
    cases = [
        (lambda: one.average(x[1:]), "one for each sample"),
        (lambda: one.average(np.where(x > 0, np.nan, x)), "that of sample .* is nan"),
        (lambda: one.average(x, error="jackknife"), "'delta' or 'bootstrap'"),
        (lambda: one.average(x, "bootstrap", replicates=1), "at least 2"),
        (lambda: one.freeEnergyDifference(x > 0, x > 100), "region B"),
        (lambda: one.freeEnergyDifference(x > 100, x > 0), "region A"),
        (lambda: one.truncated(1.5), "between 0 and 1"),
        (lambda: one.truncated(drop=True), "which fraction"),
        (lambda: one.resample(scheme="fair"), "no scheme 'fair'"),
        (lambda: one.resample(-1), "at least 0"),
        (lambda: one.resample(seed=-1), "seed"),
        (lambda: resample([1.0, -1.0]), "weight of sample 1 is -1"),
        (lambda: resample([0.0, 0.0]), "none of 2 samples"),
        (lambda: one.histogram(np.full_like(x, np.nan)), "must be finite"),
        (lambda: one.histogram(x, bins=0), "bins and range are not as NumPy's"),
        (lambda: one.targetDifference(x), "expected the Weights"),
        (lambda: one.targetDifference(Weights([0.0])), "4000 samples but 1"),
    ]
    for call, sentence in cases:
        with pytest.raises(OpenMMException, match=sentence):
            call()


def test_aMillionSamplesNeedLittleMemory():
    logWeights = np.random.default_rng(8).standard_normal(1_000_000)
    values = np.random.default_rng(9).standard_normal(1_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(3):
        weights = Weights(logWeights)
        weights.average(values)
        weights.histogram(values, 100)
        weights.resample()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert peak - before < 100_000  # kB: a dozen arrays of float64
