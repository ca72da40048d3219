"""Models of ScoreMD (noegroup/ScoreMD): single networks and mixtures of experts over the diffusion time.

The process is variance preserving, the energy is minus the logarithm of the density, and a network sees z =
c x with c = 1 / standard deviation of the centred training coordinates; c is kept nowhere beside the
weights.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from .._units import GAS_CONSTANT
from . import cases, systems
from .assemble import Converted, Facts, Options, assemble
from .errors import ConversionError
from .expert import Expert, NetworkDescription
from .scoremd_networks import graphTransformer, mlp
from .tensors import Weights, readSafetensors

PROGRAM = "ScoreMD"
SCHEDULE = {"kind": "variance-preserving", "beta_min": 0.1, "beta_max": 20.0}
_CONVERTERS = {"mlp": mlp, "graph_transformer": graphTransformer}


def convert(path: str | os.PathLike[str], options: Options | None = None) -> Converted:
    """Convert weights in a safetensors file with its JSON description beside it.

    Parameters
    ----------
    path : str or os.PathLike
        the safetensors file or its description
    options : Options, optional
        what the files do not say

    Raises
    ------
    ConversionError
        if they describe no model of ScoreMD, or weights and description disagree
    """
    options = options or Options()
    case = cases.resolve(os.fspath(path))
    if case.network.get("kind") == "t4o":
        raise ConversionError(f"{case.origin} is a model of Two-for-One (convert two-for-one)")
    tensors, _ = readSafetensors(case.weightsFile, (case.prefix,))
    experts = readExperts(case.network, tensors, case.prefix, case.origin)
    factor = cases.normFactor(case)
    kT = case.number("kT")
    facts = Facts(
        title=f"{case.name} ({PROGRAM})",
        program=PROGRAM,
        experts=experts,
        schedule=SCHEDULE,
        files=case.files,
        count=_count(case.network),
        lengthScale=None if factor is None else 1 / factor,
        temperature=case.number("temperature") if kT is None else kT / GAS_CONSTANT,
        diffusionTime=case.number("eval_t"),
        masses=cases.masses(case),
        system=systems.find(systems.SCOREMD, options.system, experts[0].count),
    )
    return assemble(facts, options)


def readExperts(
    network: Mapping[str, Any], tensors: Mapping[str, np.ndarray], prefix: str, origin: str
) -> list[Expert]:
    """Convert a network, or every expert of a mixture.

    Parameters
    ----------
    network : mapping
        its description; a mixture's `experts` are in the order of their weights, models_0, models_1, ...
    tensors : mapping from name to array
        Flax names joined with /
    prefix : str
        what the names of its weights begin with
    origin : str
        what to call it in messages
    """
    numbers = {
        int(found[1])
        for name in tensors
        if (found := re.match(r"models_(\d+)/", name.removeprefix(prefix))) and name.startswith(prefix)
    }
    if network.get("kind") != "mixture":
        if len(numbers) > 1:
            raise ConversionError(f"{origin} describes one network, but there are weights of {len(numbers)}")
        inner = prefix + f"models_{numbers.pop()}/" if numbers else prefix
        return [_expert(network, Weights(tensors, inner, origin), origin)]
    experts = network.get("experts")
    if not isinstance(experts, list) or not experts:
        raise ConversionError(f"{origin}: a mixture needs the list of its experts")
    if numbers != set(range(len(experts))):
        raise ConversionError(
            f"{origin} describes {len(experts)} experts, but there are weights of {len(numbers)}"
        )
    shared = {name: network[name] for name in ("n_beads", "d") if network.get(name) is not None}
    converted = []
    for k, expert in enumerate(experts):
        where = f"{origin}: expert {k}"
        if not isinstance(expert, Mapping):
            raise ConversionError(f"{where} is {expert!r:.60}, expected an object")
        if len(experts) > 1 and "interval" not in expert:
            raise ConversionError(f"{where} has no interval")
        weights = Weights(tensors, f"{prefix}models_{k}/", where)
        converted.append(_expert(_applicable(shared, expert) | expert, weights, where))
    return converted


def _applicable(shared: Mapping[str, Any], expert: Mapping[str, Any]) -> dict[str, Any]:
    name = "d" if expert.get("kind") == "mlp" else "n_beads"
    return {name: shared[name]} if name in shared else {}


def _expert(network: Mapping[str, Any], weights: Weights, origin: str) -> Expert:
    kind = network.get("kind")
    if not isinstance(kind, str) or kind not in _CONVERTERS:
        raise ConversionError(f"{origin}: kind is {kind!r:.60}, expected one of {', '.join(_CONVERTERS)}")
    return _CONVERTERS[kind](weights, NetworkDescription(network, origin))


def _count(network: Mapping[str, Any]) -> int | None:
    """Return a size that a mixture states for all its experts."""
    count = network.get("n_beads") or network.get("d")
    return count if isinstance(count, int) and not isinstance(count, bool) else None
