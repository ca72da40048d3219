"""createSystem: masses, topology, molecules, and what it refuses."""

import numpy as np
import openmm
import pytest
from conftest import BONDS, PARTICLES, document, writeModel
from openmm import OpenMMException, unit
from openmmscore import Model, ScoreForce, createSystem, repeatPositions


def test_topologyHasAChainForEachCopy(particlePath):
    topology, _ = createSystem(particlePath, copies=3)
    assert topology.getNumChains() == 3 and topology.getNumResidues() == 9 and topology.getNumAtoms() == 15
    first = [atom for atom in topology.atoms()][:5]
    assert [atom.name for atom in first] == [p["name"] for p in PARTICLES]
    assert [atom.residue.name for atom in first] == [p["residue"] for p in PARTICLES]
    assert [atom.residue.id for atom in first] == ["1", "2", "2", "2", "3"]
    assert [atom.element.symbol if atom.element else "" for atom in first] == [
        p["element"] for p in PARTICLES
    ]
    bonds = [[a.index, b.index] for a, b in topology.bonds()]
    assert bonds == [[a + 5 * copy, b + 5 * copy] for copy in range(3) for a, b in BONDS]


def test_systemHasMassesOneForceAndNoBox(particlePath):
    _, system = createSystem(particlePath, copies=3)
    masses = [system.getParticleMass(i)._value for i in range(15)]
    assert masses == [p["mass"] for p in PARTICLES] * 3
    assert system.getNumForces() == 1 and not system.usesPeriodicBoundaryConditions()
    force = ScoreForce.cast(system.getForce(0))
    assert [force.getMoleculeParameters(i)[0] for i in range(3)] == [
        list(range(5 * i, 5 * i + 5)) for i in range(3)
    ]


def test_hundredCopiesAreTheDefault(particlePath):
    assert createSystem(Model(particlePath))[1].getNumParticles() == 500


def test_theMotionOfTheCentreIsRemovedOnlyOnRequest(particlePath):
    system = createSystem(particlePath, copies=2, removeCMMotion=True)[1]
    assert isinstance(system.getForce(1), openmm.CMMotionRemover)


def test_diffusionTimeIsPassedOn(particlePath):
    system = createSystem(particlePath, copies=1, diffusionTime=0.25)[1]
    assert ScoreForce.cast(system.getForce(0)).getDiffusionTime() == 0.25


def test_featuresAreSharedOrGivenForEachCopy(transferablePath):
    shared = [[0, 1], [1, 0], [2, 1], [1, 1], [0, 0]]
    _, system = createSystem(transferablePath, 3, shared)
    force = ScoreForce.cast(system.getForce(0))
    assert all(force.getMoleculeParameters(i)[1] == shared for i in range(3))
    each = np.zeros((3, 5, 2), dtype=int)
    each[1] = shared
    _, system = createSystem(transferablePath, 3, each)
    force = ScoreForce.cast(system.getForce(0))
    assert force.getMoleculeParameters(0)[1] == [[0, 0]] * 5 and force.getMoleculeParameters(1)[1] == shared


def test_vectorModelsHaveAParticleForEveryThreeCoordinates(vectorPath):
    topology, system = createSystem(vectorPath, copies=4)
    assert topology.getNumAtoms() == system.getNumParticles() == 4


@pytest.mark.parametrize("copies", [0, -1, 2.5, True, "many", None])
def test_badNumbersOfCopiesAreRefused(copies, particlePath):
    with pytest.raises(OpenMMException, match="copies must be an integer of at least 1"):
        createSystem(particlePath, copies=copies)


def test_modelWithoutParticlesIsRefused(folder):
    path = writeModel(folder / "anonymous.safetensors", document(named=False))
    with pytest.raises(OpenMMException, match="names no particles.*by hand"):
        createSystem(path)


def test_unknownElementIsRefused(folder):
    particles = [dict(p) for p in PARTICLES]
    particles[1]["element"] = "Qq"
    path = writeModel(folder / "element.safetensors", document(particles=particles))
    with pytest.raises(OpenMMException, match="Qq"):
        createSystem(path)


def test_missingFeaturesAreRefused(transferablePath):
    with pytest.raises(OpenMMException, match="must be told residue, kind"):
        createSystem(transferablePath)


def test_repeatPositionsCyclesThroughTheStructures(positions):
    laidOut = repeatPositions(unit.Quantity(10 * positions, unit.angstrom), 9)
    assert laidOut.unit == unit.nanometer
    np.testing.assert_allclose(laidOut._value.reshape(9, 5, 3)[[0, 6, 7, 8]], positions[[0, 6, 0, 1]])
    assert repeatPositions(positions[0], 2).shape == (10, 3)
    with pytest.raises(OpenMMException, match="must have the shape"):
        repeatPositions(positions[0, 0], 2)
    with pytest.raises(OpenMMException, match="must be in nm, their unit is kelvin"):
        repeatPositions(positions[0] * unit.kelvin, 2)
    with pytest.raises(OpenMMException, match="copies must be an integer of at least 1"):
        repeatPositions(positions[0], 0)
