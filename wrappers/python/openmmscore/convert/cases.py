"""Weights in a safetensors file with a JSON description beside it: which network, which file, which
constants.

A description names its networks in one of four ways: it is one (`kind` is mlp, graph_transformer, mixture
or t4o); it holds one (`model` is an object); it names the file that describes one (`model` is a string); or
it names only the file with the weights (`weights_from`), whose description then counts.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .errors import ConversionError
from .particles import readFile
from .tensors import readSafetensors

_NETWORKS = ("mlp", "graph_transformer", "mixture", "t4o")
_MAX_REFERENCES = 4


@dataclass
class Case:
    """A network and where its weights are."""

    network: Mapping[str, Any]
    weightsFile: str
    prefix: str
    #: All that was read, the file asked for first.
    files: list[str] = field(default_factory=list)
    #: The descriptions passed on the way, the one asked for first.
    descriptions: list[Mapping[str, Any]] = field(default_factory=list)

    def constant(self, name: str) -> Any:
        """Return a field of the first description that has it, or None."""
        found = (description.get(name) for description in self.descriptions)
        return next((value for value in found if value is not None), None)

    def number(self, name: str) -> float | None:
        """Return constant() as a number."""
        value = self.constant(name)
        if value is None:
            return None
        # The bound keeps integers within what a float can hold.
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e300:
            raise ConversionError(f"{self.origin}: {name} is {value!r:.60}, expected a number")
        return float(value)

    @property
    def origin(self) -> str:
        """What to call the input in messages."""
        return os.path.basename(self.files[0])

    @property
    def name(self) -> str:
        """A name for the title."""
        return os.path.splitext(self.origin)[0]


def isCase(path: str) -> bool:
    """Return whether a path is the input form of this module."""
    return path.endswith((".safetensors", ".json"))


def resolve(path: str) -> Case:
    """Find the network that a description means, and its weights.

    Parameters
    ----------
    path : str
        the safetensors file or its description

    Raises
    ------
    ConversionError
        if a file is missing or describes no network
    """
    return _resolve(os.path.abspath(path), _MAX_REFERENCES)


def _resolve(path: str, references: int) -> Case:
    stem = os.path.splitext(path)[0]
    description, files = _readDescription(stem)
    weightsName = description.get("weights_from")
    weightsFile = _sibling(path, weightsName) if weightsName is not None else stem + ".safetensors"
    kind, model = description.get("kind"), description.get("model")
    prefix = description.get("weights_prefix")
    if prefix is not None and not isinstance(prefix, str):
        raise ConversionError(f"{files[0]}: weights_prefix is {prefix!r:.60}, expected a string")
    if kind in _NETWORKS:
        case = Case(description, weightsFile, prefix or _defaultPrefix(kind))
    elif isinstance(model, Mapping):
        case = Case(model, weightsFile, prefix or _defaultPrefix(model.get("kind")))
    elif model is not None or weightsName is not None:
        if references == 0:
            raise ConversionError(f"{files[0]} refers to another description, and so on without end")
        case = _resolve(weightsFile if model is None else _sibling(path, model), references - 1)
        case.weightsFile = weightsFile if weightsName is not None else case.weightsFile
        case.prefix = prefix or case.prefix
    else:
        raise ConversionError(
            f"{files[0]} describes no network: expected a kind among {', '.join(_NETWORKS)}, or model, or "
            "weights_from"
        )
    case.network = _chosenExpert(case.network, case.prefix, files[0])
    case.files = [*files, *case.files, case.weightsFile]
    case.descriptions = [description, *case.descriptions]
    return case


def _defaultPrefix(kind: Any) -> str:
    return "weights/" if kind == "t4o" else "params/"


def _readDescription(stem: str) -> tuple[Mapping[str, Any], list[str]]:
    """Read the JSON file; without it the copy in the safetensors file's metadata."""
    path = stem + ".json"
    if os.path.exists(path):
        description = readFile(path)
    else:
        path = stem + ".safetensors"
        spec = readSafetensors(path, ())[1].get("spec")
        if spec is None:
            raise ConversionError(f"{path} needs its description {os.path.basename(stem)}.json beside it")
        try:
            description = json.loads(spec)
        except (ValueError, RecursionError):
            raise ConversionError(f"{path}: the description in its metadata is no JSON") from None
    if not isinstance(description, Mapping):
        raise ConversionError(f"{path} is no JSON object")
    return description, [path]


def _sibling(path: str, name: Any) -> str:
    """Return another file of the same directory; a description must not point anywhere else."""
    if not isinstance(name, str) or not re.fullmatch(r"[\w.+-]+", name) or name.startswith("."):
        raise ConversionError(
            f"{os.path.basename(path)} refers to {name!r:.60}, expected the name of a file beside it"
        )
    name = name if name.endswith((".safetensors", ".json")) else name + ".safetensors"
    return os.path.join(os.path.dirname(path), name)


def _chosenExpert(network: Mapping[str, Any], prefix: str, origin: str) -> Mapping[str, Any]:
    """Return the expert of a mixture that the prefix singles out, or what was given."""
    found = re.search(r"models_(\d+)/$", prefix)
    if network.get("kind") != "mixture" or not found:
        return network
    experts = network.get("experts")
    index = int(found[1])
    if not isinstance(experts, list) or index >= len(experts):
        raise ConversionError(f"{origin}: weights_prefix {prefix!r} names no expert of the mixture")
    return experts[index]


def normFactor(case: Case) -> float | None:
    """Return ScoreMD's scale c in 1/nm: a field, an array beside the weights, or what training data give."""
    value = case.number("norm_factor")
    if value is not None:
        if value <= 0:
            raise ConversionError(f"{case.origin}: norm_factor is {value!r}, expected a positive number")
        return value
    arrays = _arrays(case, ("out64/norm_factor", "in/data"))
    if "out64/norm_factor" in arrays:
        return _single(arrays["out64/norm_factor"], "out64/norm_factor")
    if "in/data" not in arrays or case.constant("n_beads") is None:
        return None
    frames = np.asarray(arrays["in/data"], dtype=np.float64)
    frames = frames.reshape(len(frames), -1, 3)
    return float(1 / np.std(frames - frames.mean(axis=1, keepdims=True)))


def masses(case: Case) -> list[float] | None:
    """Return the masses in amu that an input holds."""
    arrays = _arrays(case, ("in/mass",))
    return arrays["in/mass"].ravel().tolist() if "in/mass" in arrays else None


def _arrays(case: Case, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Read arrays of the input's own file and, where they are not there, of the weights' file."""
    found: dict[str, np.ndarray] = {}
    own = os.path.splitext(case.files[0])[0] + ".safetensors"
    for path in dict.fromkeys((own, case.weightsFile)):
        if os.path.exists(path):
            found = readSafetensors(path, names)[0] | found
    return found


def _single(array: np.ndarray, what: str) -> float:
    if array.size != 1 or not np.isfinite(array).all() or array.ravel()[0] <= 0:
        raise ConversionError(f"{what} is no single positive number")
    return float(array.ravel()[0])
