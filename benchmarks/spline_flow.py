"""Time draws and densities of a spline flow of random weights: python benchmarks/spline_flow.py."""

import argparse
import time

import numpy as np
import openmmscore
from openmmscore.sampling import SplineFlowProposal


def makeFlow(
    dimension: int, numLayers: int, hidden: int, bins: int, kind: str, network: str
) -> SplineFlowProposal:
    """Couplings of alternate coordinates, or autoregressive layers, a third of the coordinates circular."""
    circular = list(range(2 * dimension // 3, dimension))
    layers = []
    for index in range(numLayers):
        transformed = range(index % 2, dimension, 2) if kind == "coupling" else range(dimension)
        layer = {
            "type": kind,
            "transformed": list(transformed),
            "hidden": [hidden, hidden],
            "network": network,
        }
        layers.append(layer | ({"feed_forward": 2 * hidden} if network == "transformer" else {}))
    flow = {"dimension": dimension, "circular": circular, "bins": bins, "layers": layers}
    random = np.random.default_rng(0)
    tensors = {}
    for name, shape in SplineFlowProposal.tensorShapes(flow).items():
        if name.endswith("bias"):
            tensors[name] = 0.1 * random.normal(size=shape)
        elif name.endswith("weight") and "norm" not in name and (kind == "coupling" or "linear" not in name):
            tensors[name] = 0.5 * random.normal(size=shape) / np.sqrt(shape[1])
    return SplineFlowProposal(flow, tensors, "vector")


def main() -> None:
    """Print the time per sample on one core."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dimension", type=int, default=60)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--bins", type=int, default=8)
    parser.add_argument("--kind", choices=["coupling", "autoregressive"], default="coupling")
    parser.add_argument("--network", choices=["mlp", "transformer"], default="mlp")
    parser.add_argument("--file", help="a proposal to time instead")
    parser.add_argument("--samples", type=int, default=10000)
    options = parser.parse_args()
    if options.file:
        flow = openmmscore.loadProposal(options.file)
    else:
        flow = makeFlow(
            options.dimension,
            options.layers,
            options.hidden,
            options.bins,
            options.kind,
            options.network,
        )
    n = options.samples
    start = time.process_time()
    y, _ = flow.sample(n)
    middle = time.process_time()
    flow.logDensity(y)
    end = time.process_time()
    print(f"draw    {1e6 * (middle - start) / n:8.1f} us/sample")
    print(f"density {1e6 * (end - middle) / n:8.1f} us/sample")


if __name__ == "__main__":
    main()
