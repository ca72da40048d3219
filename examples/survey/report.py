"""Tables and pictures of the survey."""

from __future__ import annotations

import json
import math
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from mixtures import Mixture

_AXES = {
    "dimensions": ("dimensions", lambda case: case.dimension),
    "modes": ("modes", lambda case: case.modes),
    "data": ("training samples", lambda case: case.samples),
    "asymmetry": ("share of the minor mode / %", lambda case: 100 * case.minor),
}
_COLUMNS = (
    "KL(true\\|model)",
    "KL(model\\|true)",
    "ESS",
    "population",
    "samples/s",
    "parameters",
    "training",
    "histogram (floor)",
)


def write(output: Path, series: dict[str, list[Mixture]], families: list[str]) -> None:
    """Print and write summary.md, write table.md and a picture for every series that has results."""
    summary = text = ""
    for name, cases in series.items():
        rows = [
            (case, family, json.loads(path.read_text()))
            for case in cases
            for family in families
            if (path := output / case.name / family / "result.json").exists()
        ]
        if rows:
            summary += _summary(name, rows, families) + "\n"
            text += _table(name, rows) + "\n"
            _draw(output / f"{name}.png", name, rows, families)
    (output / "summary.md").write_text(summary)
    (output / "table.md").write_text(text)
    print(summary)
    print(f"all numbers are in {output / 'table.md'}")


def _number(pair: list[float]) -> str:
    value, error = pair
    if not math.isfinite(value) or not math.isfinite(error):
        return "-"
    digits = max(0, 1 - math.floor(math.log10(error))) if error > 0 else 3
    return f"{value:.{digits}f} +- {error:.{digits}f}"


def _summary(name: str, rows: list[tuple[Mixture, str, dict]], families: list[str]) -> str:
    """KL(true|model) and effective sample size of each family, a row for each mixture."""
    label, axis = _AXES[name]
    lines = [f"| {label} | " + " | ".join(families) + " |", "|" + "---|" * (len(families) + 1)]
    cells: dict[float, dict[str, str]] = {}
    for case, family, found in rows:
        cell = f"{_number(found['KL(true|model)'])}, {100 * found['ESS']:.1f} %"
        cells.setdefault(axis(case), {})[family] = cell
    for value, own in cells.items():
        lines.append(f"| {value:g} | " + " | ".join(own.get(family, "") for family in families) + " |")
    return "\n".join(lines) + "\n"


def _table(name: str, rows: list[tuple[Mixture, str, dict]]) -> str:
    label, axis = _AXES[name]
    asymmetric = name == "asymmetry"
    columns = (*_COLUMNS, *(("Delta F", "reweighted", "true") if asymmetric else ()))
    lines = [f"| {label} | family | " + " | ".join(columns) + " |", "|" + "---|" * (len(columns) + 2)]
    for case, family, found in rows:
        cells = [
            f"{axis(case):g}",
            family,
            _number(found["KL(true|model)"]),
            _number(found["KL(model|true)"]),
            f"{100 * found['ESS']:.1f} %",
            f"{found['largest population error']:.3f} ({found['its sigma']:.1f} sigma)",
            f"{found['samples per second']:.0f}",
            f"{found['parameters']:,}",
            f"{found['training core seconds']:.0f} s" if "training core seconds" in found else "-",
            f"{found['histogram']:.0f} ({found['histogram floor']:.0f})",
        ]
        if asymmetric:
            cells += [
                _number(found["free energy"]),
                _number(found["reweighted free energy"]),
                f"{found['true free energy']:.3f}",
            ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _draw(path: Path, name: str, rows: list[tuple[Mixture, str, dict]], families: list[str]) -> None:
    label, axis = _AXES[name]
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    for index, family in enumerate(families):
        own = [(axis(case), found) for case, each, found in rows if each == family]
        x = [value for value, _ in own]
        for key, style in (("KL(true|model)", "-o"), ("KL(model|true)", "--s")):
            mean, error = zip(*(found[key] for _, found in own), strict=True) if own else ((), ())
            left.errorbar(x, mean, error, fmt=style, color=f"C{index}", capsize=2, markersize=4)
        share = [100 * found["ESS"] for _, found in own]
        right.plot(x, share, "-o", color=f"C{index}", label=family, markersize=4)
    left.set_yscale("log")
    left.set_ylabel("divergence / nats")
    left.set_title("lines KL(true|model), dashes KL(model|true)", fontsize=8)
    right.set_ylabel("effective sample size / %")
    right.set_ylim(0, 100)
    for axes in (left, right):
        axes.set_xlabel(label)
    right.legend(fontsize=7)
    figure.savefig(path, dpi=100)
    plt.close(figure)
