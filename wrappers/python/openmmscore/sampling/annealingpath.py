"""Walkers on the geometric path between a proposal and a target, and what both say about their positions."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import openmm

#: What can be wrong with a position, by status number.
STATUS_NAMES = ("ok", "energy not usable", "density not finite", "gradient not finite")
_OK, _NO_ENERGY, _NO_DENSITY, _NO_GRADIENT = range(len(STATUS_NAMES))


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What proposal and target say about n positions; sums over all of it follow from these alone."""

    #: u = U/kT of the target, [n]
    reducedEnergy: np.ndarray
    #: log q of the proposal, [n]
    logDensity: np.ndarray
    #: derivative of u with respect to the positions, 1/nm, shape of the positions; 0 where not finite
    energyGradient: np.ndarray
    #: derivative of log q, likewise
    densityGradient: np.ndarray
    #: index into STATUS_NAMES, [n]
    status: np.ndarray

    @property
    def usable(self) -> np.ndarray:
        """Where u and log q are finite, [n]: elsewhere the weight is zero."""
        return (self.status == _OK) | (self.status == _NO_GRADIENT)

    def pathEnergy(self, level: float) -> np.ndarray:
        """-log of the unnormalised density (1 - level) log q - level u, [n]."""
        return level * self.reducedEnergy - (1 - level) * self.logDensity

    def pathGradient(self, level: float) -> np.ndarray:
        """Derivative of pathEnergy()."""
        return level * self.energyGradient - (1 - level) * self.densityGradient

    def take(self, index: np.ndarray) -> Evaluation:
        """The chosen samples."""
        return Evaluation(*(getattr(self, field.name)[index] for field in dataclasses.fields(self)))

    def replaced(self, index: np.ndarray, other: Evaluation) -> Evaluation:
        """A copy with the chosen samples replaced by all of another evaluation."""
        result = {}
        for field in dataclasses.fields(self):
            array = getattr(self, field.name).copy()
            array[index] = getattr(other, field.name)
            result[field.name] = array
        return Evaluation(**result)


class Path:
    """The densities q(x)^(1 - level) exp(-u(x))^level, for levels from 0 to 1.

    Parameters
    ----------
    proposal, target
        see AnnealedSampler
    centreOfMass : float or None
        width of the normal distribution of centroids that is part of the target, nm
    chunkSize : int
        how many positions target and proposal are asked about at a time
    """

    def __init__(self, proposal: Any, target: Any, centreOfMass: float | None, chunkSize: int):
        self.proposal, self.target = proposal, target
        self.sigma, self.chunkSize = centreOfMass, chunkSize
        self.centred = getattr(proposal, "frame", "absolute") == "centred"
        #: How many positions the target was asked about, and how many of each status came back.
        self.counts = np.zeros(len(STATUS_NAMES), dtype=np.int64)

    def project(self, vectors: np.ndarray) -> np.ndarray:
        """Remove what would move centroids, if the density knows none."""
        return vectors - vectors.mean(axis=1, keepdims=True) if self.centred else vectors

    def evaluate(self, positions: np.ndarray) -> Evaluation:
        """Energies, densities and gradients of positions [n,...]; what is not finite is a status."""
        n = len(positions)
        result = Evaluation(
            np.full(n, np.inf),
            np.full(n, -np.inf),
            np.zeros_like(positions),
            np.zeros_like(positions),
            np.full(n, _NO_ENERGY),
        )
        asked = np.flatnonzero(np.isfinite(positions.reshape(n, -1)).all(axis=1))
        for start in range(0, len(asked), self.chunkSize):
            self._evaluateChunk(positions, asked[start : start + self.chunkSize], result)
        self.counts += np.bincount(result.status, minlength=len(STATUS_NAMES))
        return result

    def _evaluateChunk(self, positions: np.ndarray, index: np.ndarray, result: Evaluation) -> None:
        x = np.ascontiguousarray(positions[index])
        answer = self.target.evaluate(x, forces=True)
        energyGradient = -np.asarray(answer.forces, dtype=np.float64)
        u = np.array(answer.reducedEnergies, dtype=np.float64)
        if self.sigma is not None:
            centroid = x.mean(axis=1)
            # -log N(c; 0, sigma^2) in three dimensions, and its derivative.
            u += 0.5 * (centroid**2).sum(axis=1) / self.sigma**2 + 1.5 * np.log(2 * np.pi * self.sigma**2)
            energyGradient = energyGradient + centroid[:, None, :] / (self.sigma**2 * x.shape[1])
        density = np.asarray(self.proposal.logDensity(x), dtype=np.float64)
        densityGradient = np.asarray(self.proposal.logDensityGradient(x), dtype=np.float64)

        found = np.full(len(index), _OK)
        axes = tuple(range(1, x.ndim))
        finite = np.isfinite(energyGradient).all(axis=axes) & np.isfinite(densityGradient).all(axis=axes)
        found[~finite] = _NO_GRADIENT
        found[~np.isfinite(density)] = _NO_DENSITY
        found[~np.isfinite(u) | (np.asarray(answer.status) != 0)] = _NO_ENERGY
        usable, movable = (found == _OK) | (found == _NO_GRADIENT), found == _OK
        result.status[index] = found
        result.reducedEnergy[index[usable]] = u[usable]
        result.logDensity[index[usable]] = density[usable]
        result.energyGradient[index[movable]] = self.project(energyGradient[movable])
        result.densityGradient[index[movable]] = self.project(densityGradient[movable])


@dataclasses.dataclass(frozen=True)
class Walkers:
    """A population at one level of the path. Arrays are replaced, never changed."""

    positions: np.ndarray
    evaluation: Evaluation
    #: log weights since the last resampling, [n]; -inf for a walker that is lost
    logWeight: np.ndarray
    #: which of the proposal's samples each descends from, [n]
    ancestor: np.ndarray

    @property
    def alive(self) -> np.ndarray:
        """Whose weight is not zero, [n]."""
        return np.isfinite(self.logWeight)

    def reweighted(self, step: float) -> Walkers:
        """Log weights after the level has risen by ``step``, with positions as they are."""
        return dataclasses.replace(self, logWeight=self.logWeight + step * self.logRatio())

    def logRatio(self) -> np.ndarray:
        """-u - log q, the derivative of the log weight by the level, [n]; -inf where either is not usable."""
        ratio = np.full(len(self.logWeight), -np.inf)
        usable = self.evaluation.usable
        ratio[usable] = -self.evaluation.reducedEnergy[usable] - self.evaluation.logDensity[usable]
        return ratio

    def resampled(self, index: np.ndarray) -> Walkers:
        """The chosen walkers, with equal weights."""
        return Walkers(
            self.positions[index], self.evaluation.take(index), np.zeros(len(index)), self.ancestor[index]
        )

    def moved(self, index: np.ndarray, positions: np.ndarray, evaluation: Evaluation) -> Walkers:
        """A copy in which the chosen walkers are elsewhere."""
        changed = self.positions.copy()
        changed[index] = positions
        return dataclasses.replace(
            self, positions=changed, evaluation=self.evaluation.replaced(index, evaluation)
        )


def logMean(logWeight: np.ndarray) -> float:
    """Log of the mean of weights; -inf if all are zero."""
    most = logWeight.max()
    return float(most + np.log(np.exp(logWeight - most).mean())) if np.isfinite(most) else -np.inf


def normalised(logWeight: np.ndarray) -> np.ndarray:
    """Weights that sum to one, of log weights of which at least one is finite."""
    weight = np.exp(logWeight - logWeight.max())
    return weight / weight.sum()


def effectiveFraction(logWeight: np.ndarray) -> float:
    """Kish's effective sample size over the number of walkers, those of weight zero included."""
    return float(1 / (len(logWeight) * (normalised(logWeight) ** 2).sum()))


def nextStep(walkers: Walkers, level: float, fraction: float) -> float:
    """How far the level can rise until the conditional effective sample size falls to ``fraction``.

    That is (sum W w)^2 / sum W w^2 with the normalised weights W so far and those of the step w: the quality
    of the step itself, however uneven the weights are already (Zhou, Johansen and Aston, J. Comput. Graph.
    Stat. 2016, doi:10.1080/10618600.2015.1060885).
    """
    alive = walkers.alive
    if not alive.any():
        raise allLost()
    weight = normalised(walkers.logWeight[alive])
    ratio = walkers.logRatio()[alive]

    def quality(step: float) -> float:
        scaled = step * ratio
        w = np.exp(scaled - scaled.max())
        return float((weight @ w) ** 2 / (weight @ w**2))

    if quality(1 - level) >= fraction:
        return 1 - level
    low, high = 0.0, 1 - level
    # Halving 50 times reaches the resolution of a double; stop at a relative 1e-6, which costs nothing.
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if quality(middle) >= fraction else (low, middle)
    # A level that no longer rises would never end, so the last resort is a step of lower quality.
    return low if level + low > level else high


def allLost() -> openmm.OpenMMException:
    """The error when nothing is left."""
    return openmm.OpenMMException(
        "AnnealedSampler: every walker has weight zero, none has a finite energy and density; "
        "draw more samples, or from a proposal that is nearer to the target"
    )
