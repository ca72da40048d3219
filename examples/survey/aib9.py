"""Simulate nine alpha-aminoisobutyric acids (Aib9) and keep their 18 torsions.

    python examples/survey/aib9.py --minutes 60               # go on for an hour; again to go on from there
    python examples/survey/aib9.py --minutes 60 --walker 1    # beside it: another walker in the same folder

Aib is achiral, so left- and right-handed conformations are equally probable: the mirror image of a frame (all
torsions with the other sign) is as good a frame. It is simulated with CHARMM36 in implicit solvent (OBC2) at
450 K, hydrogens of 3 amu, 4 fs a step, one frame a picosecond: 24 ns an hour and core.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import mdtraj
import numpy as np
import openmm
from aib9_system import createSystem
from numpy.typing import NDArray
from openmm import unit
from tqdm import tqdm

HERE = Path(__file__).resolve().parent
RESIDUES = 9
STEPS_PER_FRAME = 250
STEP_SIZE = 4 * unit.femtosecond
FRAMES_PER_FILE = 500


def main() -> None:
    options = parseOptions()
    options.output.mkdir(parents=True, exist_ok=True)
    molecule = mdtraj.load(HERE / "aib9.pdb", standard_names=False)
    state = options.output / f"state-{options.walker}.xml"
    context = openSimulation(molecule, state, 1000 * options.seed + options.walker)
    end = time.monotonic() + 60 * options.minutes
    with tqdm(total=round(60 * options.minutes), unit="s", desc="Aib9") as bar:
        while (now := time.monotonic()) < end:
            writeFrames(molecule, context, options.output, options.walker)
            bar.update(min(bar.total - bar.n, round(time.monotonic() - now)))
    torsions = loadTorsions(options.output)
    helical = (torsions[:, 0::2] < 0).mean()
    simulated = len(torsions) * STEPS_PER_FRAME * STEP_SIZE
    print(
        f"{len(torsions)} frames, {simulated.value_in_unit(unit.nanosecond):.3f} ns; "
        f"{100 * helical:.1f} % of all phi are negative (by symmetry 50 %)"
    )


def parseOptions() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="how long to simulate (60)")
    parser.add_argument("--output", type=Path, default=Path("aib9-output"), help="folder (aib9-output)")
    parser.add_argument("--walker", type=int, default=0, help="number of this one of several runs (0)")
    parser.add_argument("--seed", type=int, default=1, help="of velocities and noise (1)")
    return parser.parse_args()


def openSimulation(molecule: mdtraj.Trajectory, state: Path, seed: int) -> openmm.Context:
    """A Context that goes on from the state file, or starts from the minimised structure."""
    temperature = 450 * unit.kelvin
    integrator = openmm.LangevinMiddleIntegrator(temperature, 1 / unit.picosecond, STEP_SIZE)
    integrator.setRandomNumberSeed(seed)
    platform = openmm.Platform.getPlatform("CPU")
    context = openmm.Context(
        createSystem(molecule.topology.to_openmm()), integrator, platform, {"Threads": "1"}
    )
    if state.exists():
        context.setState(openmm.XmlSerializer.deserialize(state.read_text()))
        # Not the noise of the first part again.
        integrator.setRandomNumberSeed(seed + 1 + context.getStepCount())
        context.reinitialize(preserveState=True)
    else:
        context.setPositions(molecule.xyz[0].astype(float))
        openmm.LocalEnergyMinimizer.minimize(context)
        context.setVelocitiesToTemperature(temperature, seed)
        integrator.step(5000)
    return context


def writeFrames(molecule: mdtraj.Trajectory, context: openmm.Context, folder: Path, walker: int) -> None:
    """Simulate one file's worth of frames, and keep their torsions and then the state to go on from."""
    positions = []
    for _ in range(FRAMES_PER_FILE):
        context.getIntegrator().step(STEPS_PER_FRAME)
        positions.append(context.getState(getPositions=True).getPositions(asNumpy=True)._value)
    step = context.getStepCount()
    partial = folder / f"partial-{walker}.npy"
    np.save(partial, torsionsOf(molecule.topology, np.array(positions)).astype(np.float32))
    partial.replace(folder / f"torsions-{walker}-{step:012d}.npy")
    state = context.getState(getPositions=True, getVelocities=True, getIntegratorParameters=True)
    partial = folder / f"partial-{walker}.xml"
    partial.write_text(openmm.XmlSerializer.serialize(state))
    partial.replace(folder / f"state-{walker}.xml")


def torsionsOf(topology: mdtraj.Topology, positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """phi_1, psi_1, ... phi_9, psi_9 in radians, [frames,18], of positions in nm, [frames,129,3]."""
    index = {(atom.residue.index, atom.name): atom.index for atom in topology.atoms}
    last = RESIDUES - 1
    quadruples = []
    for r in range(RESIDUES):
        before = index[0, "CY"] if r == 0 else index[r - 1, "C"]
        after = index[last, "NT"] if r == last else index[r + 1, "N"]
        own = [index[r, name] for name in ("N", "CA", "C")]
        quadruples += [[before, *own], [*own, after]]
    return mdtraj.compute_dihedrals(
        mdtraj.Trajectory(positions.astype(np.float32), topology), quadruples, periodic=False
    )


def loadTorsions(folder: Path) -> NDArray[np.float32]:
    """All frames so far, [frames,18], radians."""
    return np.concatenate(loadWalkers(folder))


def loadWalkers(folder: Path) -> list[NDArray[np.float32]]:
    """The frames of each walker so far in the order of time, each [frames,18], radians."""
    walkers: dict[str, list[NDArray[np.float32]]] = {}
    for file in sorted(folder.glob("torsions-*-*.npy")):
        frames = np.load(file)
        if frames.ndim != 2 or frames.shape[1] != 2 * RESIDUES or not np.isfinite(frames).all():
            raise SystemExit(
                f"{file}: torsions are finite numbers [frames,{2 * RESIDUES}], and these have the shape "
                f"{list(frames.shape)}"
            )
        walkers.setdefault(file.name.split("-")[1], []).append(frames)
    if not walkers:
        raise SystemExit(f"{folder}: there are no torsions yet; run aib9.py first")
    return [np.concatenate(parts) for parts in walkers.values()]


if __name__ == "__main__":
    main()
