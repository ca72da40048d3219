"""Total energy of the alanine model without friction, when LFMiddle is Verlet's leapfrog."""

import numpy as np
import openmm
import pytest
from chains import GAS_CONSTANT, TEMPERATURE, AlanineModel
from openmmscore import ScoreLangevinIntegrator

pytestmark = [pytest.mark.validation, pytest.mark.timeout(1800)]

STEPS_PER_SAMPLE = 10
KT = GAS_CONSTANT * TEMPERATURE


def totalEnergies(ensemble, context, masses, stepSize):
    """Return the energy of each molecule in kT, shape [molecules]."""
    state = context.getState(velocities=True, forces=True)
    velocities = state.getVelocities(asNumpy=True)._value
    forces = state.getForces(asNumpy=True)._value
    # Velocities are half a step behind positions.
    velocities = velocities + 0.5 * stepSize * forces / masses[:, None]
    kinetic = (0.5 * masses * np.sum(velocities**2, axis=1)).reshape(len(ensemble.positions), -1)
    return (ensemble.potentialEnergies(context) + kinetic.sum(axis=1)) / KT


def run(platform, molecules, stepSize, picoseconds):
    """Return times [samples] in ps and energies [samples,molecules] in kT."""
    ensemble = AlanineModel(molecules)
    integrator = ScoreLangevinIntegrator(TEMPERATURE, 0.0, stepSize)
    context = openmm.Context(ensemble.system, integrator, openmm.Platform.getPlatformByName(platform))
    context.setPositions(ensemble.positions.reshape(-1, 3))
    context.setVelocitiesToTemperature(TEMPERATURE, 1)
    masses = np.array([ensemble.system.getParticleMass(i)._value for i in range(5 * molecules)])
    energies = []
    samples = round(picoseconds / stepSize / STEPS_PER_SAMPLE)
    for _ in range(samples):
        integrator.step(STEPS_PER_SAMPLE)
        energies.append(totalEnergies(ensemble, context, masses, stepSize))
    return stepSize * STEPS_PER_SAMPLE * np.arange(1, samples + 1), np.array(energies)


@pytest.mark.parametrize("platform, molecules, picoseconds", [("CPU", 16, 5.0), ("Reference", 2, 1.0)])
def test_energyIsConservedToTheSquareOfTheStep(platform, molecules, picoseconds):
    fluctuations = []
    for stepSize in (0.001, 0.0005):
        times, energies = run(platform, molecules, stepSize, picoseconds)
        drift = np.polyfit(times, energies.mean(axis=1), 1)[0]
        fluctuations.append(energies.std(axis=0).mean())
        print(f"{1000 * stepSize} fs: drift {drift:.1e} kT/ps, fluctuations {fluctuations[-1]:.1e} kT")
        # For a molecule with 15 degrees of freedom. At 1 fs about 0.0007 kT/ps, a quarter of it at 0.5 fs.
        assert abs(drift) < 0.005
    # If forces were not the energy's gradient, or rounded too coarsely, a smaller step would gain nothing.
    assert 3 < fluctuations[0] / fluctuations[1] < 5.5
