"""What tells how good a generative model is when the true density is known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def meanWithError(values: Array) -> tuple[float, float]:
    """Mean and its standard error of independent numbers."""
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def divergences(
    trueAtTrue: Array, modelAtTrue: Array, trueAtModel: Array, modelAtModel: Array
) -> dict[str, tuple[float, float]]:
    """Kullback-Leibler divergences in both directions by Monte Carlo, in nats, each with its standard error.

    Parameters
    ----------
    trueAtTrue, modelAtTrue : array, shape [n]
        log densities of the truth and of the model at samples of the truth
    trueAtModel, modelAtModel : array, shape [m]
        the same at samples of the model
    """
    return {
        "KL(true|model)": meanWithError(trueAtTrue - modelAtTrue),
        "KL(model|true)": meanWithError(modelAtModel - trueAtModel),
    }


def effectiveShare(logWeights: Array) -> float:
    """Kish's effective sample size by the number of samples."""
    weights = np.exp(logWeights - logWeights.max())
    return float(weights.sum() ** 2 / (weights**2).sum() / len(weights))


def populations(modes: NDArray[np.int64], count: int) -> tuple[Array, Array]:
    """Share of samples in each mode, and the standard error of counting, never zero."""
    share = np.bincount(modes, minlength=count) / len(modes)
    # Of a mode that was never seen the error is that of one sample.
    error = np.sqrt(np.maximum(share * (1 - share), 1 / len(modes)) / len(modes))
    return share, error


def freeEnergyDifference(inMinor: NDArray[np.bool_]) -> tuple[float, float]:
    """ln of the major over the minor mode's population by counting, with its error (delta method)."""
    n, k = len(inMinor), int(inMinor.sum())
    if k in (0, n):
        return float("inf") if k == 0 else float("-inf"), float("inf")
    p = k / n
    return float(np.log((1 - p) / p)), float(1 / np.sqrt(n * p * (1 - p)))


def reweightedFreeEnergyDifference(inMinor: NDArray[np.bool_], weights: Array) -> tuple[float, float]:
    """The same by self-normalised importance weights."""
    total = weights.sum()
    p = float(weights[inMinor].sum() / total)
    if not 0 < p < 1:
        return float("inf") if p == 0 else float("-inf"), float("inf")
    # Error of a ratio of means, then of the logit.
    error = float(np.sqrt(((weights * (inMinor - p)) ** 2).sum()) / total)
    return float(np.log((1 - p) / p)), error / (p * (1 - p))


class HistogramDivergence:
    """The "KL divergence" of the published survey (arXiv:2411.09388), as it is.

    Samples are projected on the first two principal components of the training data and counted in square
    bins of 0.1; 1e-7 is added to both densities, and sum g ln(g/t) is not multiplied with a bin's area, so
    that it is in units of 0.01 nats. With thousands of samples almost every bin is empty or holds one, so
    that two exact sets are hundreds apart: the floor.
    """

    def __init__(self, training: Array, limit: float = 12.0, bin: float = 0.1):
        self.mean = training.mean(axis=0)
        self.axes = np.linalg.svd(training - self.mean, full_matrices=False)[2][:2].T
        self.edges = np.linspace(-limit, limit, round(2 * limit / bin) + 1)

    def density(self, samples: Array) -> Array:
        plane = (samples - self.mean) @ self.axes
        histogram = np.histogram2d(plane[:, 0], plane[:, 1], bins=(self.edges, self.edges), density=True)[0]
        return histogram + 1e-7

    def __call__(self, generated: Array, test: Array) -> float:
        g, t = self.density(generated), self.density(test)
        return float((g * np.log(g / t)).sum())
