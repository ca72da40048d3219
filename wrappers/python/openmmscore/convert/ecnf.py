"""Equivariant continuous flows of transferable-samplers (arXiv:2508.18175)."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import ArrayLike
from openmm import unit

from ..sampling import ContinuousFlowProposal
from . import torch_checkpoint
from .errors import ConversionError
from .tensors import Weights, readSafetensors

# Names there and here, of the parts of one layer.
_PARTS = {
    "edge_mlp.0": "edge.0",
    "edge_mlp.2": "edge.1",
    "att_mlp.0": "gate",
    "coord_mlp.0": "coordinate.0",
    "coord_mlp.2": "coordinate.1",
    "node_mlp.0": "node.0",
    "node_mlp.2": "node.1",
}


def convert(
    path: str, nodeFeatures: ArrayLike, scale: float | unit.Quantity, coordinateRange: float
) -> ContinuousFlowProposal:
    """See fromEcnf()."""
    features = np.asarray(nodeFeatures, dtype=np.float64)
    if features.ndim != 2 or features.size == 0:
        raise ConversionError(f"nodeFeatures must have the shape [N,any], got {list(features.shape)}")
    origin = os.path.basename(path)
    tensors = _read(path)
    weights = Weights(tensors, "net.egnn." if any(k.startswith("net.") for k in tensors) else "egnn.", origin)
    network = {"node_features": features, **_network(weights, features.shape[1])}
    scale = scale.value_in_unit(unit.nanometer) if unit.is_quantity(scale) else scale
    d = 3 * len(features) - 3
    return ContinuousFlowProposal(
        network, np.zeros(d), np.full(d, scale), "centred", coordinateRange=coordinateRange
    )


def _read(path: str) -> dict[str, np.ndarray]:
    if not path.endswith((".pth", ".pt", ".ckpt")):
        return readSafetensors(path, ("net.", "egnn."))[0]
    found = torch_checkpoint.read(path)
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict):
        raise ConversionError(f"{os.path.basename(path)} holds no dictionary of weights")
    return {name: each for name, each in found.items() if isinstance(each, np.ndarray)}


def _network(weights: Weights, numFeatures: int) -> dict[str, np.ndarray]:
    hidden = weights.shape("embedding.weight", 2)[0]
    network = {
        "embedding.weight": weights.take("embedding.weight", (hidden, numFeatures + 1)),
        "embedding.bias": weights.take("embedding.bias", (hidden,)),
    }
    # The output embedding influences nothing: only positions leave the network.
    layers = {name.split(".")[0] for name in weights.names if name.startswith("gcl_")}
    for name in [name for name in weights.names if name.startswith("embedding_out.")]:
        weights.take(name, weights.shape(name, 2 if name.endswith("weight") else 1))
    for index in range(len(layers)):
        for theirs, ours in _PARTS.items():
            for kind, rank in (("weight", 2), ("bias", 1)):
                name = f"gcl_{index}.{theirs}.{kind}"
                if theirs == "coord_mlp.2" and kind == "bias":
                    continue
                network[f"layers.{index}.{ours}.{kind}"] = weights.take(name, weights.shape(name, rank))
    weights.finish()
    return network
