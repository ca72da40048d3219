"""Arrays on their way to C++ and back: float64 and contiguous, or a sentence that says what is wrong."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import openmm
from numpy.typing import ArrayLike
from openmm import unit


def withoutUnits(values: Any) -> Any:
    """Return a Quantity's value in nm, ps, K, amu, kJ/mol, and anything else as it is."""
    return values.value_in_unit_system(unit.md_unit_system) if unit.is_quantity(values) else values


def numbers(values: ArrayLike, name: str, dtype: Any = np.float64) -> np.ndarray:
    """Return an array of numbers, contiguous."""
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


def checkedLength(value: Any, name: str) -> float:
    """Return a positive length in nm as a number."""
    return _positive(value, unit.nanometer, f"{name} must be a positive length in nm")


def checkedTemperature(value: Any, name: str) -> float:
    """Return a positive temperature in K as a number."""
    return _positive(value, unit.kelvin, f"{name} must be a positive number of kelvins")


def _positive(value: Any, kind: unit.Unit, sentence: str) -> float:
    try:
        number = float(value.value_in_unit(kind) if unit.is_quantity(value) else value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 < number < math.inf:
        raise openmm.OpenMMException(f"{sentence}, got {value!r:.60}")
    return number


def address(array: np.ndarray | None) -> int:
    """Return where the data lie. The caller holds the array until C++ has returned."""
    return 0 if array is None else array.ctypes.data


def checkedSeed(seed: int) -> int:
    """Return a seed as C++ takes it."""
    if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**64:
        raise openmm.OpenMMException(f"the seed must be an integer from 0 to 2^64-1, got {seed!r:.60}")
    return int(seed)


def checkedCount(count: Any, name: str, lowest: int = 1) -> int:
    """Return a number of things as C++ takes it."""
    if not isinstance(count, (int, np.integer)) or count < lowest:
        raise openmm.OpenMMException(f"{name} must be an integer of at least {lowest}, got {count!r:.60}")
    return int(count)


def spread(replicates: np.ndarray) -> np.ndarray:
    """Return the standard deviation over replicates; infinite where some replicate has no value."""
    finite = np.isfinite(replicates).all(axis=0)
    return np.where(finite, np.std(np.where(finite, replicates, 0.0), axis=0, ddof=1), np.inf)


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
