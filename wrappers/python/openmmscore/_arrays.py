"""Arrays and counts on their way to C++: contiguous, within bounds, or a sentence that says what is wrong."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import openmm
from numpy.typing import ArrayLike
from openmm import unit


def numbers(values: ArrayLike, name: str, dtype: Any = np.float64) -> np.ndarray:
    """Return an array of numbers, contiguous. NumPy would take those of a Quantity, whatever its unit."""
    if unit.is_quantity(values):
        raise openmm.OpenMMException(f"{name} must be numbers without a unit, their unit is {values.unit}")
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "fiub":
            raise ValueError
        return np.ascontiguousarray(array, dtype=dtype)
    except (TypeError, ValueError):
        raise openmm.OpenMMException(f"{name} must be an array of numbers, got {values!r:.60}") from None


def vector(values: ArrayLike, n: int | None, name: str, dtype: Any = np.float64) -> np.ndarray:
    """Return an array of shape [n], or of any length if n is None."""
    array = numbers(values, name, dtype)
    if array.ndim != 1 or n not in (None, len(array)):
        wanted = "any length in one dimension" if n is None else f"the shape [{n}], one for each sample"
        raise openmm.OpenMMException(f"{name} must have {wanted}, got the shape {list(array.shape)}")
    return array


def address(array: np.ndarray | None) -> int:
    """Return where the data lie. The caller holds the array until C++ has returned."""
    return 0 if array is None else array.ctypes.data


def checkedSeed(seed: Any) -> int:
    """Return a seed as C++ takes it."""
    return checkedCount(seed, "the seed", 0, 2**64 - 1)


def checkedCount(count: Any, name: str, lowest: int = 1, highest: int = 2**63 - 1) -> int:
    """Return an integer within bounds, which any integer type may be; a truth value is none."""
    try:
        number = lowest - 1 if isinstance(count, bool) else operator.index(count)
    except TypeError:
        number = lowest - 1
    if not lowest <= number <= highest:
        bound = f"at most {highest}" if number > highest else f"at least {lowest}"
        raise openmm.OpenMMException(f"{name} must be an integer of {bound}, got {count!r:.60}")
    return number


def spread(replicates: np.ndarray) -> np.ndarray:
    """Return the standard deviation over replicates; infinite where some replicate has no value."""
    finite = np.isfinite(replicates).all(axis=0)
    return np.where(finite, np.std(np.where(finite, replicates, 0.0), axis=0, ddof=1), np.inf)
