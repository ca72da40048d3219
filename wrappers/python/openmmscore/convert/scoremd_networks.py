"""The networks of ScoreMD, under their Flax names with kernels as [in, out].

Sizes are read off the tensors and checked against what the program's description says.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .expert import Expert, NetworkDescription, named, numTimeFeatures, transformerDocument
from .tensors import Weights

#: Names of the four embeddings of ScoreMD's dipeptide networks, by their sizes.
_FEATURE_NAMES = {(20, 5, 3, 2): ("amino_acid", "atom", "element", "residue")}


def _kernel(weights: Weights, name: str, inputs: int, outputs: int) -> np.ndarray:
    return weights.take(name + "/kernel", (inputs, outputs)).T


def _dense(weights: Weights, name: str, inputs: int, outputs: int) -> dict[str, np.ndarray]:
    return {
        ".weight": _kernel(weights, name, inputs, outputs),
        ".bias": weights.take(name + "/bias", (outputs,)),
    }


def mlp(weights: Weights, network: NetworkDescription) -> Expert:
    """Convert a multilayer perceptron of ScoreMD."""
    activation = network.get("activation")
    if activation not in (None, "swish", "silu"):
        network.fail(f"activation is {activation!r:.60}, expected 'swish'")
    total = weights.numParameters
    widths = []
    while f"Dense_{len(widths)}/kernel" in weights:
        widths.append(weights.shape(f"Dense_{len(widths)}/kernel", 2))
    if len(widths) < 2:
        network.fail("has fewer than two dense layers, so it is no multilayer perceptron")
    inputs, outputs = widths[0][0], widths[-1][1]
    hidden = [width for _, width in widths[:-1]]
    kind = network.timeFeatures()
    count = inputs - numTimeFeatures(kind)
    head = network.head(outputs)
    if count < 1:
        network.fail(f"takes {inputs} inputs, too few for {numTimeFeatures(kind)} time features")
    given = network.integer("d")
    if given not in (None, count) or (head == "score" and outputs != count):
        network.fail(
            f"takes {inputs} inputs and gives {outputs}, which does not fit "
            f"{given or outputs} coordinates and {numTimeFeatures(kind)} time features on the interval "
            f"{network.interval()}"
        )
    network.check("hidden", hidden)
    network.check("n_params", total)
    tensors = {}
    for i, (fanIn, fanOut) in enumerate(zip([inputs, *hidden], [*hidden, outputs], strict=True)):
        tensors |= named(f"layers.{i}", _dense(weights, f"Dense_{i}", fanIn, fanOut))
    weights.finish()
    document = {
        "architecture": "mlp",
        "interval": network.interval(),
        "head": head,
        "time_features": kind,
        "output_sign": 1,
        "output_scaling": "none",
        "hidden": hidden,
    }
    return Expert(document, tensors, "vector", count)


def graphTransformer(weights: Weights, network: NetworkDescription) -> Expert:
    """Convert a graph transformer of ScoreMD."""
    total = weights.numParameters
    inputs, hidden = weights.shape("node_embedding/kernel", 2)
    outputs = weights.shape("node_decoder/kernel", 2)[1]
    layers = 0
    while f"GraphTransformerLucid_0/Attention_{layers}/Dense_0/kernel" in weights:
        layers += 1
    inner, feedForward = 1, 1
    if layers:
        inner = weights.shape("GraphTransformerLucid_0/Attention_0/Dense_0/kernel", 2)[1]
        feedForward = weights.shape("GraphTransformerLucid_0/Dense_0/kernel", 2)[1]
    kind = network.timeFeatures()
    head = network.head(outputs)
    tables, width, tensors = _featureTables(weights, network)
    identity = inputs - numTimeFeatures(kind)
    count = _countParticles(network, head, outputs, identity, len(tables) * width)
    document = transformerDocument(
        network,
        {
            "interval": network.interval(),
            "head": head,
            "time_features": kind,
            "output_sign": 1 if head == "energy" else -1,
            "output_scaling": "none",
            "hidden": hidden,
            "layers": layers,
            "inner": inner,
            "feed_forward": feedForward,
            "layer_norm_epsilon": 1e-6,
            "gelu": "tanh",
            "embedding_width": width,
        },
    )
    network.check("n_params", total)
    tensors |= named("edge_embedding", _dense(weights, "edge_embedding", 3, hidden))
    tensors |= named("node_embedding", _dense(weights, "node_embedding", inputs, hidden))
    for index in range(layers):
        tensors |= named(f"layers.{index}", _flaxLayer(weights, index, hidden, inner, feedForward))
    readIn = hidden if head == "energy" else outputs // 3 * hidden
    tensors |= named("readout", _dense(weights, "node_decoder", readIn, outputs))
    weights.finish()
    return Expert(document, tensors, "particles", count, _features(tables))


def _featureTables(
    weights: Weights, network: NetworkDescription
) -> tuple[list[int], int, dict[str, np.ndarray]]:
    """Return the sizes of the embedding tables, their common width, and the tables."""
    tables, widths, tensors = [], set(), {}
    while f"scalar_embedding_{len(tables)}/embedding" in weights:
        name = f"scalar_embedding_{len(tables)}/embedding"
        rows, width = weights.shape(name, 2)
        tensors[f"feature_embeddings.{len(tables)}.weight"] = weights.take(name, (rows, width))
        tables.append(rows)
        widths.add(width)
    if len(widths) > 1:
        network.fail(f"has embeddings of different widths {sorted(widths)}, expected one width")
    width = widths.pop() if widths else 0
    if tables or network.get("embedding_tables"):
        network.check("embedding_tables", tables)
    if tables:
        network.check("embedding_width", width)
    return tables, width, tensors


def _features(tables: list[int]) -> list[dict[str, Any]]:
    names = _FEATURE_NAMES.get(tuple(tables), [f"feature_{j}" for j in range(len(tables))])
    return [{"name": name, "num_values": rows} for name, rows in zip(names, tables, strict=True)]


def _countParticles(
    network: NetworkDescription, head: str, outputs: int, identity: int, embedded: int
) -> int | None:
    """Return N as far as the weights tell it: by the one-hot index, or the width of a score head."""
    given = network.integer("n_beads")
    if embedded and identity != embedded:
        network.fail(
            f"the node embedding takes {identity} numbers about a particle, but its embeddings give "
            f"{embedded}; the interval {network.interval()} may be wrong"
        )
    found = None if embedded else identity
    if found is not None and found < 1:
        network.fail("the node embedding has too few inputs for its time features")
    if head == "score":
        if outputs % 3 or (found is not None and outputs != 3 * found):
            network.fail(
                f"the score head has {outputs} outputs, expected three for each of "
                f"{found or 'its'} particles; the interval {network.interval()} may be wrong"
            )
        found = outputs // 3
    if found is not None:
        network.check("n_beads", found, f"on the interval {network.interval()} the weights have")
    return found or given


def _flaxLayer(
    weights: Weights, index: int, hidden: int, inner: int, feedForward: int
) -> dict[str, np.ndarray]:
    """Take layer `index`: parts 2 index belong to the attention, 2 index + 1 to the feed-forward network."""
    root, first, second = "GraphTransformerLucid_0", 2 * index, 2 * index + 1
    attention = f"{root}/Attention_{index}"
    layer = named(".attention_norm", _flaxNorm(weights, f"{root}/PreNorm_{first}", hidden))
    for i, part in enumerate(("query", "key", "value", "edge")):
        layer |= named(f".attention.{part}", _dense(weights, f"{attention}/Dense_{i}", hidden, inner))
    layer |= named(".attention.output", _dense(weights, f"{attention}/Dense_4", inner, hidden))
    layer[".attention_gate.weight"] = _kernel(weights, f"{root}/GatedResidual_{first}/Dense_0", 3 * hidden, 1)
    layer |= named(".feed_forward_norm", _flaxNorm(weights, f"{root}/PreNorm_{second}", hidden))
    layer |= named(".feed_forward.expand", _dense(weights, f"{root}/Dense_{first}", hidden, feedForward))
    layer |= named(".feed_forward.contract", _dense(weights, f"{root}/Dense_{second}", feedForward, hidden))
    layer[".feed_forward_gate.weight"] = _kernel(
        weights, f"{root}/GatedResidual_{second}/Dense_0", 3 * hidden, 1
    )
    return layer


def _flaxNorm(weights: Weights, name: str, hidden: int) -> dict[str, np.ndarray]:
    return {
        ".weight": weights.take(f"{name}/LayerNorm_0/scale", (hidden,)),
        ".bias": weights.take(f"{name}/LayerNorm_0/bias", (hidden,)),
    }
