"""Distances between two sets of samples, defined as in the publications on such models.

They are those of Plainer et al., "Consistent Sampling and Simulation: Molecular Dynamics with Energy-Based
Diffusion Models" (arXiv:2506.17139), so numbers can be set beside theirs. All depend on how many samples
there are: two sets from one distribution are a finite distance apart, see compareSamples(). Arrays of another
shape or with numbers that are not finite are a ValueError.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .._units import withoutUnits

#: Lower and upper end of each of two axes.
Limits = Sequence[Sequence[float]]

#: A full turn on both axes, for pairs of dihedral angles in radians.
TORSIONS: Limits = ((-np.pi, np.pi), (-np.pi, np.pi))


def jensenShannon2d(
    first: ArrayLike, second: ArrayLike, bins: int = 64, limits: Limits | None = None
) -> float:
    """Jensen-Shannon divergence between two-dimensional histograms.

    JS = 1/2 sum p ln(p/m) + 1/2 sum q ln(q/m) with m = (p+q)/2: 0 for equal histograms, ln 2 = 0.69 for
    disjoint ones. It is symmetric.

    Arguments
    ---------
    first, second : array, shape [n,2] and [m,2]
    bins : int
        how many bins of equal width each axis has
    limits : ((low, high), (low, high)), optional
        samples outside are dropped (default: from the minimum to the maximum of both sets together)

    Returns
    -------
    float, in nats
    """
    first, second = _samples(first, "first"), _samples(second, "second")
    if limits is None:
        both = np.concatenate([first, second])
        limits = np.stack([both.min(axis=0), both.max(axis=0)], axis=1)
    p, q = (np.histogram2d(x[:, 0], x[:, 1], bins, limits)[0] for x in (first, second))
    if not p.any() or not q.any():
        raise ValueError(f"no sample of one set lies within {limits}")
    return _jensenShannon(p / p.sum(), q / q.sum())


def freeEnergyError(
    model: ArrayLike, reference: ArrayLike, bins: int = 64, limits: Limits = TORSIONS, empty: float = 1e-6
) -> float:
    """Weighted mean square difference of two free energy surfaces ("PMF error").

    The sum over bins of w (ln p - ln q)^2, where w is (p+q)/2 normalised to one. Bins that are empty in one
    set only get the probability `empty` there, those empty in both do not count. There is no square root. Of
    the bins on each axis the first and the last hold what lies below and above the limits, so every sample
    counts. It is symmetric.

    Arguments
    ---------
    model, reference : array, shape [n,2] and [m,2]
    bins : int
        how many bins each axis has: bins-2 of equal width within the limits, and two outer ones
    limits : ((low, high), (low, high))
    empty : float
        probability of a bin that only the other set has visited

    Returns
    -------
    float, in units of (kT)^2
    """
    p, q = (
        _histogramWithOuterBins(_samples(x, name), bins, limits)
        for x, name in ((model, "model"), (reference, "reference"))
    )
    visited = (p > 0) | (q > 0)
    p, q = (np.where(x > 0, x, empty)[visited] for x in (p, q))
    return float(np.average(np.log(p / q) ** 2, weights=p + q))


def wasserstein(first: ArrayLike, second: ArrayLike) -> np.ndarray:
    """One-dimensional Wasserstein distance between two sets of samples, column by column.

    Arguments
    ---------
    first, second : array, shape [n,k] and [m,k]
        for example bond lengths

    Returns
    -------
    array, shape [k], in the samples' unit
    """
    from scipy.stats import wasserstein_distance

    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ValueError(
            "expected samples of the shapes [n,k] and [m,k], got "
            f"{list(first.shape)} and {list(second.shape)}"
        )
    return np.array([wasserstein_distance(x, y) for x, y in zip(first.T, second.T, strict=True)])


def relativeWasserstein(model: ArrayLike, baseline: ArrayLike, reference: ArrayLike) -> np.ndarray:
    """Wasserstein distance of a model from the reference, over that of another model.

    Arguments
    ---------
    model, baseline, reference : array, shape [n,k], [m,k] and [l,k]

    Returns
    -------
    array, shape [k]: below 1 where the model is nearer to the reference than the baseline is
    """
    return wasserstein(model, reference) / wasserstein(baseline, reference)


def pairDistanceDivergence(first: ArrayLike, second: ArrayLike, gap: int = 3, width: float = 0.1) -> float:
    """Mean Jensen-Shannon divergence of the distances of all pairs of particles that are apart in the chain.

    Histograms reach from 0 to the greatest distance of the pair in both sets; 1e-10 is added to each bin's
    fraction.

    Arguments
    ---------
    first, second : array or Quantity, shape [n,N,3] and [m,N,3]
        in nm
    gap : int
        pairs i, j with j - i of at least that
    width : float
        of a bin in nm

    Returns
    -------
    float, in nats
    """
    from .geometry import bondLengths

    first, second = (np.asarray(withoutUnits(x), dtype=np.float64) for x in (first, second))
    n = first.shape[1]
    if n <= gap:
        raise ValueError(f"{n} particles have no pair {gap} apart in the chain")
    total = 0.0
    pairs = [(i, j) for i in range(n) for j in range(i + gap, n)]
    for pair in pairs:
        distances = [bondLengths(x, [pair])[:, 0] for x in (first, second)]
        bins = int(max(x.max() for x in distances) / width) + 1
        p, q = (np.bincount((x / width).astype(int), minlength=bins) / len(x) + 1e-10 for x in distances)
        total += _jensenShannon(p, q)
    return total / len(pairs)


def freeEnergySurface(
    samples: ArrayLike, kT: float, bins: int = 64, limits: Limits = TORSIONS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Free energy -kT ln p over two coordinates, zero in the most visited bin.

    Arguments
    ---------
    samples : array, shape [n,2]
    kT : float
        in kJ/mol, or 1
    bins : int
        how many bins of equal width each axis has
    limits : ((low, high), (low, high))
        samples outside are dropped

    Returns
    -------
    array, shape [bins,bins]
        in the unit of kT, first axis first; NaN where no sample fell
    array, array, shape [bins+1] each
        the edges of the bins
    """
    samples = _samples(samples, "samples")
    counts, *edges = np.histogram2d(samples[:, 0], samples[:, 1], bins, limits)
    if not counts.any():
        raise ValueError(f"no sample lies within {limits}")
    with np.errstate(divide="ignore"):
        energies = -kT * np.log(counts / counts.max())
    return np.where(counts > 0, energies, np.nan), edges[0], edges[1]


@dataclass(frozen=True)
class Comparison:
    """What compareSamples() found; each value is a mean over random splits."""

    #: How many samples of each side entered one comparison.
    count: int
    jensenShannon: float
    #: The same between two disjoint sets of reference samples: what a perfect model would get.
    jensenShannonFloor: float
    #: In (kT)^2.
    freeEnergyError: float
    freeEnergyErrorFloor: float


def compareSamples(
    model: ArrayLike,
    reference: ArrayLike,
    bins: int = 64,
    limits: Limits = TORSIONS,
    splits: int = 5,
    seed: int = 0,
) -> Comparison:
    """Compare a model with a reference, and the reference with itself at the same number of samples.

    As many samples are used of each side as half of the reference has, or the model if that is fewer. For
    each split the model's are compared with one random half of the reference, and this half with the other.

    The floor is that of independent samples. Frames of a trajectory are correlated and so count for fewer:
    a perfect model's trajectory lies above the floor on average. With less than a few samples in each bin the
    floor is high and hides what differs; a model that is too narrow can even lie below it.

    Arguments
    ---------
    model, reference : array, shape [n,2] and [m,2]
    bins : int
        bins of each axis
    limits : ((low, high), (low, high))
        those of freeEnergyError(); jensenShannon2d() takes its own from the samples
    splits : int
        how many random splits to average over
    seed : int
        of the random splits

    Returns
    -------
    Comparison
    """
    model, reference = _samples(model, "model"), _samples(reference, "reference")
    count = min(len(model), len(reference) // 2)
    if count < 1 or splits < 1:
        raise ValueError(
            f"need a model sample, two of the reference and one split at least, got {len(model)}, "
            f"{len(reference)} and {splits}"
        )
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(splits):
        ours = random.choice(model, count, replace=False, shuffle=False)
        halves = random.choice(reference, 2 * count, replace=False)
        theirs, others = halves[:count], halves[count:]
        rows.append(
            [
                jensenShannon2d(ours, theirs, bins),
                jensenShannon2d(others, theirs, bins),
                freeEnergyError(ours, theirs, bins, limits),
                freeEnergyError(others, theirs, bins, limits),
            ]
        )
    return Comparison(count, *(float(mean) for mean in np.mean(rows, axis=0)))


def _jensenShannon(p: np.ndarray, q: np.ndarray) -> float:
    """1/2 sum p ln(p/m) + 1/2 sum q ln(q/m) with m = (p+q)/2."""
    from scipy.special import rel_entr

    mean = (p + q) / 2
    return float(rel_entr(p, mean).sum() + rel_entr(q, mean).sum()) / 2


def _samples(values: ArrayLike, name: str) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != 2 or len(array) == 0:
        raise ValueError(
            f"{name} must have the shape [samples,2] with a sample at least, got {list(array.shape)}"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: sample {np.argwhere(~np.isfinite(array))[0][0]} is not finite")
    return array


def _histogramWithOuterBins(samples: np.ndarray, bins: int, limits: Limits) -> np.ndarray:
    """Fractions of the samples in bins x bins bins; a value's bin is the number of edges that it reaches."""
    if bins < 3:
        raise ValueError(f"need 3 bins at least, of which two lie outside the limits, got {bins}")
    i, j = (
        np.digitize(x, np.linspace(low, high, bins - 1))
        for x, (low, high) in zip(samples.T, limits, strict=True)
    )
    return np.bincount(i * bins + j, minlength=bins * bins) / len(samples)
