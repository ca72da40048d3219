"""Small Systems for BoltzmannTarget, and the energies that an ordinary Context gives."""

import numpy as np
import openmm
from openmmscore import FrameStatus

KT = 8.31446261815324e-3 * 300.0


def fluid(method=openmm.NonbondedForce.CutoffPeriodic, side=5):
    """Return a System of charged Lennard-Jones particles, and their places on a lattice."""
    system = openmm.System()
    edge = side * 0.36
    system.setDefaultPeriodicBoxVectors((edge, 0, 0), (0, edge, 0), (0, 0, edge))
    force = openmm.NonbondedForce()
    force.setNonbondedMethod(method)
    force.setCutoffDistance(0.85)
    for i in range(side**3):
        system.addParticle(40.0)
        force.addParticle(0.1 - 0.2 * (i % 2), 0.33, 1.0)
    system.addForce(force)
    grid = np.stack(np.meshgrid(*[np.arange(side) * 0.36] * 3), axis=-1)
    return system, grid.reshape(-1, 3)


def wells(numParticles=3, parameter="k"):
    """Return a System of independent particles in U = k/2 |x|^2, and its global parameter's name."""
    system = openmm.System()
    force = openmm.CustomExternalForce(f"0.5*{parameter}*(x^2+y^2+z^2)")
    force.addGlobalParameter(parameter, 1.0)
    for i in range(numParticles):
        system.addParticle(1.0)
        force.addParticle(i)
    system.addForce(force)
    return system


def noisy(structure, count, noise, seed=1):
    return structure + noise * np.random.default_rng(seed).standard_normal((count, *structure.shape))


def bareLoop(system, frames, platform="Reference", boxes=None):
    """Return U and forces by an ordinary Context, frame by frame."""
    context = openmm.Context(
        system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName(platform)
    )
    energies, forces = [], []
    for i, frame in enumerate(frames):
        if boxes is not None:
            context.setPeriodicBoxVectors(*boxes[i])
        context.setPositions(frame)
        state = context.getState(energy=True, forces=True)
        energies.append(state.getPotentialEnergy()._value)
        forces.append(state.getForces(asNumpy=True)._value)
    return np.array(energies), np.array(forces)


def broken(frames):
    """Return frames with planted troubles, and the status that each frame must get."""
    frames, expected = frames.copy(), np.zeros(len(frames), dtype=int)
    plants = [
        (1, FrameStatus.NonFinitePosition, lambda x: x.__setitem__((3, 1), np.nan)),
        (4, FrameStatus.NonFinitePosition, lambda x: x.__setitem__((0, 0), -np.inf)),
        (7, FrameStatus.NonFiniteEnergy, lambda x: x.__setitem__(5, x[9])),  # two atoms in one place
        (8, FrameStatus.NonFiniteEnergy, lambda x: x.__imul__(1e200)),
        (12, FrameStatus.EnergyTooHigh, lambda x: x.__imul__(1e-2)),
        (19, FrameStatus.EnergyTooHigh, lambda x: x.__imul__(1e8)),
    ]
    for index, status, plant in plants:
        plant(frames[index])
        expected[index] = status
    return frames, expected
