"""Metrics against numbers of ScoreMD's own code (tests/data/metrics), and what must hold for any samples."""

from pathlib import Path

import numpy as np
import pytest
from openmm import unit
from openmmscore.analysis import (
    bondLengths,
    compareSamples,
    dihedrals,
    freeEnergyError,
    freeEnergySurface,
    jensenShannon2d,
    pairDistanceDivergence,
    relativeWasserstein,
    wasserstein,
)
from safetensors.numpy import load_file

DATA = Path(__file__).parents[1] / "data" / "metrics"
TORSIONS = [(0, 1, 2, 3), (1, 2, 3, 4)]
BONDS = [(0, 1), (1, 2), (2, 3), (3, 4)]
MUELLER_BROWN = ((-1.8, 1.1), (-0.5, 2.0))


@pytest.fixture(scope="module")
def samples():
    return load_file(DATA / "metrics_2d.safetensors")


@pytest.fixture(scope="module")
def geometry():
    return load_file(DATA / "metrics_aldp_geometry.safetensors")


def beads(geometry, name):
    return geometry[f"in/{name}"].reshape(-1, 5, 3)


@pytest.mark.parametrize(
    ("system", "bins", "limits", "golden"),
    [
        ("aldp", 64, None, "js_bins64"),
        ("mb", 100, None, "js_bins100"),
        ("mb", 64, MUELLER_BROWN, "js_bins64_limits"),
    ],
)
def test_jensen_shannon_divergence_matches_scoremd(samples, system, bins, limits, golden):
    js = jensenShannon2d(samples[f"in/{system}/samples"], samples[f"in/{system}/truth"], bins, limits)
    assert js == pytest.approx(samples[f"out64/{system}/{golden}"][0], rel=1e-12)


@pytest.mark.parametrize(
    ("system", "limits"), [("aldp", ((-np.pi, np.pi), (-np.pi, np.pi))), ("mb", MUELLER_BROWN)]
)
def test_free_energy_error_matches_scoremd(samples, system, limits):
    error = freeEnergyError(samples[f"in/{system}/samples"], samples[f"in/{system}/truth"], 64, limits)
    assert error == pytest.approx(samples[f"out64/{system}/fe_sq"][0], rel=1e-12)


@pytest.mark.parametrize("name", ["reference", "model"])
def test_dihedrals_match_scoremd(geometry, name):
    phi, psi = dihedrals(beads(geometry, name), TORSIONS).T
    np.testing.assert_allclose(phi, geometry[f"out64/phi_{name}"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(psi, geometry[f"out64/psi_{name}"], rtol=0, atol=1e-12)


def test_free_energy_error_of_torsions_matches_scoremd(geometry):
    model, reference = (dihedrals(beads(geometry, name), TORSIONS) for name in ("model", "reference"))
    assert freeEnergyError(model, reference) == pytest.approx(geometry["out64/fe_sq"][0], rel=1e-12)


def test_bond_lengths_and_their_distances_match_scoremd(geometry):
    reference, model, both = (
        bondLengths(beads(geometry, name), BONDS) for name in ("reference", "model", "both")
    )
    np.testing.assert_allclose(reference, geometry["out64/bond_lengths_reference"], rtol=1e-12)
    np.testing.assert_allclose(wasserstein(model, reference), geometry["out64/w1_model"], rtol=1e-10)
    np.testing.assert_allclose(
        relativeWasserstein(model, both, reference), geometry["out64/w1_relative"], rtol=1e-10
    )


def test_dihedrals_have_the_iupac_sign_and_ignore_motion():
    # Looking along +z, the far bond is a quarter turn clockwise from the near one.
    x = np.array([[1.0, 0, 0], [0, 0, 0], [0, 0, 1], [0, 1, 1]])
    assert dihedrals(x, [(0, 1, 2, 3)]) == pytest.approx(np.pi / 2)
    assert dihedrals(x * [1, -1, 1], [(0, 1, 2, 3)]) == pytest.approx(-np.pi / 2)
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    rotation *= np.linalg.det(rotation)
    assert dihedrals(x @ rotation.T + 7, [(0, 1, 2, 3)]) == pytest.approx(np.pi / 2)


def test_dihedrals_agree_with_mdtraj():
    mdtraj = pytest.importorskip("mdtraj")
    x = np.random.default_rng(2).normal(size=(50, 5, 3)).astype(np.float32)
    theirs = mdtraj.compute_dihedrals(mdtraj.Trajectory(x, None), TORSIONS, periodic=False)
    np.testing.assert_allclose(dihedrals(x, TORSIONS), theirs, atol=1e-4)


def test_metrics_vanish_for_equal_samples_and_are_symmetric(samples):
    a, b = samples["in/aldp/samples"], samples["in/aldp/truth"]
    assert jensenShannon2d(a, a) == 0
    assert freeEnergyError(a, a) == 0
    assert jensenShannon2d(a, b) == pytest.approx(jensenShannon2d(b, a))
    assert freeEnergyError(a, b) == pytest.approx(freeEnergyError(b, a))


def test_disjoint_samples_are_ln_2_apart():
    assert jensenShannon2d([[0, 0], [0.1, 0]], [[1, 1], [1, 0.9]], bins=4) == pytest.approx(np.log(2))


def test_pair_distances_may_have_a_unit():
    first, second = np.random.default_rng(3).normal(scale=0.3, size=(2, 40, 5, 3))
    angstroms = unit.Quantity(10 * first, unit.angstrom)
    expected = pairDistanceDivergence(first, second)
    assert 0 < expected < np.log(2)
    assert pairDistanceDivergence(angstroms, second) == pytest.approx(expected, rel=1e-2)


def test_free_energy_error_of_one_known_pair():
    # Probabilities 3/4, 1/4 against 1/4, 3/4: weights are equal and every bin differs by ln 3.
    a, b = [[-1.0, 0]], [[1.0, 0]]
    error = freeEnergyError(np.repeat([a, b], [3, 1], axis=0)[:, 0], np.repeat([a, b], [1, 3], axis=0)[:, 0])
    assert error == pytest.approx(np.log(3) ** 2)


def test_free_energy_surface_is_minus_kT_ln_p():
    x = np.repeat([[-1.0, -1.0], [1.0, 1.0]], [100, 10], axis=0)
    surface, *edges = freeEnergySurface(x, kT=2.5, bins=2)
    np.testing.assert_allclose(surface, [[0, np.nan], [np.nan, 2.5 * np.log(10)]])
    assert [len(e) for e in edges] == [3, 3]


def test_exact_samples_lie_on_the_floor():
    random = np.random.default_rng(3)
    reference, model = random.normal(size=(20000, 2)), random.normal(size=(5000, 2))
    result = compareSamples(model, reference)
    assert result.count == 5000
    # 10 % is six times the spread over seeds.
    assert result.jensenShannon == pytest.approx(result.jensenShannonFloor, rel=0.1)
    assert result.freeEnergyError == pytest.approx(result.freeEnergyErrorFloor, rel=0.1)


def test_biased_samples_lie_above_the_floor_and_equal_seeds_agree():
    random = np.random.default_rng(4)
    reference, model = random.normal(size=(8000, 2)), random.normal(0.5, 1, size=(9000, 2))
    result = compareSamples(model, reference)
    assert result.count == 4000
    assert result.jensenShannon > 1.3 * result.jensenShannonFloor
    assert result == compareSamples(model, reference)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: jensenShannon2d([[0, 1, 2]], [[0, 1]]), r"first must have the shape \[samples,2\]"),
        (lambda: jensenShannon2d([[0, np.nan]], [[0, 1]]), "sample 0 is not finite"),
        (lambda: jensenShannon2d([[5, 5]], [[0, 1]], 4, ((0, 1), (0, 1))), "no sample of one set"),
        (lambda: freeEnergyError([[0, 0]], [[0, 0]], 2), "need 3 bins"),
        (lambda: compareSamples([[0, 0]], [[0, 0]]), "two of the reference"),
        (lambda: wasserstein([[1.0]], [[1.0, 2.0]]), "samples of the shapes"),
        (lambda: dihedrals(np.zeros((2, 2)), [(0, 1, 2, 3)]), r"\[..., N, 3\]"),
        (lambda: dihedrals(np.zeros((3, 3)), [(0, 1, 2, 3)]), "a group names another"),
        (lambda: bondLengths(np.zeros((3, 3)), [(0, 1, 2)]), "groups of 2"),
    ],
)
def test_wrong_arguments_are_refused_in_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
