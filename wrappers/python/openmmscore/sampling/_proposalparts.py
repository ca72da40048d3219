"""What proposals of all families check of their arguments, and what they make of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import openmm
from numpy.typing import ArrayLike
from openmm import unit

from .. import modelfile
from .._arrays import checkedCount
from ..plugin import _ProposalHandle

FRAMES = ("absolute", "centred", "vector")


def buildHandle(
    family: str, count: int, frame: str, settings: dict[str, Any], tensors: dict[str, np.ndarray]
) -> _ProposalHandle:
    """Return a proposal made of a file in memory, read as any other: what must hold is said there alone."""
    checkFrame(frame)
    document = {
        "kind": "proposal",
        "format_version": 1,
        "family": family,
        "count": count,
        "frame": frame,
        "settings": settings,
        "provenance": {},
    }
    try:
        return _ProposalHandle.fromBytes(modelfile.encode(document, tensors), "arguments")
    except modelfile.ModelFileError as error:
        raise wrong(str(error)) from None
    except openmm.OpenMMException as error:
        raise openmm.OpenMMException(str(error).removeprefix("arguments: ")) from None


def checkFrame(frame: str) -> None:
    """Raise unless a frame is one of FRAMES."""
    if frame not in FRAMES:
        raise wrong(f"frame must be one of {', '.join(map(repr, FRAMES))}, got {frame!r:.40}")


def lengthUnit(frame: str) -> unit.Unit | None:
    """Return the unit of positions: nm, or None where samples are plain numbers."""
    return None if frame == "vector" else unit.nanometer


def countOf(dimension: int, frame: str) -> int:
    """Return the number of particles of a frame with so many dimensions, or of numbers of a "vector"."""
    return dimension if frame == "vector" else dimension // 3 + (frame == "centred")


def configurations(values: ArrayLike, frame: str, name: str, count: str) -> np.ndarray:
    """Return positions [n,N,3] in nm or numbers [n,d] of a "vector"; count is what the sentence calls n."""
    checkFrame(frame)
    array = plain(values, lengthUnit(frame), name)
    vector = frame == "vector"
    if array.ndim != (2 if vector else 3) or (not vector and array.shape[2] != 3) or array.size == 0:
        raise wrong(
            f"{name} must have the shape [{count},{'d' if vector else 'N,3'}], got {list(array.shape)}"
        )
    return array


def plain(values: ArrayLike, expected: unit.Unit | None, name: str) -> np.ndarray:
    """Return float64 numbers in the expected unit; None means that they may have none."""
    if unit.is_quantity(values):
        if expected is None or not values.unit.is_compatible(expected):
            raise wrong(f"{name} must be in {expected or 'no unit'}, their unit is {values.unit}")
        values = values.value_in_unit(expected)
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise wrong(f"{name} must be an array of numbers, got {values!r:.60}") from None


def integer(value: Any, name: str, most: int) -> int:
    """Return an integer from 0 to most."""
    return checkedCount(value, f"Proposal: {name}", 0, most)


def wrong(sentence: str) -> openmm.OpenMMException:
    """Return the exception that says what is wrong with an argument."""
    return openmm.OpenMMException(f"Proposal: {sentence}")
