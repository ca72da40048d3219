"""A worker that computes energies by a BoltzmannTarget, and by a bare Context in a Python loop."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import openmm
import openmmscore
from energy_cases import Programs, makeCase, makeIntegrator
from worker import serve

programs = Programs()


def prepare(
    key: str, case: str, program: str, seconds: float, platform: str, forces: bool, threads: int
) -> dict:
    """Prepare a program: "target", or "bare" on a platform."""
    system, temperature, frames = makeCase(case)
    if program == "bare":
        return programs.add(key, frames, bareLoop(system, temperature, platform, forces, threads), seconds)
    target = openmmscore.BoltzmannTarget(system, temperature, threads)
    answer = programs.add(key, frames, lambda x: target.evaluate(x, forces=forces).reducedEnergies, seconds)
    return {**answer, "platform": target.platformName, "reason": target.platformReason}


def bareLoop(
    system: openmm.System, temperature: float, platform: str, forces: bool, threads: int
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the loop that one writes without any help."""
    properties = {"Threads": str(threads)} if platform == "CPU" else {}
    context = openmm.Context(
        system, makeIntegrator(temperature), openmm.Platform.getPlatformByName(platform), properties
    )
    kT = (openmm.unit.MOLAR_GAS_CONSTANT_R * temperature * openmm.unit.kelvin)._value * 1e-3

    def evaluate(frames: np.ndarray) -> np.ndarray:
        energies = np.empty(len(frames))
        for i, frame in enumerate(frames):
            context.setPositions(frame)
            state = context.getState(energy=True, forces=forces)
            energies[i] = state.getPotentialEnergy()._value / kT
            if forces:
                state.getForces(asNumpy=True)
        return energies

    return evaluate


def versions() -> dict:
    """Return what ran."""
    return {
        "openmm": openmm.version.full_version,
        "openmmscore": openmmscore.__version__,
        "numpy": np.__version__,
    }


if __name__ == "__main__":
    serve({"prepare": prepare, "measure": programs.measure, "versions": versions})
