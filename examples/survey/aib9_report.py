"""Tables and pictures of the families on Aib9."""

from __future__ import annotations

import json
from pathlib import Path

import aib9_measures as measures
import families
import matplotlib
import numpy as np
from aib9_frames import BLOCKS, Frames, split, withMirrorImages
from numpy.typing import NDArray

matplotlib.use("Agg")
import matplotlib.pyplot as plt

#: whose Ramachandran plot is shown, from 0
CENTRAL = 4

Found = dict[str, dict]


def write(output: Path, walkers: list[Frames]) -> None:
    """Print and write table.md, and the pictures, of all results in the folder."""
    runs = {
        folder.name: {
            family: json.loads(path.read_text())
            for family in families.TORSION_NAMES
            if (path := folder / family / "result.json").exists()
        }
        for folder in sorted(output.iterdir(), key=_numberLast)
        if folder.is_dir()
    }
    floors = _floors(walkers, runs)
    text = _simulation(walkers) + "\n"
    for name, found in runs.items():
        if found:
            text += f"{name}:\n\n" + _families(output / name, found, walkers) + "\n"
    # Of each residue only the run with all that there is, or the first.
    if done := [name for name, found in runs.items() if found]:
        name = "mirrored-all" if "mirrored-all" in done else done[0]
        main = runs[name]
        text += f"{name}:\n\n"
        text += _residues(main, floors) + "\n" + _chains(main, walkers)
        _drawRamachandran(output, name, main, walkers)
        _drawResidues(output / "residues.png", main, floors)
    (output / "table.md").write_text(text)
    print(text)


def _numberLast(folder: Path) -> tuple[str, float]:
    kind, _, number = folder.name.rpartition("-")
    return kind, float(number) if number.isdecimal() else float("inf")


def _row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |\n"


def _header(*cells: object) -> str:
    return _row(*cells) + "|" + "---|" * len(cells) + "\n"


def _simulation(walkers: list[Frames]) -> str:
    """How far the simulation has come."""
    share, error = measures.bootstrap(measures.blocked([measures.rightHanded(x) for x in walkers], BLOCKS))
    halves = [np.array_split(x, 2) for x in walkers]
    text = f"{sum(map(len, walkers))} frames of {len(walkers)} walkers\n\n"
    text += _header("residue", *range(1, measures.RESIDUES + 1))
    text += _row(
        "right-handed / %", *(f"{100 * p:.0f} +- {100 * e:.0f}" for p, e in zip(share, error, strict=True))
    )
    for i, name in enumerate(("first", "second")):
        half = np.concatenate([each[i] for each in halves])
        text += _row(f"{name} half / %", *(f"{100 * p:.0f}" for p in measures.rightHanded(half).mean(axis=0)))
        text += _row(f"changes, {name} half", *measures.transitions([each[i] for each in halves]))
    return text


def _families(folder: Path, found: Found, walkers: list[Frames]) -> str:
    """One row for each family."""
    text = _header(
        "family",
        "log density / nats",
        "less than the first",
        "outside",
        "largest error of a hand",
        "chains",
        "histogram",
        "draws/s",
        "parameters",
        "frames",
        "steps",
        "training",
    )
    first = None
    for family, each in found.items():
        densities = np.load(folder / family / "log_densities.npy")
        first = densities if first is None else first
        less = _difference(first - densities, walkers, each["later"])
        share = np.array(each["right-handed"])
        worst, error = abs(share - 0.5).max(), 0.5 / np.sqrt(each["draws"])
        text += _row(
            family,
            "{:.2f} +- {:.2f}".format(*each["log density"]),
            less,
            "-" if family == "circular-spline" else f"{100 * each['outside']:.1f} %",
            f"{100 * worst:.1f} % ({worst / error:.1f} sigma)",
            f"{each['total variation']:.3f}",
            f"{np.mean(each['histogram']):.0f}",
            f"{each['draws per second']:.0f}",
            f"{each['parameters']:,}",
            f"{each['frames']}",
            f"{each['steps']}",
            f"{each['training core seconds']:.0f} s",
        )
    return text


def _difference(values: NDArray[np.float64], walkers: list[Frames], later: bool) -> str:
    if not values.any():
        return "-"
    ends = np.cumsum([len(x) for x in split(walkers, later)[2]])[:-1]
    return "{:.2f} +- {:.2f}".format(*measures.bootstrap(measures.blocked(np.split(values, ends), BLOCKS)))


def _floors(walkers: list[Frames], runs: dict[str, Found]) -> dict[str, NDArray[np.float64]]:
    """Histograms of exact sets, that is of frames in any order, and of the frames of training."""
    draws = max((each["draws"] for found in runs.values() for each in found.values()), default=10000)
    training, validation, heldOut = split(walkers)
    trained, held = (withMirrorImages(np.concatenate(x)) for x in ([*training, *validation], heldOut))
    random = np.random.default_rng(1)
    every = random.permutation(np.concatenate([trained, held]))
    return {
        "frames in any order": measures.ramachandranDivergences(
            every[len(held) : len(held) + draws], every[: len(held)]
        ),
        "frames of training": measures.ramachandranDivergences(random.permutation(trained)[:draws], held),
    }


def _residues(found: Found, floors: dict) -> str:
    """Histograms and hands of each residue."""
    text = _header("histogram KL of residue", *range(1, measures.RESIDUES + 1), "mean")
    rows = {**{family: each["histogram"] for family, each in found.items()}, **floors}
    for name, values in rows.items():
        text += _row(name, *(f"{value:.0f}" for value in values), f"{np.mean(values):.0f}")
    text += "\n" + _header("right-handed / %", *range(1, measures.RESIDUES + 1))
    for family, each in found.items():
        text += _row(family, *(f"{100 * share:.1f}" for share in each["right-handed"]))
    return text


def _chains(found: Found, walkers: list[Frames]) -> str:
    """Share of chains with each number of left-handed residues."""
    frames = np.concatenate(walkers)
    simulated = measures.leftHandedResidues(frames)
    rows = {"as simulated": simulated, "with mirror images": (simulated + simulated[::-1]) / 2}
    rows |= {family: np.array(each["left-handed residues"]) for family, each in found.items()}
    text = _header("left-handed residues / %", *range(measures.RESIDUES + 1))
    for name, shares in rows.items():
        text += _row(name, *(f"{100 * share:.1f}" for share in shares))
    return text


def _drawRamachandran(output: Path, name: str, found: Found, walkers: list[Frames]) -> None:
    frames = np.concatenate(walkers)
    panels = {"as simulated": frames, "with mirror images": np.concatenate([frames, -frames])}
    panels |= {family: np.load(output / name / family / "draws.npy") for family in found}
    columns = (len(panels) + 1) // 2
    figure, axes = plt.subplots(
        2, columns, figsize=(2.6 * columns, 5.2), sharex=True, sharey=True, layout="constrained"
    )
    edges = np.linspace(-180, 180, 73)
    for each, (title, torsions) in zip(axes.flat, panels.items(), strict=False):
        phi, psi = np.degrees(torsions[:, 2 * CENTRAL]), np.degrees(torsions[:, 2 * CENTRAL + 1])
        density = np.histogram2d(phi, psi, bins=(edges, edges))[0] / len(torsions)
        with np.errstate(divide="ignore"):
            image = each.imshow(
                np.log(density.T),
                origin="lower",
                extent=(-180, 180) * 2,
                vmin=-10,
                vmax=-3,
                interpolation="nearest",
            )
        each.set_title(title, fontsize=9)
    for each in axes.flat[len(panels) :]:
        each.set_visible(False)
    for each in axes.flat:
        each.set_xticks((-180, -90, 0, 90, 180))
        each.set_yticks((-180, -90, 0, 90, 180))
    figure.supxlabel(f"phi of residue {CENTRAL + 1} / degrees", fontsize=9)
    figure.supylabel(f"psi of residue {CENTRAL + 1} / degrees", fontsize=9)
    figure.colorbar(image, ax=axes, shrink=0.6, label="ln share of a bin of 5 degrees")
    figure.savefig(output / "ramachandran.png", dpi=85, pil_kwargs={"optimize": True})
    plt.close(figure)


def _drawResidues(path: Path, found: Found, floors: dict[str, NDArray[np.float64]]) -> None:
    figure, axes = plt.subplots(figsize=(8, 3.2), layout="constrained")
    residues = np.arange(1, measures.RESIDUES + 1)
    width = 0.8 / len(found)
    for i, (family, each) in enumerate(found.items()):
        axes.bar(residues + (i + 0.5) * width - 0.4, each["histogram"], width, label=family)
    for (name, values), style in zip(floors.items(), ("k:", "k--"), strict=True):
        axes.step([0.5, *(residues + 0.5)], [values[0], *values], style, label=name, linewidth=1)
    axes.set_xticks(residues)
    axes.set_xlabel("residue")
    axes.set_ylabel('histogram "KL" / 0.01 nats')
    axes.legend(fontsize=7)
    figure.savefig(path, dpi=110)
    plt.close(figure)
