"""The graph transformer of Two-for-One: PyTorch names, weights as [out, in]."""

from __future__ import annotations

import numpy as np

from .expert import Expert, NetworkDescription, named, transformerDocument
from .tensors import Weights


def graphTransformer(weights: Weights, network: NetworkDescription, interval: list[float]) -> Expert:
    """Convert the graph transformer of Two-for-One."""
    total = weights.numParameters
    hidden, inputs = weights.shape("node_embedding.weight", 2)
    outputs = weights.shape("node_decoder.weight", 2)[0]
    if outputs != 1:
        network.fail(f"the decoder gives {outputs} numbers a particle, expected the energy alone")
    layers = 0
    while f"graphtransformer.layers.{layers}.0.0.fn.to_q.weight" in weights:
        layers += 1
    inner, feedForward = 1, 1
    if layers:
        inner = weights.shape("graphtransformer.layers.0.0.0.fn.to_q.weight", 2)[0]
        feedForward = weights.shape("graphtransformer.layers.0.1.0.fn.0.weight", 2)[0]
    count = inputs - 1
    if count < 1:
        network.fail("the node embedding has too few inputs for its time feature")
    network.check("n_beads", count)
    document = transformerDocument(
        network,
        {
            "interval": interval,
            "head": "energy",
            "time_features": "linear",
            "output_sign": -1,
            "output_scaling": "inverse-sigma",
            "hidden": hidden,
            "layers": layers,
            "inner": inner,
            "feed_forward": feedForward,
            "layer_norm_epsilon": 1e-5,
            "gelu": "erf",
            "embedding_width": 0,
        },
    )
    network.check("n_params", total)
    tensors = {}
    for name, fanIn in (("edge_embedding", 3), ("node_embedding", inputs)):
        tensors |= named(name, _linear(weights, name, hidden, fanIn))
    for index in range(layers):
        tensors |= named(f"layers.{index}", _torchLayer(weights, index, hidden, inner, feedForward))
    tensors |= named("readout", _linear(weights, "node_decoder", 1, hidden))
    weights.finish()
    return Expert(document, tensors, "particles", count)


def _linear(weights: Weights, name: str, outputs: int, inputs: int) -> dict[str, np.ndarray]:
    return {
        ".weight": weights.take(name + ".weight", (outputs, inputs)),
        ".bias": weights.take(name + ".bias", (outputs,)),
    }


def _torchNorm(weights: Weights, name: str, hidden: int) -> dict[str, np.ndarray]:
    return {suffix: weights.take(name + suffix, (hidden,)) for suffix in (".weight", ".bias")}


def _torchLayer(
    weights: Weights, index: int, hidden: int, inner: int, feedForward: int
) -> dict[str, np.ndarray]:
    root = f"graphtransformer.layers.{index}"
    attention, expand = f"{root}.0.0.fn", f"{root}.1.0.fn"
    layer = named(".attention_norm", _torchNorm(weights, f"{root}.0.0.norm", hidden))
    layer |= named(".attention.query", _linear(weights, f"{attention}.to_q", inner, hidden))
    # One layer makes keys and values: the first half of its rows are the keys.
    both = _linear(weights, f"{attention}.to_kv", 2 * inner, hidden)
    layer |= named(".attention.key", {name: rows[:inner] for name, rows in both.items()})
    layer |= named(".attention.value", {name: rows[inner:] for name, rows in both.items()})
    layer |= named(".attention.edge", _linear(weights, f"{attention}.edges_to_kv", inner, hidden))
    layer |= named(".attention.output", _linear(weights, f"{attention}.to_out", hidden, inner))
    layer[".attention_gate.weight"] = weights.take(f"{root}.0.1.proj.0.weight", (1, 3 * hidden))
    layer |= named(".feed_forward_norm", _torchNorm(weights, f"{root}.1.0.norm", hidden))
    layer |= named(".feed_forward.expand", _linear(weights, f"{expand}.0", feedForward, hidden))
    layer |= named(".feed_forward.contract", _linear(weights, f"{expand}.2", hidden, feedForward))
    layer[".feed_forward_gate.weight"] = weights.take(f"{root}.1.1.proj.0.weight", (1, 3 * hidden))
    return layer
