"""Proposals as Python sees them; what their numbers must satisfy is tested in C++."""

import pickle

import numpy as np
import openmm
import openmmscore
import pytest
from openmm import unit
from openmmscore import modelfile
from openmmscore.sampling import AffineCouplingProposal
from scipy.stats import multivariate_normal

RANDOM = np.random.default_rng(5)
MEANS = RANDOM.normal(size=(2, 4, 3))
FULL = np.array([a @ a.T + 0.1 * np.eye(12) for a in 0.1 * RANDOM.normal(size=(2, 12, 12))])


def flow(frame="absolute", count=2, hidden=4):
    random = np.random.default_rng(8)
    d = count if frame == "vector" else 3 * count - 3 * (frame == "centred")
    layers = []
    for index in range(3):
        kept = (d + 1 - index % 2) // 2
        shapes = {"hidden": (hidden, kept), "scale": (d - kept, hidden), "shift": (d - kept, hidden)}
        layer = {f"{name}.weight": random.normal(size=shape) for name, shape in shapes.items()}
        layer.update({f"{name}.bias": random.normal(size=shape[0]) for name, shape in shapes.items()})
        layers.append(layer)
    return AffineCouplingProposal(layers, random.normal(size=d), np.full(d, 0.1), frame)


def test_mixtureHasTheDensityThatSciPyGives():
    proposal = openmmscore.GaussianMixtureProposal([1, 3], MEANS, FULL)
    x, logDensity = proposal.sample(20, seed=3)
    assert x.shape == (20, 4, 3) and logDensity.shape == (20,) and x.dtype == logDensity.dtype == np.float64
    parts = [
        multivariate_normal(m.ravel(), c).pdf(x.reshape(20, 12)) for m, c in zip(MEANS, FULL, strict=True)
    ]
    np.testing.assert_allclose(logDensity, np.log(0.25 * parts[0] + 0.75 * parts[1]), rtol=1e-10)
    np.testing.assert_array_equal(proposal.logDensity(x), logDensity)


def test_centredMixtureHasTheDensityOfPositionsWithoutTheirCentroid():
    proposal = openmmscore.GaussianMixtureProposal(None, MEANS, FULL, "centred")
    x, logDensity = proposal.sample(20, seed=3)
    assert np.abs(x.mean(axis=1)).max() < 1e-14
    # Any orthonormal basis of the space without centroid: the one of an eigenvalue problem.
    projection = np.eye(12) - np.tile(np.eye(3), (4, 4)) / 4
    basis = np.linalg.eigh(projection)[1][:, 3:].T
    parts = [
        multivariate_normal(basis @ m.ravel(), basis @ c @ basis.T).pdf(x.reshape(20, 12) @ basis.T)
        for m, c in zip(MEANS, FULL, strict=True)
    ]
    np.testing.assert_allclose(logDensity, np.log(np.mean(parts, axis=0)), rtol=1e-9)


@pytest.mark.parametrize("covariances", [0.5, [0.5, 0.5], np.full((2, 12), 0.5), np.full((2, 4, 3), 0.5)])
def test_covariancesMayHaveSeveralShapes(covariances):
    proposal = openmmscore.GaussianMixtureProposal(None, MEANS, covariances)
    whole = openmmscore.GaussianMixtureProposal(None, MEANS, 0.5 * np.eye(12)[None].repeat(2, 0))
    x, logDensity = proposal.sample(5)
    np.testing.assert_allclose(whole.logDensity(x), logDensity, rtol=1e-12)


def test_vectorsHaveNoParticlesAndNoUnits(tmp_path):
    means, variances = RANDOM.normal(size=(2, 5)), RANDOM.uniform(0.5, 1, size=(2, 5))
    proposal = openmmscore.GaussianMixtureProposal([1, 3], means, variances, "vector")
    x, logDensity = proposal.sample(20, seed=3)
    assert x.shape == (20, 5) and (proposal.numParticles, proposal.numCoordinates) == (0, 5)
    assert "5 dimensions" in repr(proposal)
    parts = [multivariate_normal(m, v).pdf(x) for m, v in zip(means, variances, strict=True)]
    np.testing.assert_allclose(logDensity, np.log(0.25 * parts[0] + 0.75 * parts[1]), rtol=1e-10)
    proposal.save(tmp_path / "vectors.safetensors")
    again = openmmscore.loadProposal(tmp_path / "vectors.safetensors")
    np.testing.assert_array_equal(again.logDensityGradient(x), proposal.logDensityGradient(x))
    assert (again.frame, again.sample(0)[0].shape) == ("vector", (0, 5))
    fitted = openmmscore.GaussianMixtureProposal.fit(x, 2, covariance="diagonal", frame="vector")
    assert fitted.logDensity(x).mean() > logDensity.mean()
    for wrong in (x[:, :4], x[:, :, None], x * unit.nanometer):
        with pytest.raises(openmm.OpenMMException, match="positions must"):
            proposal.logDensity(wrong)
    with pytest.raises(openmm.OpenMMException, match="draws vectors of 5 numbers, expected one that draws"):
        openmmscore.MonteCarloFlowMove(proposal, 300 * unit.kelvin, 10)


def test_lengthsMayHaveUnits():
    plain = openmmscore.GaussianMixtureProposal(None, MEANS, 0.04)
    angstrom = openmmscore.GaussianMixtureProposal(None, 10 * MEANS * unit.angstrom, 4 * unit.angstrom**2)
    x, logDensity = plain.sample(5)
    np.testing.assert_allclose(angstrom.logDensity(10 * x * unit.angstrom), logDensity, rtol=1e-10)
    with pytest.raises(openmm.OpenMMException, match="positions must be in nanometer, their unit is kelvin"):
        plain.logDensity(x * unit.kelvin)


@pytest.mark.parametrize("frame", ["absolute", "centred"])
def test_gradientIsThatOfTheDensity(frame):
    for proposal in (openmmscore.GaussianMixtureProposal(None, MEANS[:, :2], 0.5, frame), flow(frame)):
        x, _ = proposal.sample(1, seed=1)
        gradient = proposal.logDensityGradient(x)
        steps = 1e-6 * np.eye(6).reshape(6, 2, 3)
        difference = (proposal.logDensity(x + steps) - proposal.logDensity(x - steps)) / 2e-6
        np.testing.assert_allclose(gradient.ravel(), difference, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("frame", ["absolute", "centred"])
def test_filesAndPicklesGiveAnEqualProposal(tmp_path, frame):
    for proposal in (openmmscore.GaussianMixtureProposal([1, 3], MEANS, FULL, frame), flow(frame)):
        path = tmp_path / "proposal.safetensors"
        proposal.save(path)
        for again in (openmmscore.loadProposal(path), pickle.loads(pickle.dumps(proposal))):
            assert (again.family, again.frame, again.numParticles) == (
                proposal.family,
                frame,
                proposal.numParticles,
            )
            for mine, its in zip(proposal.sample(5, 1, 2), again.sample(5, 1, 2), strict=True):
                np.testing.assert_array_equal(mine, its)


def test_flowsOfVectorsAreDrawnWithTheDensityTheyHave():
    proposal = flow("vector", 3)
    x, logDensity = proposal.sample(5)
    assert x.shape == (5, 3)
    np.testing.assert_array_equal(proposal.logDensity(x), logDensity)


def test_samplesDoNotDependOnPieces():
    proposal = flow()
    whole, density = proposal.sample(10, seed=2**63 + 5)
    part, partDensity = proposal.sample(4, seed=2**63 + 5, first=3)
    np.testing.assert_array_equal(whole[3:7], part)
    np.testing.assert_array_equal(density[3:7], partDensity)
    assert proposal.sample(0)[0].shape == (0, 2, 3)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: openmmscore.GaussianMixtureProposal([1], MEANS, 0.1), r"weights must have the shape \[2\]"),
        (
            lambda: openmmscore.GaussianMixtureProposal([1, -1], MEANS, 0.1),
            "GaussianMixtureProposal: number 1 of weights is -1.0+, expected a positive number",
        ),
        (
            lambda: openmmscore.GaussianMixtureProposal(None, MEANS, -FULL),
            "^GaussianMixtureProposal: covariance matrix 0 is not positive definite",
        ),
        (
            lambda: openmmscore.GaussianMixtureProposal(None, MEANS[0], 0.1),
            r"means must have the shape \[K,N,3\]",
        ),
        (
            lambda: openmmscore.GaussianMixtureProposal(None, MEANS, [1, 2, 3]),
            "covariances must have the shape",
        ),
        (lambda: openmmscore.GaussianMixtureProposal(None, MEANS * np.nan, 1), "not finite"),
        (lambda: openmmscore.GaussianMixtureProposal(None, MEANS, 1, "centered"), "frame must be"),
        (lambda: flow().logDensity(np.zeros((3, 3, 3))), r"shape \[n,2,3\], got \[3, 3, 3\]"),
        (lambda: flow().sample(-1), "n must be an integer of at least 0"),
        (lambda: flow().sample(1, seed=-1), "seed must be an integer of at least 0"),
        (lambda: flow().sample(1.5), "n must be an integer"),
        (lambda: openmmscore.loadProposal("/nowhere.safetensors"), "nowhere.safetensors"),
    ],
)
def test_whatIsWrongIsSaid(call, message):
    with pytest.raises(openmm.OpenMMException, match=message) as error:
        call()
    assert not str(error.value).endswith(".")


def test_modelsAreNoProposalsAndTheReverse(vectorPath, tmp_path):
    with pytest.raises(openmm.OpenMMException, match="is a model with an energy or score, not a proposal"):
        openmmscore.loadProposal(vectorPath)
    flow().save(tmp_path / "flow.safetensors")
    with pytest.raises(openmm.OpenMMException, match="flow.safetensors"):
        openmmscore.Model(tmp_path / "flow.safetensors")


def test_filesAreThoseOfTheFormat(tmp_path):
    flow("centred").save(tmp_path / "flow.safetensors")
    document, tensors = modelfile.read(tmp_path / "flow.safetensors")
    assert document == {
        "kind": "proposal",
        "format_version": 1,
        "family": "affine-coupling",
        "count": 2,
        "frame": "centred",
        "settings": {"hidden": [4, 4, 4]},
        "provenance": {},
    }
    assert tensors["layers.1.hidden.weight"].shape == (4, 1) and tensors["location"].dtype == np.float64


@pytest.mark.parametrize(
    "covariance, frame",
    [
        ("isotropic", "absolute"),
        ("diagonal", "absolute"),
        ("full", "absolute"),
        ("isotropic", "centred"),
        ("full", "centred"),
    ],
)
def test_fitFindsTheMixtureThatSamplesAreFrom(covariance, frame):
    means = np.array([[[0.0, 0, 0], [1, 0, 0]], [[0.0, 0, 0], [0, 2, 0]]])
    truth = openmmscore.GaussianMixtureProposal([0.25, 0.75], means, [0.01, 0.04], frame)
    n = 4000
    x, logDensity = truth.sample(n, seed=1)
    fitted = openmmscore.GaussianMixtureProposal.fit(x, 2, seed=4, covariance=covariance, frame=frame)
    y, fresh = truth.sample(n, seed=2)
    # 2 n KL has a chi-square distribution with as many degrees as there are parameters, 55 at most here.
    divergence = (fresh - fitted.logDensity(y)).mean()
    assert abs(divergence) < 5 * np.std(fresh - fitted.logDensity(y)) / np.sqrt(n) + 55 / (2 * n)
    assert divergence < 0.02


def test_fitRefusesWhatItCannotFit():
    x = np.zeros((5, 2, 3))
    with pytest.raises(openmm.OpenMMException, match="all positions to fit are equal"):
        openmmscore.GaussianMixtureProposal.fit(x)
    with pytest.raises(openmm.OpenMMException, match="numComponents must be from 1 to 4"):
        openmmscore.GaussianMixtureProposal.fit(x, 5)
    with pytest.raises(openmm.OpenMMException, match="covariance must be one of isotropic, full"):
        openmmscore.GaussianMixtureProposal.fit(x, 1, covariance="diagonal", frame="centred")
