"""ScoreLangevinIntegrator in Python: units, copies, XML, and molecules that move as if alone."""

import copy
import pickle
import signal
import threading

import numpy as np
import openmm
import pytest
from openmm import OpenMMException, unit
from openmmscore import ScoreLangevinIntegrator, createSystem


def run(path, positions, steps=20, platform="Reference", **settings):
    """Return positions after some steps of as many copies as there are positions."""
    _, system = createSystem(path, copies=len(positions))
    integrator = ScoreLangevinIntegrator(300, 1.0, 0.002)
    integrator.setRandomNumberSeed(7)
    for name, value in settings.items():
        getattr(integrator, "set" + name)(value)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName(platform))
    context.setPositions(positions.reshape(-1, 3))
    integrator.step(steps)
    return context.getState(positions=True).getPositions(asNumpy=True)._value.reshape(positions.shape)


def test_quantitiesAreConvertedInAndOut():
    integrator = ScoreLangevinIntegrator(300 * unit.kelvin, 2 / unit.nanosecond, 2 * unit.femtosecond)
    assert integrator.getTemperature() == 300 * unit.kelvin
    assert integrator.getFriction() == 0.002 / unit.picosecond
    assert integrator.getStepSize() == 0.002 * unit.picosecond
    integrator.setFriction(1 / unit.femtosecond)
    assert integrator.getFriction().value_in_unit(unit.picosecond**-1) == pytest.approx(1000)


def test_moleculeTemperaturesMayBeListsArraysOrQuantities():
    integrator = ScoreLangevinIntegrator(300, 1, 0.002)
    for temperatures in (
        [300, 310.5],
        np.array([300, 310.5], dtype=np.float32),
        [300, 310.5] * unit.kelvin,
        [300 * unit.kelvin, 310.5 * unit.kelvin],
    ):
        integrator.setMoleculeTemperatures([])
        integrator.setMoleculeTemperatures(temperatures)
        assert integrator.getMoleculeTemperatures() == [300, 310.5] * unit.kelvin
    with pytest.raises(TypeError):
        integrator.setMoleculeTemperatures(["hot"])
    with pytest.raises(TypeError):
        integrator.setMoleculeTemperatures(300)


@pytest.mark.parametrize("arguments", [(-1, 1, 0.002), (300, float("nan"), 0.002), (300, 1, float("inf"))])
def test_badArgumentsAreRefused(arguments):
    with pytest.raises(OpenMMException, match="ScoreLangevinIntegrator"):
        ScoreLangevinIntegrator(*arguments)


def test_copiesAndXmlKeepTheClassAndTheSettings():
    integrator = ScoreLangevinIntegrator(310, 2.0, 0.003)
    integrator.setScheme(ScoreLangevinIntegrator.Metropolized)
    integrator.setRandomNumberSeed(9)
    integrator.setMoleculeOffset(4)
    plain = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(integrator))
    assert type(plain) is openmm.Integrator and ScoreLangevinIntegrator.isinstance(plain)
    assert not ScoreLangevinIntegrator.isinstance(openmm.VerletIntegrator(0.001))
    with pytest.raises(OpenMMException, match="not a ScoreLangevinIntegrator"):
        ScoreLangevinIntegrator.cast(openmm.VerletIntegrator(0.001))
    for duplicate in (
        ScoreLangevinIntegrator.cast(plain),
        copy.copy(integrator),
        copy.deepcopy(integrator),
        pickle.loads(pickle.dumps(integrator)),
    ):
        assert type(duplicate) is ScoreLangevinIntegrator and duplicate.thisown
        assert duplicate.getTemperature() == 310 * unit.kelvin
        assert duplicate.getScheme() == ScoreLangevinIntegrator.Metropolized
        assert (duplicate.getRandomNumberSeed(), duplicate.getMoleculeOffset()) == (9, 4)
        assert duplicate.getStepSize() == 0.003 * unit.picosecond


@pytest.mark.parametrize("platform", ["Reference", "CPU"])
def test_aMoleculeMovesAsIfItWereAlone(platform, particlePath, positions):
    together = run(particlePath, positions, platform=platform)
    alone = run(particlePath, positions[3:4], platform=platform, MoleculeOffset=3)
    np.testing.assert_array_equal(together[3], alone[0])


def test_checkpointContinuesTheRun(particlePath, positions):
    _, system = createSystem(particlePath, copies=7)
    integrator = ScoreLangevinIntegrator(300, 1.0, 0.002)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(positions.reshape(-1, 3))
    integrator.step(5)
    checkpoint = context.createCheckpoint()
    integrator.step(10)
    expected = context.getState(positions=True).getPositions(asNumpy=True)
    context.loadCheckpoint(checkpoint)
    integrator.step(10)
    np.testing.assert_array_equal(context.getState(positions=True).getPositions(asNumpy=True), expected)


def test_acceptanceRatesAreAnArray(particlePath, positions):
    _, system = createSystem(particlePath, copies=7)
    integrator = ScoreLangevinIntegrator(300, 1.0, 0.02)
    integrator.setScheme(ScoreLangevinIntegrator.Metropolized)
    assert integrator.getMoleculeAcceptanceRates().shape == (0,)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(positions.reshape(-1, 3))
    integrator.step(20)
    rates = integrator.getMoleculeAcceptanceRates()
    assert rates.shape == (7,) and np.all((rates >= 0) & (rates <= 1))
    assert integrator.getAcceptanceRate() == pytest.approx(rates.mean())


def test_otherTemperaturesMustBeAllowed(particlePath, positions):
    with pytest.raises(OpenMMException, match="AllowTemperatureMismatch"):
        run(particlePath, positions, Temperature=400)
    run(particlePath, positions, AllowTemperatureMismatch=True, Temperature=400)


@pytest.mark.usefixtures("heedingInterrupts")
def test_interruptStopsBetweenSteps(particlePath, positions):
    _, system = createSystem(particlePath, copies=7)
    integrator = ScoreLangevinIntegrator(300, 1.0, 0.002)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(positions.reshape(-1, 3))
    timer = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        integrator.step(10**8)
    assert 0 < context.getStepCount() < 10**8
    integrator.step(1)
