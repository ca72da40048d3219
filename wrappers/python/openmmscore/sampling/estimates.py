"""What estimators return."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class WeightWarning(UserWarning):
    """Weights are so uneven that averages over them may mislead."""


class Estimate(NamedTuple):
    """A value with its standard error; unpacks as ``value, error``."""

    value: Any
    error: Any

    def __str__(self) -> str:
        return f"{self.value} +- {self.error}"


class ParetoTail(NamedTuple):
    """The generalised Pareto distribution fitted to the largest weights, relative to the mean weight."""

    k: float
    scale: float
    threshold: float
    fraction: float

    def survival(self, x: ArrayLike) -> np.ndarray:
        """Return the share of all samples whose relative weight exceeds x, for x above the threshold."""
        y = (np.asarray(x, dtype=float) - self.threshold) / self.scale
        if abs(self.k) < 1e-12:
            return self.fraction * np.exp(-y)
        return self.fraction * np.maximum(1 + self.k * y, 0) ** (-1 / self.k)


@dataclass(frozen=True)
class Histogram:
    """A weighted histogram with standard errors.

    Attributes
    ----------
    values, errors : array, shape [bins] or [bins, bins]
        probability densities (per unit of the axes), or probabilities, and their errors
    edges : tuple of arrays
        the edges of the bins of each axis
    density : bool
        whether values are densities; their integral over all bins is the share of the weights inside
    """

    values: np.ndarray
    errors: np.ndarray
    edges: tuple[np.ndarray, ...]
    density: bool

    @property
    def centers(self) -> tuple[np.ndarray, ...]:
        """The middles of the bins of each axis."""
        return tuple((e[1:] + e[:-1]) / 2 for e in self.edges)

    def freeEnergy(self) -> Estimate:
        """Return -ln values, the lowest 0, in kT; infinite where there is no weight.

        The error is that of -ln of each value by itself: the constant that makes the lowest 0 has none.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            free = -np.log(self.values)
            errors = np.where(self.values > 0, self.errors / self.values, np.inf)
        return Estimate(free - free.min(), errors)


@dataclass(frozen=True)
class WeightSummary:
    """How good weights are; print it for people.

    Attributes
    ----------
    numSamples : int
        all draws, with those of weight zero
    statusCounts : dict
        how many samples have each status
    numZero : int
        how many have weight zero, for their status or for their energy
    treatment : str
        "none", or what was done to the weights
    effectiveSampleSize, perplexity, paretoK, largestShare : float
        see Weights
    logNormalization : Estimate
        ln Z and its error
    warnings : list of str
    raw : WeightSummary or None
        that of the weights before the treatment
    """

    numSamples: int
    statusCounts: dict[int, int]
    numZero: int
    treatment: str
    effectiveSampleSize: float
    perplexity: float
    paretoK: float
    largestShare: float
    logNormalization: Estimate
    warnings: list[str] = field(default_factory=list)
    raw: WeightSummary | None = None

    def __str__(self) -> str:
        n, size = self.numSamples, self.effectiveSampleSize
        rejected = ", ".join(f"{c:,} of status {s}" for s, c in self.statusCounts.items() if s != 0)
        lines = [
            f"{n:,} samples, {self.numZero:,} of weight zero" + (f" ({rejected})" if rejected else ""),
            f"effective sample size (Kish)  {size:,.1f} ({size / n:.1%})",
            f"               by perplexity  {self.perplexity:,.1f} ({self.perplexity / n:.1%})",
            f"Pareto k-hat                  {self.paretoK:.2f}",
            f"share of the largest weight   {self.largestShare:.2%}",
            f"ln Z                          {self.logNormalization.value:.4f} +- "
            f"{self.logNormalization.error:.4f}",
        ]
        lines += [f"Warning: {sentence}" for sentence in self.warnings]
        if self.raw is not None:
            lines = [f"Weights {self.treatment}:", *lines, "Raw weights:", str(self.raw)]
        return "\n".join(lines)
