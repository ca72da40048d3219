"""Pictures of an evaluation: surfaces, profiles, bonds, and the energy along diffusion time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ..analysis import bondLengths, freeEnergySurface
from .measures import subset

if TYPE_CHECKING:
    from .evaluation import Evaluation

# Of Okabe and Ito, which all kinds of colour vision tell apart; line styles differ, too.
_STYLES = {
    "reference": {"color": "#0072B2", "linestyle": "-", "linewidth": 2.4, "alpha": 0.75},
    "iid": {"color": "#009E73", "linestyle": ":", "linewidth": 2.0},
    "simulation": {"color": "#D55E00", "linestyle": "--", "linewidth": 1.6},
}
_NAMES = {"reference": "reference", "iid": "independent samples", "simulation": "simulation"}
_EMPTY_COLOUR = "#EBEBEB"
# More samples than that make no picture better.
_MOST_SAMPLES = 200_000
_LEAST_SAMPLES = 5_000
_MOST_BONDS = 12


def drawAll(evaluation: Evaluation, directory: Path) -> list[Path]:
    """Write all pictures that there are to draw; return their paths."""
    sets = {"reference": evaluation.reference, **evaluation.samples}
    sets = {name: subset(values, _MOST_SAMPLES, 0) for name, values in sets.items()}
    variables = {name: evaluation.kind.project(values) for name, values in sets.items()}
    pictures = {
        "surfaces.png": drawSurfaces(evaluation, variables),
        "profiles.png": drawProfiles(evaluation, variables),
    }
    if evaluation.kind.bonds:
        pictures["bonds.png"] = drawBonds(evaluation, sets)
    energies = drawEnergies(evaluation)
    if energies is not None:
        pictures["energies.png"] = energies
    for name, figure in pictures.items():
        figure.savefig(directory / name, dpi=150)
    return [directory / name for name in pictures]


def drawSurfaces(evaluation: Evaluation, variables: dict[str, np.ndarray]) -> Figure:
    """Draw the free energy over both variables of the reference and of each set of samples.

    All from as many samples: one sample alone in its bin then has the same colour everywhere.
    """
    kind, limits = evaluation.kind, evaluation.kind.pmfLimits
    factor = 180 / np.pi if kind.periodic else 1.0
    count = max(_LEAST_SAMPLES, min(len(values) for values in variables.values()))
    variables = {name: subset(values, count, 0) for name, values in variables.items()}
    surfaces = {name: _surface(values, limits) for name, values in variables.items()}
    scale = Normalize(0.0, float(np.nanmax(surfaces["reference"][0])))
    figure = Figure(figsize=(1.4 + 3.5 * len(surfaces), 3.9), layout="constrained")
    panels = figure.subplots(1, len(surfaces), sharey=True, squeeze=False)[0]
    for axes, (name, (surface, first, second)) in zip(panels, surfaces.items(), strict=True):
        axes.set_facecolor(_EMPTY_COLOUR)
        axes.pcolormesh(
            factor * first, factor * second, surface.T, norm=scale, cmap="viridis", rasterized=True
        )
        axes.set_title(f"{_NAMES[name]}{_numbers(evaluation, name, len(variables[name]))}", fontsize=10)
        axes.set_xlabel(_label(evaluation, 0))
        axes.set_box_aspect(1)
        _ticks(axes, evaluation, both=True)
    panels[0].set_ylabel(_label(evaluation, 1))
    bar = figure.colorbar(ScalarMappable(scale, "viridis"), ax=panels, shrink=0.85, pad=0.02, extend="max")
    bar.set_label("−ln p; grey: no sample")
    figure.suptitle(evaluation.model.title, fontsize=11)
    return figure


def _surface(values: np.ndarray, limits) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """freeEnergySurface(), but empty for a bad model of which no sample is within the limits."""
    low, high = np.array(limits).T
    if ((values >= low) & (values <= high)).all(axis=1).any():
        return freeEnergySurface(values, 1.0, 64, limits)
    return np.full((64, 64), np.nan), *(np.linspace(*limit, 65) for limit in limits)


def _numbers(evaluation: Evaluation, name: str, count: int) -> str:
    if name == "reference":
        return f"\n{count:,} of {len(evaluation.reference):,} frames"
    found = evaluation.results["comparison"][name]
    return (
        f"\nJS {found['js']['value']:.4f} (floor {found['js']['floor']:.4f}), "
        f"PMF {found['pmf']['value']:.3f} ({found['pmf']['floor']:.3f})"
    )


def drawProfiles(evaluation: Evaluation, variables: dict[str, np.ndarray]) -> Figure:
    """Draw the free energy along each variable."""
    limits = evaluation.kind.pmfLimits
    axesCount = 2 if evaluation.kind.variables[1] else 1
    factor = 180 / np.pi if evaluation.kind.periodic else 1.0
    figure = Figure(figsize=(4.8 * axesCount, 3.6), layout="constrained")
    for k, axes in enumerate(figure.subplots(1, axesCount, squeeze=False)[0]):
        for name, values in variables.items():
            counts, edges = np.histogram(values[:, k], 64, limits[k])
            with np.errstate(divide="ignore"):
                energies = np.where(counts > 0, -np.log(counts / max(1, counts.max())), np.nan)
            axes.plot(factor * (edges[:-1] + edges[1:]) / 2, energies, label=_NAMES[name], **_STYLES[name])
        axes.set_xlabel(_label(evaluation, k))
        axes.set_ylim(bottom=0)
        _ticks(axes, evaluation)
        _plain(axes)
        if k == 0:
            axes.set_ylabel("−ln p")
            axes.legend(frameon=False, fontsize=9)
    figure.suptitle(f"{evaluation.model.title}: along one variable", fontsize=11)
    return figure


def drawBonds(evaluation: Evaluation, sets: dict[str, np.ndarray]) -> Figure:
    """Draw the distribution of each bond's length."""
    bonds = evaluation.kind.bonds[:_MOST_BONDS]
    columns = min(4, len(bonds))
    rows = -(-len(bonds) // columns)
    figure = Figure(figsize=(3.3 * columns, 0.5 + 2.9 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    lengths = {name: bondLengths(values, bonds) for name, values in sets.items()}
    particles = evaluation.model.description["particles"]
    for k, (axes, (i, j)) in enumerate(zip(panels, bonds, strict=False)):
        low, high = np.quantile(lengths["reference"][:, k], [0.0005, 0.9995])
        edges = np.linspace(low - 0.2 * (high - low), high + 0.2 * (high - low), 81)
        for name, values in lengths.items():
            # Of all samples, those outside the picture included.
            density = np.histogram(values[:, k], edges)[0] / (len(values) * np.diff(edges) * 1000)
            axes.plot(1000 * (edges[:-1] + edges[1:]) / 2, density, label=_NAMES[name], **_STYLES[name])
        pair = f"{particles[i]['name']}–{particles[j]['name']}" if particles else f"{i}–{j}"
        axes.set_title(f"{pair} ({i}, {j})", fontsize=10)
        axes.set_xlabel("length / pm")
        axes.set_ylim(bottom=0)
        axes.set_yticks([])
        _plain(axes)
    for axes in panels[len(bonds) :]:
        axes.set_visible(False)
    panels[0].set_ylabel("density")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=9)
    figure.suptitle(f"{evaluation.model.title}: bond lengths", fontsize=11)
    return figure


def drawEnergies(evaluation: Evaluation) -> Figure | None:
    """Draw how far apart the model's energy puts two groups of the reference, along diffusion time.

    A potential that depends much on the time at which the network is asked is none to trust. Returns None
    where there is no energy or one group is empty.
    """
    profile = energyAlongTime(evaluation)
    if profile is None:
        return None
    times, difference, noised = profile
    names = evaluation.kind.groups
    figure = Figure(figsize=(5.6, 3.7), layout="constrained")
    axes = figure.subplots()
    axes.plot(times, difference, "-", color="#0072B2", linewidth=2, label="frames as they are")
    axes.plot(times, noised, "--", color="#D55E00", linewidth=1.8, label="frames noised to that time")
    axes.axvline(
        max(evaluation.results["diffusion_time"], times[0]), color="0.4", linestyle=":", linewidth=1.2
    )
    axes.annotate(
        " used as\n potential",
        (max(evaluation.results["diffusion_time"], times[0]), 0.5),
        xycoords=("data", "axes fraction"),
        va="center",
        fontsize=8,
        color="0.3",
    )
    axes.set_xscale("log")
    axes.set_xlabel("diffusion time t")
    axes.set_ylabel("difference of mean energies / kT")
    axes.set_title(f"e(z, t): frames with {names[0]} minus {names[1]}", fontsize=10)
    axes.legend(frameon=False, fontsize=9)
    _plain(axes)
    return figure


def energyAlongTime(evaluation: Evaluation) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Mean reduced energies of the first group of frames minus those of the second, at times on a log scale.

    Returns
    -------
    times, differences for clean frames, differences for noised ones; or None if that cannot be had
    """
    model, kind = evaluation.model, evaluation.kind
    schedule = model.description["schedule"]
    # A transferable network would need features here; a discrete schedule only knows some times.
    if kind.inGroup is None or model.featureNames or schedule["kind"] != "variance-preserving":
        return None
    inside = kind.inGroup(kind.project(evaluation.reference))
    groups = [subset(evaluation.reference[mask], 150, 0) for mask in (inside, ~inside)]
    times = np.geomspace(max(1e-5, model.interval[0]), min(1.0, model.interval[1]), 17)
    times = times[[model.hasEnergy(t) for t in times]]
    if min(len(group) for group in groups) < 5 or len(times) < 2:
        return None
    random, clean, noised = np.random.default_rng(0), [], []
    z = [group / model.description["length_scale"] for group in groups]
    if model.space == "particles":
        z = [x - x.mean(axis=1, keepdims=True) for x in z]
    for t in times:
        slope = schedule["beta_max"] - schedule["beta_min"]
        logMean = -0.5 * schedule["beta_min"] * t - 0.25 * slope * t * t
        m, sigma = np.exp(logMean), np.sqrt(-np.expm1(2 * logMean))
        clean.append(np.subtract(*(model.networkEnergy(x, t).mean() for x in z)))
        shaken = [m * x + sigma * random.standard_normal(x.shape) for x in z]
        noised.append(np.subtract(*(model.networkEnergy(x, t).mean() for x in shaken)))
    return times, np.array(clean), np.array(noised)


def _label(evaluation: Evaluation, k: int) -> str:
    return evaluation.kind.variables[k] + (" / degrees" if evaluation.kind.periodic else "")


def _ticks(axes: Axes, evaluation: Evaluation, both: bool = False) -> None:
    if not evaluation.kind.periodic:
        return
    axes.set_xlim(-180, 180)
    axes.set_xticks((-180, -90, 0, 90, 180))
    if both:
        axes.set_ylim(-180, 180)
        axes.set_yticks((-180, -90, 0, 90, 180))


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
