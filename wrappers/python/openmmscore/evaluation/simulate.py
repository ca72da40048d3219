"""Langevin dynamics of independent copies of a model's molecule, for evaluation."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
import openmm
from numpy.typing import ArrayLike
from openmm import unit

from ..model import Model
from ..plugin import ScoreLangevinIntegrator
from ..system import createSystem, repeatPositions
from .systems import Protocol, SystemKind

# Bytes of positions that are kept at most; beyond that only every so-manieth frame is.
_MOST_BYTES = 1_000_000_000
_SCHEMES = {"legacy": "Legacy", "middle": "LFMiddle", "metropolized": "Metropolized"}


@dataclass
class Trajectory:
    """What a simulation left behind."""

    #: float32, [frames,molecules,N,3] in nm, or [frames,molecules,d]; molecules that failed are left out.
    positions: np.ndarray
    #: Every so-manieth frame was kept.
    keptEvery: int = 1
    #: Molecules that ran into a number that was not finite, with the frame at which they did.
    failed: dict[int, int] = field(default_factory=dict)
    #: Why it ended before its time; empty if it did not.
    ended: str = ""

    @property
    def samples(self) -> np.ndarray:
        """All configurations together, [frames*molecules,N,3] or [frames*molecules,d]."""
        return self.positions.reshape(-1, *self.positions.shape[2:])


def simulate(
    model: Model,
    kind: SystemKind,
    protocol: Protocol,
    reference: np.ndarray,
    time: float | None = None,
    features: ArrayLike | None = None,
    seed: int = 1,
    platform: str | None = None,
    progress: bool = False,
) -> Trajectory:
    """Run a protocol from frames of the reference.

    A molecule that meets a number which is not finite is left out whole, as in the publications; others go on
    unharmed, since random numbers depend on the molecule, not on those beside it.

    Raises
    ------
    openmm.OpenMMException, ValueError
        if the model has no energy at that time, or all molecules failed
    """
    if protocol.scheme not in _SCHEMES:
        raise ValueError(f"the scheme must be one of {', '.join(_SCHEMES)}, got {protocol.scheme!r}")
    for name in ("molecules", "frames", "stepsPerFrame"):
        if getattr(protocol, name) < 1:
            raise ValueError(f"a simulation needs at least 1 of {name}, got {getattr(protocol, name)}")
    return _Run(model, kind, protocol, reference, time, features, seed, platform).carryOut(progress)


class _Run:
    def __init__(self, model, kind, protocol, reference, time, features, seed, platform):
        self._model, self._protocol, self._seed = model, protocol, seed
        _, system = createSystem(model, protocol.molecules, features, time)
        integrator = ScoreLangevinIntegrator(
            model.description["temperature"], protocol.friction, protocol.timeStep
        )
        integrator.setScheme(getattr(ScoreLangevinIntegrator, _SCHEMES[protocol.scheme]))
        integrator.setRandomNumberSeed(seed)
        arguments = [] if platform is None else [openmm.Platform.getPlatformByName(platform)]
        self._integrator = integrator
        self._context = openmm.Context(system, integrator, *arguments)
        shuffled = reference[np.random.default_rng(seed).permutation(len(reference))]
        starts = shuffled if kind.starts is None else kind.starts(shuffled)
        self._start = repeatPositions(self._padded(starts), protocol.molecules)
        self._context.setPositions(self._start)
        self._context.setVelocitiesToTemperature(model.temperature, seed)
        self._failed: dict[int, int] = {}

    def _padded(self, frames: np.ndarray) -> np.ndarray:
        """Vectors as positions of particles, the first numbers of x0, y0, z0, x1, ..."""
        if frames.ndim == 3:
            return frames
        positions = np.zeros((len(frames), 3 * self._model.numParticles))
        positions[:, : frames.shape[1]] = frames
        return positions.reshape(len(frames), self._model.numParticles, 3)

    def carryOut(self, progress: bool) -> Trajectory:
        from tqdm import tqdm

        protocol, width = self._protocol, self._model.numCoordinates
        every = max(1, -(-4 * width * protocol.molecules * protocol.frames // _MOST_BYTES))
        kept = np.empty((protocol.frames // every, protocol.molecules, width), dtype=np.float32)
        ended, done = "", 0
        bar = tqdm(
            total=protocol.frames, disable=not progress, desc="simulation", unit="frame", mininterval=1.0
        )
        with bar:
            try:
                for frame in range(protocol.frames):
                    if len(self._failed) == protocol.molecules:
                        break
                    positions = self._advance(frame)
                    if (frame + 1) % every == 0 and done < len(kept):
                        kept[done] = positions.reshape(protocol.molecules, -1)[:, :width]
                        done += 1
                    bar.update()
            except KeyboardInterrupt:
                ended = f"interrupted after {frame:,} of {protocol.frames:,} frames"
        alive = np.setdiff1d(np.arange(protocol.molecules), list(self._failed))
        if len(alive) == 0:
            first = min(self._failed.values())
            raise ValueError(
                f"all {protocol.molecules} molecules of the simulation ran into numbers that are not finite, "
                f"the first in frame {first}; the model is no good as a potential, or the time step too large"
            )
        kept = kept[:done] if len(alive) == protocol.molecules else kept[:done, alive]
        if self._model.space == "particles":
            kept = kept.reshape(*kept.shape[:2], -1, 3)
        return Trajectory(kept, every, dict(self._failed), ended)

    def _advance(self, frame: int) -> np.ndarray:
        """Take the steps of a frame; whoever fails stands still from then on and no longer counts."""
        before = self._context.getState(positions=True, velocities=True)
        while True:
            try:
                self._integrator.step(self._protocol.stepsPerFrame)
                return self._positions(self._context.getState(positions=True))
            except openmm.OpenMMException as error:
                molecule = _failedMolecule(error)
                if molecule is None or molecule in self._failed:
                    raise
                self._failed[molecule] = frame
                self._retire(before, molecule)
                before = self._context.getState(positions=True, velocities=True)

    def _retire(self, before: openmm.State, molecule: int) -> None:
        """Back to where the frame began, with one molecule at its start and without masses."""
        count = self._model.numParticles
        own = range(molecule * count, (molecule + 1) * count)
        positions, velocities = self._positions(before), before.getVelocities(asNumpy=True)._value
        positions[own], velocities[own] = self._start._value[own], 0.0
        for particle in own:
            self._context.getSystem().setParticleMass(particle, 0.0)
        # The state of the integrator goes on, and with it the count of steps that random numbers depend on.
        self._context.reinitialize(preserveState=True)
        self._context.setPositions(positions)
        self._context.setVelocities(velocities)

    @staticmethod
    def _positions(state: openmm.State) -> np.ndarray:
        return state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)


def _failedMolecule(error: openmm.OpenMMException) -> int | None:
    """ScoreForce names the molecule whose position, force or energy is not finite."""
    found = re.search(r"molecule (\d+)", str(error)) if "not finite" in str(error) else None
    return int(found.group(1)) if found else None
