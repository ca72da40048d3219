"""The numbers of an evaluation: distances between samples and a reference, each with its floor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..analysis import bondLengths, freeEnergyError, jensenShannon2d, pairDistanceDivergence, wasserstein
from .floors import measure
from .systems import SystemKind


def compare(kind: SystemKind, samples: np.ndarray, reference: np.ndarray, seed: int) -> dict[str, Any]:
    """Compare samples with a reference in everything that is measured on such systems.

    Arguments
    ---------
    samples, reference : array, shape [n,N,3] or [n,d]
        all finite

    Returns
    -------
    dict
        js, pmf, bonds (a list), pair_distances if the system has it; Measured.asDict() each
    """
    count = min(len(samples), len(reference))
    # Only as many are projected as are compared.
    samples = subset(samples, count, seed)
    variables = kind.project(samples), kind.project(reference)
    result: dict[str, Any] = {
        "js": measure(divergence(kind), *variables, seed).asDict(),
        "pmf": measure(
            lambda a, b: freeEnergyError(a, b, kind.pmfBins, kind.pmfLimits), *variables, seed
        ).asDict(),
        "bonds": [],
    }
    if kind.bonds:
        lengths = bondLengths(samples, kind.bonds), bondLengths(reference, kind.bonds)
        for k, bond in enumerate(kind.bonds):
            own = lengths[0][:, [k]], lengths[1][:, [k]]
            found = measure(lambda a, b: float(wasserstein(a, b)[0]), *own, seed)
            result["bonds"].append({"particles": list(bond), **found.asDict()})
        longest = lengths[1].max(axis=0)
        result["broken"] = float((lengths[0] > 1.5 * longest).any(axis=1).mean())
    if kind.pairDistances:
        result["pair_distances"] = measure(
            pairDistanceDivergence, samples, reference, seed, splits=1
        ).asDict()
    return result


def divergence(kind: SystemKind) -> Callable[[np.ndarray, np.ndarray], float]:
    """Return the Jensen-Shannon divergence of two variables as a function of two sets of samples."""

    def distance(samples: np.ndarray, reference: np.ndarray) -> float:
        if kind.jsLimits is not None:
            low, high = np.array(kind.jsLimits).T
            if not ((samples >= low) & (samples <= high)).all(axis=1).any():
                return float(np.log(2))  # nothing in common
        return jensenShannon2d(reference, samples, kind.jsBins, kind.jsLimits)

    return distance


def subset(samples: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return so many samples at random, as float64."""
    if count < len(samples):
        samples = samples[np.random.default_rng(seed).choice(len(samples), count, replace=False)]
    return np.asarray(samples, dtype=np.float64)
