"""Make alanine_dipeptide_frames.npy: 320 000 frames of all 22 atoms, to train a flow on.

A flow that is trained on frames a picosecond apart learns them by heart: bonds and angles lose their
memory within tens of femtoseconds, so a frame every 25 fs is worth nearly as much, and there are forty times
as many. Torsions are slower than any run that is quick, and start where they should: from the 2000
configurations of alanine_dipeptide_starts.npy go bursts of 4 ps (Langevin dynamics at 300 K, friction 1/ps,
steps of 1 fs, velocities drawn anew).

1800 starts are an unbiased sample, so what grows from them is one too, P(0 < phi < 2.2) = 0.02 included. 200
are spread over (phi, psi) evenly, wherever a run with lowered barriers ever was (each 15 x 15 degrees alike;
given phi and psi they are as likely as they should be). A training set may do that because samples of the
flow are reweighted: a flow with a tenth of its mass elsewhere keeps nine tenths of its effective samples at
least, while a flow that is too thin on a barrier or in the rare basin gives rare, huge weights. The file is
therefore no sample of the Boltzmann distribution; take averages from reweighted samples alone.

The hydrogens of a methyl group may change names in a cycle without anything noticing: each frame gets one of
the 27 ways at random, so that frames of a burst are less alike. With --copies 3 each is there three times.
Bursts lie one after another, in random order: hold out the last ones for validation, since frames of one
burst know of each other.

    python make_alanine_dipeptide_frames.py                 # 6 minutes of one fast, idle core
    python make_alanine_dipeptide_frames.py --jobs 2        # the same file, on two

Interrupted, it goes on where it was when it is started again.
"""

from __future__ import annotations

import argparse
import multiprocessing
from functools import partial
from pathlib import Path

import numpy as np
import openmm
from openmm import app
from tqdm import tqdm

FOLDER = Path(__file__).parent
#: nm of one unit in alanine_dipeptide_starts.npy: a hundredth of what a bond fluctuates
UNIT = 2e-5
TEMPERATURE, FRICTION, TIME_STEP = 300.0, 1.0, 0.001
#: hydrogens of each methyl group
METHYLS = ((0, 2, 3), (11, 12, 13), (19, 20, 21))


def createSystem() -> tuple[app.Topology, openmm.System]:
    """Alanine dipeptide in implicit solvent, without constraints."""
    topology = app.PDBFile(str(FOLDER / "alanine_dipeptide.pdb")).topology
    forceField = app.ForceField("amber99sbildn.xml", "amber99_obc.xml")
    return topology, forceField.createSystem(topology, nonbondedMethod=app.NoCutoff, constraints=None)


def loadStarts() -> np.ndarray:
    """[2000, 22, 3] in nm, centred, in random order."""
    return UNIT * np.load(FOLDER / "alanine_dipeptide_starts.npy").astype(np.float64)


def relabel(frames: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The same configurations with the hydrogens of each methyl named anew, in a cycle: as likely as before,
    and of the same handedness."""
    result = frames.copy()
    for methyl in METHYLS:
        shift = random.integers(3, size=len(frames))
        for k in (1, 2):
            chosen = np.flatnonzero(shift == k)
            result[np.ix_(chosen, methyl)] = frames[np.ix_(chosen, np.roll(methyl, k))]
    return result


def main() -> None:
    options = parseOptions()
    starts = loadStarts()[: options.bursts]
    length = options.copies * options.frames
    frames = openFrames(options.output, len(starts), length, starts.shape[1])
    # What is not written yet is zero.
    todo = [k for k in range(len(starts)) if not frames[(k + 1) * length - 1].any()]
    run = partial(runBurst, options=options)
    with multiprocessing.Pool(options.jobs, initializer=prepare, initargs=(starts,)) as pool:
        bursts = pool.imap(run, todo)
        for k, burst in zip(todo, tqdm(bursts, total=len(todo), unit=" bursts"), strict=True):
            frames[k * length : (k + 1) * length] = burst
    frames.flush()
    print(f"{options.output}: {list(frames.shape)}, float32, nm")


def parseOptions() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bursts", type=int, default=2000, help="up to 2000 (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=160, help="of each burst (default: %(default)s)")
    parser.add_argument("--steps-per-frame", type=int, default=25, help="of 1 fs each (default: %(default)s)")
    parser.add_argument(
        "--copies", type=int, default=1, help="of each frame, hydrogens relabelled (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=FOLDER / "alanine_dipeptide_frames.npy")
    return parser.parse_args()


def openFrames(path: Path, bursts: int, frames: int, atoms: int) -> np.ndarray:
    """The file's array [bursts*frames, atoms, 3], burst by burst; zero where nothing was written yet."""
    shape = (bursts * frames, atoms, 3)
    if not path.exists():
        return np.lib.format.open_memmap(path, "w+", np.float32, shape)
    array = np.lib.format.open_memmap(path, "r+")
    if array.shape != shape or array.dtype != np.float32:
        raise SystemExit(
            f"{path} holds {list(array.shape)}, expected {list(shape)}; remove it, or give another"
        )
    return array


def prepare(starts: np.ndarray) -> None:
    """What each process needs; a Context is made once and used for all bursts."""
    global STARTS, CONTEXT, INTEGRATOR
    STARTS = starts
    INTEGRATOR = openmm.LangevinMiddleIntegrator(TEMPERATURE, FRICTION, TIME_STEP)
    platform = openmm.Platform.getPlatformByName("Reference")
    CONTEXT = openmm.Context(createSystem()[1], INTEGRATOR, platform)


def runBurst(k: int, options: argparse.Namespace) -> np.ndarray:
    """Frames [copies*frames, atoms, 3] of burst k, centred: a function of k and the seed alone."""
    seed = options.seed
    INTEGRATOR.setRandomNumberSeed(1 + (seed * 1_000_003 + k) % 2**31)
    CONTEXT.reinitialize()  # takes up the seed
    CONTEXT.setPositions(STARTS[k])
    CONTEXT.setVelocitiesToTemperature(TEMPERATURE, 1 + (seed * 2_000_003 + k) % 2**31)
    burst = np.empty((options.frames, *STARTS.shape[1:]), np.float32)
    for frame in burst:
        INTEGRATOR.step(options.steps_per_frame)
        positions = CONTEXT.getState(positions=True).getPositions(asNumpy=True)._value
        frame[:] = positions - positions.mean(axis=0)
    return relabel(np.tile(burst, (options.copies, 1, 1)), np.random.default_rng((seed, k)))


if __name__ == "__main__":
    main()
