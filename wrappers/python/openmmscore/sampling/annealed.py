"""What a run of AnnealedSampler leaves: weighted walkers, log Z, and what happened at each level."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import openmm
from numpy.typing import ArrayLike
from openmm import unit

from .. import modelfile
from .annealingpath import STATUS_NAMES, Evaluation, Walkers, effectiveFraction, logMean, normalised
from .estimates import Estimate

if TYPE_CHECKING:
    from .annealing import Run

_KEY, _KIND, _VERSION = "openmmscore", "annealed run", 1


@dataclasses.dataclass(frozen=True)
class History:
    """What happened at each level; one number per level unless said otherwise."""

    #: l of each, rising to 1
    levels: np.ndarray
    #: effective sample size over n, after reweighting and before resampling
    effectiveFraction: np.ndarray
    #: whether walkers were resampled there
    resampled: np.ndarray
    #: share of accepted moves
    acceptance: np.ndarray
    #: the step size that was used, nm^2
    stepSizes: np.ndarray
    #: how many of the proposal's samples still have descendants
    lineages: np.ndarray
    #: one number: log of the mean weights at all resamplings
    logZ: float = 0.0
    #: one number: what the next level would use
    stepSize: float = 0.0

    @classmethod
    def empty(cls, stepSize: float) -> History:
        """Before the first level."""
        return cls(*(np.zeros(0) for _ in range(6)), 0.0, stepSize)

    @property
    def level(self) -> float:
        """The level that has been reached."""
        return float(self.levels[-1]) if len(self.levels) else 0.0

    def extended(self, *values: float) -> History:
        """With one more level; the values are in the order of the fields."""
        arrays = [getattr(self, field.name) for field in dataclasses.fields(self)[:6]]
        joined = [np.append(a, float(value)) for a, value in zip(arrays, values, strict=True)]
        return History(*joined, self.logZ, self.stepSize)


@dataclasses.dataclass(frozen=True)
class AnnealedSamples:
    """Weighted samples of a target.

    Walkers that descend from the same sample of the proposal are related. Errors therefore sum over
    families before they square (Lee and Whiteley, Biometrika 2018, doi:10.1093/biomet/asy028); without
    resampling that is the ordinary error of importance sampling. When few lineages are left they are too
    small: trust several independent runs more (``combine``).
    """

    #: [n,N,3] in nm
    positions: np.ndarray
    #: [n]; all constants included, so that the mean weight estimates Z. -inf for a lost walker
    logWeight: np.ndarray
    #: u = U/kT, [n]; inf where it is not usable
    reducedEnergy: np.ndarray
    #: log q of the proposal where the walker is now, [n]
    logDensity: np.ndarray
    #: index into statusNames, [n]
    status: np.ndarray
    #: number of the proposal's sample that each descends from, [n]
    ancestor: np.ndarray
    #: one for each run
    histories: tuple[History, ...]
    #: by name: how many evaluations ended so, rejected moves included
    counts: dict[str, int]

    statusNames = STATUS_NAMES

    @classmethod
    def fromRun(cls, run: Run) -> AnnealedSamples:
        """The result of a run that has reached level 1."""
        walkers, history = run.walkers, run.history
        return cls(
            walkers.positions,
            walkers.logWeight + history.logZ,
            walkers.evaluation.reducedEnergy,
            walkers.evaluation.logDensity,
            walkers.evaluation.status,
            walkers.ancestor,
            (history,),
            {name: int(count) for name, count in zip(STATUS_NAMES, run.counts, strict=True)},
        )

    @property
    def normalizedWeights(self) -> np.ndarray:
        """Weights that sum to one, [n]. Those of one ancestor are related, unlike what Weights assumes."""
        return normalised(self.logWeight)

    def logNormalization(self) -> Estimate:
        """Return ln Z of the target, the log of the mean weight, and its standard error from families."""
        n = len(self.logWeight)
        shares = np.bincount(self.ancestor, weights=self.normalizedWeights, minlength=n)
        error = np.sqrt(max(0.0, (shares**2).sum() - 1 / n) * n / max(1, n - 1))
        return Estimate(logMean(self.logWeight), float(error))

    def effectiveSampleSize(self) -> float:
        """Return Kish's, of the final weights. Copies count as different: see ``numLineages``."""
        return effectiveFraction(self.logWeight) * len(self.logWeight)

    @property
    def numLineages(self) -> int:
        """How many of the proposal's samples have descendants of a weight above zero."""
        return len(np.unique(self.ancestor[np.isfinite(self.logWeight)]))

    def average(self, values: ArrayLike) -> Estimate:
        """Weighted average and its standard error, of values [n,...], one for each walker; with their unit.

        Values of walkers without weight do not matter, whatever they are.
        """
        if unit.is_quantity(values):
            found = self.average(values.value_in_unit(values.unit))
            return Estimate(*(unit.Quantity(each, values.unit) for each in found))
        values = np.asarray(values, dtype=np.float64)
        if values.ndim == 0 or len(values) != len(self.logWeight):
            raise openmm.OpenMMException(
                f"AnnealedSamples: values must be one for each of {len(self.logWeight)} walkers, got the "
                f"shape {list(values.shape)}"
            )
        shape = values.shape[1:]
        alive = np.isfinite(self.logWeight)
        flat, weight = values[alive].reshape(alive.sum(), -1), self.normalizedWeights[alive]
        mean = weight @ flat
        families, member = np.unique(self.ancestor[alive], return_inverse=True)
        sums = np.zeros((len(families), flat.shape[1]))
        np.add.at(sums, member, weight[:, None] * (flat - mean))
        error = np.sqrt((sums**2).sum(axis=0))
        return Estimate(mean.reshape(shape), error.reshape(shape))

    @classmethod
    def combine(cls, runs: Sequence[AnnealedSamples]) -> AnnealedSamples:
        """Put independent runs (of different seeds) together; larger runs count for more."""
        if not runs:
            raise openmm.OpenMMException("AnnealedSamples: there are no runs to combine")
        firsts = np.cumsum([0] + [len(run.logWeight) for run in runs[:-1]])
        joined = {
            field.name: np.concatenate([getattr(run, field.name) for run in runs])
            for field in dataclasses.fields(cls)[:5]
        }
        ancestor = np.concatenate([run.ancestor + first for run, first in zip(runs, firsts, strict=True)])
        histories = tuple(history for run in runs for history in run.histories)
        counts = {name: sum(run.counts[name] for run in runs) for name in STATUS_NAMES}
        return cls(**joined, ancestor=ancestor, histories=histories, counts=counts)

    def summary(self) -> str:
        """In several lines for people, warnings included."""
        n, rows = len(self.logWeight), []
        invalid = [f"{count} {name}" for name, count in list(self.counts.items())[1:] if count]
        rows.append(("walkers", f"{n}, {np.count_nonzero(~np.isfinite(self.logWeight))} lost"))
        rows.append(("evaluations", ", ".join([f"{self.counts['ok']} ok", *invalid])))
        logZ, error = self.logNormalization()
        rows.append(("ln Z", f"{logZ:.6g} +- {error:.2g}"))
        rows.append(("effective size", f"{self.effectiveSampleSize():.1f} of {n}"))
        rows.append(("lineages", f"{self.numLineages} of {n}"))
        for history in self.histories:
            rows.append(
                (
                    "levels",
                    f"{len(history.levels)}, resampled at {int(history.resampled.sum())}; acceptance "
                    f"{history.acceptance.min():.2f} to {history.acceptance.max():.2f}; least effective "
                    f"fraction {history.effectiveFraction.min():.2f}",
                )
            )
        # Below this the error that families give is itself too uncertain.
        if self.numLineages < 50:
            rows.append(
                (
                    "warning",
                    "few lineages are left, errors are too small; use more walkers, levels or runs",
                )
            )
        # Beyond, errors were found to be too small by a third and more (docs/annealing.md).
        if error > 0.25:
            rows.append(("warning", "ln Z is uncertain; use more moves per level, levels or walkers"))
        if self.effectiveSampleSize() < 100:
            rows.append(
                ("warning", "fewer than 100 effective samples: averages and their errors are not reliable")
            )
        return "\n".join(f"{name:<16}{text}" for name, text in rows)


def writeRun(path: str | os.PathLike[str], run: Run, settings: dict[str, Any]) -> None:
    """Keep a run between two levels in a safetensors file, written atomically."""
    from safetensors.numpy import save

    arrays = {f"walkers.{name}": array for name, array in _walkerArrays(run.walkers).items()}
    for field in dataclasses.fields(run.history)[:6]:
        # The format has arrays without elements, but some of its readers do not.
        if len(run.history.levels):
            arrays[f"history.{field.name}"] = getattr(run.history, field.name)
    document = {
        "kind": _KIND,
        "version": _VERSION,
        "settings": settings,
        # As hexadecimal digits, which give back the same number exactly.
        "logZ": float(run.history.logZ).hex(),
        "stepSize": float(run.history.stepSize).hex(),
        "counts": run.counts.tolist(),
    }
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    modelfile.writeBytes(path, save(arrays, metadata={_KEY: json.dumps(document)}), overwrite=True)


def readRun(path: str | os.PathLike[str], settings: dict[str, Any]) -> tuple[Walkers, History, np.ndarray]:
    """Read what writeRun() wrote.

    Raises
    ------
    openmm.OpenMMException
        if it is no such file, or of a run with other settings
    """
    name = os.fspath(path)
    try:
        document, arrays = modelfile.read(path)
    except modelfile.ModelFileError as error:
        raise openmm.OpenMMException(f"AnnealedSampler: {error}; delete it to start again") from None
    if document.get("kind") != _KIND or document.get("version") != _VERSION:
        raise openmm.OpenMMException(
            f"AnnealedSampler: {name} is no checkpoint of an annealed run that this release can read"
        )
    # Through JSON once, as the file's were.
    for key, mine in json.loads(json.dumps(settings)).items():
        if document["settings"].get(key) != mine:
            raise openmm.OpenMMException(
                f"AnnealedSampler: {name} belongs to a run with {key} {document['settings'].get(key)!r:.60}, "
                f"this one has {mine!r:.60}; delete the file to start again"
            )
    try:
        walkers = _restoreWalkers({k[8:]: v for k, v in arrays.items() if k.startswith("walkers.")})
        fields = [field.name for field in dataclasses.fields(History)[:6]]
        history = [arrays.get(f"history.{field}", np.zeros(0)) for field in fields]
        numbers = float.fromhex(document["logZ"]), float.fromhex(document["stepSize"])
        counts = np.array(document["counts"], dtype=np.int64)
    except (KeyError, TypeError, ValueError) as error:
        raise openmm.OpenMMException(f"AnnealedSampler: {name} is damaged: {error!r:.100}") from None
    return walkers, History(*history, *numbers), counts


def _walkerArrays(walkers: Walkers) -> dict[str, np.ndarray]:
    arrays = {field.name: getattr(walkers.evaluation, field.name) for field in dataclasses.fields(Evaluation)}
    return {
        **arrays,
        "positions": walkers.positions,
        "logWeight": walkers.logWeight,
        "ancestor": walkers.ancestor.astype(np.int64),
    }


def _restoreWalkers(arrays: dict[str, np.ndarray]) -> Walkers:
    evaluation = Evaluation(*(arrays[field.name] for field in dataclasses.fields(Evaluation)))
    return Walkers(arrays["positions"], evaluation, arrays["logWeight"], arrays["ancestor"])
