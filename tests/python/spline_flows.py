"""Spline flows of random numbers, for tests."""

import numpy as np
from openmmscore.sampling import SplineFlowProposal

# Configurations of five atoms, in nm.
FRAMES = np.random.default_rng(3).normal(size=(50, 5, 3)) * 0.1


def coupling(transformed, **more):
    return {"transformed": list(transformed), "hidden": [6, 5], **more}


def autoregressive(order, **more):
    return {"type": "autoregressive", "transformed": list(order), "hidden": [8], **more}


def transformer(transformed, **more):
    return {
        "transformed": list(transformed),
        "network": "transformer",
        "hidden": [8, 8],
        "heads": 2,
        "feed_forward": 12,
        **more,
    }


def masked(flow, name, values):
    """Zeros where an autoregressive layer of all coordinates, with one hidden width, must not look."""
    layer = flow["layers"][int(name.split(".")[1])]
    if layer.get("type") != "autoregressive" or layer.get("network") == "transformer":
        return values
    order, circular = layer["transformed"], set(flow.get("circular", ()))
    inputs = [i for i in range(flow["dimension"]) for _ in range(2 if i in circular else 1)]
    bins, box = flow.get("bins", 8), set(flow.get("box", ()))
    counts = {i: 3 * bins - 1 + (i in circular) + 2 * (i in box) for i in order}
    degrees = np.arange(layer["hidden"][0]) % max(1, len(order) - 1)
    if ".linear.0." in name:
        return values * (np.array([order.index(i) for i in inputs]) <= degrees[:, None])
    outputs = np.repeat(np.arange(len(order)), [counts[i] for i in order])
    return values * (degrees < outputs[:, None])


def anyFlow(flow, frame="vector", strength=1.0, seed=1, coordinates=None, **fixed):
    """A flow of random numbers."""
    random = np.random.default_rng(seed)
    tensors = {}
    for name, shape in SplineFlowProposal.tensorShapes(flow).items():
        if name == "scale":
            tensors[name] = random.uniform(0.5, 0.8, shape)
            tensors[name][list(flow.get("circular", ()))] = 1
        elif name.endswith(("embedding", "queries")):
            # Norms bring any size to one: what matters is how large the features are beside this.
            tensors[name] = random.normal(size=shape)
        elif name.endswith("norm.weight"):
            tensors[name] = random.uniform(0.7, 1.3, shape)
        elif name.endswith(".weight"):
            tensors[name] = masked(flow, name, random.normal(size=shape) * 2 * strength / np.sqrt(shape[1]))
        else:
            tensors[name] = random.normal(size=shape) * (2 if name.endswith("shift") else 0.4 * strength)
        if name.startswith("base."):
            tensors[name][[*flow.get("circular", ()), *flow.get("box", ())]] = 0
    return SplineFlowProposal(flow, {**tensors, **fixed}, frame, coordinates)
