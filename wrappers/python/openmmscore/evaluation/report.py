"""An evaluation as lines of text."""

from __future__ import annotations

from typing import Any

_SOURCES = {"iid": "iid", "simulation": "sim"}


def table(results: dict[str, Any]) -> str:
    """Return the numbers of an evaluation with their floors, and what must be known about them."""
    lines = [
        f"{results['model']['title']} ({results['system']}), {results['reference_frames']:,} reference frames"
    ]
    lines += [f"  {line}" for line in _protocols(results)]
    rows = [["", "value", "floor", "samples", "relative"]]
    rows += [row for name in ("js", "pmf", "pair_distances") for row in _rows(results, name)]
    rows += _bondRows(results)
    if not any(row[4] for row in rows[1:]):
        rows = [row[:4] for row in rows]
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines += [""]
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    lines += ["", *_remarks(results)]
    return "\n".join(lines)


def _protocols(results: dict[str, Any]) -> list[str]:
    lines = []
    if "iid" in results:
        iid = results["iid"]
        lines.append(
            f"iid: {iid['samples']:,} samples, {iid['method']}, {iid['steps']} steps, {iid['seconds']:.0f} s"
        )
    if "simulation" in results:
        s = results["simulation"]
        lines.append(
            f"sim: {s['molecules']:,} molecules x {s['frames']:,} frames x {s['steps_per_frame']} steps of "
            f"{s['time_step']:g} ps ({s['nanoseconds_per_molecule']:.3g} ns each), {s['friction']:g}/ps, "
            f"{s['scheme']} scheme, t = {results['diffusion_time']:g}, {s['seconds']:.0f} s"
        )
    return lines


_NAMES = {"js": "JS", "pmf": "PMF error / (kT)^2", "pair_distances": "pair distances JS"}


def _rows(results: dict[str, Any], name: str) -> list[list[str]]:
    return [
        [f"{short} {_NAMES[name]}", *_cells(results["comparison"][source][name]), ""]
        for source, short in _SOURCES.items()
        if name in results["comparison"].get(source, {})
    ]


def _bondRows(results: dict[str, Any]) -> list[list[str]]:
    rows = []
    for source, short in _SOURCES.items():
        bonds = results["comparison"].get(source, {}).get("bonds", [])
        # Of long chains the bonds are in the JSON file one by one.
        for bond in bonds if len(bonds) <= 12 else []:
            i, j = bond["particles"]
            relative = f"{bond['relative']:.2f}" if "relative" in bond else ""
            rows.append([f"{short} W1 of bond {i}-{j} / pm", *_cells(bond, 1000), relative])
        if len(bonds) > 12:
            mean = {key: sum(bond[key] for bond in bonds) / len(bonds) for key in ("value", "floor")}
            mean |= {"count": bonds[0]["count"], "extrapolated": bonds[0]["extrapolated"]}
            rows.append([f"{short} W1, mean of {len(bonds)} bonds / pm", *_cells(mean, 1000), ""])
    return rows


def _cells(measured: dict[str, Any], factor: float = 1.0) -> list[str]:
    mark = "*" if measured["extrapolated"] else " "
    return [
        f"{factor * measured['value']:.4f}",
        f"{factor * measured['floor']:.4f}{mark}",
        f"{measured['count']:,}",
    ]


def _remarks(results: dict[str, Any]) -> list[str]:
    remarks = []
    if "consistency" in results:
        c = results["consistency"]
        remarks.append(
            f"consistency: {c['fraction']:.1%} effective samples when {c['samples']:,} of the probability "
            f"flow are reweighted to the potential (Pareto k {c['pareto_k']:.2f})"
        )
    remarks.append("floor: what two independent sets of the reference are apart at that many samples")
    if any(part["js"]["extrapolated"] for part in results["comparison"].values()):
        remarks.append("*: extrapolated from halves and quarters of the reference")
    for source, short in _SOURCES.items():
        broken = results["comparison"].get(source, {}).get("broken", 0)
        if broken:
            remarks.append(f"{short}: {broken:.2%} have a bond 1.5 times longer than any of the reference")
    return remarks + [f"note: {note}" for note in results["notes"]]
