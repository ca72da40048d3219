"""A worker that runs OpenMM-Score: python simulation.py starts it."""

from __future__ import annotations

import numpy as np
import openmm
import openmmscore
from cases import startPositions
from openmm import app, unit
from worker import estimateStepTime, serve, timeSteps

FRICTION = 1.0  # 1/ps


class Run:
    """A prepared simulation of one molecule many times."""

    def __init__(self, case: dict, model: str, molecules: int, integrator: str, platform: str):
        # A Simulation only where it is what is measured; a Context is what all others are made of.
        topology, system = openmmscore.createSystem(model, copies=molecules, features=case["featureValues"])
        kind = (
            openmmscore.ScoreLangevinIntegrator
            if integrator == "ScoreLangevinIntegrator"
            else openmm.LangevinMiddleIntegrator
        )
        self.integrator = kind(case["temperature"], FRICTION, case["timeStep"])
        chosen = openmm.Platform.getPlatform(platform)
        if integrator == "Simulation":
            simulation = app.Simulation(topology, system, self.integrator, chosen)
            self.context, self.step = simulation.context, simulation.step
        else:
            self.context = openmm.Context(system, self.integrator, chosen)
            self.step = self.integrator.step
        self.positions = startPositions(case["masses"], case["lengthScale"], molecules).reshape(-1, 3)
        self.temperature = case["temperature"]
        self.start()
        self.stepTime = estimateStepTime(self.step)

    def start(self) -> None:
        """Go back to the first step, so that every run is of the same stretch of the simulation."""
        self.context.setPositions(self.positions)
        self.context.setVelocitiesToTemperature(self.temperature, 1)

    def measure(self, seconds: float) -> dict:
        """Time about so many seconds."""
        return timeSteps(self.start, self.step, self.stepTime, seconds)


runs: dict[str, Run] = {}


def prepare(key: str, case: dict, model: str, molecules: int, integrator: str, platform: str = "CPU") -> dict:
    """Create a simulation and estimate how long one step takes."""
    runs[key] = Run(case, model, molecules, integrator, platform)
    return {"stepTime": runs[key].stepTime}


def measure(key: str, seconds: float) -> dict:
    """Take a sample."""
    return runs[key].measure(seconds)


def release(key: str) -> dict:
    """Forget a simulation."""
    del runs[key]
    return {}


def advance(key: str, steps: int) -> dict:
    """Take steps, and say how much memory the process has afterwards."""
    runs[key].step(steps)
    return memory()


def energy(key: str) -> dict:
    """Return the potential energy in kJ/mol and the forces in kJ/mol/nm at the first positions."""
    run = runs[key]
    run.start()
    state = run.context.getState(energy=True, forces=True)
    forces = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
    energy = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
    return {"energy": energy, "forces": forces.tolist()}


def memory() -> dict:
    """Return the memory of this process in KiB."""
    with open("/proc/self/status") as file:
        fields = dict(line.split(":", 1) for line in file)
    return {"rss": int(fields["VmRSS"].split()[0]), "peak": int(fields["VmHWM"].split()[0])}


def versions() -> dict:
    """Return what is measured."""
    return {
        "openmm": openmm.version.version,
        "openmmscore": getattr(openmmscore, "__version__", "unknown"),
        "numpy": np.__version__,
    }


if __name__ == "__main__":
    serve(
        {
            "prepare": prepare,
            "measure": measure,
            "release": release,
            "advance": advance,
            "energy": energy,
            "memory": memory,
            "versions": versions,
        }
    )
