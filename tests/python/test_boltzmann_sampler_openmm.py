"""Proposals and OpenMM Systems put together, where the answer is known."""

import pathlib

import numpy as np
import openmm
import pytest
from openmm import app, unit
from openmmscore import BoltzmannSampler, BoltzmannTarget, GaussianMixtureProposal
from openmmscore.sampling import Chirality
from safetensors import safe_open

DATA = pathlib.Path(__file__).parent.parent / "data" / "prose"
T = 300.0
KT = 8.31446261815324e-3 * T
LN_2PI = np.log(2 * np.pi)


def externalSystem(energy, numParticles=1, bonds=()):
    """Particles in an external field, in kJ/mol, bonded by springs (particle, particle, constant)."""
    system = openmm.System()
    field = openmm.CustomExternalForce(energy)
    springs = openmm.HarmonicBondForce()
    for i in range(numParticles):
        system.addParticle(12.0)
        field.addParticle(i)
    for a, b, constant in bonds:
        springs.addBond(a, b, 0.0, constant)
    system.addForce(field)
    system.addForce(springs)
    return system


def harmonicTarget(temperature=T, **options):
    """Two particles, each in a well of variance 0.01 nm^2 at 300 K."""
    return BoltzmannTarget(
        externalSystem(f"{KT / 0.01 / 2}*(x^2+y^2+z^2)", 2), temperature, platform="Reference", **options
    )


def normal(variance, numParticles=2, mean=0.0, frame="absolute"):
    return GaussianMixtureProposal([1.0], np.full((1, numParticles, 3), mean), [variance], frame)


def draw(proposal, target, n=2000, seed=4, **options):
    return BoltzmannSampler(proposal, target, **options).sample(n, seed=seed, progress=False)


def assertWithin(found, exact, largestError):
    value, error = found
    assert 0 < error < largestError and abs(value - exact) < 5 * error


def test_perfectProposalHasEqualWeights():
    samples = draw(normal(0.01), harmonicTarget())
    summary = samples.summary()
    assert summary.effectiveSampleSize == pytest.approx(2000, rel=1e-9)
    assert summary.logNormalization.value == pytest.approx(3 * (LN_2PI + np.log(0.01)), abs=1e-9)


def test_imperfectProposalFindsTheSame():
    samples = draw(normal(0.013, mean=0.02), harmonicTarget())
    assertWithin(samples.weights.logNormalization(), 3 * (LN_2PI + np.log(0.01)), 0.05)
    assertWithin(samples.average(lambda x: (x**2).sum(axis=(1, 2))), 0.06, 0.003)
    # Twice the temperature, twice the variance; from stored energies and from the System.
    hot = samples.reweight(temperature=2 * T)
    assertWithin(samples.freeEnergyDifference(hot), -3 * np.log(2), 0.2)
    again = samples.reweight(harmonicTarget(2 * T * unit.kelvin))
    np.testing.assert_allclose(again.logWeight, hot.logWeight, rtol=1e-12)


def test_wrongTemperatureIsSeen():
    # The tests above would notice a temperature that is off by a twentieth.
    value, error = draw(normal(0.013, mean=0.02), harmonicTarget(1.05 * T)).weights.logNormalization()
    assert abs(value - 3 * (LN_2PI + np.log(0.01))) > 5 * error


def test_doubleWellAgreesWithQuadrature():
    system = externalSystem(f"{KT}*(5*(u^2-1)^2 + 0.7*u) + {KT / 0.01 / 2}*(y^2+z^2); u=x/0.1")
    proposal = GaussianMixtureProposal([0.5, 0.5], [[[-0.1, 0, 0]], [[0.1, 0, 0]]], [0.01, 0.01])
    samples = draw(proposal, BoltzmannTarget(system, T), n=8000)
    u, step = np.linspace(-3, 3, 6001, retstep=True)
    density = np.exp(-5 * (u**2 - 1) ** 2 - 0.7 * u)
    z = density.sum() * step
    assertWithin(samples.weights.logNormalization(), np.log(z * 0.1) + LN_2PI + np.log(0.01), 0.05)
    right = density[u > 0].sum() * step / z
    assertWithin(samples.average(lambda x: x[:, 0, 0] > 0), right, 0.05)
    x = samples.positions[:, 0, 0]
    assertWithin(samples.weights.freeEnergyDifference(x < 0, x > 0), np.log((1 - right) / right), 0.2)


@pytest.fixture(scope="module")
def freeMolecule():
    """Three particles bound to each other and to nothing else; normal in the frame of the centroid."""
    spring = KT / 0.01
    system = externalSystem("0", 3, [(0, 1, spring), (1, 2, spring), (0, 2, spring)])
    # U/kT = 50 * 3 * sum |x - c|^2: the variance of x - c is 1/300 in each of its 6 directions.
    return BoltzmannTarget(system, T, platform="Reference"), 1 / 300


def test_freeMoleculesNeedACentreOfMass(freeMolecule):
    target, variance = freeMolecule
    logZ = 3 * (LN_2PI + np.log(variance))
    absolute = draw(normal(variance, 3), target, centreOfMass=np.sqrt(variance / 3))
    assert absolute.summary().effectiveSampleSize == pytest.approx(2000, rel=1e-9)
    assert absolute.summary().logNormalization.value == pytest.approx(logZ + 1.5 * np.log(3), abs=1e-9)
    # A proposal of centred configurations has three dimensions fewer.
    centred = draw(normal(variance, 3, frame="centred"), target)
    assert centred.summary().effectiveSampleSize == pytest.approx(2000, rel=1e-9)
    assert centred.summary().logNormalization.value == pytest.approx(logZ, abs=1e-9)
    with pytest.raises(openmm.OpenMMException, match="centreOfMass is for proposals of absolute positions"):
        BoltzmannSampler(normal(variance, 3, frame="centred"), target, centreOfMass=0.1)


def test_energiesThatAreNotFiniteCount():
    # sqrt of a negative number: half of all samples, whose part of space the target does not have.
    system = externalSystem(f"1e-9*sqrt(x) + {KT / 0.01 / 2}*(x^2+y^2+z^2)")
    samples = draw(normal(0.012, 1), BoltzmannTarget(system, T))
    negative = samples.positions[:, 0, 0] < 0
    assert samples.counts == {"ok": (~negative).sum(), "energy not finite": negative.sum()}
    assertWithin(samples.weights.logNormalization(), 1.5 * (LN_2PI + np.log(0.01)) - np.log(2), 0.1)
    assertWithin(samples.average(lambda x: x[:, 0, 0]), np.sqrt(2 / np.pi) * 0.1, 0.005)


@pytest.mark.parametrize("numContexts", [2, 8])
def test_contextsDoNotChangeABit(numContexts, tmp_path):
    parts = normal(0.013), harmonicTarget(numContexts=1)
    one = BoltzmannSampler(*parts, chunkSize=100).sample(
        500, seed=1, progress=False, output=tmp_path / "samples.nc"
    )
    many = draw(normal(0.013), harmonicTarget(numContexts=numContexts), n=700, seed=1, chunkSize=333)
    np.testing.assert_array_equal(one.logWeight, many.logWeight[:500])
    # A file that was begun with one Context is continued with several.
    more = BoltzmannSampler(normal(0.013), harmonicTarget(numContexts=numContexts)).sample(
        700, progress=False, output=tmp_path / "samples.nc", resume=True
    )
    np.testing.assert_array_equal(more.logWeight, many.logWeight)


def test_workersComputeTheSameBits():
    distributed = pytest.importorskip("distributed")
    here = draw(normal(0.013), harmonicTarget(numContexts=1), n=600, seed=1)
    with (
        distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
        distributed.Client(cluster) as client,
    ):
        sampler = BoltzmannSampler(normal(0.013), harmonicTarget(numContexts=1), chunkSize=50)
        there = sampler.sample(600, seed=1, client=client, progress=False)
    np.testing.assert_array_equal(there.positions, here.positions)
    np.testing.assert_array_equal(there.logWeight, here.logWeight)


def test_systemsOfOtherSizesAreRefused():
    with pytest.raises(openmm.OpenMMException, match="the proposal has 3 particles, the target's System 2"):
        BoltzmannSampler(normal(0.01, 3), harmonicTarget())


def test_targetsOfAFileAreKnown(tmp_path):
    path = tmp_path / "samples.nc"
    BoltzmannSampler(normal(0.013), harmonicTarget()).sample(10, seed=1, progress=False, output=path)
    for target, sentence in (
        (harmonicTarget(310), "temperature = 300.0, not 310"),
        (BoltzmannTarget(harmonicTarget().system, T, platform="CPU"), "platform = 'Reference', not 'CPU'"),
        (BoltzmannTarget(externalSystem("x", 2), T, platform="Reference"), "targetHash"),
    ):
        with pytest.raises(openmm.OpenMMException, match=f"cannot be continued.*{sentence}"):
            BoltzmannSampler(normal(0.013), target).sample(20, progress=False, output=path, resume=True)


def test_handsOfAPeptide():
    # Both mirror images of a structure, equally often: half of the samples are of the wrong hand.
    topology = app.PDBFile(str(DATA / "pdb" / "ace-ala-nme.pdb")).topology
    with safe_open(DATA / "chirality" / "ace-ala-nme.safetensors", "np") as file:
        structure = file.get_tensor("reference_nm.f32").astype(float)
    structure -= structure.mean(axis=0)
    system = app.ForceField("amber14-all.xml").createSystem(topology)
    chirality = Chirality(topology, structure)
    proposal = GaussianMixtureProposal(None, [structure, -structure], 0.001**2)
    options = {"n": 300, "chirality": chirality, "centreOfMass": 0.001 / np.sqrt(len(structure))}
    target = BoltzmannTarget(system, T)

    rejecting = draw(proposal, target, **options)
    right = rejecting.status == 0
    np.testing.assert_array_equal(chirality.check(rejecting.positions), right)
    assert 100 < right.sum() < 200 and rejecting.counts["wrong chirality"] == 300 - right.sum()

    mirroring = draw(proposal, target, chiralityPolicy="mirror", **options)
    assert chirality.check(mirroring.positions).all()
    assert mirroring.counts == {"ok": right.sum(), "ok, mirrored": 300 - right.sum()}
    # Here q(x) + q(-x) = 2 q(x).
    np.testing.assert_allclose(
        mirroring.logWeight[right], rejecting.logWeight[right] - np.log(2), rtol=0, atol=1e-9
    )
