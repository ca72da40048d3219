"""How good weights are, in numbers and in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .estimates import Estimate

if TYPE_CHECKING:
    from .samples import WeightedSamples


@dataclass(frozen=True)
class SampleSummary:
    """What WeightedSamples.summary() returns; str() of it is for people.

    Attributes
    ----------
    numSamples : int
        n, those of weight zero included
    counts : dict
        how many samples have each status
    effectiveSampleSize : float
        Kish's, (sum w)^2 / sum w^2
    perplexity : float
        exp of the entropy of the normalised weights
    paretoK : float
        shape of the tail of the weights; above 0.7 averages cannot be trusted, however many samples
    largestShare : float
        share of the largest weight in their sum
    logNormalization : Estimate
        logarithm of the mean weight and its standard error
    warnings : list of str
        sentences
    """

    numSamples: int
    counts: dict[str, int]
    effectiveSampleSize: float
    perplexity: float
    paretoK: float
    largestShare: float
    logNormalization: Estimate
    warnings: list[str]

    @classmethod
    def of(cls, samples: WeightedSamples) -> SampleSummary:
        """Summarise samples."""
        n = len(samples)
        if not np.isfinite(samples.logWeight).any():
            nan, none = float("nan"), ["no sample has a weight"]
            return cls(n, samples.counts, 0.0, 0.0, nan, nan, Estimate(-np.inf, nan), none)
        found = samples.weights.summary()
        return cls(
            numSamples=n,
            counts=samples.counts,
            effectiveSampleSize=found.effectiveSampleSize,
            perplexity=found.perplexity,
            paretoK=found.paretoK,
            largestShare=found.largestShare,
            logNormalization=found.logNormalization,
            warnings=found.warnings,
        )

    def __str__(self) -> str:
        n = max(self.numSamples, 1)
        lines = [
            f"{self.numSamples:,} samples: " + ", ".join(f"{c:,} {name}" for name, c in self.counts.items()),
            f"effective sample size   {self.effectiveSampleSize:,.1f} ({self.effectiveSampleSize / n:.1%})",
            f"    by perplexity       {self.perplexity:,.1f} ({self.perplexity / n:.1%})",
            f"Pareto k of the tail    {self.paretoK:.2f}",
            f"largest weight's share  {self.largestShare:.2%}",
            f"ln Z                    {self.logNormalization.value:.4f} +- {self.logNormalization.error:.4f}",
        ]
        return "\n".join(lines + [f"Warning: {sentence}" for sentence in self.warnings])
