"""Diffusion models as proposals, as Python sees them; what their numbers must satisfy is tested in C++."""

import pickle
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import openmm
import openmmscore
import proposal_properties as properties
import pytest
from conftest import document, expert, writeModel
from openmmscore import DiffusionDensity, DiffusionProposal, MonteCarloFlowMove, loadProposal
from sampling_targets import AnalyticTarget

MODELS = Path(__file__).parents[2] / "examples" / "models"
MUELLER_BROWN = MODELS / "mueller_brown.safetensors"


@pytest.fixture(scope="module")
def mueller():
    return DiffusionProposal(MUELLER_BROWN, steps=60)


@pytest.fixture(params=["vector", "absolute", "centred", "score"])
def small(request, folder, particlePath, vectorPath):
    """Small proposals of each kind; those in three dimensions with a score head. Random networks are no
    diffusion's, so the way is short."""
    if request.param == "vector":
        return DiffusionProposal(vectorPath, steps=8, time=0.9)
    if request.param == "centred":
        return DiffusionProposal(particlePath, steps=6, time=0.9)
    experts = [expert("mlp", head="score")]
    path = writeModel(folder / "three.safetensors", document("vector", experts, count=3, named=False))
    frame = "absolute" if request.param == "absolute" else None
    return DiffusionProposal(path, steps=8, time=0.9, frame=frame)


def test_samplesAreThoseOfSeedAndNumber(small):
    properties.checkSamples(small, tolerance=0)


def test_filesAndPicklesGiveAnEqualProposal(small, tmp_path):
    properties.checkCopies(small, tmp_path / "proposal.safetensors")


def test_whatIsNotFiniteHasNoDensity(small):
    properties.checkNotFinite(small, tolerance=0)


def test_thereIsNoGradient(small):
    properties.checkGradient(small)


def test_wayToTheBaseAndBack(small):
    properties.checkRoundTrip(small, tolerance=0.03 if small.frame == "centred" else 1e-2)
    x, logDensity = small.sample(5)
    z, logDet = small.toBase(x)
    assert z.shape == (5, 12 if small.frame == "centred" else x[0].size)
    np.testing.assert_allclose(-0.5 * (z**2 + np.log(2 * np.pi)).sum(axis=1) + logDet, logDensity, atol=1e-9)


def test_logDeterminantIsThatOfTheJacobian(vectorPath):
    proposal = DiffusionProposal(vectorPath, steps=100, time=0.9, double=True)
    properties.checkLogDeterminant(proposal, tolerance=1e-6)


def test_damagedFilesAreRefused(small, tmp_path):
    properties.checkDamagedFiles(small, tmp_path)


def grid(n=60):
    x, y = np.meshgrid(np.linspace(-2.2, 1.7, n), np.linspace(-1, 2.5, n), indexing="ij")
    return np.stack([x.ravel(), y.ravel()], axis=1), (x[1, 0] - x[0, 0]) * (y[0, 1] - y[0, 0])


@pytest.mark.parametrize("name", ["", "_mixture", "_both", "_fokker_planck"])
def test_densitiesOfTheShippedModelsIntegrateToOne(name):
    proposal = DiffusionProposal(MODELS / f"mueller_brown{name}.safetensors", steps=50)
    points, cell = grid()
    assert proposal.frame == "vector" and proposal.numCoordinates == 2
    assert np.exp(proposal.logDensity(points)).sum() * cell == pytest.approx(1, abs=5e-3)


def test_densityIsThatOfDiffusionDensity(mueller):
    positions, _ = DiffusionDensity(MUELLER_BROWN, steps=60).sample(20, seed=3)
    expected = DiffusionDensity(MUELLER_BROWN, steps=60).logDensity(positions)
    np.testing.assert_array_equal(mueller.logDensity(positions._value[:, 0, :2]), expected)


@pytest.mark.parametrize("name, steps, tolerance", [("mueller_brown", 40, 1e-5), ("triangle", 15, 1e-4)])
def test_engineOfDoublePrecisionAgrees(name, steps, tolerance):
    """Perceptrons are differentiated in both; of graph transformers both take differences."""
    path = MODELS / f"{name}.safetensors"
    x, logDensity = DiffusionProposal(path, steps=steps).sample(4, seed=2)
    double = DiffusionProposal(path, steps=steps, double=True)
    np.testing.assert_allclose(double.logDensity(x), logDensity, atol=tolerance)
    np.testing.assert_allclose(double.sample(4, seed=2)[0], x, atol=1e-4)


def test_samplesAndDensityAgreeInHistograms(mueller):
    x, _ = mueller.sample(2000, seed=1)
    edges = np.array([-2.2, -0.9, 0.0, 1.7])
    points, cell = grid(70)
    density = np.exp(mueller.logDensity(points)) * cell
    for low, high in zip(edges, edges[1:], strict=False):
        share = density[(points[:, 0] >= low) & (points[:, 0] < high)].sum()
        found = np.mean((x[:, 0] >= low) & (x[:, 0] < high))
        # The grid's edges are up to half a cell off.
        assert found == pytest.approx(share, abs=5 * np.sqrt(share * (1 - share) / len(x)) + 0.02)


def test_samplesAreAFunctionOfSeedAndNumber(mueller):
    x, logDensity = mueller.sample(300, seed=5)
    np.testing.assert_array_equal(mueller.logDensity(x), logDensity)
    piece, pieceDensity = DiffusionProposal(MUELLER_BROWN, steps=60, threads=1).sample(7, seed=5, first=200)
    np.testing.assert_array_equal(piece, x[200:207])
    np.testing.assert_array_equal(pieceDensity, logDensity[200:207])
    assert not np.array_equal(mueller.sample(7, seed=6, first=200)[0], piece)
    assert mueller.sample(0)[0].shape == (0, 2)


def test_filesAndPicklesAreThatProposal(mueller, tmp_path):
    mueller.save(tmp_path / "proposal.safetensors")
    for copy in (loadProposal(tmp_path / "proposal.safetensors"), pickle.loads(pickle.dumps(mueller))):
        assert isinstance(copy, DiffusionProposal) and copy.encode() == mueller.encode()
        np.testing.assert_array_equal(copy.sample(3, seed=1)[0], mueller.sample(3, seed=1)[0])
    assert repr(mueller) == "<openmmscore.Proposal diffusion: 2 dimensions>"
    assert not mueller.hasGradient and mueller.family == "diffusion"
    with pytest.raises(openmm.OpenMMException, match="has no gradient"):
        mueller.logDensityGradient(np.zeros((1, 2)))
    with pytest.raises(openmm.OpenMMException, match="not a proposal; load it with Model"):
        loadProposal(MUELLER_BROWN)


def test_moleculesAndFeatures(transferablePath, particlePath):
    features = np.zeros((5, 2), dtype=int)
    proposal = DiffusionProposal(transferablePath, steps=2, features=features)
    x, logDensity = proposal.sample(3)
    assert proposal.frame == "centred" and x.shape == (3, 5, 3)
    assert repr(proposal) == "<openmmscore.Proposal diffusion: 5 particles, centred>"
    np.testing.assert_allclose(x.mean(axis=1), 0, atol=1e-15)
    features[2, 0] = 2
    other = DiffusionProposal(transferablePath, steps=2, features=features)
    assert not np.allclose(other.logDensity(x), logDensity)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(other)).logDensity(x), other.logDensity(x))
    with pytest.raises(openmm.OpenMMException, match="must be told residue, kind"):
        DiffusionProposal(transferablePath)
    with pytest.raises(openmm.OpenMMException, match="its frame is centred"):
        DiffusionProposal(particlePath, frame="vector")


@pytest.mark.parametrize(
    "arguments, text",
    [
        ({"steps": 0}, "steps must be an integer of at least 1, got 0"),
        ({"threads": 1.5}, "threads must be an integer"),
        ({"time": 1.0}, "expected an end between diffusion times 0 and 1"),
        ({"time": 2.0}, "diffusion time"),
        ({"frame": "absolute"}, "2 numbers are no positions of particles"),
        ({"frame": "round"}, "frame must be one of 'absolute', 'centred', 'vector'"),
    ],
)
def test_refusesBadArguments(vectorPath, arguments, text):
    with pytest.raises(openmm.OpenMMException, match=text):
        DiffusionProposal(vectorPath, **arguments)


def test_refusesAModelOfSmallTimesOnly(folder):
    path = writeModel(
        folder / "smallTimes.safetensors", document("vector", [expert("mlp", interval=(0.0, 0.1))])
    )
    with pytest.raises(openmm.OpenMMException, match="only answers up to 0.1"):
        DiffusionProposal(path)


class MuellerTarget(AnalyticTarget):
    """The model's own energy at kT = 1, cut off nowhere; its exact mean by quadrature."""

    settings = SimpleNamespace()

    def energiesAndForces(self, x):
        model = openmmscore.Model(MUELLER_BROWN)
        positions = np.zeros((len(x), 1, 3))
        positions[:, 0, :2] = x
        energy = model.potentialEnergy(positions) / model._kT
        return energy, None, np.zeros(len(x), dtype=np.int32)


def test_reweightingGivesTheTargetsMean(mueller):
    from openmmscore.sampling import Weights

    x, logDensity = mueller.sample(2000, seed=9)
    energy, _, status = MuellerTarget().energiesAndForces(x)
    weights = Weights(-energy - logDensity, status)
    points, cell = grid(100)
    mass = np.exp(-MuellerTarget().energiesAndForces(points)[0]) * cell
    found = weights.average(x[:, 0])
    assert abs(found[0] - (mass * points[:, 0]).sum() / mass.sum()) < 5 * found[1]
    logZ = weights.logNormalization()
    assert abs(logZ.value - np.log(mass.sum())) < 5 * logZ.error + 1e-3


def test_movesInsideASimulation():
    """The three particles of examples/reweight_diffusion.py, whose model leaves 87 % effective samples."""
    system = openmm.System()
    springs = openmm.HarmonicBondForce()
    for _ in range(3):
        system.addParticle(40.0)
    for bond in ((0, 1, 0.30, 1500.0), (1, 2, 0.35, 1000.0), (0, 2, 0.40, 800.0)):
        springs.addBond(*bond)
    system.addForce(springs)
    move = MonteCarloFlowMove(DiffusionProposal(MODELS / "triangle.safetensors", steps=12), 300.0, 1)
    move.addMolecule([0, 1, 2])
    move.setRandomNumberSeed(3)
    system.addForce(move)
    integrator = openmm.LangevinMiddleIntegrator(300.0, 1.0, 0.002)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
    context.setPositions([[0, 0, 0], [0.3, 0, 0], [0.1, 0.35, 0]])
    integrator.step(40)
    assert move.getNumAttempted(context) == 40 and move.getNumInvalid(context) == 0
    assert 0.6 < move.getNumAccepted(context) / 40 <= 1


def test_exampleAgreesWithQuadrature():
    example = MODELS.parent / "reweight_diffusion.py"
    result = subprocess.run(
        [sys.executable, str(example), "--samples", "300", "--steps", "20"],
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert result.returncode == 0, result.stderr + result.stdout
    rows = [line.split() for line in result.stdout.splitlines() if line.startswith(("r0", "r1", "log Z"))]
    deviations = [float(row[-1]) for row in rows]
    assert len(deviations) == 4 and np.abs(deviations).max() < 5
    effective = re.search(r"effective sample size +([\d.]+)", result.stdout)
    assert float(effective.group(1)) > 200


def test_ctrl_c_endsSampling(vectorPath, heedingInterrupts):
    timer = threading.Timer(0.3, signal.raise_signal, (signal.SIGINT,))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        DiffusionProposal(vectorPath, 3000, double=True, threads=1).sample(100_000)
    timer.join()
