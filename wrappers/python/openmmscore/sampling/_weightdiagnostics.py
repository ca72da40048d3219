"""What importance weights say of themselves: how even they are, and what is wrong with them."""

from __future__ import annotations

import warnings
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from .._arrays import address
from ..plugin import _WeightsHandle
from .estimates import Estimate, ParetoTail, WeightSummary, WeightWarning

if TYPE_CHECKING:
    from .weights import Weights


class WeightDiagnostics:
    """Weights of n samples in C++, read but not used; see ``Weights``."""

    def __init__(self, handle: _WeightsHandle, status: np.ndarray | None):
        self._handle = handle
        self._status = status
        self._raw: Weights | None = None
        self._treatment = "none"
        self._warned = False

    def __len__(self) -> int:
        return self._handle.getNumSamples()

    def __repr__(self) -> str:
        treated = "" if self._raw is None else f", {self._treatment}"
        return (
            f"<openmmscore.Weights of {len(self):,} samples, ESS {self.effectiveSampleSize():,.1f}{treated}>"
        )

    @property
    def logWeights(self) -> np.ndarray:
        """Log weights, shape [n]; -inf for weight zero."""
        result = np.empty(len(self))
        self._handle.getLogWeights(address(result))
        return result

    @cached_property
    def normalized(self) -> np.ndarray:
        """Weights that sum to 1, shape [n], read-only."""
        result = np.empty(len(self))
        self._handle.getNormalized(address(result))
        result.flags.writeable = False
        return result

    @property
    def statusCounts(self) -> dict[int, int]:
        """How many samples have each status."""
        if self._status is None:
            return {0: len(self)}
        return {int(s): int(c) for s, c in zip(*np.unique(self._status, return_counts=True), strict=True)}

    def effectiveSampleSize(self) -> float:
        """Return Kish's effective sample size (sum w)^2 / sum w^2, from 1 to n."""
        return self._handle.effectiveSampleSize()

    def perplexity(self) -> float:
        """Return exp of the entropy of the normalised weights, an effective sample size from 1 to n."""
        return self._handle.perplexity()

    def largestShare(self) -> float:
        """Return the largest normalised weight."""
        return self._handle.largestShare()

    def paretoK(self) -> float:
        """Return the shape k-hat of the weights' tail: good below 0.5, usable to 0.7, misleading above.

        -inf if all weights are equal, +inf if too few differ to tell. Agrees with ArviZ's psislw().
        """
        return self._paretoTail[0]

    def paretoTail(self) -> ParetoTail | None:
        """Return the distribution fitted to the largest weights; None if none can be."""
        k, scale, threshold, count = self._paretoTail
        if not np.isfinite(k):
            return None
        # From weights relative to the largest to weights relative to the mean.
        factor = len(self) * self.largestShare()
        return ParetoTail(k, scale * factor, threshold * factor, count / len(self))

    @cached_property
    def _paretoTail(self) -> list[float]:
        return self._handle.paretoTail()

    def warnings(self) -> list[str]:
        """Return sentences on what is wrong: k-hat above 0.7, effective sample size below 100.

        Those of treated weights are those of the raw ones: no treatment adds information.
        """
        return (self._raw or self)._handle.warnings().splitlines()

    def summary(self) -> WeightSummary:
        """Return all diagnostics in one object that prints itself."""
        return WeightSummary(
            numSamples=len(self),
            statusCounts=self.statusCounts,
            numZero=int(np.isneginf(self.logWeights).sum()),
            treatment=self._treatment,
            effectiveSampleSize=self.effectiveSampleSize(),
            perplexity=self.perplexity(),
            paretoK=self.paretoK(),
            largestShare=self.largestShare(),
            logNormalization=Estimate(*self._handle.logNormalization()),
            warnings=[] if self._raw is not None else self.warnings(),
            raw=None if self._raw is None else self._raw.summary(),
        )

    def _warn(self) -> None:
        if not self._warned:
            self._warned = True
            for sentence in self.warnings():
                warnings.warn(sentence, WeightWarning, stacklevel=3)
