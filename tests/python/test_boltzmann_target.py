"""BoltzmannTarget: the same energies whatever computes them."""

import os
import pickle
import threading
import time

import numpy as np
import openmm
import pytest
from openmm import app, unit
from openmmscore import BoltzmannTarget, FrameStatus, Model, ScoreForce
from target_systems import KT, bareLoop, broken, fluid, noisy, wells


@pytest.mark.parametrize("platform, tolerance", [("Reference", 0.0), ("CPU", 1e-5)])
def test_energiesAndForcesAreThoseOfAContext(dipeptide, platform, tolerance):
    system, structure = dipeptide
    frames = noisy(structure, 20, 0.003)
    energies, forces = bareLoop(system, frames)
    result = BoltzmannTarget(system, 300, 2, platform).evaluate(frames, forces=True)
    np.testing.assert_allclose(result.reducedEnergies * KT, energies, rtol=tolerance + 1e-15)
    np.testing.assert_allclose(result.forces * KT, forces, rtol=1e-13, atol=tolerance * np.abs(forces).max())
    np.testing.assert_allclose(result.potentialEnergies._value, energies, rtol=tolerance + 1e-15)
    assert result.ok.all()


@pytest.mark.parametrize("platform", ["Reference", "CPU"])
@pytest.mark.parametrize("method", ["peptide", "CutoffNonPeriodic", "CutoffPeriodic", "PME"])
def test_bitsDependOnTheFrameAlone(dipeptide, platform, method):
    if method == "peptide":
        system, structure = dipeptide
    else:
        system, structure = fluid(getattr(openmm.NonbondedForce, method))
    # Displacements about as large as what a padded neighbour list allows for, and some far beyond.
    frames = noisy(structure, 48, 0.03)
    if method != "peptide":
        frames[::5] = frames[::5, np.random.default_rng(2).permutation(len(structure))]
    first = BoltzmannTarget(system, 300, 1, platform).evaluate(frames, forces=True)
    for contexts in (2, 8):
        target = BoltzmannTarget(system, 300, contexts, platform)
        for order in (np.arange(48), np.arange(48)[::-1], np.random.default_rng(4).permutation(48)):
            pieces = [target.evaluate(frames[part], forces=True) for part in np.array_split(order, 7)]
            energies = np.concatenate([piece.reducedEnergies for piece in pieces])
            forces = np.concatenate([piece.forces for piece in pieces])
            assert np.array_equal(energies, first.reducedEnergies[order])
            assert np.array_equal(forces, first.forces[order])
            assert np.array_equal(target.reducedEnergies(frames[order]), energies)


def test_globalParametersGoWithTheirFrame():
    target = BoltzmannTarget(wells(), 300, 3)
    frames = noisy(np.zeros((3, 3)), 50, 1.0)
    half = 0.5 * (frames**2).sum(axis=(1, 2))
    k = np.random.default_rng(7).uniform(0.5, 2.0, 50)
    np.testing.assert_allclose(target.reducedEnergies(frames, parameters={"k": k}), k * half / KT, rtol=1e-13)
    np.testing.assert_allclose(target.reducedEnergies(frames, parameters={"k": 3}), 3 * half / KT, rtol=1e-13)
    # What a call sets ends with it.
    np.testing.assert_allclose(target.reducedEnergies(frames), half / KT, rtol=1e-13)
    assert target.parameters == {"k": 1.0}
    with pytest.raises(openmm.OpenMMException, match='no global parameter "lambda"; it has k'):
        target.evaluate(frames, parameters={"lambda": 1.0})
    with pytest.raises(openmm.OpenMMException, match='"k" is not finite'):
        target.evaluate(frames, parameters={"k": np.where(k > 1, k, np.nan)})


def test_temperaturesGoWithTheirFrame():
    target = BoltzmannTarget(wells(), 300 * unit.kelvin)
    frames = noisy(np.zeros((3, 3)), 6, 1.0)
    ladder = np.geomspace(300, 600, 6)
    result = target.evaluate(frames, temperature=ladder * unit.kelvin, forces=True)
    plain = target.evaluate(frames, forces=True)
    np.testing.assert_allclose(result.reducedEnergies, plain.reducedEnergies * 300 / ladder, rtol=1e-13)
    np.testing.assert_allclose(result.forces, plain.forces * (300 / ladder)[:, None, None], rtol=1e-13)
    np.testing.assert_allclose(
        result.potentialEnergies._value, 0.5 * (frames**2).sum(axis=(1, 2)), rtol=1e-13
    )
    for wrong in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(openmm.OpenMMException, match="temperature must be positive"):
            target.evaluate(frames, temperature=wrong)


def test_boxVectorsGoWithTheirFrame():
    system, lattice = fluid()
    frames = noisy(lattice, 6, 0.01)
    boxes = np.array([np.eye(3) * edge for edge in (1.8, 1.9, 2.0, 2.5, 1.75, 1.81)])
    boxes[3, 2, 0] = 0.3
    energies, _ = bareLoop(system, frames, boxes=boxes)
    target = BoltzmannTarget(system, 300, 2, "Reference")
    np.testing.assert_allclose(target.reducedEnergies(frames, boxVectors=boxes) * KT, energies, rtol=1e-14)
    plain, _ = bareLoop(system, frames)
    np.testing.assert_allclose(target.reducedEnergies(frames) * KT, plain, rtol=1e-14)
    # Smaller than twice the cutoff, not in reduced form, not finite.
    wrong = boxes.copy()
    wrong[0] *= 0.5
    wrong[1, 0, 1] = 0.4
    wrong[2, 2, 2] = np.nan
    result = target.evaluate(frames, boxVectors=wrong)
    error, position = FrameStatus.OpenMMError, FrameStatus.NonFinitePosition
    assert list(result.status) == [error, error, position, 0, 0, 0]
    np.testing.assert_allclose(result.reducedEnergies[3:] * KT, energies[3:], rtol=1e-14)
    np.testing.assert_allclose(target.reducedEnergies(frames) * KT, plain, rtol=1e-14)


def test_virtualSitesFollowTheirParents():
    pdb = app.Modeller(app.Topology(), [])
    field = app.ForceField("tip4pew.xml")
    pdb.addSolvent(field, model="tip4pew", numAdded=4)
    system = field.createSystem(pdb.topology, nonbondedMethod=app.NoCutoff, rigidWater=False)
    structure = np.array(pdb.positions.value_in_unit(unit.nanometer))
    frames = noisy(structure, 4, 0.004)
    sites = [i for i in range(system.getNumParticles()) if system.isVirtualSite(i)]
    target = BoltzmannTarget(system, 300, 2, "Reference")
    result = target.evaluate(frames, forces=True)
    moved = frames.copy()
    moved[:, sites] += 0.5
    assert np.array_equal(target.reducedEnergies(moved), result.reducedEnergies)
    assert (result.forces[:, sites] == 0).all()
    h = 1e-5
    for particle, axis in ((0, 0), (1, 1), (6, 2)):
        up, down = frames.copy(), frames.copy()
        up[:, particle, axis] += h
        down[:, particle, axis] -= h
        slope = (target.reducedEnergies(down) - target.reducedEnergies(up)) / (2 * h)
        np.testing.assert_allclose(result.forces[:, particle, axis], slope, rtol=1e-5, atol=1e-4)


def test_theSystemIsCopied(dipeptide):
    system = wells()
    target = BoltzmannTarget(system, 300)
    frames = noisy(np.zeros((3, 3)), 5, 1.0)
    before = target.reducedEnergies(frames)
    system.getForce(0).setGlobalParameterDefaultValue(0, 7.0)
    system.addParticle(1.0)
    del system
    assert np.array_equal(target.reducedEnergies(frames), before)
    copy = target.system
    assert copy.getNumParticles() == 3 and copy is not target.system


def test_constraintsAndBarostatsDoNothing():
    system, lattice = fluid()
    frames = noisy(lattice, 5, 0.02)
    plain = BoltzmannTarget(system, 300, 1, "Reference").reducedEnergies(frames)
    system.addConstraint(0, 1, 0.3)
    system.addForce(openmm.MonteCarloBarostat(1.0, 300))
    system.addForce(openmm.CMMotionRemover())
    assert np.array_equal(BoltzmannTarget(system, 300, 1, "Reference").reducedEnergies(frames), plain)


@pytest.mark.parametrize("platform, tolerance", [("Reference", 1e-12), ("CPU", 1e-5)])
def test_scoreForceIsOneForceOfTheSystem(particlePath, positions, platform, tolerance):
    model = Model(particlePath)
    system = openmm.System()
    for _ in range(5):
        system.addParticle(12.0)
    force = ScoreForce(model)
    force.addMolecule(range(5))
    system.addForce(force)
    frames = np.repeat(positions, 10, axis=0)
    frames[13, 2, 2] = np.nan
    target = BoltzmannTarget(system, 300, 4, platform)
    result = target.evaluate(frames, forces=True)
    good = np.delete(np.arange(70), 13)
    np.testing.assert_allclose(
        result.reducedEnergies[good] * KT, model.potentialEnergy(frames[good]), rtol=tolerance
    )
    np.testing.assert_allclose(
        result.forces[good] * KT, model.forces(frames[good]), rtol=tolerance, atol=100 * tolerance
    )
    assert result.counts["NonFinitePosition"] == 1


def test_shortFormsGiveTheSame():
    target = BoltzmannTarget(wells(), 300)
    frames = noisy(np.zeros((3, 3)), 4, 1.0)
    result = target.evaluate(frames, forces=True, parameters={"k": 2})
    energies, forces, status = target.energiesAndForces(frames, parameters={"k": 2})
    assert np.array_equal(energies, result.reducedEnergies) and np.array_equal(forces, result.forces)
    assert np.array_equal(status, result.status)
    assert np.array_equal(target.reducedEnergies(frames, parameters={"k": 2}), energies)
    assert "4 Ok" in repr(result) and "with forces" in repr(result)


def test_oneFrameAndNoneAndOtherTypes():
    target = BoltzmannTarget(wells(), 300)
    frames = noisy(np.zeros((3, 3)), 4, 1.0).astype(np.float32)
    expected = target.reducedEnergies(frames.astype(float))
    assert np.array_equal(target.reducedEnergies(frames), expected)
    assert np.array_equal(target.reducedEnergies(frames[2]), expected[2:3])
    assert np.array_equal(target.reducedEnergies(frames.tolist()), expected)
    assert np.array_equal(target.reducedEnergies(np.asfortranarray(frames)), expected)
    angstroms = unit.Quantity(frames.astype(float) * 10, unit.angstrom)
    np.testing.assert_allclose(target.reducedEnergies(angstroms), expected, rtol=1e-12)
    empty = target.evaluate(np.empty((0, 3, 3)), forces=True)
    assert len(empty) == 0 and empty.forces.shape == (0, 3, 3) and empty.counts["Ok"] == 0
    assert "0 frames" in repr(empty)


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda t, x: t.evaluate(x[:, :2]), r"shape \[frames,3,3\].*got \[4, 2, 3\]"),
        (lambda t, x: t.evaluate(x * unit.kelvin), "positions must have a unit like nanometer"),
        (lambda t, x: t.evaluate("abc"), "positions must be numbers"),
        (lambda t, x: t.evaluate(x, temperature=[1, 2]), r"temperature must have the shape \[\], or \[4\]"),
        (lambda t, x: t.evaluate(x, boxVectors=np.ones(3)), "boxVectors must have the shape"),
        (lambda t, x: t.evaluate(x, parameters={"k": x}), "parameter 'k' must have the shape"),
        (lambda t, x: BoltzmannTarget(wells(), -1), "temperature must be positive"),
        (lambda t, x: BoltzmannTarget(wells(), np.nan), "temperature must be positive"),
        (lambda t, x: BoltzmannTarget(wells(), 300, -2), "number of Contexts must be positive"),
        (lambda t, x: BoltzmannTarget(wells(), 300, 1, "Abacus"), 'no platform "Abacus"'),
        (lambda t, x: BoltzmannTarget(wells(), 300, 1, None, {"Threads": "1"}), "without a platform"),
        (lambda t, x: BoltzmannTarget(wells(), 300, 1, "CPU", {"Speed": "11"}), "Speed"),
        (lambda t, x: BoltzmannTarget("system.xml", 300), "expected an openmm.System, got 'system.xml'"),
        (lambda t, x: BoltzmannTarget(openmm.System(), 300), "no particles|at least one"),
    ],
)
def test_mistakesAreNamed(call, sentence):
    with pytest.raises(openmm.OpenMMException, match=sentence):
        call(BoltzmannTarget(wells(), 300), np.zeros((4, 3, 3)))


def test_thePlatformIsChosenByMeasurement(dipeptide):
    target = BoltzmannTarget(dipeptide[0], 300, 3)
    assert target.platformName in ("Reference", "CPU")
    assert "measured" in target.platformReason and "us" in target.platformReason
    assert target.numContexts == 3
    assert BoltzmannTarget(dipeptide[0], 300).numContexts == len(os.sched_getaffinity(0))
    chosen = BoltzmannTarget(dipeptide[0], 300, 1, openmm.Platform.getPlatformByName("CPU"))
    assert chosen.platformName == "CPU" and chosen.platformReason == "asked for"
    assert chosen.platformProperties["Threads"] == "1"
    for word in ("22 particles", "300 K", "1 Contexts on CPU"):
        assert word in repr(chosen)


def test_largeSystemsGoToTheCpuPlatform():
    target = BoltzmannTarget(wells(1500), 300, 1)
    assert target.platformName == "CPU" and "1000 particles" in target.platformReason


def test_pickledTargetsComputeTheSameBits(dipeptide):
    system, structure = dipeptide
    target = BoltzmannTarget(system, 310, 2)
    target.energyLimits = (-1e3, 1e6)
    copy = pickle.loads(pickle.dumps(target))
    frames = noisy(structure, 10, 0.003)
    assert np.array_equal(copy.reducedEnergies(frames), target.reducedEnergies(frames))
    assert copy.energyLimits == (-1e3, 1e6)
    assert copy.platformName == target.platformName
    assert copy.temperature == 310 * unit.kelvin and copy.numContexts == 2


def test_otherThreadsRunMeanwhile(dipeptide):
    system, structure = dipeptide
    frames = noisy(structure, 8000, 0.003)
    target = BoltzmannTarget(system, 300, 1, "Reference")
    target.reducedEnergies(frames[:10])
    ticks, stop = [], threading.Event()

    def tick():
        while not stop.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    start = time.perf_counter()
    target._evaluatePiece(frames, None, None, [], np.empty((0, 8000)), np.empty(8000),
                          np.empty(8000, dtype=np.uint8), None)  # fmt: skip
    end = time.perf_counter()
    stop.set()
    thread.join()
    assert sum(start < t < end for t in ticks) > 20 * (end - start)


def test_callsFromSeveralThreadsDoNotMix(dipeptide):
    system, structure = dipeptide
    target = BoltzmannTarget(system, 300, 2, "Reference")
    batches = [noisy(structure, 100, 0.003, seed) for seed in range(4)]
    expected = [target.reducedEnergies(batch) for batch in batches]
    results = [None] * 4

    def work(i):
        results[i] = [target.reducedEnergies(batches[i]) for _ in range(5)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(4):
        assert all(np.array_equal(energies, expected[i]) for energies in results[i])


def residentKiB():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def measureGrowth(system, structure, rounds):
    target = BoltzmannTarget(system, 300, 2)
    frames, _ = broken(noisy(structure, 2000, 0.003))
    for _ in range(2):
        target.evaluate(frames)
    before = residentKiB()
    for _ in range(rounds):
        result = target.evaluate(frames)
    assert result.counts["Ok"] == 1994
    return residentKiB() - before


def test_memoryStaysFlat(dipeptide):
    assert measureGrowth(*dipeptide, rounds=10) < 2000


@pytest.mark.validation
def test_memoryStaysFlatOverAMillionFrames(dipeptide):
    assert measureGrowth(*dipeptide, rounds=500) < 2000
