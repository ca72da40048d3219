"""Continuous flows as Python sees them, and reweighted to densities that are known."""

import pickle
from pathlib import Path

import numpy as np
import openmm
import openmmscore
import proposal_properties as properties
import pytest
from openmm import unit
from openmmscore.sampling import ContinuousFlowProposal, Weights, optimalPairing
from scipy.optimize import linear_sum_assignment

DATA = Path(__file__).resolve().parent.parent / "data" / "sampling"


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


def circularFlow(**options):
    """Four numbers, of which the second and the fourth are angles with two waves each."""
    weights = network(4 + 2 * 3)
    weights["layers.2.weight"], weights["layers.2.bias"] = (
        weights["layers.2.weight"][:4],
        weights["layers.2.bias"][:4],
    )
    return weights, ContinuousFlowProposal(
        weights,
        np.full(4, 0.1),
        [0.2, 1, 0.2, 1],
        "vector",
        circular=[1, 3],
        angleFrequencies=2,
        **options,
    )


def test_anglesAreSeenAsWaves():
    weights, proposal = circularFlow(**TIGHT)
    u = np.random.default_rng(1).normal(size=(5, 4))
    velocity, _ = proposal.velocity(u, 0.3)
    for row, found in zip(u, velocity, strict=True):
        waves = [[f(k * row[i]) for k in (1, 2) for f in (np.cos, np.sin)] for i in (1, 3)]
        inputs = np.concatenate([row[:1], waves[0], row[2:3], waves[1]])
        np.testing.assert_allclose(found, numpyVelocity(weights, inputs, 0.3), rtol=1e-13, atol=1e-13)
    x, logDensity = proposal.sample(20, seed=1)
    assert np.all(np.abs(x[:, [1, 3]]) <= np.pi)
    np.testing.assert_allclose(proposal.logDensity(x + [0, 2 * np.pi, 0, -4 * np.pi]), logDensity, atol=1e-7)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(proposal)).sample(20, seed=1)[0], x)
    assert proposal.hasGradient
    properties.checkGradient(proposal)


def test_internalCoordinatesCarryTheirVolume():
    coordinates = openmmscore.InternalCoordinates([(0, 1), (1, 2), (2, 3)])
    settings = {**coordinates.flowSettings(chain()), "centres": [None]}
    location, scale = [-2, -2, -2, 0.3, 0.3, 0], [0.1, 0.1, 0.1, 0.2, 0.2, 1]
    weights = network(6 + 1, seed=4)
    weights["layers.2.weight"], weights["layers.2.bias"] = (
        weights["layers.2.weight"][:6],
        weights["layers.2.bias"][:6],
    )
    proposal = ContinuousFlowProposal(
        weights, location, scale, "centred", angleFrequencies=1, coordinates=settings, **TIGHT
    )
    x, logDensity = proposal.sample(30, seed=2)
    np.testing.assert_allclose(proposal.logDensity(x), logDensity, atol=1e-6)
    # Turned and mirrored molecules: orientations do not matter, the hand does.
    turn = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    np.testing.assert_allclose(proposal.logDensity(x @ turn.T), logDensity, atol=1e-6)
    assert np.abs(proposal.logDensity(-x) - logDensity).max() > 1e-2
    u, _ = proposal.toBase(x)
    assert u.shape == (30, 6)
    assert proposal.velocity(u, 0.5)[0].shape == (30, 6)
    assert proposal.hasGradient
    properties.checkGradient(proposal)


def chain():
    """Four bonded particles in frames with any torsion."""
    random = np.random.default_rng(3)
    straight = np.array([[0, 0, 0], [0.1, 0.1, 0], [0.2, 0, 0], [0.3, 0.1, 0]])
    return straight + 0.05 * random.normal(size=(50, 4, 3))


TIGHT = {"absoluteTolerance": 1e-11, "relativeTolerance": 1e-11}


@pytest.mark.parametrize("frame", ["absolute", "centred", "vector"])
def test_flowsKeepThePromisesOfProposals(tmp_path, frame):
    proposal = flow(frame, 3, **TIGHT)
    properties.checkSamples(proposal)
    properties.checkCopies(proposal, tmp_path / "flow.safetensors")
    properties.checkNotFinite(proposal)
    properties.checkRoundTrip(proposal)
    properties.checkGradient(proposal)
    properties.checkDamagedFiles(proposal, tmp_path)
    if frame != "centred":
        properties.checkLogDeterminant(proposal)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_densityIntegratesToOne(d):
    proposal = flow("vector", d, absoluteTolerance=1e-5, relativeTolerance=1e-5)
    x, _ = proposal.sample(2000)
    margin = 0.3 * np.ptp(x, axis=0)
    bounds = list(zip(x.min(axis=0) - margin, x.max(axis=0) + margin, strict=True))
    properties.checkIntegral(proposal, bounds, panels=[20, 10, 6][d - 1])


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


def test_pairingIsSciPys():
    random = np.random.default_rng(6)
    x0, x1 = random.normal(size=(2, 60, 3))
    costs = ((x0[:, None] - x1) ** 2).sum(axis=2)
    np.testing.assert_array_equal(optimalPairing(x0, x1), linear_sum_assignment(costs)[1])
    assert optimalPairing(np.empty((0, 3)), np.empty((0, 3))).shape == (0,)
    with pytest.raises(openmm.OpenMMException, match=r"the same shape \[n,d\], got \[60, 3\] and \[59, 3\]"):
        optimalPairing(x0, x1[1:])
    with pytest.raises(openmm.OpenMMException, match="not finite"):
        optimalPairing(x0, x1 * np.nan)


def test_lengthsMayHaveUnits():
    angstrom = ContinuousFlowProposal(
        network(6), np.full(6, 1.0) * unit.angstrom, np.full(6, 2.0) * unit.angstrom
    )
    x, logDensity = flow().sample(3)
    np.testing.assert_allclose(angstrom.logDensity(10 * x * unit.angstrom), logDensity, atol=1e-4)


def weighted(name, energy, n=20000):
    flow = openmmscore.loadProposal(DATA / name)
    x, logDensity = flow.sample(n, seed=3)
    weights = Weights.fromEnergies(energy(x), logDensity)
    assert weights.effectiveSampleSize() > 0.8 * n
    return x, weights


def expect(estimate, exact):
    assert estimate.error > 0 and abs(estimate.value - exact) < 5 * estimate.error


def test_trainedFlowGivesTheExactModesOfAMixture():
    means = np.array([[-2, -2], [2, -1.5], [-1.5, 2], [2, 2]])
    sigmas, shares = np.array([0.5, 0.7, 0.4, 0.6]), np.array([0.4, 0.3, 0.2, 0.1])

    def components(x):
        squares = ((x[:, None] - means) ** 2).sum(axis=2)
        return shares / (2 * np.pi * sigmas**2) * np.exp(-squares / (2 * sigmas**2))

    x, weights = weighted("mixture_flow.safetensors", lambda x: -np.log(components(x).sum(axis=1)))
    expect(weights.logNormalization(), 0)
    # The mean of a component's share of the density is its share of the mixture.
    ofComponents = components(x) / components(x).sum(axis=1, keepdims=True)
    for k in range(4):
        expect(weights.average(ofComponents[:, k]), shares[k])


def test_trainedFlowGivesTheExactDoubleWell():
    def energy(x):
        return 3 * (x[:, 0] ** 2 - 1) ** 2 + x[:, 0] / 2 + 4 * (x[:, 1] - x[:, 0] / 2) ** 2

    x, weights = weighted("double_well_flow.safetensors", energy)
    # The second coordinate is normal around half the first, so one integral is left.
    grid = np.linspace(-4, 4, 8001)
    boltzmann = np.exp(-3 * (grid**2 - 1) ** 2 - grid / 2)
    expect(weights.logNormalization(), np.log(boltzmann.sum() * 1e-3 * np.sqrt(np.pi / 4)))
    density = boltzmann / boltzmann.sum()
    expect(weights.average(x[:, 0] > 0), density[grid > 0].sum())
    expect(weights.average(x[:, 0]), (grid * density).sum())
    expect(weights.average(x[:, 1] ** 2), (grid**2 / 4 * density).sum() + 1 / 8)


VARIANCE = 0.015


def harmonic():
    """One particle in a well whose components have this variance in nm^2 at 300 K, and a flow near it."""
    system = openmm.System()
    system.addParticle(12.0)
    kT = (unit.MOLAR_GAS_CONSTANT_R * 300 * unit.kelvin).value_in_unit(unit.kilojoule_per_mole)
    field = openmm.CustomExternalForce(f"{kT / (2 * VARIANCE)}*(x^2+y^2+z^2)")
    field.addParticle(0)
    system.addForce(field)
    weights = {name: 0.4 * values for name, values in network(3).items()}
    return system, ContinuousFlowProposal(weights, np.zeros(3), np.full(3, 0.13))


def test_flowsAreReweightedForOpenMM():
    system, proposal = harmonic()
    target = openmmscore.BoltzmannTarget(system, 300, platform="Reference")
    samples = openmmscore.BoltzmannSampler(proposal, target).sample(4000, seed=2, progress=False)
    summary = samples.summary()
    assert 0.3 < summary.effectiveSampleSize / 4000 < 0.99
    expect(summary.logNormalization, 1.5 * np.log(2 * np.pi * VARIANCE))


def test_flowsMoveParticlesInASimulation():
    system, proposal = harmonic()
    move = openmmscore.MonteCarloFlowMove(proposal, 300, 1)
    move.addMolecule([0])
    move.setRandomNumberSeed(3)
    system.addForce(move)
    # Of no length, so that only the move moves.
    integrator = openmm.VerletIntegrator(1e-9)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
    context.setPositions([[0, 0, 0]])
    squares = []
    for _ in range(1500):
        integrator.step(1)
        x = context.getState(positions=True).getPositions(asNumpy=True)._value
        squares.append((x**2).mean())
    blocks = np.mean(np.reshape(squares, (30, 50)), axis=1)
    assert len(set(squares)) > 500
    assert abs(blocks.mean() - VARIANCE) < 5 * blocks.std() / np.sqrt(29)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: flow(solver="leapfrog"), "settings.solver.method: is 'leapfrog', expected one of"),
        (lambda: flow(absoluteTolerance=0), "settings.solver.absolute_tolerance"),
        (lambda: flow(solver="euler", numSteps=0), "the number of steps is 0"),
        (lambda: flow(trace="trace"), "settings.trace.method: is 'trace'"),
        (lambda: flow(activation="relu"), "settings.network.activation: is 'relu'"),
        (lambda: flow("somewhere"), "frame must be one of"),
        (lambda: flow(circular=[0]), "layers.0.weight must have 11 columns"),
        (lambda: flow(trace="hutchinson").logDensityGradient(np.zeros((1, 2, 3))), "gradient"),
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
