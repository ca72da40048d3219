"""An expert of a model file in the making, and what the other program says about its network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .errors import ConversionError

_DEFAULT_HEADS, _DEFAULT_HEAD_SIZE = 8, 64
_NUM_TIME_FEATURES = {"fourier": 4, "fourier-rescaled": 7, "linear": 1}


@dataclass
class Expert:
    """An entry of `experts` in a model file, its tensors, and what it says about the whole model."""

    document: dict[str, Any]
    tensors: dict[str, np.ndarray]
    space: str
    #: N or d; None where the weights do not tell.
    count: int | None
    features: list[dict[str, Any]] = field(default_factory=list)


class NetworkDescription:
    """What another program says about a network: a JSON object with fields left out."""

    def __init__(self, fields: Mapping[str, Any], origin: str):
        self._fields = fields
        self.origin = origin

    def fail(self, what: str):
        """Raise a ConversionError about this network."""
        raise ConversionError(f"{self.origin}: {what}")

    def get(self, name: str) -> Any:
        """Return a field, or None if it is absent."""
        return self._fields.get(name)

    def integer(self, name: str) -> int | None:
        """Return a positive integer, or None if it is absent."""
        value = self._fields.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            self.fail(f"{name} is {value!r:.60}, expected a positive integer")
        return value

    def check(self, name: str, found: Any, what: str = "the weights have") -> None:
        """Check a field, where it is given, against the weights."""
        given = self._fields.get(name)
        if given is not None and given != found:
            self.fail(f"{name} is {given!r:.60}, but {what} {found!r:.60}")

    def interval(self) -> list[float]:
        """Return [t0, t1]; both orders are accepted, [0, 1] is the default."""
        value = self._fields.get("interval", [0.0, 1.0])
        try:
            start, end = sorted(float(t) for t in value)
        except (TypeError, ValueError):
            self.fail(f"interval is {value!r:.60}, expected two times")
        if not 0 <= start < end <= 1:
            self.fail(f"interval is {value!r:.60}, expected two different times within [0, 1]")
        return [start, end]

    def head(self, outputs: int) -> str:
        """Return 'energy' or 'score', from `potential` or, without it, the width of the last layer."""
        potential = self._fields.get("potential")
        if potential is None:
            potential = outputs == 1
        if not isinstance(potential, bool):
            self.fail(f"potential is {potential!r:.60}, expected true or false")
        if potential and outputs != 1:
            self.fail(f"potential is true, but the last layer has {outputs} outputs instead of 1")
        return "energy" if potential else "score"

    def timeFeatures(self) -> str:
        """Return the kind of time features by ScoreMD's rule, unless their number is given."""
        given = self.integer("time_features")
        start, end = self.interval()
        if given is None:
            rescale = self._fields.get("rescale_time", True)
            given = 7 if rescale and (start >= 1e-6 or end - 1 >= 1e-6) else 4
        if given not in (4, 7):
            self.fail(f"time_features is {given}, expected 4 or 7")
        return "fourier" if given == 4 else "fourier-rescaled"


def numTimeFeatures(kind: str) -> int:
    """Return how many numbers a network is told about the diffusion time."""
    return _NUM_TIME_FEATURES[kind]


def named(name: str, parts: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Put a name before the names of tensors."""
    return {name + suffix: tensor for suffix, tensor in parts.items()}


def transformerDocument(network: NetworkDescription, sizes: dict[str, Any]) -> dict[str, Any]:
    """Complete an expert with heads, epsilon and GELU, and check its sizes."""
    inner = sizes.pop("inner")
    heads, headSize = network.integer("heads"), network.integer("dim_head")
    if heads is None and headSize is None:
        heads, headSize = _DEFAULT_HEADS, _DEFAULT_HEAD_SIZE
    elif heads is None:
        heads = inner // headSize
    elif headSize is None:
        headSize = inner // heads
    if sizes["layers"] and heads * headSize != inner:
        network.fail(f"{heads} heads of {headSize} do not make the {inner} numbers of the weights")
    if not sizes["layers"]:
        network.fail("has no attention layer")
    for name in ("hidden", "layers"):
        network.check(name, sizes[name])
    epsilon, gelu = network.get("ln_eps"), network.get("gelu")
    if epsilon is not None:
        if isinstance(epsilon, bool) or not isinstance(epsilon, (int, float)) or not 0 < epsilon <= 1:
            network.fail(f"ln_eps is {epsilon!r:.60}, expected a positive number below 1")
        sizes["layer_norm_epsilon"] = float(epsilon)
    if gelu is not None:
        if gelu not in ("tanh", "erf"):
            network.fail(f"gelu is {gelu!r:.60}, expected 'tanh' or 'erf'")
        sizes["gelu"] = gelu
    document = {"architecture": "graph-transformer", **sizes}
    return document | {"heads": heads, "head_size": headSize}
