"""Two peptides in implicit solvent and frames around their structures, to measure energy programs with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import openmm
from openmm import app, unit
from worker import clock

STRUCTURES = Path(__file__).resolve().parent.parent / "tests/data/prose/pdb"
CASES = ("alanine dipeptide, 22 atoms", "ARIP, 70 atoms")
FRAMES = 2000
NOISE = 0.005  # nm


def makeCase(name: str) -> tuple[openmm.System, float, np.ndarray]:
    """Return System, temperature in K, and frames [FRAMES,N,3] in nm that float32 holds exactly."""
    if name == CASES[0]:
        pdb = app.PDBFile(str(STRUCTURES / "ace-ala-nme.pdb"))
        field = app.ForceField("amber99sbildn.xml", "amber99_obc.xml")
        system, temperature = field.createSystem(pdb.topology, nonbondedMethod=app.NoCutoff), 300.0
    else:
        pdb = app.PDBFile(str(STRUCTURES / "ARIP.pdb"))
        field = app.ForceField("amber14-all.xml", "implicit/obc1.xml")
        system = field.createSystem(
            pdb.topology, nonbondedMethod=app.CutoffNonPeriodic, nonbondedCutoff=2 * unit.nanometer
        )
        temperature = 310.0
    structure = np.array(pdb.getPositions(asNumpy=True)._value)
    noise = NOISE * np.random.default_rng(1).standard_normal((FRAMES, *structure.shape))
    return system, temperature, (structure + noise).astype(np.float32).astype(np.float64)


def makeIntegrator(temperature: float) -> openmm.Integrator:
    """Return an integrator that knows the temperature; no step is ever taken."""
    return openmm.LangevinMiddleIntegrator(temperature, 0.3 / unit.picosecond, 1 * unit.femtosecond)


class Programs:
    """Prepared programs of one process by key; each turns an array of frames into reduced energies."""

    def __init__(self):
        self._evaluate: dict[str, Callable[[np.ndarray], np.ndarray]] = {}
        self._frames: dict[str, np.ndarray] = {}
        self._count: dict[str, int] = {}

    def add(
        self, key: str, frames: np.ndarray, evaluate: Callable[[np.ndarray], np.ndarray], seconds: float
    ) -> dict:
        """Warm up, find how many frames take so many seconds, and return the first energies."""
        self._evaluate[key], self._frames[key] = evaluate, frames
        first = evaluate(frames[:20])
        count = 20
        while True:
            start = clock()
            evaluate(frames[:count])
            elapsed = clock() - start
            if elapsed > 0.3 * seconds or count == len(frames):
                break
            count = min(4 * count, len(frames))
        self._count[key] = max(20, min(len(frames), round(count * seconds / elapsed)))
        return {"energies": np.asarray(first, dtype=float).ravel().tolist()}

    def measure(self, key: str, seconds: float) -> dict:
        """Return frames per second over about so many seconds."""
        frames, done = self._frames[key][: self._count[key]], 0
        start = clock()
        while (elapsed := clock() - start) < seconds or not done:
            self._evaluate[key](frames)
            done += len(frames)
        return {"rate": done / elapsed}
