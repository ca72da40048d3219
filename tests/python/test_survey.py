"""The measures of examples/survey, where their answers are known; trainings are too long for a test."""

import json
import sys
from pathlib import Path

import numpy as np
import openmmscore
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples/survey"))
import families
import measures
import report
from mixtures import Mixture, coarseFirst, sweeps

CASE = Mixture(10, 2, 5000, 0.25)


def test_divergencesOfNormalDistributionsAreThoseOfTheFormula():
    narrow = openmmscore.GaussianMixtureProposal(None, np.zeros((1, 3)), 1.0, frame="vector")
    wide = openmmscore.GaussianMixtureProposal(None, np.zeros((1, 3)), 2.0, frame="vector")
    (x, px), (y, qy) = narrow.sample(20000, seed=1), wide.sample(20000, seed=2)
    found = measures.divergences(px, wide.logDensity(x), narrow.logDensity(y), qy)
    for key, exact in (
        ("KL(true|model)", 1.5 * (0.5 - 1 + np.log(2))),
        ("KL(model|true)", 1.5 * (2 - 1 - np.log(2))),
    ):
        value, error = found[key]
        assert abs(value - exact) < 5 * error < 0.2


def test_populationsAndFreeEnergiesAreThoseOfTheMixture():
    x, _ = CASE.density.sample(20000, seed=4)
    modes = CASE.modeOf(x)
    share, error = measures.populations(modes, 2)
    assert (np.abs(share - CASE.weights) < 5 * error).all()
    value, deviation = measures.freeEnergyDifference(modes == 1)
    assert abs(value - np.log(3)) < 5 * deviation < 0.2
    # Drawn in equal parts, then weighted.
    even = openmmscore.GaussianMixtureProposal(None, CASE.means, 1.0, frame="vector")
    y, logq = even.sample(20000, seed=5)
    weights = np.exp(CASE.density.logDensity(y) - logq)
    value, deviation = measures.reweightedFreeEnergyDifference(CASE.modeOf(y) == 1, weights)
    assert abs(value - np.log(3)) < 5 * deviation < 0.2
    # With w = 0.25 / 0.5 and 0.75 / 0.5 in equal parts.
    assert measures.effectiveShare(np.log(weights)) == pytest.approx(1 / 1.25, rel=0.02)


def test_aModeThatIsNeverSeenHasAnErrorStill():
    share, error = measures.populations(np.zeros(100, dtype=int), 2)
    assert share[1] == 0 and error[1] == pytest.approx(0.01)
    assert measures.freeEnergyDifference(np.zeros(100, dtype=bool)) == (float("inf"), float("inf"))


def test_histogramsOfEqualDistributionsAreHundredsApart():
    training, _ = CASE.density.sample(5000, seed=6)
    a, b = (CASE.density.sample(2000, seed=seed)[0] for seed in (7, 8))
    histogram = measures.HistogramDivergence(training)
    assert histogram(a, a) == 0
    assert histogram(a, b) > 200


@pytest.mark.parametrize("family", sorted({*families.NAMES, *families.TORSION_NAMES}))
def test_configurationsAreWhatTheTrainingReads(family):
    import tomllib

    config = tomllib.loads(families.configuration(family, "a title", 7))
    assert (config["title"], config["training"]["steps"], config["seed"]) == ("a title", 7, 1)
    assert config["data"]["file"] == "training.npy"


def test_everyMixtureIsThereOnceAndSeriesFillEvenly():
    series = sweeps(True)
    order = coarseFirst(series)
    names = [case.name for case in order]
    assert sorted(names) == sorted({case.name for cases in series.values() for case in cases})
    dimensions = [case.dimension for case in order if case in series["dimensions"]]
    assert sorted(dimensions[:5]) == [10, 30, 50, 70, 100]
    assert {case.name for cases in sweeps(True, 1).values() for case in cases}.isdisjoint(names)


def test_tablesAndPicturesAreWrittenOfWhatIsThere(tmp_path, capsys):
    case = sweeps(False)["asymmetry"][0]
    found = {
        key: 0.5
        for key in (
            "ESS",
            "largest population error",
            "its sigma",
            "samples per second",
            "training core seconds",
            "histogram",
            "histogram floor",
            "true free energy",
        )
    }
    found |= {"KL(true|model)": [0.123456, 0.01], "KL(model|true)": [1.0, 0.2], "parameters": 1234}
    found |= {"free energy": [float("inf"), float("inf")], "reweighted free energy": [3.5, 0.1]}
    folder = tmp_path / case.name / "spline"
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(found))
    report.write(tmp_path, {"asymmetry": [case], "modes": []}, ["spline", "diffusion"])
    text = (tmp_path / "table.md").read_text()
    assert (
        "| 2.5 | spline | 0.123 +- 0.010 | 1.00 +- 0.20 | 50.0 % |" in text and "| - | 3.50 +- 0.10 |" in text
    )
    assert (tmp_path / "asymmetry.png").stat().st_size > 1000
    summary = (tmp_path / "summary.md").read_text()
    assert "| 2.5 | 0.123 +- 0.010, 50.0 % |  |" in summary
    assert summary in capsys.readouterr().out
