"""Expectation maximisation for mixtures of normal distributions."""

from __future__ import annotations

from typing import Any

import numpy as np
import openmm


def fitMixture(
    cls: type,
    positions: np.ndarray,
    numComponents: int,
    seed: int,
    covariance: str,
    frame: str,
    maxIterations: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights, means and covariances of the mixture of class ``cls`` that fits positions [n,N,3]."""
    _check(positions, numComponents, covariance, frame)
    if frame == "centred":
        positions = positions - positions.mean(axis=1, keepdims=True)
    flat = positions.reshape(len(positions), -1)
    dimension = flat.shape[1] - 3 * (frame == "centred")
    spread = flat.var(axis=0).sum() / dimension
    if not spread > 0:
        raise openmm.OpenMMException("Proposal: all positions to fit are equal, expected ones that differ")
    # Below this a component has collapsed on a few samples.
    floor = 1e-6 * spread

    shares = _nearest(flat, _spreadOut(flat, numComponents, seed))
    previous = -np.inf
    for _ in range(max(1, maxIterations)):
        weights, means, covariances = _maximise(flat, shares, covariance, dimension, floor)
        shares, mean = _expect(cls, positions, weights, means, covariances, frame)
        if mean - previous < 1e-6:
            break
        previous = mean
    return weights, means.reshape(-1, *positions.shape[1:]), covariances


def _check(positions: np.ndarray, numComponents: int, covariance: str, frame: str) -> None:
    kinds = ("isotropic", "full") if frame == "centred" else ("isotropic", "diagonal", "full")
    if covariance not in kinds:
        raise openmm.OpenMMException(
            f"Proposal: covariance must be one of {', '.join(kinds)} in the frame {frame!r}, got "
            f"{covariance!r:.40}"
        )
    if not 1 <= numComponents < len(positions):
        raise openmm.OpenMMException(
            f"Proposal: numComponents must be from 1 to {len(positions) - 1}, below the number of samples, "
            f"got {numComponents}"
        )


def _spreadOut(flat: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Starting points far from each other: k-means++ (Arthur and Vassilvitskii, SODA 2007)."""
    random = np.random.Generator(np.random.Philox(key=seed))
    chosen = [flat[random.integers(len(flat))]]
    distance = np.full(len(flat), np.inf)
    for _ in range(count - 1):
        distance = np.minimum(distance, ((flat - chosen[-1]) ** 2).sum(axis=1))
        total = distance.sum()
        chosen.append(flat[random.choice(len(flat), p=distance / total if total > 0 else None)])
    return np.array(chosen)


def _nearest(flat: np.ndarray, centres: np.ndarray) -> np.ndarray:
    distance = np.stack([((flat - centre) ** 2).sum(axis=1) for centre in centres], axis=1)
    return np.eye(len(centres))[distance.argmin(axis=1)]


def _maximise(
    flat: np.ndarray, shares: np.ndarray, covariance: str, dimension: int, floor: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # A component that no sample belongs to keeps a little weight, so that nothing is divided by zero.
    totals = np.maximum(shares.sum(axis=0), 1e-10)
    means = (shares.T @ flat) / totals[:, None]
    fitted: list[Any] = []
    for k, total in enumerate(totals):
        off = flat - means[k]
        if covariance == "full":
            matrix = (off * shares[:, k, None]).T @ off / total
            fitted.append((matrix + matrix.T) / 2 + floor * np.eye(len(matrix)))
        elif covariance == "diagonal":
            fitted.append(shares[:, k] @ off**2 / total + floor)
        else:
            fitted.append(shares[:, k] @ (off**2).sum(axis=1) / (total * dimension) + floor)
    return totals / totals.sum(), means, np.array(fitted)


def _expect(
    cls: type,
    positions: np.ndarray,
    weights: np.ndarray,
    means: np.ndarray,
    covariances: np.ndarray,
    frame: str,
) -> tuple[np.ndarray, float]:
    """Each component's share of each sample, and the mean log density."""
    shape = (1, *positions.shape[1:])
    terms = np.stack(
        [
            np.log(weight) + cls([1.0], mean.reshape(shape), each[None], frame).logDensity(positions)
            for weight, mean, each in zip(weights, means, covariances, strict=True)
        ],
        axis=1,
    )
    density = np.logaddexp.reduce(terms, axis=1)
    return np.exp(terms - density[:, None]), float(density.mean())
