"""How one chunk of weighted samples comes about, the same here and on a worker far away."""

from __future__ import annotations

import hashlib
import pickle
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import openmm
from numpy.typing import ArrayLike

from .._units import checkedTemperature
from ..target import BoltzmannTarget, FrameStatus
from .frames import centroidLogDensity

# What may become of a sample before its energy is asked for, and then by it, in the words of people.
OK, MIRRORED, WRONG_CHIRALITY, BAD_PROPOSAL = range(4)
_BEFORE = ["ok", "ok, mirrored", "wrong chirality", "proposal not finite"]
_BY_TARGET = {
    FrameStatus.NonFinitePosition: "position not finite",
    FrameStatus.NonFiniteEnergy: "energy not finite",
    FrameStatus.EnergyTooLow: "energy too low",
    FrameStatus.EnergyTooHigh: "energy too high",
    FrameStatus.NonFiniteForce: "force not finite",
    FrameStatus.OpenMMError: "OpenMM failed",
}
#: what each status number means
STATUS_NAMES = [*_BEFORE, *_BY_TARGET.values()]
#: Arrays under WeightedSamples' names, and what OpenMM said of the first sample that it failed at.
Chunk = tuple[dict[str, np.ndarray], str | None]
_FROM_TARGET = np.zeros(len(FrameStatus), dtype=np.int32)
_FROM_TARGET[list(_BY_TARGET)] = len(_BEFORE) + np.arange(len(_BY_TARGET))


def temperatureOf(target: Any) -> float:
    """Return a target's temperature in K."""
    return checkedTemperature(target.temperature, "BoltzmannSampler: the target's temperature")


def platformOf(target: Any) -> str | None:
    """Return the name of the platform that computes energies, None for a target that has none."""
    return getattr(target, "platformName", None)


def logWeights(
    positions: np.ndarray,
    reducedEnergy: np.ndarray,
    logDensity: np.ndarray,
    status: np.ndarray,
    sigma: float | None,
) -> np.ndarray:
    """Return -u + ln N(c) - ln q, and -inf where the status is not ok."""
    logWeight = np.full(len(status), -np.inf)
    good = status <= MIRRORED
    logWeight[good] = -reducedEnergy[good] - logDensity[good]
    if sigma is not None and good.any():
        logWeight[good] += centroidLogDensity(positions[good], sigma)
    return logWeight


def reducedEnergies(target: Any, positions: np.ndarray, status: np.ndarray) -> tuple[np.ndarray, str | None]:
    """Return U/kT of the samples that are ok so far, NaN for others; fill in the target's status.

    Beside the energies stands what OpenMM said of the first sample that it failed at, None if of none.
    """
    energies, reason = np.full(len(status), np.nan), None
    good = np.flatnonzero(status <= MIRRORED)
    if len(good):
        result = target.evaluate(np.ascontiguousarray(positions[good], dtype=np.float64))
        energies[good] = result.reducedEnergies
        bad = np.asarray(result.status) != FrameStatus.Ok
        status[good[bad]] = _FROM_TARGET[result.status[bad]]
        if result.firstError:
            reason = result.firstError.split(": ", 1)[-1]
    return energies, reason


def warnOfFailure(reason: str | None) -> None:
    """Say why OpenMM failed, of which the samples' statuses only say how often: here, not on a worker."""
    if reason is not None:
        warnings.warn(f"OpenMM failed for some samples, the first time with: {reason}", stacklevel=4)


@dataclass(frozen=True)
class Recipe:
    """Everything that one sample is a function of, besides seed and number."""

    proposal: Any
    target: Any
    chirality: Any
    mirror: bool
    sigma: float | None
    positionType: str

    def draw(self, seed: int, first: int, count: int) -> Chunk:
        """Return samples first ... first+count-1, and why OpenMM failed at some of them if it did."""
        positions, logDensity = self.proposal.sample(count, seed=seed, first=first)
        positions = np.array(positions, dtype=np.float64)
        logDensity = np.array(logDensity, dtype=np.float64)
        status = np.full(count, OK, dtype=np.int32)
        status[~(np.isfinite(positions).all(axis=(1, 2)) & np.isfinite(logDensity))] = BAD_PROPOSAL
        if self.chirality is not None:
            self._heedChirality(positions, logDensity, status)
        # Energies are those of the positions that are kept.
        positions = positions.astype(self.positionType)
        energies, reason = reducedEnergies(self.target, positions, status)
        arrays = {
            "positions": positions,
            "logDensity": logDensity,
            "reducedEnergy": energies,
            "logWeight": logWeights(positions, energies, logDensity, status, self.sigma),
            "status": status,
        }
        return arrays, reason

    def _heedChirality(self, positions: np.ndarray, logDensity: np.ndarray, status: np.ndarray) -> None:
        """Mark samples of the wrong hand, or mirror them and give all the density q(x) + q(-x)."""
        fine = np.flatnonzero(status == OK)
        wrong = fine[~self._isRight(positions[fine])]
        if not self.mirror:
            status[wrong] = WRONG_CHIRALITY
            return
        drawn = positions.copy()
        positions[wrong] *= -1.0
        still = ~self._isRight(positions[wrong])
        status[wrong] = np.where(still, WRONG_CHIRALITY, MIRRORED)
        kept = np.flatnonzero(status <= MIRRORED)
        if not len(kept):
            return
        # What is kept might as well have been drawn as the mirror image of what was.
        logDensity[kept] = np.logaddexp(logDensity[kept], self.proposal.logDensity(-drawn[kept]))
        status[kept[~np.isfinite(logDensity[kept])]] = BAD_PROPOSAL

    def _isRight(self, positions: np.ndarray) -> np.ndarray:
        return np.asarray(self.chirality.check(positions), bool) if len(positions) else np.zeros(0, bool)


def fingerprint(thing: Any) -> str:
    """Return a hash of everything that energies or densities follow from."""
    if isinstance(thing, BoltzmannTarget):
        # How many Contexts there are changes nothing.
        system = openmm.XmlSerializer.serialize(thing.system)
        thing = (system, temperatureOf(thing), thing.platformProperties, thing.energyLimits)
    try:
        return hashlib.sha256(pickle.dumps(thing, protocol=5)).hexdigest()
    except Exception as error:
        raise openmm.OpenMMException(
            f"BoltzmannSampler: {type(thing).__name__} cannot be pickled ({error!s:.80}), which writing to a "
            "file and workers need"
        ) from None


def checkedArray(values: ArrayLike, count: int, what: str) -> np.ndarray:
    """Return an array whose first axis is the samples."""
    array = np.asarray(values)
    if array.ndim == 0 or len(array) != count:
        raise openmm.OpenMMException(
            f"WeightedSamples: {what} must have one entry for each of {count} samples, got the shape "
            f"{list(array.shape)}"
        )
    return array
