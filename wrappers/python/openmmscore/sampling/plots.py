"""Pictures of weighted samples. Figures are made without pyplot: no window, no global state."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import openmm
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ..analysis.geometry import dihedrals
from ..analysis.plots import drawSurface

if TYPE_CHECKING:
    from .samples import WeightedSamples

# Of Okabe and Ito, which all kinds of colour vision tell apart.
_REFERENCE_COLOUR, _WEIGHTED_COLOUR, _PROPOSAL_COLOUR = "#0072B2", "#D55E00", "#999999"
_SURFACE_COLOURS = "viridis"


def plotEnergies(
    samples: WeightedSamples,
    reference: ArrayLike | None = None,
    path: str | os.PathLike[str] | None = None,
    title: str = "",
    bins: int = 80,
) -> Figure:
    """Draw histograms of U/kT: as proposed, as weighted and, if given, of a reference.

    The axis spans what has weight, the reference, and the lower nine tenths of what was proposed, whose tail
    of clashes would squeeze everything else.

    Arguments
    ---------
    samples : WeightedSamples
    reference : array, shape [m], optional
        reduced energies of samples of the target, such as BoltzmannTarget.reducedEnergies() of MD frames
    path : str or os.PathLike, optional
        where to save the picture; the ending chooses the format
    title : str
    bins : int

    Returns
    -------
    matplotlib.figure.Figure
    """
    used = _used(samples)
    energies, weights = samples.reducedEnergy[used], _relativeWeights(samples, used)
    limits = [_quantiles(energies, weights, (0.0005, 0.9995)), np.quantile(energies, (0.0, 0.9))]
    if reference is not None:
        reference = np.asarray(reference, np.float64)
        limits.append(np.quantile(reference, (0.0005, 0.9995)))
    low, high = np.min(limits), np.max(limits)
    edges = np.linspace(low, high if high > low else low + 1.0, bins + 1)

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    _drawHistogram(axes, energies, None, edges, _PROPOSAL_COLOUR, "proposal", fill=True)
    if reference is not None:
        _drawHistogram(axes, reference, None, edges, _REFERENCE_COLOUR, "reference")
    _drawHistogram(axes, energies, weights, edges, _WEIGHTED_COLOUR, "reweighted")
    axes.set_xlabel("U / kT")
    axes.set_ylabel("density")
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(bottom=0)
    _finish(axes)
    return _save(figure, title, path)


def plotWeights(
    samples: WeightedSamples, path: str | os.PathLike[str] | None = None, title: str = ""
) -> Figure:
    """Draw how much of the total weight the largest weights hold, and the tail with its Pareto fit.

    Left: share of the sum against share of the samples, largest weights first; a perfect proposal gives the
    diagonal. Right: the fraction of samples whose weight is larger, on logarithmic axes, and the generalised
    Pareto distribution whose shape is k-hat. A tail of slope -1/k; the variance is finite for k < 1/2.

    Arguments, Returns
    ------------------
    as plotEnergies()
    """
    used = _used(samples)
    weights = np.sort(_relativeWeights(samples, used))[::-1]
    n = len(samples)
    figure = Figure(figsize=(10.2, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2)

    share = np.concatenate(([0.0], np.cumsum(weights) / weights.sum()))
    left.plot(np.arange(len(share)) / n, share, color=_WEIGHTED_COLOUR, linewidth=1.8, label="these weights")
    left.plot((0, 1), (0, 1), ":", color="black", linewidth=1.0, label="perfect proposal")
    left.set_xlabel("share of the samples, largest weights first")
    left.set_ylabel("share of the weight")
    left.set_xlim(0, 1)
    left.set_ylim(0, 1.02)
    _finish(left)

    fraction = np.arange(1, len(weights) + 1) / n
    right.loglog(weights, fraction, ".", color=_WEIGHTED_COLOUR, markersize=3, label="samples")
    _drawTail(right, samples, weights)
    right.set_xlabel("weight / mean weight")
    right.set_ylabel("fraction of samples above")
    _finish(right)
    return _save(figure, title, path)


def plotRamachandran(
    samples: WeightedSamples,
    torsions: Sequence[Sequence[int]],
    reference: ArrayLike | None = None,
    path: str | os.PathLike[str] | None = None,
    title: str = "",
    bins: int = 64,
) -> Figure:
    """Draw -ln p over two torsions: as proposed, as weighted and, if given, of a reference.

    Surfaces share one colour scale; each is zero in its own fullest bin; bins without a sample are grey.

    Arguments
    ---------
    samples : WeightedSamples
    torsions : two times four particles
        phi and psi
    reference : array, shape [m,2], optional
        phi and psi of samples of the target, in radians
    path, title, bins
        as plotEnergies()
    """
    if np.shape(torsions) != (2, 4):
        raise openmm.OpenMMException(
            f"plotRamachandran: torsions must be two times four particles, got the shape {np.shape(torsions)}"
        )
    angles = samples.evaluate(lambda positions: dihedrals(positions, torsions))
    used = _used(samples)
    panels = [
        (f"proposal, {len(used):,} samples", _surface(angles[used], None, bins)),
        ("reweighted", _surface(angles[used], _relativeWeights(samples, used), bins)),
    ]
    if reference is not None:
        reference = np.asarray(reference, np.float64)
        panels.append((f"reference, {len(reference):,} samples", _surface(reference, None, bins)))
    # Weights reach down to nothing; below the least of single counts there is only noise.
    scale = Normalize(0.0, np.nanmax(panels[-1 if reference is not None else 0][1]))
    figure = Figure(figsize=(4.0 * len(panels) + 0.8, 3.9), layout="constrained")
    for axes, (name, surface) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        drawSurface(axes, surface, scale)
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("φ / degrees")
    figure.axes[0].set_ylabel("ψ / degrees")
    bar = figure.colorbar(ScalarMappable(scale, _SURFACE_COLOURS), ax=figure.axes, shrink=0.92, pad=0.02)
    bar.set_label("−ln p; grey: no sample")
    return _save(figure, title, path)


def _used(samples: WeightedSamples) -> np.ndarray:
    used = samples.weighted
    if not len(used):
        raise openmm.OpenMMException("WeightedSamples: no sample has a weight, so there is nothing to draw")
    return used


def _relativeWeights(samples: WeightedSamples, used: np.ndarray) -> np.ndarray:
    """Weights of the used samples over the mean of all."""
    return samples.weights.normalized[used] * len(samples)


def _quantiles(values: np.ndarray, weights: np.ndarray, at: tuple[float, float]) -> np.ndarray:
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    return values[order[np.minimum(np.searchsorted(cumulative / cumulative[-1], at), len(order) - 1)]]


def _surface(angles: np.ndarray, weights: np.ndarray | None, bins: int) -> np.ndarray:
    """-ln p over a full turn of both angles, zero at its minimum, NaN in empty bins."""
    turn = (-np.pi, np.pi)
    mass, *_ = np.histogram2d(angles[:, 0], angles[:, 1], bins, (turn, turn), weights=weights)
    with np.errstate(divide="ignore"):
        return np.where(mass > 0, -np.log(mass / mass.max()), np.nan)


def _drawHistogram(
    axes: Axes,
    values: np.ndarray,
    weights: np.ndarray | None,
    edges: np.ndarray,
    colour: str,
    label: str,
    fill: bool = False,
) -> None:
    # Divided by everything, also by what lies outside the axis.
    mass, _ = np.histogram(values, edges, weights=weights)
    density = mass / ((len(values) if weights is None else weights.sum()) * np.diff(edges))
    axes.stairs(density, edges, color=colour, label=label, fill=fill, alpha=0.5 if fill else 1, linewidth=1.8)


def _drawTail(axes: Axes, samples: WeightedSamples, weights: np.ndarray) -> None:
    fit = samples.weights.paretoTail()
    if fit is None:
        return
    x = np.geomspace(fit.threshold, weights[0], 100)
    axes.loglog(x, fit.survival(x), color="black", linewidth=1.2, label=f"Pareto fit, k = {fit.k:.2f}")


def _finish(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=9)


def _save(figure: Figure, title: str, path: str | os.PathLike[str] | None) -> Figure:
    if title:
        figure.suptitle(title, fontsize=11)
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure
