"""Names and masses of the particles of a converted model."""

from __future__ import annotations

import json
import math
import operator
import os
from collections.abc import Mapping, Sequence
from typing import Any

from .errors import ConversionError

_DEFAULT_MASS = 12.0
_MAX_FILE_BYTES = 16 << 20


def readFile(path: str | os.PathLike[str]) -> Any:
    """Read JSON, within reason."""
    name = os.fspath(path)
    try:
        if os.path.getsize(name) > _MAX_FILE_BYTES:
            raise ConversionError(f"{name} has more than 16 MiB, too much for a description")
        with open(name, encoding="utf-8") as file:
            return json.load(file)
    except OSError as error:
        raise ConversionError(f"{name} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, ConversionError):
            raise
        raise ConversionError(f"{name} is no JSON: {error}") from None


def generic(masses: Sequence[float]) -> list[dict[str, Any]]:
    """Return beads B1, B2, ... of these masses (amu)."""
    return [
        {"name": f"B{i + 1}", "element": "", "mass": mass, "residue": "BEA", "residue_index": i + 1}
        for i, mass in enumerate(masses)
    ]


def fromJson(value: Any, count: int, origin: str) -> tuple[list[dict[str, Any]], list[list[int]]]:
    """Return particles and bonds out of a list of particles, or an object with `particles` and `bonds`.

    A particle is an object as in a model file; all but its mass may be left out.
    """
    bonds: Any = []
    if isinstance(value, Mapping):
        if unknown := set(value) - {"particles", "bonds"}:
            raise ConversionError(f"{origin}: field {sorted(unknown)[0]!r:.60} is unknown")
        value, bonds = value.get("particles"), value.get("bonds", [])
    if not isinstance(value, list) or len(value) != count:
        found = f"{len(value)}" if isinstance(value, list) else "none"
        raise ConversionError(f"{origin}: {found} particles are listed, expected {count}")
    return [_particle(each, i, origin) for i, each in enumerate(value)], _bonds(bonds, origin)


def _particle(value: Any, index: int, origin: str) -> dict[str, Any]:
    where = f"{origin}: particle {index}"
    if not isinstance(value, Mapping):
        raise ConversionError(f"{where} is {value!r:.60}, expected an object with a mass")
    particle = generic([_DEFAULT_MASS] * (index + 1))[index]
    if unknown := set(value) - set(particle):
        raise ConversionError(f"{where}: field {sorted(unknown)[0]!r:.60} is unknown")
    particle |= value
    particle["mass"] = checkedMass(value.get("mass"), where)
    for name in ("name", "element", "residue"):
        if not isinstance(particle[name], str):
            raise ConversionError(f"{where}: {name} is {particle[name]!r:.60}, expected a string")
    return particle


def _bonds(value: Any, origin: str) -> list[list[int]]:
    try:
        bonds = [[operator.index(i), operator.index(j)] for i, j in value]
    except (TypeError, ValueError):
        raise ConversionError(f"{origin}: bonds are pairs of numbers of particles") from None
    return bonds


def checkedMass(value: Any, where: str) -> float:
    """Return a mass in amu, or raise a ConversionError."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConversionError(f"{where}: mass is {value!r:.60}, expected a number in amu")
    if not (math.isfinite(value) and value > 0):
        raise ConversionError(f"{where}: mass is {value!r}, expected a positive number in amu")
    return float(value)


def spread(masses: Sequence[float], count: int, what: str) -> list[float]:
    """Return one mass for each of `count` particles: those given, or the only one given for all."""
    masses = [checkedMass(mass, what) for mass in masses]
    if len(set(masses)) == 1 and len(masses) in (1, count):
        return [masses[0]] * count
    if len(masses) != count:
        raise ConversionError(f"{what}: {len(masses)} masses are given, expected {count}")
    return masses


def withMasses(particles: list[dict[str, Any]], masses: Sequence[float]) -> list[dict[str, Any]]:
    """Return the particles with other masses."""
    return [particle | {"mass": mass} for particle, mass in zip(particles, masses, strict=True)]
