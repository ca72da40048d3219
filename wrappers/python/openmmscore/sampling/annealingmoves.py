"""Moves of walkers that keep one level's density: Langevin steps and Hamiltonian trajectories."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import openmm

from .annealingpath import Path, Walkers


def towards(target: float, gain: float = 2.0) -> Callable[[float, float], float]:
    """Return a rule that leads the acceptance to ``target``: h becomes h exp(gain (found - target)).

    One adaptation changes the step size by a factor of two at most.
    """

    def adapt(stepSize: float, acceptance: float) -> float:
        return stepSize * float(np.exp(np.clip(gain * (acceptance - target), -np.log(2), np.log(2))))

    return adapt


def withinBand(lower: float, upper: float, factor: float = 1.1) -> Callable[[float, float], float]:
    """Return a rule: times ``factor`` above the acceptance ``upper``, divided by it below ``lower``."""

    def adapt(stepSize: float, acceptance: float) -> float:
        if acceptance > upper:
            return stepSize * factor
        return stepSize / factor if acceptance < lower else stepSize

    return adapt


_BEST_LANGEVIN, _BEST_HAMILTONIAN = towards(0.574), towards(0.75)


@dataclasses.dataclass(frozen=True)
class Move:
    """How walkers move at a level; made by ``ula``, ``mala`` and ``hmc``.

    Attributes
    ----------
    kind : {"ula", "mala", "hmc"}
        a Langevin step that is always taken; one that is accepted or rejected; a trajectory of leapfrog steps
        that is accepted or rejected
    stepSize : float
        h in nm^2: a Langevin step is x - h grad + sqrt(2 h) xi, a leapfrog step takes the time sqrt(2 h)
    numSteps : int
        leapfrog steps of a trajectory; 1 makes it the same as "mala"
    adapt : callable or None
        gives the next level's step size for this one's and the acceptance found at it
    """

    kind: str
    stepSize: float
    numSteps: int = 1
    adapt: Callable[[float, float], float] | None = None

    def __post_init__(self):
        if self.kind not in ("ula", "mala", "hmc"):
            raise openmm.OpenMMException(f"Move: kind must be 'ula', 'mala' or 'hmc', got {self.kind!r:.40}")
        if not (np.isfinite(self.stepSize) and self.stepSize > 0):
            raise openmm.OpenMMException(
                f"Move: stepSize must be a positive number in nm^2, got {self.stepSize}"
            )
        if not 1 <= self.numSteps <= 10000 or (self.kind != "hmc" and self.numSteps != 1):
            raise openmm.OpenMMException(
                f"Move: numSteps must be 1 to 10000 for 'hmc' and 1 for the others, got {self.numSteps}"
            )
        if self.kind == "ula" and self.adapt is not None:
            raise openmm.OpenMMException("Move: 'ula' has no acceptance that a step size could adapt to")


def ula(stepSize: float) -> Move:
    """Unadjusted Langevin steps. Weights stay exact, but moves pull walkers towards another density.

    The final weights do not correct that: averages have a bias of the order of the step size.

    Parameters
    ----------
    stepSize : float
        h in nm^2
    """
    return Move("ula", stepSize)


def mala(stepSize: float, adapt: Callable[[float, float], float] | None = _BEST_LANGEVIN) -> Move:
    """Langevin steps with acceptance (Roberts and Rosenthal, J. R. Stat. Soc. B 1998: best at 0.574)."""
    return Move("mala", stepSize, 1, adapt)


def hmc(
    stepSize: float, numSteps: int = 10, adapt: Callable[[float, float], float] | None = _BEST_HAMILTONIAN
) -> Move:
    """Hamiltonian trajectories of ``numSteps`` leapfrog steps with acceptance (Duane et al. 1987)."""
    return Move("hmc", stepSize, numSteps, adapt)


def takeMove(
    move: Move, path: Path, walkers: Walkers, level: float, stepSize: float, random: Any
) -> tuple[Walkers, float]:
    """Move every walker once that is not lost.

    Gradients that are not finite count as zero. Moves that are accepted or rejected stay exact with that: any
    function of the positions may serve as gradient, only fewer are accepted. Numbers are drawn for all
    walkers, so those of one do not depend on the fate of another.

    Parameters
    ----------
    random
        its normal(shape) and uniform(shape)

    Returns
    -------
    Walkers
    float
        the share of accepted moves; 1 for "ula"
    """
    noise = path.project(random.normal(walkers.positions.shape))
    threshold = None if move.kind == "ula" else random.uniform(len(noise))
    index = np.flatnonzero(walkers.alive)
    if len(index) == 0:
        return walkers, 0.0
    start, momentum = walkers.evaluation.take(index), noise[index]
    # A trial that leaves all bounds becomes infinite or NaN, which evaluate() turns into a status.
    with np.errstate(over="ignore", invalid="ignore"):
        x, end, final = _trajectory(move, path, walkers.positions[index], start, momentum, level, stepSize)
        if threshold is None:
            moved = walkers.moved(index, x, end)
            # Where the density is zero the weight is, too; without a test nothing kept the walker from there.
            weight = np.where(moved.evaluation.usable, moved.logWeight, -np.inf)
            return dataclasses.replace(moved, logWeight=weight), 1.0
        axes = tuple(range(1, x.ndim))
        change = end.pathEnergy(level) - start.pathEnergy(level)
        change += 0.5 * ((final**2).sum(axis=axes) - (momentum**2).sum(axis=axes))
        accepted = end.usable & (np.log(threshold[index]) < -change)
    chosen = np.flatnonzero(accepted)
    return walkers.moved(index[chosen], x[chosen], end.take(chosen)), float(accepted.mean())


def _trajectory(move, path, x, start, momentum, level, stepSize):
    """Leapfrog steps of time sqrt(2 h). With one of them x' = x - h grad + sqrt(2 h) xi, a Langevin step."""
    time = np.sqrt(2 * stepSize)
    current = start
    momentum = momentum - 0.5 * time * start.pathGradient(level)
    for step in range(move.numSteps):
        x = x + time * momentum
        current = path.evaluate(x)
        share = 0.5 if step == move.numSteps - 1 else 1.0
        momentum = momentum - share * time * current.pathGradient(level)
    return x, current, momentum
