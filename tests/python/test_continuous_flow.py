"""Continuous flows as Python sees them, and reweighted to densities that are known."""

import pickle

import numpy as np
import openmm
import openmmscore
import pytest
from openmm import unit
from openmmscore.sampling import ContinuousFlowProposal


def network(d, hidden=(6, 5), frequencies=1, seed=2):
    random = np.random.default_rng(seed)
    widths = [d + 1 + 2 * frequencies, *hidden, d]
    weights = {}
    for index, (rows, columns) in enumerate(zip(widths[1:], widths, strict=False)):
        weights[f"layers.{index}.weight"] = random.normal(size=(rows, columns)) / np.sqrt(columns)
        weights[f"layers.{index}.bias"] = 0.3 * random.normal(size=rows)
    return weights


def flow(frame="absolute", count=2, **options):
    d = count if frame == "vector" else 3 * count - 3 * (frame == "centred")
    return ContinuousFlowProposal(network(d), np.full(d, 0.1), np.full(d, 0.2), frame, **options)


def numpyVelocity(weights, u, t, frequencies=1):
    """The network of docs/model-format.md."""
    waves = [f(k * np.pi * t) for k in range(1, frequencies + 1) for f in (np.cos, np.sin)]
    h = np.concatenate([u, [t], waves])
    numLayers = len(weights) // 2
    for k in range(numLayers):
        h = weights[f"layers.{k}.weight"] @ h + weights[f"layers.{k}.bias"]
        if k < numLayers - 1:
            h = h / (1 + np.exp(-h))
    return h


def test_velocityIsTheNetworks():
    random = np.random.default_rng(3)
    u, t = 40 * random.normal(size=(9, 4)), random.uniform(size=9)
    velocity, divergence = flow("vector", 4).velocity(u, t)
    expected = [numpyVelocity(network(4), *each) for each in zip(u, t, strict=True)]
    np.testing.assert_allclose(velocity, expected, rtol=1e-13, atol=1e-13)
    assert divergence.shape == (9,)
    one, _ = flow("vector", 4).velocity(u[:1], 0.5)
    np.testing.assert_allclose(one[0], numpyVelocity(network(4), u[0], 0.5), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("frame", ["absolute", "centred", "vector"])
def test_filesAndPicklesGiveAnEqualFlow(tmp_path, frame):
    proposal = flow(frame)
    proposal.save(tmp_path / "flow.safetensors")
    for again in (
        openmmscore.loadProposal(tmp_path / "flow.safetensors"),
        pickle.loads(pickle.dumps(proposal)),
    ):
        assert type(again) is ContinuousFlowProposal and repr(again) == repr(proposal)
        assert "continuous-flow" in repr(again) and not again.hasGradient
        for mine, its in zip(proposal.sample(5, 1, 2), again.sample(5, 1, 2), strict=True):
            np.testing.assert_array_equal(mine, its)


def test_samplesDoNotDependOnPieces():
    proposal = flow("centred", 3)
    x, logDensity = proposal.sample(20, seed=5)
    part, partDensity = proposal.sample(3, seed=5, first=8)
    np.testing.assert_array_equal(x[8:11], part)
    np.testing.assert_array_equal(logDensity[8:11], partDensity)
    np.testing.assert_allclose(proposal.logDensity(x), logDensity, atol=1e-4)
    np.testing.assert_array_equal(proposal.logDensity(x)[4:6], proposal.logDensity(x[4:6]))


def test_solversAgreeToTheirTolerances():
    proposal = flow("absolute")
    x, reference = proposal.withSolver(absoluteTolerance=1e-11, relativeTolerance=1e-11).sample(20)
    for solver, tolerance in [
        ({"absoluteTolerance": 1e-4, "relativeTolerance": 1e-4}, 1e-2),
        ({"solver": "runge-kutta-4", "numSteps": 40}, 1e-5),
        ({"solver": "euler", "numSteps": 1000}, 1e-2),
    ]:
        y, logDensity = proposal.withSolver(**solver).sample(20)
        np.testing.assert_allclose(y, x, atol=tolerance)
        np.testing.assert_allclose(logDensity, reference, atol=tolerance)
        assert np.abs(logDensity - reference).max() > 0


def test_noisyDensitiesAreNoWeightsUnlessAskedFor():
    proposal = flow("vector", 5)
    noisy = proposal.withTrace("hutchinson", numProbes=8)
    x, logDensity = proposal.sample(200)
    for call in (lambda: noisy.sample(1), lambda: noisy.logDensity(x)):
        with pytest.raises(
            openmm.OpenMMException, match="Hutchinson's estimate, so its densities have noise"
        ):
            call()
    estimate, variance = noisy.estimateLogDensity(x)
    assert (variance > 0).all()
    assert abs(((estimate - logDensity) ** 2).mean() / variance.mean() - 1) < 0.5
    asked = proposal.withTrace("hutchinson", numProbes=8, allowNoisyWeights=True)
    np.testing.assert_array_equal(asked.logDensity(x), estimate)
    with pytest.raises(openmm.OpenMMException, match="there is only one; choose two or more"):
        proposal.withTrace("hutchinson").estimateLogDensity(x)
    assert (proposal.estimateLogDensity(x)[1] == 0).all()


def test_lengthsMayHaveUnits():
    angstrom = ContinuousFlowProposal(
        network(6), np.full(6, 1.0) * unit.angstrom, np.full(6, 2.0) * unit.angstrom
    )
    x, logDensity = flow().sample(3)
    np.testing.assert_allclose(angstrom.logDensity(10 * x * unit.angstrom), logDensity, atol=1e-4)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: flow(solver="leapfrog"), "settings.solver.method: is 'leapfrog', expected one of"),
        (lambda: flow(absoluteTolerance=0), "settings.solver.absolute_tolerance"),
        (lambda: flow(solver="euler", numSteps=0), "the number of steps is 0"),
        (lambda: flow(trace="trace"), "settings.trace.method: is 'trace'"),
        (lambda: flow(activation="relu"), "settings.network.activation: is 'relu'"),
        (lambda: flow("somewhere"), "frame must be one of"),
        (lambda: ContinuousFlowProposal({}, [0.0] * 3, [1.0] * 3), r"layers.0.weight must have 3 columns"),
        (lambda: ContinuousFlowProposal(network(3), [0.0] * 6, [1.0] * 6), "layers.0.weight must have 6 col"),
        (lambda: ContinuousFlowProposal(network(3), [0.0] * 3, [0.0] * 3), "a scale is 0.0+, expected a pos"),
        (lambda: flow().velocity(np.zeros((2, 5)), 0), r"u must have the shape \[n,6\], got \[2, 5\]"),
        (
            lambda: flow().velocity(np.zeros((2, 6)), [0, 0, 0]),
            r"t must be one number or have the shape \[2\]",
        ),
    ],
)
def test_whatIsWrongIsSaid(call, message):
    with pytest.raises(openmm.OpenMMException, match=message) as error:
        call()
    assert not str(error.value).endswith(".")
