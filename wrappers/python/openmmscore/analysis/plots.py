"""Pictures of free energies. Figures are made without pyplot: no window, no global state."""

from __future__ import annotations

import os

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from .metrics import freeEnergySurface

# Blue and vermilion of Okabe and Ito, which all kinds of colour vision tell apart; viridis likewise.
_REFERENCE_COLOUR, _MODEL_COLOUR = "#0072B2", "#D55E00"
_SURFACE_COLOURS = "viridis"
_EMPTY_COLOUR = "#EBEBEB"
_TICKS = (-180, -90, 0, 90, 180)


def plotTorsions(
    model: ArrayLike,
    reference: ArrayLike,
    kT: float,
    path: str | os.PathLike[str] | None = None,
    title: str = "",
    modelName: str = "model",
    referenceName: str = "reference",
    bins: int = 64,
) -> Figure:
    """Draw free energies over two torsions, reference beside model, and along the first torsion.

    Both surfaces share one colour scale; bins without a sample are grey. Each surface is zero in its own most
    visited bin, the curves likewise.

    Arguments
    ---------
    model, reference : array, shape [n,2] and [m,2]
        phi and psi in radians
    kT : float
        in kJ/mol
    path : str or os.PathLike, optional
        where to save the picture; the ending chooses the format
    title : str
    modelName, referenceName : str
        headings, beside which the number of samples is written
    bins : int
        bins of each axis of the surfaces

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(12.5, 3.9), layout="constrained")
    left, right, curves = figure.subplots(1, 3, width_ratios=(1, 1, 1.16))
    surfaces = [freeEnergySurface(samples, kT, bins)[0] for samples in (reference, model)]
    scale = Normalize(0.0, max(np.nanmax(surface) for surface in surfaces))
    for axes, surface, samples, name in (
        (left, surfaces[0], reference, referenceName),
        (right, surfaces[1], model, modelName),
    ):
        drawSurface(axes, surface, scale)
        axes.set_title(f"{name}, {len(np.asarray(samples)):,} samples", fontsize=10)
        axes.set_xlabel("φ / degrees")
    left.set_ylabel("ψ / degrees")
    bar = figure.colorbar(ScalarMappable(scale, _SURFACE_COLOURS), ax=[left, right], shrink=0.92, pad=0.02)
    bar.set_label("−kT ln p / (kJ/mol); grey: no sample")

    drawProfile(curves, np.asarray(reference)[:, 0], kT, bins, _REFERENCE_COLOUR, "-", referenceName)
    drawProfile(curves, np.asarray(model)[:, 0], kT, bins, _MODEL_COLOUR, "--", modelName)
    curves.set_title("along φ alone", fontsize=10)
    curves.set_xlabel("φ / degrees")
    curves.set_ylabel("−kT ln p / (kJ/mol)")
    curves.set_box_aspect(0.86)
    curves.legend(frameon=False, fontsize=9)
    if title:
        figure.suptitle(title, fontsize=11)
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure


def drawSurface(axes: Axes, surface: np.ndarray, scale: Normalize) -> None:
    """Draw a free energy surface over a full turn of two torsions, its first axis along x."""
    axes.set_facecolor(_EMPTY_COLOUR)
    axes.imshow(
        surface.T,
        origin="lower",
        extent=(-180, 180, -180, 180),
        norm=scale,
        cmap=_SURFACE_COLOURS,
        interpolation="nearest",
    )
    axes.set_xticks(_TICKS)
    axes.set_yticks(_TICKS)


def drawProfile(
    axes: Axes, torsion: np.ndarray, kT: float, bins: int, colour: str, style: str, label: str
) -> None:
    """Draw the free energy along one torsion (radians), zero at its minimum; gaps where no sample fell."""
    counts, edges = np.histogram(torsion, bins, (-np.pi, np.pi))
    with np.errstate(divide="ignore"):
        energies = -kT * np.log(counts / counts.max())
    energies[counts == 0] = np.nan
    centres = np.degrees(edges[:-1] + edges[1:]) / 2
    axes.plot(centres, energies, style, color=colour, label=label, linewidth=1.8)
    axes.set_xlim(-180, 180)
    axes.set_ylim(bottom=0)
    axes.set_xticks(_TICKS)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
