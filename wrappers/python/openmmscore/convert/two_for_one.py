"""Models of Two-for-One (microsoft/two-for-one-diffusion).

A discrete diffusion of 1000 levels n with the cosine schedule; the network is told n/1000 and its scalar E
predicts noise as -grad E, so the reduced energy is -E/sigma_n. Coordinates are in units of their standard
deviation, which, as the temperature and the level for dynamics, is not stored with the weights.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

import numpy as np

from . import cases, systems
from .assemble import Converted, Facts, Options, assemble
from .errors import ConversionError
from .expert import Expert, NetworkDescription
from .tensors import Weights, readSafetensors
from .two_for_one_network import graphTransformer

PROGRAM = "Two-for-One"
_STEPS = 1000
_SCHEDULE = {"kind": "cosine-ddpm", "steps": _STEPS, "offset": 0.008, "max_beta": 0.999}
_INTERVAL = [0.0, (_STEPS - 1) / _STEPS]
_ANGSTROMS_PER_NM = 10


def convert(
    path: str | os.PathLike[str], options: Options | None = None, noiseLevel: int | None = None
) -> Converted:
    """Convert a checkpoint (model-best.pt), or a safetensors file with its JSON description beside it.

    Parameters
    ----------
    path : str or os.PathLike
        the file
    options : Options, optional
        what it does not say
    noiseLevel : int, optional
        the level n at which the model serves as a potential, t = n/1000

    Raises
    ------
    ConversionError
        if it is no model of Two-for-One, or weights and description disagree
    """
    options = options or Options()
    name = os.fspath(path)
    facts = _fromCase(name, options) if cases.isCase(name) else _fromCheckpoint(name, options)
    level = noiseLevel
    if level is not None and not 0 <= level < _STEPS:
        raise ConversionError(f"noise level {level} is none of 0 ... {_STEPS - 1}")
    if level is None and facts.diffusionTime is None and facts.system is not None:
        level = facts.system.noiseLevel
    if level is not None:
        facts.diffusionTime = level / _STEPS
    if facts.diffusionTime is None and options.diffusionTime is None:
        raise ConversionError("the noise level for dynamics is unknown (--noise-level, or --system)")
    _checkLevel(facts.diffusionTime if options.diffusionTime is None else options.diffusionTime)
    return assemble(facts, options)


def _checkLevel(t: float) -> None:
    if abs(t * _STEPS - round(t * _STEPS)) > 1e-6:
        raise ConversionError(f"diffusion time {t!r} is no level of the schedule, expected n/{_STEPS}")


def _fromCase(path: str, options: Options) -> Facts:
    case = cases.resolve(path)
    if case.network.get("kind") != "t4o":
        raise ConversionError(f"{case.origin} is no model of Two-for-One (convert scoremd)")
    tensors, _ = readSafetensors(case.weightsFile, (case.prefix,))
    expert = _expert(tensors, case.prefix, NetworkDescription(case.network, case.origin))
    level = case.number("md_noise_level")
    mass = case.number("mass")
    return Facts(
        title=f"{case.name} ({PROGRAM})",
        program=PROGRAM,
        experts=[expert],
        schedule=_SCHEDULE,
        files=case.files,
        lengthScale=_lengthScale(case),
        temperature=case.number("temperature"),
        diffusionTime=None if level is None else level / _STEPS,
        masses=None if mass is None else [mass],
        system=systems.find(systems.TWO_FOR_ONE, options.system, expert.count),
    )


def _lengthScale(case: cases.Case) -> float | None:
    """Return the standard deviation in nm: unlike in ScoreMD, norm_factor is that and not its inverse."""
    factor = case.number("norm_factor")
    if factor is None:
        return None
    units = {"angstrom": _ANGSTROMS_PER_NM, "nm": 1}
    unit = str(case.constant("norm_factor_unit") or "Angstrom").lower()
    if unit not in units or factor <= 0:
        raise ConversionError(f"{case.origin}: norm_factor is {factor!r} {unit:.20}, expected Angstrom or nm")
    return factor / units[unit]


def _fromCheckpoint(path: str, options: Options) -> Facts:
    from . import torch_checkpoint

    tensors, prefix, remark = _weights(torch_checkpoint.read(path), options.rawWeights)
    network = NetworkDescription({}, os.path.basename(path))
    expert = _expert(tensors, prefix, network)
    system = systems.find(systems.TWO_FOR_ONE, options.system, expert.count)
    if system is None and options.lengthScale is None and options.normFactor is None:
        fitting = [name for name, each in systems.TWO_FOR_ONE.items() if len(each.particles) == expert.count]
        raise ConversionError(
            f"the checkpoint is for {expert.count} particles and does not store its length scale, give "
            f"--system {' or '.join(fitting) or 'NAME'}, or --length-scale"
        )
    title = system.title if system is not None else os.path.splitext(os.path.basename(path))[0]
    return Facts(
        title=f"{title} ({PROGRAM})",
        program=PROGRAM,
        experts=[expert],
        schedule=_SCHEDULE,
        files=[path],
        system=system,
        remarks={"weights": remark},
    )


def _weights(content: object, raw: bool) -> tuple[Mapping[str, np.ndarray], str, str]:
    """Find the network in a checkpoint: its tensors, the prefix of their names, and which copy it is."""
    if not isinstance(content, Mapping):
        raise ConversionError("the checkpoint holds no dictionary of tensors")
    remark = "state dictionary"
    for key in ("model", "ema", "state_dict") if raw else ("ema", "model", "state_dict"):
        if isinstance(content.get(key), Mapping):
            content, remark = content[key], key
            break
    tensors = {
        name: value
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, np.ndarray)
    }
    pattern = re.compile(r"((?:(?:ema_model|online_model|model|module)\.|weights/)*)node_embedding\.weight")
    prefixes = [found[1] for name in tensors if (found := pattern.fullmatch(name))]
    if not prefixes:
        raise ConversionError("the checkpoint holds no network of Two-for-One (no node_embedding.weight)")
    # An averaging wrapper keeps the network of the last step beside the average.
    prefix = min(prefixes, key=lambda name: (("ema_model." in name) == raw, "online_model." in name, name))
    return tensors, prefix, f"{remark}: {prefix}"


def _expert(tensors: Mapping[str, np.ndarray], prefix: str, network: NetworkDescription) -> Expert:
    return graphTransformer(Weights(tensors, prefix, network.origin), network, _INTERVAL)
