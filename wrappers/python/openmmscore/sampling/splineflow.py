"""Normalising flows of rational-quadratic splines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..plugin import _ProposalHandle
from ._proposalparts import buildHandle, checkFrame, countOf, lengthUnit, plain, wrong
from .proposals import FlowProposal, _families

_FLOW = {
    "circular": [],
    "box": [],
    "bins": 8,
    "bound": 5.0,
    "minimum_width": 1e-3,
    "minimum_height": 1e-3,
    "minimum_slope": 1e-3,
    "knots": "softplus",
    "base": "standard",
    "layers": [],
}
_LAYER = {
    "type": "coupling",
    "hidden": [],
    "network": "mlp",
    "activation": "relu",
    "angle_inputs": "cos-sin",
}
_TRANSFORMER = {"heads": 4, "feed_forward": 128}


class SplineFlowProposal(FlowProposal):
    """A normalising flow of rational-quadratic splines (arXiv:1906.04032, arXiv:2002.02428).

    Each layer takes some of the coordinates y through monotonic splines whose knots a small network makes of
    the others ("coupling") or of those before ("autoregressive"). Coordinates may be circular, such as
    torsions. The density is exact, and the flow is inverted exactly; docs/model-format.md says what it
    computes. openmmscore-train makes such flows, loadProposal() reads them.

    Parameters
    ----------
    flow : mapping
        "dimension", and what differs from the defaults of "circular" and "box" (lists of indices; none),
        "bins" (8), "bound" (5), "minimum_width", "minimum_height", "minimum_slope" (1e-3), "knots"
        ("softplus" or "soft-clip"), "base" ("standard" or "trainable"), and "layers": from data to base, each
        with "transformed" (indices), "type" ("coupling" or "autoregressive"), "hidden" (widths), "network"
        ("mlp", "residual" or "transformer"), "activation" ("relu", "silu" or "tanh"), "angle_inputs"
        ("cos-sin" or "raw"). A transformer has equal widths, one for each block, and "heads" (4) and
        "feed_forward" (128)
    tensors : mapping of names to arrays
        those of tensorShapes(); "location" and "scale" are in nm for positions. One that is not given is 1
        for "scale" and norms' weights, else 0: without any, the flow is the identity
    frame : {"absolute", "centred", "vector"}
        y are positions, positions relative to their centroid, or plain numbers
    coordinates : mapping, optional
        internal coordinates for y, as InternalCoordinates.flowSettings() gives them; the frame is "centred"

    Raises
    ------
    openmm.OpenMMException
        if they describe no flow, or a tensor does not fit

    Examples
    --------
    >>> layers = [{"transformed": [0], "hidden": [32]}, {"transformed": [1], "hidden": [32]}]
    >>> flow = SplineFlowProposal({"dimension": 2, "circular": [0, 1], "layers": layers}, frame="vector")
    >>> angles, logDensity = flow.sample(1000, seed=1)
    """

    def __init__(
        self,
        flow: Mapping[str, Any],
        tensors: Mapping[str, ArrayLike] | None = None,
        frame: str = "absolute",
        coordinates: Mapping[str, Any] | None = None,
    ):
        checkFrame(frame)
        settings = _complete(flow)
        # Internal coordinates are logarithms and angles.
        length = lengthUnit(frame) if coordinates is None else None
        arrays = {
            name: plain(values, length if name in ("location", "scale") else None, name)
            for name, values in (tensors or {}).items()
        }
        for name, shape in self.tensorShapes(settings).items():
            ones = name == "scale" or name.endswith("norm.weight")
            arrays.setdefault(name, np.full(shape, 1.0 if ones else 0.0))
        coordinates = {"kind": "frame"} if coordinates is None else dict(coordinates)
        if "rows" in coordinates:
            count = len(coordinates["rows"])
        else:
            count = countOf(settings["dimension"], frame)
        self._handle = buildHandle(
            "spline-flow", count, frame, {"coordinates": coordinates, "flow": settings}, arrays
        )

    @staticmethod
    def tensorShapes(flow: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        """Return name and shape of every tensor of a flow, described as in the constructor."""
        text = json.dumps(_complete(flow))
        return {
            name: tuple(shape) for name, shape in json.loads(_ProposalHandle.describeSplineFlow(text)).items()
        }


def _complete(flow: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with their defaults; what they must satisfy is said where files are read."""
    if "dimension" not in flow:
        raise wrong("flow must have a 'dimension'")
    settings = {**_FLOW, **flow}
    settings["layers"] = [
        {**_LAYER, **(_TRANSFORMER if layer.get("network") == "transformer" else {}), **layer}
        for layer in settings["layers"]
    ]
    return json.loads(json.dumps(settings, default=_plainNumber))


def _plainNumber(value: Any) -> Any:
    if isinstance(value, np.integer | np.floating | np.ndarray):
        return value.tolist()
    if isinstance(value, range):
        return list(value)
    raise wrong(f"flow must hold numbers, words and lists, got {value!r:.40}")


_families["spline-flow"] = SplineFlowProposal
