"""ScoreForce as OpenMM scripts use it: units, errors, copies, XML, threads, Simulation and reporters."""

import copy
import io
import os
import pickle
import threading
import time

import numpy as np
import openmm
import pytest
from conftest import document, writeModel
from openmm import OpenMMException, app, unit
from openmmscore import Model, ScoreForce, createSystem, repeatPositions

PLATFORMS = ["Reference", "CPU"]


def makeContext(system, positions, platform="Reference"):
    integrator = openmm.LangevinMiddleIntegrator(300, 1.0, 0.002)
    integrator.setRandomNumberSeed(1)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName(platform))
    context.setPositions(np.asarray(positions).reshape(-1, 3))
    return context


def potentialEnergy(context):
    return context.getState(energy=True).getPotentialEnergy().value_in_unit(unit.kilojoules_per_mole)


@pytest.fixture
def system(particlePath):
    return createSystem(particlePath, copies=7)[1]


@pytest.fixture
def context(system, positions):
    return makeContext(system, positions)


# ---- describing ------------------------------------------------------------------------------------------


def test_modelMayBeAPathOrAModel(particlePath, tmp_path):
    model = Model(particlePath)
    for argument in (particlePath, os.path.relpath(particlePath), model):
        force = ScoreForce(argument)
        assert force.getModelFile() == particlePath and force.getModelHash() == model.sha256
    with pytest.raises(OpenMMException, match="expected the path of a model file"):
        ScoreForce(3)
    with pytest.raises(OpenMMException, match="absent"):
        ScoreForce(tmp_path / "absent.safetensors")


def test_gettersHaveUnits(particlePath):
    force = ScoreForce(particlePath)
    assert force.getTemperature() == 300 * unit.kelvin
    assert force.getTemperature().unit == unit.kelvin
    assert force.getLengthScale() == 0.2 * unit.nanometer
    assert (force.getNumModelParticles(), force.getNumFeatures(), force.getNumMolecules()) == (5, 0, 0)


def test_moleculesMayBeListsTuplesRangesOrArrays(particlePath):
    force = ScoreForce(particlePath)
    expected = [4, 3, 2, 1, 0]
    for i, particles in enumerate([expected, tuple(expected), range(4, -1, -1), np.array(expected)]):
        assert force.addMolecule(particles) == i
        assert force.getMoleculeParameters(i) == [expected, []]
    assert all(type(p) is int for p in force.getMoleculeParameters(3)[0])
    force.setMoleculeParameters(1, np.arange(5, dtype=np.uint8))
    assert force.getMoleculeParameters(1) == [[0, 1, 2, 3, 4], []]


def test_featuresMayBeNestedOrFlat(transferablePath):
    force = ScoreForce(transferablePath)
    nested = [[0, 1], [1, 0], [2, 1], [1, 1], [0, 0]]
    for features in (nested, np.array(nested), sum(nested, [])):
        index = force.addMolecule(range(5), features)
        assert force.getMoleculeParameters(index) == [[0, 1, 2, 3, 4], nested]


@pytest.mark.parametrize(
    "arguments",
    [
        ([0, 1, 2],),
        ([0, 1, 2, 3, 3],),
        ([0, 1, 2, 3, -1],),
        ([0.0, 1.0, 2.0, 3.0, 4.0],),
        ("abcde",),
        (range(5), [1]),
    ],
)
def test_badMoleculesAreRefused(arguments, particlePath):
    force = ScoreForce(particlePath)
    with pytest.raises(OpenMMException, match="ScoreForce"):
        force.addMolecule(*arguments)
    assert force.getNumMolecules() == 0


def test_hugeIndicesAreRefused(particlePath):
    with pytest.raises(OverflowError):
        ScoreForce(particlePath).addMolecule([0, 1, 2, 3, 2**40])


def test_badFeaturesAreRefused(transferablePath):
    force = ScoreForce(transferablePath)
    for features in (None, [[0, 0]] * 4, [[3, 0]] * 5, [[0.5, 0]] * 5):
        with pytest.raises(OpenMMException, match="feature"):
            force.addMolecule(range(5), features)


def test_errorsOfTheCppSideAreOpenMMExceptions(particlePath):
    force = ScoreForce(particlePath)
    for call in (
        lambda: force.setDiffusionTime(2.0),
        lambda: force.setScaleParameter(""),
        lambda: force.setDefaultScale(float("nan")),
        lambda: force.addEnergyParameterDerivative("other"),
        lambda: force.getEnergyParameterDerivativeName(0),
        lambda: force.getMoleculeParameters(0),
        lambda: ScoreForce(Model.fromBytes(open(particlePath, "rb").read())).setModelEmbedded(False),
    ):
        with pytest.raises(OpenMMException, match="ScoreForce"):
            call()


def test_numbersMayBeDimensionlessQuantitiesOrNumPyScalars(particlePath):
    force = ScoreForce(particlePath)
    for t in (0.25 * unit.dimensionless, np.float32(0.25), np.array(0.25)):
        force.setDiffusionTime(0.5)
        force.setDiffusionTime(t)
        assert force.getDiffusionTime() == 0.25
    with pytest.raises(TypeError):
        force.setDiffusionTime("soon")


def test_getModelSharesTheModel(particlePath, positions):
    model = ScoreForce(particlePath).getModel()
    assert model.path == particlePath
    np.testing.assert_array_equal(model.forces(positions), Model(particlePath).forces(positions))


# ---- computing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("platform", PLATFORMS)
def test_contextComputesWhatTheModelSays(platform, particlePath, system, positions):
    model = Model(particlePath)
    state = makeContext(system, positions, platform).getState(energy=True, forces=True)
    energies, forces = model.potentialEnergy(positions), model.forces(positions)
    tolerance = 1e-10 if platform == "Reference" else 1e-5
    energy = state.getPotentialEnergy().value_in_unit(unit.kilojoules_per_mole)
    assert energy == pytest.approx(energies.sum(), abs=tolerance * np.abs(energies).sum())
    np.testing.assert_allclose(
        state.getForces(asNumpy=True).value_in_unit(unit.kilojoules_per_mole / unit.nanometer),
        forces.reshape(-1, 3),
        atol=tolerance * np.abs(forces).max(),
    )


def test_moleculeEnergiesAreThoseOfTheModel(context, particlePath, positions):
    energies = ScoreForce.cast(context.getSystem().getForce(0)).getMoleculeEnergies(context)
    expected = Model(particlePath).potentialEnergy(positions)
    assert energies.unit == unit.kilojoule_per_mole
    np.testing.assert_allclose(energies._value, expected, rtol=1e-10)


def test_scaleAndItsDerivativeAreContextParameters(particlePath, positions):
    system = createSystem(particlePath, copies=7)[1]
    force = ScoreForce.cast(system.getForce(0))
    force.addEnergyParameterDerivative(ScoreForce.Scale())
    assert force.getEnergyParameterDerivativeName(0) == force.getScaleParameter() == "ScoreForceScale"
    context = makeContext(system, positions)
    full = potentialEnergy(context)
    context.setParameter(ScoreForce.Scale(), 0.25)
    state = context.getState(energy=True, parameterDerivatives=True)
    assert state.getPotentialEnergy()._value == pytest.approx(0.25 * full)
    assert state.getEnergyParameterDerivatives()[ScoreForce.Scale()] == pytest.approx(full)


def test_updateParametersInContextTakesTheDiffusionTime(context, particlePath, positions):
    force = ScoreForce.cast(context.getSystem().getForce(0))
    force.setDiffusionTime(0.3)
    force.updateParametersInContext(context)
    expected = Model(particlePath).potentialEnergy(positions, t=0.3).sum()
    assert potentialEnergy(context) == pytest.approx(expected)


def test_modelWithoutEnergyMustBeAccepted(scorePath, positions):
    system = createSystem(scorePath, copies=7)[1]
    with pytest.raises(OpenMMException, match="[Nn]onConservative"):
        makeContext(system, positions)
    context = makeContext(createSystem(scorePath, copies=7, nonConservative=True)[1], positions)
    context.getIntegrator().step(1)
    with pytest.raises(OpenMMException):
        context.getState(energy=True)


def test_nonFinitePositionsAreAnErrorInTheContext(context, positions):
    positions[2, 1, 0] = np.nan
    context.setPositions(positions.reshape(-1, 3))
    with pytest.raises(OpenMMException, match="molecule 2"):
        context.getState(forces=True)


# ---- identity --------------------------------------------------------------------------------------------


def test_systemTakesOwnership(particlePath):
    system, force = openmm.System(), ScoreForce(particlePath)
    assert isinstance(force, openmm.Force) and force.thisown
    assert system.addForce(force) == 0
    assert not force.thisown
    force.setForceGroup(3)
    assert system.getForce(0).getForceGroup() == 3


def test_castAndIsinstanceFindAScoreForce(system):
    plain = system.getForce(0)
    assert type(plain) is openmm.Force and ScoreForce.isinstance(plain)
    force = ScoreForce.cast(plain)
    assert type(force) is ScoreForce and force.getNumMolecules() == 7 and not force.thisown
    assert ScoreForce.cast(force) is force
    other = openmm.CMMotionRemover()
    assert not ScoreForce.isinstance(other)
    with pytest.raises(OpenMMException, match="CMMotionRemover"):
        ScoreForce.cast(other)


def test_castOfADeserializedForceCanBeAddedToASystem(particlePath):
    force = ScoreForce(particlePath)
    force.addMolecule(range(5))
    plain = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(force))
    cast = ScoreForce.cast(plain)
    assert cast.thisown and not plain.thisown
    system = openmm.System()
    system.addForce(cast)
    del cast
    assert plain.getName() == "ScoreForce"
    assert ScoreForce.cast(system.getForce(0)).getNumMolecules() == 1


def test_copiesAreScoreForces(particlePath):
    force = ScoreForce(particlePath)
    force.addMolecule(range(5))
    force.setDiffusionTime(0.25)
    for duplicate in (copy.copy(force), copy.deepcopy(force), pickle.loads(pickle.dumps(force))):
        assert type(duplicate) is ScoreForce and duplicate.thisown
        assert duplicate.getMoleculeParameters(0) == force.getMoleculeParameters(0)
        assert duplicate.getDiffusionTime() == 0.25
        duplicate.addMolecule(range(5, 10))
    assert force.getNumMolecules() == 1


@pytest.mark.parametrize(
    "duplicate",
    [
        copy.deepcopy,
        lambda s: pickle.loads(pickle.dumps(s)),
        lambda s: openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(s)),
    ],
    ids=["deepcopy", "pickle", "xml"],
)
def test_copiesOfASystemComputeTheSame(duplicate, system, positions):
    expected = potentialEnergy(makeContext(system, positions))
    again = duplicate(system)
    del system
    assert potentialEnergy(makeContext(again, positions)) == expected


def test_embeddedModelNeedsNoFile(tmp_path, positions):
    path = writeModel(tmp_path / "model.safetensors", document())
    system = createSystem(path, copies=7)[1]
    ScoreForce.cast(system.getForce(0)).setModelEmbedded(True)
    expected = potentialEnergy(makeContext(system, positions))
    xml = openmm.XmlSerializer.serialize(system)
    os.remove(path)
    again = openmm.XmlSerializer.deserialize(xml)
    assert potentialEnergy(makeContext(again, positions)) == expected
    assert ScoreForce.cast(again.getForce(0)).getModel().title == "random particles"


# ---- running ---------------------------------------------------------------------------------------------


def test_stepReleasesTheGil(particlePath):
    system = createSystem(particlePath, copies=500)[1]
    positions = 0.1 * np.random.default_rng(0).standard_normal((500, 5, 3))
    context = makeContext(system, positions)
    running, ticks = True, 0

    def count():
        nonlocal ticks
        while running:
            ticks += 1
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    before, start = ticks, time.perf_counter()
    while time.perf_counter() - start < 0.3:
        context.getIntegrator().step(20)
    during = ticks - before
    running = False
    thread.join()
    assert during > 20


def test_simulationRunsWithReportersStateAndCheckpoint(particlePath, positions, tmp_path):
    topology, system = createSystem(particlePath, copies=7)
    integrator = openmm.LangevinMiddleIntegrator(
        300 * unit.kelvin, 1 / unit.picosecond, 2 * unit.femtoseconds
    )
    integrator.setRandomNumberSeed(5)
    platform = openmm.Platform.getPlatformByName("Reference")
    simulation = app.Simulation(topology, system, integrator, platform)
    simulation.context.setPositions(repeatPositions(positions, 7))
    simulation.minimizeEnergy(maxIterations=5)
    log = io.StringIO()
    simulation.reporters.append(
        app.StateDataReporter(log, 5, step=True, potentialEnergy=True, temperature=True)
    )
    simulation.reporters.append(app.DCDReporter(str(tmp_path / "run.dcd"), 5))
    simulation.step(20)
    simulation.saveState(str(tmp_path / "state.xml"))
    checkpoint = simulation.context.createCheckpoint()
    simulation.step(10)
    expected = simulation.context.getState(positions=True).getPositions(asNumpy=True)._value

    rows = np.array([row.split(",") for row in log.getvalue().strip().split("\n")[1:]], dtype=float)
    assert rows.shape == (6, 3) and np.isfinite(rows).all()

    import mdtraj

    trajectory = mdtraj.load(str(tmp_path / "run.dcd"), top=mdtraj.Topology.from_openmm(topology))
    assert trajectory.n_frames == 6 and trajectory.n_chains == 7
    np.testing.assert_allclose(trajectory.xyz[-1], expected, atol=1e-5)

    # OpenMM's Reference platform keeps its random numbers out of checkpoints, so only the state returns.
    simulation.context.loadCheckpoint(checkpoint)
    saved = simulation.context.getState(positions=True, velocities=True)
    simulation.loadState(str(tmp_path / "state.xml"))
    loaded = simulation.context.getState(positions=True, velocities=True)
    np.testing.assert_array_equal(saved.getPositions(asNumpy=True), loaded.getPositions(asNumpy=True))
    np.testing.assert_array_equal(saved.getVelocities(asNumpy=True), loaded.getVelocities(asNumpy=True))


def test_checkpointContinuesADeterministicRun(particlePath, positions):
    system = createSystem(particlePath, copies=7)[1]
    integrator = openmm.VerletIntegrator(0.001)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(positions.reshape(-1, 3))
    context.setVelocitiesToTemperature(300, 1)
    integrator.step(5)
    checkpoint = context.createCheckpoint()
    integrator.step(10)
    expected = context.getState(positions=True).getPositions(asNumpy=True)
    context.loadCheckpoint(checkpoint)
    integrator.step(10)
    np.testing.assert_array_equal(context.getState(positions=True).getPositions(asNumpy=True), expected)


def test_tenLineScript(particlePath, positions, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    script = f"""
import openmmscore
from openmm import LangevinMiddleIntegrator
from openmm.app import DCDReporter, Simulation
from openmm.unit import femtoseconds, kelvin, picosecond

topology, system = openmmscore.createSystem({particlePath!r}, copies=10)
simulation = Simulation(topology, system, LangevinMiddleIntegrator(300*kelvin, 1/picosecond, 2*femtoseconds))
simulation.context.setPositions(openmmscore.repeatPositions(start, 10))
simulation.reporters.append(DCDReporter("run.dcd", 10))
simulation.step(20)
"""
    exec(script, {"start": positions})
    assert os.path.getsize("run.dcd") > 2 * 50 * 12
