"""Averages over the shipped Mueller-Brown model against quadrature of the same network's energy.

Molecules start from the exact distribution, so there is nothing to equilibrate and every deviation is the
integrator's doing. Each yields one average over its path; being independent, their spread is the error.
"""

from pathlib import Path

import numpy as np
import openmm
import pytest
from openmmscore import Model, ScoreForce, ScoreLangevinIntegrator, createSystem

MODEL = Path(__file__).parents[2] / "examples" / "models" / "mueller_brown.safetensors"
GAS_CONSTANT = 8.31446261815324e-3  # kJ/mol/K
FRICTION = 10.0  # 1/ps
# The stiffest directions of the wells oscillate with about 70 rad/ps, so Verlet is stable up to 0.028 ps.
SMALL_STEP, LARGE_STEP = 0.005, 0.02  # ps
STEPS, STEPS_PER_SAMPLE = 2000, 20


class Exact:
    """Boltzmann's distribution of the network's energy on a grid."""

    def __init__(self):
        self.model = Model(MODEL)
        # A smooth density that vanishes at the borders: halving the spacing moves averages by less than 1e-7.
        x, y = np.meshgrid(np.arange(-4, 3, 0.04), np.arange(-2, 4, 0.04), indexing="ij")
        self.z = np.column_stack([x.ravel(), y.ravel()])
        energies = self.model.networkEnergy(self.z, self.model.defaultDiffusionTime)
        self.lowest = energies.min()
        weights = np.exp(self.lowest - energies)
        self.weights = weights / weights.sum()
        values = observables(self.z, energies - self.lowest)
        self.averages = self.weights @ values
        self.deviations = np.sqrt(self.weights @ (values - self.averages) ** 2)


def observables(z, energies):
    """Return x, y, their squares and the reduced energy, shape [configurations,5]."""
    return np.column_stack([z, z**2, energies])


@pytest.fixture(scope="module")
def exact():
    return Exact()


def sample(exact, platform, scheme, stepSize, molecules):
    """Return deviations from the exact averages, their standard errors, and the acceptance rate."""
    _, system = createSystem(exact.model, copies=molecules)
    force = ScoreForce.cast(system.getForce(0))
    integrator = ScoreLangevinIntegrator(exact.model.temperature, FRICTION, stepSize)
    integrator.setScheme(getattr(ScoreLangevinIntegrator, scheme))
    integrator.setRandomNumberSeed(1)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName(platform))
    positions = np.zeros((molecules, 3))
    chosen = np.random.default_rng(1).choice(len(exact.z), molecules, p=exact.weights)
    positions[:, :2] = exact.z[chosen]
    context.setPositions(positions)
    context.setVelocitiesToTemperature(exact.model.temperature, 1)

    kT = GAS_CONSTANT * exact.model.temperature._value
    averages = np.zeros((molecules, 5))
    samples = STEPS // STEPS_PER_SAMPLE
    for _ in range(samples):
        integrator.step(STEPS_PER_SAMPLE)
        z = context.getState(positions=True).getPositions(asNumpy=True)._value[:, :2]
        energies = force.getMoleculeEnergies(context)._value / kT
        averages += observables(z, energies - exact.lowest) / samples
    errors = averages.std(axis=0, ddof=1) / np.sqrt(molecules)
    # Molecules that had hardly moved would agree with the distribution they were drawn from.
    assert np.all(errors < 0.6 * exact.deviations / np.sqrt(molecules))
    return averages.mean(axis=0) - exact.averages, errors, integrator.getAcceptanceRate()


@pytest.mark.slow
@pytest.mark.parametrize(
    "platform, molecules", [("CPU", 500), pytest.param("Reference", 200, marks=pytest.mark.validation)]
)
class TestMuellerBrown:
    def test_averagesAreExactAtASmallStep(self, exact, platform, molecules):
        # The step's own error grows with its square: of the energy's average it is 4 of these errors at
        # 0.015 ps, and so below one at 0.005 ps.
        deviations, errors, _ = sample(exact, platform, "LFMiddle", SMALL_STEP, molecules)
        assert np.all(np.abs(deviations) < 5 * errors), deviations / errors

    def test_metropolizedStepsAreExactWherePlainOnesAreNot(self, exact, platform, molecules):
        deviations, errors, _ = sample(exact, platform, "Legacy", LARGE_STEP, molecules)
        assert np.abs(deviations / errors).max() > 10
        deviations, errors, acceptance = sample(exact, platform, "Metropolized", LARGE_STEP, molecules)
        assert np.all(np.abs(deviations) < 5 * errors), deviations / errors
        assert 0.5 < acceptance < 0.95
