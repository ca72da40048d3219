"""Chains whose energies are known, the alanine model, and samples of them."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openmm
from openmmscore import ScoreForce, ScoreLangevinIntegrator, createSystem
from safetensors.numpy import save_file

EXAMPLES = Path(__file__).parents[3] / "examples"
ALANINE_MODEL = EXAMPLES / "models" / "alanine_dipeptide.safetensors"
ALANINE_DATA = EXAMPLES / "data" / "alanine_dipeptide_beads.npy"
GAS_CONSTANT = 8.31446261815324e-3  # kJ/mol/K
TEMPERATURE = 300.0  # K, at which both models were trained

# Unequal, so that a mistake in a mass is seen in the beads' kinetic energies.
CHAIN_MASSES = np.array([12.0, 14.0, 40.0, 16.0, 2.0])
BOND_LENGTH, BOND_STIFFNESS = 0.15, 20000.0  # nm, kJ/mol/nm^2
SPRING_STIFFNESS = 2000.0  # kJ/mol/nm^2


@dataclass
class Ensemble:
    """Copies of a molecule in a System, and how to tell the potential energy of each."""

    system: openmm.System
    positions: np.ndarray  # [molecules,N,3] in nm, to start from

    def potentialEnergies(self, context):
        """Return the energy of each molecule in kJ/mol."""
        return ScoreForce.cast(self.system.getForce(0)).getMoleculeEnergies(context)._value


class BondedChains(Ensemble):
    """Chains held together by OpenMM's HarmonicBondForce, without any model."""

    def __init__(self, molecules):
        system, force = openmm.System(), openmm.HarmonicBondForce()
        for first in range(0, 5 * molecules, 5):
            for mass in CHAIN_MASSES:
                system.addParticle(mass)
            for i in range(first, first + 4):
                force.addBond(i, i + 1, BOND_LENGTH, BOND_STIFFNESS)
        system.addForce(force)
        chain = np.array([[BOND_LENGTH * i, 0.03 * (i % 2), 0.03 * (i // 2 % 2)] for i in range(5)])
        super().__init__(system, np.tile(chain, (molecules, 1, 1)))

    def potentialEnergies(self, context):
        x = context.getState(positions=True).getPositions(asNumpy=True)._value.reshape(-1, 5, 3)
        lengths = np.linalg.norm(np.diff(x, axis=1), axis=2)
        return 0.5 * BOND_STIFFNESS * np.sum((lengths - BOND_LENGTH) ** 2, axis=1)


class SpringModel(Ensemble):
    """A model of springs without length: one from the origin to the first bead, one to each next."""

    def __init__(self, molecules, folder):
        path = folder / "springs.safetensors"
        writeSpringModel(path)
        _, system = createSystem(str(path), copies=molecules)
        super().__init__(system, np.zeros((molecules, 5, 3)))


class AlanineModel(Ensemble):
    """The shipped model of alanine dipeptide, from frames of its training data."""

    def __init__(self, molecules):
        _, system = createSystem(ALANINE_MODEL, copies=molecules)
        frames = np.load(ALANINE_DATA)
        chosen = np.linspace(0, len(frames) - 1, molecules).astype(int)
        super().__init__(system, frames[chosen].astype(float))


def writeSpringModel(path):
    """Write a perceptron on 15 numbers whose energy is sum k |x_i - x_(i-1)|^2 / (2 kT) with x_(-1) = 0.

    swish(u) + swish(-u) = u tanh(u/2) = u^2/2 - u^4/24 + ...; with u = (z_i - z_j)/2, which is about 0.02
    here, the energy is quadratic to a relative 1e-4.
    """
    inner = np.zeros((30, 15 + 4), dtype=np.float32)
    for i in range(15):
        for row, sign in ((2 * i, 0.5), (2 * i + 1, -0.5)):
            inner[row, i] = sign
            if i >= 3:
                inner[row, i - 3] = -sign
    outer = np.full((1, 30), SPRING_STIFFNESS / (GAS_CONSTANT * TEMPERATURE) / 0.5**2, dtype=np.float32)
    document = {
        "format_version": 1,
        "title": "springs",
        "space": "vector",
        "count": 15,
        "length_scale": 1.0,
        "temperature": TEMPERATURE,
        "default_diffusion_time": 0.0,
        "schedule": {"kind": "variance-preserving", "beta_min": 0.1, "beta_max": 20.0},
        "features": [],
        "experts": [
            {
                "architecture": "mlp",
                "interval": [0.0, 1.0],
                "head": "energy",
                "time_features": "fourier",
                "output_sign": 1,
                "output_scaling": "none",
                "hidden": [30],
            }
        ],
        "particles": [
            {"name": f"B{i}", "element": "", "mass": mass, "residue": "SPR", "residue_index": 0}
            for i, mass in enumerate(CHAIN_MASSES)
        ],
        "bonds": [],
        "provenance": {},
    }
    tensors = {
        "experts.0.layers.0.weight": inner,
        "experts.0.layers.0.bias": np.zeros(30, dtype=np.float32),
        "experts.0.layers.1.weight": outer,
        "experts.0.layers.1.bias": np.zeros(1, dtype=np.float32),
    }
    save_file(tensors, path, metadata={"openmmscore": json.dumps(document)})


@dataclass
class Samples:
    """Frames of single molecules, nearly independent of one another."""

    temperature: float
    masses: np.ndarray  # [N] in amu
    positions: np.ndarray  # [frames,N,3] in nm
    velocities: np.ndarray  # [frames,N,3] in nm/ps
    potentialEnergies: np.ndarray  # [frames] in kJ/mol
    acceptance: float

    @property
    def kineticEnergies(self):
        """Shape [frames,N], kJ/mol."""
        return 0.5 * self.masses * np.sum(self.velocities**2, axis=2)


def sample(
    ensemble,
    scheme,
    stepSize,
    picosecondsPerSample,
    numSamples,
    friction=5.0,
    temperature=TEMPERATURE,
    platform="CPU",
):
    """Run all molecules, leave out the first eight samples, and return the rest."""
    molecules, beads, _ = ensemble.positions.shape
    integrator = ScoreLangevinIntegrator(temperature, friction, stepSize)
    integrator.setScheme(getattr(ScoreLangevinIntegrator, scheme))
    integrator.setRandomNumberSeed(1)
    integrator.setAllowTemperatureMismatch(temperature != TEMPERATURE)
    context = openmm.Context(ensemble.system, integrator, openmm.Platform.getPlatformByName(platform))
    context.setPositions(ensemble.positions.reshape(-1, 3))
    context.setVelocitiesToTemperature(temperature, 1)
    interval = round(picosecondsPerSample / stepSize)
    integrator.step(8 * interval)
    positions, velocities, energies = [], [], []
    for _ in range(numSamples):
        integrator.step(interval)
        state = context.getState(positions=True, velocities=True)
        positions.append(state.getPositions(asNumpy=True)._value)
        velocities.append(state.getVelocities(asNumpy=True)._value)
        energies.append(ensemble.potentialEnergies(context))
    masses = np.array([ensemble.system.getParticleMass(i)._value for i in range(beads)])
    shape = (numSamples * molecules, beads, 3)
    return Samples(
        temperature,
        masses,
        np.reshape(positions, shape),
        np.reshape(velocities, shape),
        np.concatenate(energies),
        integrator.getAcceptanceRate(),
    )
