"""Reporters of many molecules."""

import mdtraj
import numpy as np
import openmm
import openmm.app
import pytest
from openmm import OpenMMException
from openmmscore import (
    MoleculeEnergyReporter,
    MoleculeTrajectoryReporter,
    ScoreForce,
    ScoreLangevinIntegrator,
    createSystem,
)


@pytest.fixture
def simulation(particlePath, positions):
    topology, system = createSystem(particlePath, copies=len(positions))
    integrator = ScoreLangevinIntegrator(300, 1, 0.002)
    integrator.setRandomNumberSeed(3)
    platform = openmm.Platform.getPlatformByName("Reference")
    simulation = openmm.app.Simulation(topology, system, integrator, platform)
    simulation.context.setPositions(positions.reshape(-1, 3))
    return simulation


def test_energiesOfMoleculesAddUp(simulation, positions):
    force = ScoreForce.cast(simulation.system.getForce(0))
    energies = force.getMoleculeEnergies(simulation.context)
    assert energies.shape == (len(positions),)
    whole = simulation.context.getState(energy=True).getPotentialEnergy()
    assert energies.sum()._value == pytest.approx(whole._value, rel=1e-12)


def test_energyReporterWritesALineForEachReport(simulation, positions, tmp_path):
    path = tmp_path / "energies.csv"
    simulation.reporters.append(MoleculeEnergyReporter(path, 5))
    simulation.step(20)
    force = ScoreForce.cast(simulation.system.getForce(0))
    last = force.getMoleculeEnergies(simulation.context)._value
    table = np.loadtxt(path, delimiter=",", ndmin=2)
    assert table.shape == (4, 2 + len(positions))
    np.testing.assert_allclose(table[:, 0], [5, 10, 15, 20])
    np.testing.assert_allclose(table[:, 1], 0.002 * table[:, 0])
    np.testing.assert_allclose(table[-1, 2:], last, rtol=1e-8)


@pytest.mark.parametrize("extension, precision", [("xtc", 1e-3), ("dcd", 1e-6)])
def test_trajectoryReporterWritesEveryMoleculeAsAFrame(simulation, positions, tmp_path, extension, precision):
    path = tmp_path / f"molecules.{extension}"
    reporter = MoleculeTrajectoryReporter(path, 10)
    simulation.reporters.append(reporter)
    simulation.step(30)
    reporter.close()
    one, _ = createSystem(ScoreForce.cast(simulation.system.getForce(0)).getModel(), copies=1)
    frames = mdtraj.load(str(path), top=mdtraj.Topology.from_openmm(one)).xyz
    assert frames.shape == (3 * len(positions), *positions.shape[1:])
    final = simulation.context.getState(positions=True).getPositions(asNumpy=True)._value
    np.testing.assert_allclose(frames[-len(positions) :], final.reshape(positions.shape), atol=precision)


def test_reportersSayWhatIsMissing(tmp_path):
    with pytest.raises(OpenMMException, match=r"should end in \.xtc or \.dcd"):
        MoleculeTrajectoryReporter(tmp_path / "molecules.pdb", 10)
