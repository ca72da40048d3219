"""MonteCarloFlowMove as OpenMM scripts use it: units, errors, copies, XML, Simulation and reporters."""

import copy
import io
import pickle

import numpy as np
import openmm
import pytest
from openmm import OpenMMException, app, unit
from openmmscore import FlowMoveReporter, GaussianMixtureProposal, MonteCarloFlowMove, loadProposal


@pytest.fixture
def proposal():
    return GaussianMixtureProposal(
        means=[[[-0.3, 0.02, 0]], [[0.3, 0, 0.01]]], covariances=[0.0036, 0.003], weights=[0.65, 0.35]
    )


@pytest.fixture
def path(proposal, tmp_path):
    proposal.save(tmp_path / "wells.safetensors")
    return str(tmp_path / "wells.safetensors")


def makeSystem(move, particles=3):
    """Particles in a double well each; the last one is never moved."""
    system = openmm.System()
    force = openmm.CustomExternalForce("100*((x/0.3)^2-1)^2 + 500*(y*y+z*z)")
    for i in range(particles):
        system.addParticle(20.0)
        force.addParticle(i)
    system.addForce(force)
    for i in range(particles - 1):
        move.addMolecule([i])
    move.setRandomNumberSeed(5)
    system.addForce(move)
    return system


def makeSimulation(system, integrator=None):
    topology = app.Topology()
    chain = topology.addChain()
    for _ in range(system.getNumParticles()):
        topology.addAtom("A", app.element.argon, topology.addResidue("A", chain))
    integrator = integrator or openmm.VerletIntegrator(0.002)
    platform = openmm.Platform.getPlatformByName("Reference")
    simulation = app.Simulation(topology, system, integrator, platform)
    simulation.context.setPositions([[-0.3, 0, 0]] * system.getNumParticles())
    return simulation


def positions(simulation):
    return simulation.context.getState(positions=True).getPositions(asNumpy=True)._value


def test_proposalMayBeAPathOrAProposal(path, proposal, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for argument in (path, tmp_path / "wells.safetensors", "wells.safetensors"):
        move = MonteCarloFlowMove(argument, 300)
        assert move.getProposalFile() == path and not move.getProposalEmbedded()
    hash = move.getProposalHash()
    move = MonteCarloFlowMove(proposal, 300)
    assert move.getProposalFile() == "" and move.getProposalEmbedded()
    assert move.getProposalHash() == hash
    assert MonteCarloFlowMove(loadProposal(path), 300).getProposalHash() == hash
    assert move.getProposal().encode() == proposal.encode()
    with pytest.raises(OpenMMException, match="expected an openmmscore.Proposal"):
        MonteCarloFlowMove(3, 300)
    with pytest.raises(OpenMMException, match="absent"):
        MonteCarloFlowMove(tmp_path / "absent", 300)


def test_unitsAndValues(proposal):
    move = MonteCarloFlowMove(proposal, 26.85 * unit.kelvin, frequency=7)
    assert move.getDefaultTemperature() == 26.85 * unit.kelvin
    move.setDefaultTemperature(310)
    assert move.getDefaultTemperature() == 310 * unit.kelvin
    assert move.getFrequency() == 7 and MonteCarloFlowMove(proposal, 300).getFrequency() == 100
    assert move.getNumProposalParticles() == 1
    assert move.addMolecule(np.array([4])) == 0
    move.setMoleculeParticles(0, [3])
    assert move.getMoleculeParticles(0) == [3] and move.getNumMolecules() == 1
    assert not move.usesPeriodicBoundaryConditions()


def test_errorsAreOpenMMExceptions(proposal):
    move = MonteCarloFlowMove(proposal, 300)
    with pytest.raises(OpenMMException, match="molecule 0 has 2 particles, the proposal draws 1"):
        move.addMolecule([0, 1])
    with pytest.raises(OpenMMException, match="particles must be integers"):
        move.addMolecule([0.5])
    with pytest.raises(OpenMMException, match="positive and finite"):
        MonteCarloFlowMove(proposal, 0)
    with pytest.raises(OpenMMException, match="frequency is -1"):
        MonteCarloFlowMove(proposal, 300, -1)
    system = makeSystem(move)
    system.addConstraint(0, 2, 0.1)
    with pytest.raises(OpenMMException, match="has a constraint"):
        makeSimulation(system)


def test_rpmdIsRefused(proposal):
    system = makeSystem(MonteCarloFlowMove(proposal, 300))
    with pytest.raises(OpenMMException, match="RPMDIntegrator"):
        makeSimulation(system, openmm.RPMDIntegrator(4, 300, 1, 0.001))


def test_copiesAndXml(proposal, path):
    for argument in (proposal, path):
        move = MonteCarloFlowMove(argument, 300, 13)
        system = makeSystem(move)
        copies = [copy.copy(move), copy.deepcopy(move), pickle.loads(pickle.dumps(move))]
        restored = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(system))
        assert MonteCarloFlowMove.isinstance(restored.getForce(1))
        assert not MonteCarloFlowMove.isinstance(restored.getForce(0))
        copies.append(MonteCarloFlowMove.cast(restored.getForce(1)))
        for each in copies:
            assert each.getFrequency() == 13 and each.getMoleculeParticles(1) == [1]
            assert each.getProposalHash() == move.getProposalHash()
            assert each.getProposalFile() == move.getProposalFile()
    with pytest.raises(OpenMMException, match="is not a MonteCarloFlowMove"):
        MonteCarloFlowMove.cast(system.getForce(0))


def test_aSimulationCrossesBarriers(proposal):
    move = MonteCarloFlowMove(proposal, 300 * unit.kelvin, 10)
    simulation = makeSimulation(makeSystem(move), openmm.LangevinMiddleIntegrator(300, 1, 0.002))
    simulation.context.setVelocitiesToTemperature(300, 1)
    visited = []
    for _ in range(100):
        simulation.step(20)
        visited.append(positions(simulation)[:, 0] > 0)
    crossings = np.abs(np.diff(np.array(visited, dtype=int), axis=0)).sum(axis=0)
    assert crossings[0] > 5 and crossings[1] > 5 and crossings[2] == 0
    context = simulation.context
    assert move.getNumAttempted(context) == 400 and move.getNumAttempted(context, 1) == 200
    rate = move.getNumAccepted(context) / 400
    assert abs(move.getExpectedAcceptance(context) - rate) < 0.1
    assert move.getNumInvalid(context) == 0 and move.getLastInvalidReason(context) == ""
    move.resetStatistics(context)
    assert move.getNumAttempted(context) == 0


@pytest.mark.parametrize("kind", ["Checkpoint", "State"])
def test_aSavedSimulationContinuesWithTheSameMoves(proposal, tmp_path, kind):
    system = makeSystem(MonteCarloFlowMove(proposal, 300, 10))
    simulation = makeSimulation(system)
    simulation.step(57)
    getattr(simulation, "save" + kind)(str(tmp_path / "saved"))
    simulation.step(100)
    other = makeSimulation(system)
    getattr(other, "load" + kind)(str(tmp_path / "saved"))
    other.step(100)
    np.testing.assert_array_equal(positions(simulation), positions(other))


def test_reporter(proposal):
    move = MonteCarloFlowMove(proposal, 300, 5)
    simulation = makeSimulation(makeSystem(move))
    out = io.StringIO()
    simulation.reporters.append(FlowMoveReporter(out, 50))
    simulation.step(100)
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("#step,time (ps),")
    step, time, attempted, accepted, invalid, expected = lines[2].split(",")
    assert (int(step), float(time), int(attempted), int(invalid)) == (100, pytest.approx(0.2), 40, 0)
    assert int(accepted) == move.getNumAccepted(simulation.context)
    assert float(expected) == pytest.approx(move.getExpectedAcceptance(simulation.context), rel=1e-5)
    plain = makeSimulation(
        openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(simulation.system))
    )
    plain.system.removeForce(1)
    plain.reporters.append(FlowMoveReporter(io.StringIO(), 1))
    with pytest.raises(OpenMMException, match="no MonteCarloFlowMove"):
        plain.step(1)
