"""Experts, scales and particles put together into a model file."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any

import numpy as np

from .. import modelfile
from .._units import GAS_CONSTANT
from . import particles as particleLists
from . import systems, tensors
from .errors import ConversionError
from .expert import Expert


@dataclass(frozen=True)
class Options:
    """What the user adds to, or puts in place of, what the other program's files say."""

    #: One of the published systems: particles, temperature and what else is known of it.
    system: str | None = None
    #: nm for one unit of the network's coordinates.
    lengthScale: float | None = None
    #: 1/nm, ScoreMD's name for the inverse of the length scale.
    normFactor: float | None = None
    #: K, of the training data.
    temperature: float | None = None
    #: t at which the model serves as a potential.
    diffusionTime: float | None = None
    #: Number of particles, where the weights do not tell.
    count: int | None = None
    #: amu, one for all particles or one for each.
    masses: Sequence[float] | None = None
    #: Path of a JSON file: a list of particles, or an object with `particles` and `bonds`.
    particles: str | None = None
    title: str | None = None
    #: Take the weights of the last step instead of their running average (checkpoints only).
    rawWeights: bool = False

    def __post_init__(self) -> None:
        for name in ("lengthScale", "normFactor", "temperature"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ConversionError(f"{name} is {value!r}, expected a positive number")
        if self.lengthScale is not None and self.normFactor is not None:
            raise ConversionError("lengthScale and normFactor say the same, give one of them")

    def given(self) -> dict[str, Any]:
        """Return the options that differ from their defaults, for the provenance."""
        chosen = {name: value for name, value in asdict(self).items() if value not in (None, False)}
        if self.particles is not None:
            chosen["particles"] = os.path.basename(self.particles)
        return chosen


@dataclass
class Facts:
    """What is known about a model beside its networks; None is unknown."""

    title: str
    program: str
    experts: list[Expert]
    schedule: dict[str, Any]
    #: Paths of everything that was read.
    files: list[str]
    count: int | None = None
    lengthScale: float | None = None
    temperature: float | None = None
    diffusionTime: float | None = None
    masses: Sequence[float] | None = None
    system: systems.System | None = None
    #: Of the provenance: what else there is to remember.
    remarks: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass
class Converted:
    """A model ready to be written, and what its user should know."""

    description: dict[str, Any]
    tensors: dict[str, np.ndarray]
    notes: list[str]

    def encode(self) -> bytes:
        """Return the bytes of the model file, checked as a simulation would check them.

        Raises
        ------
        ConversionError
            if the model is one that this release cannot read
        """
        import openmm

        from ..model import Model

        data = modelfile.encode(self.description, self.tensors)
        try:
            Model.fromBytes(data, "converted model")
        except openmm.OpenMMException as error:
            raise ConversionError(f"the result is no valid model: {error}") from None
        return data

    def write(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Write the model file; see modelfile.writeBytes()."""
        modelfile.writeBytes(path, self.encode(), overwrite)


def assemble(facts: Facts, options: Options) -> Converted:
    """Make a model out of everything that is known.

    Options come before the files, these before published values, these before defaults. What had to be
    set to a default is in the notes.
    """
    experts = _ordered(facts.experts)
    spaces = {expert.space for expert in experts}
    if len(spaces) > 1:
        raise ConversionError("the experts are of both kinds, multilayer perceptrons and graph transformers")
    space = spaces.pop()
    count = _count(facts, options, space)
    particles, bonds = _particles(facts, options, space, count)
    description = {
        "format_version": modelfile.FORMAT_VERSION,
        "title": modelfile.plainText(options.title or facts.title),
        "space": space,
        "count": count,
        "length_scale": _lengthScale(facts, options, space),
        "temperature": _temperature(facts, options, space, count),
        "default_diffusion_time": _diffusionTime(facts, options, space, experts),
        "schedule": facts.schedule,
        "features": _features(experts),
        "experts": [expert.document for expert in experts],
        "particles": particles,
        "bonds": bonds,
        "provenance": _provenance(facts, options),
    }
    weights = {
        f"experts.{k}.{name}": tensor
        for k, expert in enumerate(experts)
        for name, tensor in expert.tensors.items()
    }
    return Converted(description, weights, facts.notes)


def _ordered(experts: list[Expert]) -> list[Expert]:
    experts = sorted(experts, key=lambda expert: expert.document["interval"], reverse=True)
    for first, second in zip(experts, experts[1:], strict=False):
        if first.document["interval"][0] != second.document["interval"][1]:
            raise ConversionError(
                f"the intervals {second.document['interval']} and {first.document['interval']} of two "
                "experts do not meet"
            )
    return experts


def _features(experts: list[Expert]) -> list[dict[str, Any]]:
    for expert in experts[1:]:
        if expert.features != experts[0].features:
            raise ConversionError("the experts have different features of particles")
    return experts[0].features


def _count(facts: Facts, options: Options, space: str) -> int:
    counts = {expert.count for expert in facts.experts if expert.count is not None}
    counts |= {count for count in (facts.count, options.count) if count is not None}
    if facts.system is not None and not counts:
        counts.add(len(facts.system.particles))
    what = "particles" if space == "particles" else "coordinates"
    if len(counts) > 1:
        raise ConversionError(
            f"the number of {what} is {' and '.join(map(str, sorted(counts)))}, expected one number"
        )
    if not counts:
        raise ConversionError(f"the weights do not tell the number of {what}, give it (--count, or a system)")
    return counts.pop()


def _particles(
    facts: Facts, options: Options, space: str, count: int
) -> tuple[list[dict[str, Any]], list[list[int]]]:
    # A vector of d numbers lies in the coordinates of ceil(d/3) particles.
    number = count if space == "particles" else (count + 2) // 3
    if options.particles is not None:
        value = particleLists.readFile(options.particles)
        return particleLists.fromJson(value, number, os.path.basename(options.particles))
    particles, bonds = None, []
    if facts.system is not None:
        if len(facts.system.particles) != number:
            raise ConversionError(
                f"the system has {len(facts.system.particles)} particles, but the weights are for {number}"
            )
        particles, bonds = facts.system.particles, facts.system.bonds
    masses = options.masses if options.masses is not None else facts.masses
    if masses is not None:
        masses = _spread(masses, space, count, number)
        particles = particleLists.withMasses(particles or particleLists.generic(masses), masses)
    elif particles is None:
        mass = 12.0 if space == "particles" else 0.5
        facts.notes.append(f"masses are unknown and set to {mass} amu (--masses, --particles)")
        particles = particleLists.generic([mass] * number)
    return particles, bonds


def _spread(masses: Sequence[float], space: str, count: int, number: int) -> list[float]:
    if space == "vector" and len(masses) == count and len(set(masses)) == 1:
        # One mass for each coordinate, as the other program has it.
        masses = masses[:1]
    return particleLists.spread(masses, number, "masses")


def _lengthScale(facts: Facts, options: Options, space: str) -> float:
    if options.lengthScale is not None:
        return float(options.lengthScale)
    if options.normFactor is not None:
        return 1 / options.normFactor
    if facts.lengthScale is not None:
        return facts.lengthScale
    if facts.system is not None and facts.system.lengthScale is not None:
        return facts.system.lengthScale
    if space == "particles":
        facts.notes.append(
            "the length scale is unknown and set to 1 nm: energies of the network are right, but the "
            "potential means something only with the standard deviation of the training coordinates "
            "(--length-scale)"
        )
    return 1.0


def _temperature(facts: Facts, options: Options, space: str, count: int) -> float:
    if options.temperature is not None:
        return float(options.temperature)
    if facts.temperature is not None:
        return facts.temperature
    if facts.system is not None:
        return facts.system.temperature
    if space == "particles":
        facts.notes.append("the temperature is unknown and set to 300 K (--temperature)")
        return 300.0
    # The two-dimensional vector model of ScoreMD is the Mueller-Brown potential, its wells have kT = 1.
    kT = 23.0 if count == 2 else 1.0
    facts.notes.append(f"the temperature is unknown and set to kT = {kT} kJ/mol (--temperature)")
    return kT / GAS_CONSTANT


def _diffusionTime(facts: Facts, options: Options, space: str, experts: list[Expert]) -> float:
    lower = experts[-1].document["interval"][0]
    upper = experts[0].document["interval"][1]
    t = options.diffusionTime
    if t is not None:
        if not lower <= t <= upper:
            raise ConversionError(
                f"diffusion time {t!r} lies outside the model's interval [{lower}, {upper}]"
            )
    else:
        t = facts.diffusionTime
        if t is None:
            t = 1e-5 if space == "particles" else 0.0
        t = min(max(t, lower), upper)
    answering = [e for e in experts if e.document["interval"][0] <= t <= e.document["interval"][1]]
    if any(expert.document["head"] == "score" for expert in answering):
        facts.notes.append(f"at the diffusion time {t:g} the model has a score, but no energy")
    return float(t)


def _provenance(facts: Facts, options: Options) -> dict[str, Any]:
    try:
        version = metadata.version("openmmscore")
    except metadata.PackageNotFoundError:
        version = "unknown"
    files = [
        {
            "name": modelfile.plainText(os.path.basename(path.rstrip(os.sep))),
            "sha256": tensors.sha256(path),
        }
        for path in dict.fromkeys(facts.files)
    ]
    return {
        "program": facts.program,
        "files": files,
        "converter": f"openmmscore {version}",
        "options": options.given(),
        **facts.remarks,
    }
