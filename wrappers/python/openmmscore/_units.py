"""Numbers out of arguments with or without units, in OpenMM's: nm, ps, K, amu, kJ/mol."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import openmm
from numpy.typing import ArrayLike
from openmm import unit

from ._arrays import numbers

#: kJ/mol/K
GAS_CONSTANT = 8.31446261815324e-3


def withoutUnits(values: Any) -> Any:
    """Return a Quantity's value in nm, ps, K, amu, kJ/mol, and anything else as it is."""
    return values.value_in_unit_system(unit.md_unit_system) if unit.is_quantity(values) else values


def lengths(values: ArrayLike, name: str) -> np.ndarray:
    """Return lengths in nm, float64 and contiguous."""
    if unit.is_quantity(values):
        if not values.unit.is_compatible(unit.nanometer):
            raise openmm.OpenMMException(f"{name} must be in nm, their unit is {values.unit}")
        values = values.value_in_unit(unit.nanometer)
    return numbers(values, name)


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
