"""Samples per second of continuous flows with their exact density, and the time of exact pairing.

    .venv/bin/python benchmarks/continuous_flow.py

prints the tables of docs/proposals.md. Times are the processor's, of one core, so that other work on the
machine matters little; weights are random numbers of order 1.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from openmmscore.sampling import ContinuousFlowProposal, optimalPairing


def perceptron(d: int, hidden: tuple[int, ...]) -> ContinuousFlowProposal:
    random = np.random.default_rng(0)
    widths = [d + 7, *hidden, d]
    network = {}
    for index, (columns, rows) in enumerate(zip(widths, widths[1:], strict=False)):
        network[f"layers.{index}.weight"] = random.normal(size=(rows, columns)) / np.sqrt(columns)
        network[f"layers.{index}.bias"] = 0.1 * random.normal(size=rows)
    return ContinuousFlowProposal(network, np.zeros(d), np.ones(d), "vector")


def graphNetwork(count: int, hidden: int, layers: int) -> ContinuousFlowProposal:
    random = np.random.default_rng(0)

    def dense(name: str, rows: int, columns: int) -> dict[str, np.ndarray]:
        weight = random.normal(size=(rows, columns)) / np.sqrt(columns)
        return {f"{name}.weight": weight, f"{name}.bias": 0.1 * random.normal(size=rows)}

    network = {"node_features": np.eye(count), **dense("embedding", hidden, count + 1)}
    for index in range(layers):
        start = f"layers.{index}."
        network |= dense(start + "edge.0", hidden, 2 * hidden + 2) | dense(start + "edge.1", hidden, hidden)
        network |= dense(start + "gate", 1, hidden) | dense(start + "coordinate.0", hidden, hidden)
        network[start + "coordinate.1.weight"] = 1e-3 * random.normal(size=(1, hidden))
        network |= dense(start + "node.0", hidden, 2 * hidden) | dense(start + "node.1", hidden, hidden)
    d = 3 * count - 3
    return ContinuousFlowProposal(network, np.zeros(d), np.ones(d), "centred")


def seconds(work: Callable[..., object], *arguments) -> float:
    best = np.inf
    for _ in range(3):
        start = time.process_time()
        work(*arguments)
        best = min(best, time.process_time() - start)
    return best


def points(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Normal numbers, and data in four groups."""
    random = np.random.default_rng(1)
    data = 0.5 * random.normal(size=(n, d))
    data[:, 0] += 3 * (np.arange(n) % 4)
    return random.normal(size=(n, d)), data


def main() -> None:
    print("| d | hidden layers | tolerance 1e-6 | 1e-4 |\n|---|---|---|---|")
    for d, hidden, count in [
        (2, (48, 48), 2000),
        (10, (256, 256), 400),
        (50, (256, 256), 400),
        (50, (256, 256, 256), 16),
    ]:
        flow = perceptron(d, hidden)
        loose = flow.withSolver(absoluteTolerance=1e-4, relativeTolerance=1e-4)
        rates = [count / seconds(each.sample, count) for each in (flow, loose)]
        print(f"| {d} | {', '.join(map(str, hidden))} | {rates[0]:.2g} | {rates[1]:.2g} |")
    flow = graphNetwork(22, 64, 5)
    u = np.random.default_rng(2).normal(size=(8, 63))
    rate = 8 / seconds(flow.velocity, u, 0.5)
    print(f"\ngraph network, 22 atoms, 5 layers of 64: {rate:.2g} velocities with divergence per second\n")
    print("| batch | d = 2 | 10 | 50 |\n|---|---|---|---|")
    for n in (128, 256, 512):
        times = [1e3 * seconds(optimalPairing, *points(n, d)) for d in (2, 10, 50)]
        print(f"| {n} | {' | '.join(f'{each:.2g} ms' for each in times)} |")


if __name__ == "__main__":
    main()
