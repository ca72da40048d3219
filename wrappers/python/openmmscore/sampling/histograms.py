"""Bins of weighted histograms, with NumPy's arguments and NumPy's conventions."""

from __future__ import annotations

from typing import Any

import numpy as np
import openmm
from numpy.typing import ArrayLike

from .._arrays import numbers
from .._units import withoutUnits


def makeBins(
    values: ArrayLike, used: np.ndarray, bins: Any, range: Any
) -> tuple[list[np.ndarray], tuple[np.ndarray, ...]]:
    """Return the axes of one or two observables, and the edges of their bins.

    Arguments
    ---------
    values : array or Quantity, shape [n] or [n,2]
    used : array of bool, shape [n]
        which samples have a weight: their values must be finite, and are what the default range spans
    bins, range
        as numpy.histogram() or numpy.histogram2d() take them

    Raises
    ------
    openmm.OpenMMException
        if values have another shape, or NumPy refuses bins and range
    """
    array, n = numbers(withoutUnits(values), "Weights: values"), len(used)
    if array.ndim not in (1, 2) or len(array) != n or array.ndim == 2 and array.shape[1] != 2:
        raise openmm.OpenMMException(
            f"Weights: values must have the shape [{n}] or [{n},2], got {list(array.shape)}"
        )
    axes = [array] if array.ndim == 1 else list(array.T)
    if not all(np.isfinite(axis[used]).all() for axis in axes):
        raise openmm.OpenMMException("Weights: the values of samples that have a weight must be finite")
    try:
        if len(axes) == 1:
            return axes, (np.histogram_bin_edges(array[used], bins, range),)
        return axes, tuple(np.histogram2d(*(axis[used] for axis in axes), bins, range)[1:])
    except (TypeError, ValueError) as trouble:
        raise openmm.OpenMMException(f"Weights: bins and range are not as NumPy's: {trouble}") from None


def binIndex(axes: list[np.ndarray], edges: tuple[np.ndarray, ...]) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return the flat index of each sample's bin, -1 for none, and how many bins each axis has."""
    flat = np.zeros(len(axes[0]), dtype=np.int64)
    outside = np.zeros(len(flat), dtype=bool)
    for values, edge in zip(axes, edges, strict=True):
        index = np.searchsorted(edge, values, side="right") - 1
        index[values == edge[-1]] = len(edge) - 2  # the last bin holds both its ends, as NumPy's
        outside |= ~((index >= 0) & (index < len(edge) - 1))
        flat = flat * (len(edge) - 1) + index
    flat[outside] = -1
    return flat, tuple(len(edge) - 1 for edge in edges)


def binSizes(edges: tuple[np.ndarray, ...]) -> np.ndarray:
    """Return lengths of bins, [k], or areas, [k,l]."""
    return np.diff(edges[0]) if len(edges) == 1 else np.outer(np.diff(edges[0]), np.diff(edges[1]))
