"""Choosing samples by their weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import address, checkedCount, checkedSeed, vector
from ..plugin import _WeightsHandle
from .weights import Weights


def resample(
    weights: ArrayLike | Weights, n: int | None = None, scheme: str = "systematic", seed: int = 0
) -> np.ndarray:
    """Choose samples by their weights: each about n w_i times, on average exactly.

    Arguments
    ---------
    weights : Weights, or array of shape [m]
        as an array: not logarithms, not negative, need not sum to 1
    n : int, optional
        how many to choose (default: m)
    scheme : str
        "systematic", "stratified", "residual", or "multinomial", which has the largest variance
    seed : int
        the same seed, the same choice

    Returns
    -------
    int array, shape [n]: indices; never that of a sample of weight zero

    References
    ----------
    Douc, Cappe & Moulines, ISPA 2005, arXiv:cs/0507025
    """
    if isinstance(weights, Weights):
        return weights.resample(n, scheme, seed)
    array = vector(weights, None, "resample: weights")
    count = checkedCount(len(array) if n is None else n, "resample: the number of samples", 0)
    result = np.empty(count, dtype=np.int64)
    _WeightsHandle.resampleWeights(
        len(array), address(array), count, str(scheme), checkedSeed(seed), address(result)
    )
    return result
