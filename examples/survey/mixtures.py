"""Mixtures of normal distributions whose density is known: the data of the survey."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import openmmscore
from numpy.typing import NDArray


@dataclass(frozen=True)
class Mixture:
    """K normal distributions of unit covariance in d dimensions, their means standard normal.

    Modes are about sqrt(2 d) apart, so more dimensions mean better separated modes.
    """

    dimension: int
    modes: int
    samples: int
    #: share of the second of two modes; None for equal shares
    minor: float | None = None
    seed: int = 0

    @property
    def name(self) -> str:
        share = "" if self.minor is None else f"-minor{100 * self.minor:g}"
        seed = f"-seed{self.seed}" if self.seed else ""
        return f"d{self.dimension}-k{self.modes}-n{self.samples}{share}{seed}"

    @property
    def means(self) -> NDArray[np.float64]:
        random = np.random.default_rng([self.seed, self.dimension, self.modes])
        return random.standard_normal((self.modes, self.dimension))

    @property
    def weights(self) -> NDArray[np.float64]:
        if self.minor is None:
            return np.full(self.modes, 1 / self.modes)
        return np.array([1 - self.minor, self.minor])

    @property
    def density(self) -> openmmscore.GaussianMixtureProposal:
        """The exact distribution."""
        return openmmscore.GaussianMixtureProposal(self.weights, self.means, 1.0, frame="vector")

    def modeOf(self, samples: NDArray[np.float64]) -> NDArray[np.int64]:
        """The mode that each sample most probably belongs to."""
        distance = ((samples[:, None, :] - self.means[None]) ** 2).sum(axis=2)
        return (np.log(self.weights) - 0.5 * distance).argmax(axis=1)


def sweeps(full: bool, seed: int = 0) -> dict[str, list[Mixture]]:
    """The survey's four series, with means drawn from the seed; if not full, one or two points of each."""
    dimensions = range(10, 101, 10) if full else (10, 50)
    modes = range(5, 51, 5) if full else (50,)
    sizes = range(5000, 50001, 5000) if full else (5000,)
    minors = (0.025, 0.05, 0.1, 0.15, 0.25, 0.35, 0.5) if full else (0.025, 0.25)
    return {
        "dimensions": [Mixture(d, 4, 50000, None, seed) for d in dimensions],
        "modes": [Mixture(50, k, 50000, None, seed) for k in modes],
        "data": [Mixture(50, 4, n, None, seed) for n in sizes],
        "asymmetry": [Mixture(50, 2, 50000, p, seed) for p in minors],
    }


def coarseFirst(series: dict[str, list[Mixture]]) -> list[Mixture]:
    """All mixtures, each once, in an order that fills every series evenly: run as long as there is time."""
    each = [[cases[i] for i in _endsAndMiddles(len(cases))] for cases in series.values()]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*each))
    return list({case.name: case for case in turns if case is not None}.values())


def _endsAndMiddles(count: int) -> list[int]:
    """The two ends, then always the middle of the widest gap."""
    order = [0, count - 1] if count > 1 else [0]
    while len(order) < count:
        known = sorted(order)
        gap, low = max((b - a, -a) for a, b in itertools.pairwise(known))
        order.append(gap // 2 - low)
    return order
