"""Results as Markdown tables, as parts of docs/benchmarks.md, and as plots."""

from __future__ import annotations

import re
from pathlib import Path

from spreads import number, text


def throughput(result: dict) -> str:
    """Molecule-steps per second."""
    rows = []
    for row in result["rows"]:
        rates, ratios = row["rates"], row["ratios"]
        rows.append(
            [
                row["case"],
                row["molecules"],
                row["threads"],
                text(rates.get("ScoreLangevinIntegrator")),
                text(rates.get("LangevinMiddleIntegrator")),
                text(rates.get("ScoreMD")),
                text(ratios.get("ScoreLangevinIntegrator")),
                text(row.get("fraction"), 2),
            ]
        )
    names = [
        "network",
        "molecules",
        "threads",
        "ScoreLangevinIntegrator",
        "LangevinMiddleIntegrator",
        "ScoreMD",
    ]
    return table([*names, "ours / ScoreMD", "fraction"], rows)


def matrixProducts(result: dict) -> str:
    """The yardstick of the fractions, over all rows."""
    rows = []
    for threads in sorted({row["threads"] for row in result["rows"]}):
        rates = [row["rates"]["matrixProduct"] for row in result["rows"] if row["threads"] == threads]
        medians = sorted(rate["median"] / 1e9 for rate in rates)
        least, most = min(rate["min"] for rate in rates) / 1e9, max(rate["max"] for rate in rates) / 1e9
        rows.append([threads, f"{number(medians[len(medians) // 2])} ({number(least)}..{number(most)})"])
    return table(["threads", "10^9 operations/s"], rows)


def pytorch(result: dict) -> str:
    """Steps per second of one molecule."""
    rows = [
        [
            row["program"],
            row["threads"],
            text(row["rate"]),
            text(row["ratio"]),
            "-" if row["forceDifference"] is None else f"{row['forceDifference']:.0e}",
        ]
        for row in result["rows"]
    ]
    names = ["program, platform", "threads", "steps/s", "ScoreLangevinIntegrator / it", "forces differ by"]
    return table(names, rows)


def overhead(result: dict) -> str:
    """Microseconds per step."""
    names = ("engine", "ScoreLangevinIntegrator", "LangevinMiddleIntegrator", "Simulation")
    rows = []
    for row in result["rows"]:
        times, over = row["microseconds"], row.get("overEngine", {})
        extra = "-"
        if "Simulation" in over:
            extra = text(over["Simulation"], 2)
        share = "-"
        if "ScoreLangevinIntegrator" in over:
            value = over["ScoreLangevinIntegrator"]["median"] / times["engine"]["median"]
            share = f"{100 * value:.1f} %"
        rows.append([row["case"], row["molecules"], *(text(times.get(name)) for name in names), extra, share])
    head = ["network", "molecules", *names, "Simulation - engine", "ScoreLangevinIntegrator over engine"]
    return table(head, rows)


def memory(result: dict) -> str:
    """KiB per molecule."""
    rows = [
        [
            row["case"],
            f"{row['kibPerMolecule']:.1f}",
            f"{row['peakKibPerMolecule']:.1f}",
            f"{row['rssKiB']['100']['rss'] / 1024:.0f}",
            f"{row['steps']:,}".replace(",", " "),
            row["growthKiB"],
        ]
        for row in result["rows"]
    ]
    head = [
        "network",
        "KiB per molecule",
        "at its peak",
        "MiB of the process with 100",
        "further steps of 10",
    ]
    return table([*head, "KiB grown over them"], rows)


def growth(result: dict) -> str:
    """Molecule-steps per second over beads."""
    rates: dict[int, dict[int, dict]] = {}
    for row in result["rows"]:
        rates.setdefault(row["beads"], {})[row["threads"]] = row["rate"]
    threads = sorted({row["threads"] for row in result["rows"]})
    rows = [[beads, *(text(rates[beads].get(k)) for k in threads)] for beads in sorted(rates)]
    return table(["beads", *(f"{k} thread{'s' if k > 1 else ''}" for k in threads)], rows)


TABLES = {
    "throughput": throughput,
    "pytorch": pytorch,
    "overhead": overhead,
    "memory": memory,
    "growth": growth,
}


def circumstances(results: dict) -> str:
    """Machine, versions, and how quiet it was while each table was measured."""
    machine = results["machine"]
    kind = "virtual machine" if machine["virtual"] else "machine"
    lines = [
        f"- {kind}: {machine['processor']}, {machine['cores']} cores, {machine['memoryGiB']} GiB; "
        f"{' '.join(machine['instructions'])}; {machine['system']}"
    ]
    versions = {}
    for name in TABLES:
        for run in results.get(name, {}).get("runs", []):
            versions.update(run["versions"])
    for script, programs in sorted(versions.items()):
        lines.append(f"- `{script}`: " + ", ".join(f"{name} {value}" for name, value in programs.items()))
    rows = [
        [
            name,
            " ".join(map(str, run["threads"])),
            run["before"]["time"],
            " ".join(map(str, run["before"]["load"])),
            " ".join(map(str, run["after"]["load"])),
            run["seconds"],
            f"{run['rounds']} of {run['sampleSeconds']} s",
            "; ".join(run["leftOut"]) or "nothing",
        ]
        for name in TABLES
        for run in results.get(name, {}).get("runs", [])
    ]
    head = [
        "table",
        "threads",
        "started (UTC)",
        "load averages before",
        "after",
        "seconds",
        "samples",
        "left out",
    ]
    return "\n".join(lines) + "\n\n" + table(head, rows)


def writeDocument(results: dict, path: Path) -> None:
    """Put all tables into a document."""
    parts = {name: make(results[name]) for name, make in TABLES.items() if name in results}
    parts["machine"] = circumstances(results)
    if "throughput" in results:
        parts["matrix-products"] = matrixProducts(results["throughput"])
    for name, part in parts.items():
        replaceTable(path, name, part)


def replaceTable(path: Path, name: str, part: str) -> None:
    """Replace what lies between `<!-- table: name -->` and `<!-- end -->` in a document."""
    pattern = rf"(<!-- table: {name} -->\n).*?(<!-- end -->)"
    content, count = re.subn(pattern, lambda m: f"{m[1]}{part}\n{m[2]}", path.read_text(), flags=re.S)
    if count != 1:
        raise ValueError(f"{path} has {count} places for the table {name}, expected one")
    path.write_text(content)


def table(head: list, rows: list[list]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def draw(results: dict, folder: Path) -> None:
    """Draw rates over molecules and time over beads."""
    import matplotlib

    matplotlib.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    if "throughput" in results:
        drawMolecules(results["throughput"]["rows"], folder / "benchmark_molecules.png")
    if "growth" in results:
        scoreMd = [
            row
            for row in results.get("throughput", {}).get("rows", [])
            if row["molecules"] == 10 and "H 128" in row["case"] and "ScoreMD" in row["rates"]
        ]
        drawBeads(results["growth"]["rows"], scoreMd, folder / "benchmark_beads.png")


STYLES = {1: "--", 2: "-"}
COLORS = {"ScoreLangevinIntegrator": "C0", "LangevinMiddleIntegrator": "C2", "ScoreMD": "C1"}


def drawMolecules(rows: list[dict], path: Path) -> None:
    """One panel for each network."""
    from matplotlib import pyplot as plt

    cases = list(dict.fromkeys(row["case"] for row in rows))
    figure, axes = plt.subplots(1, len(cases), figsize=(4 * len(cases), 3.8), squeeze=False)
    for axis, case in zip(axes[0], cases, strict=True):
        for program, color in COLORS.items():
            for threads, style in STYLES.items():
                chosen = [
                    row
                    for row in rows
                    if row["case"] == case and row["threads"] == threads and program in row["rates"]
                ]
                if not chosen:
                    continue
                label = f"{program}, {threads} thread{'s' if threads > 1 else ''}"
                points(
                    axis, [row["molecules"] for row in chosen], [row["rates"][program] for row in chosen]
                ).set(color=color, linestyle=style, label=label)
        axis.set(xscale="log", yscale="log", title=case, xlabel="molecules")
        axis.grid(alpha=0.3, which="both")
    axes[0][0].set_ylabel("molecule-steps/s")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=3, fontsize=8, frameon=False)
    figure.tight_layout(rect=(0, 0.12, 1, 1))
    figure.savefig(path, dpi=110)
    plt.close(figure)


def drawBeads(rows: list[dict], scoreMd: list[dict], path: Path) -> None:
    """Time of one molecule-step over the number of beads."""
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(5, 3.8))
    for threads, style in STYLES.items():
        ours = [row for row in rows if row["threads"] == threads]
        theirs = [row for row in scoreMd if row["threads"] == threads]
        if not ours:
            continue
        label = f"{threads} thread{'s' if threads > 1 else ''}"
        points(axis, [row["beads"] for row in ours], [inverse(row["rate"]) for row in ours]).set(
            color="C0", linestyle=style, label=f"ScoreLangevinIntegrator, {label}"
        )
        points(
            axis,
            [int(row["case"].split()[0]) for row in theirs],
            [inverse(row["rates"]["ScoreMD"]) for row in theirs],
        ).set(color="C1", linestyle=style, label=f"ScoreMD, {label}")
    axis.set(xscale="log", yscale="log", xlabel="beads", ylabel="ms per molecule-step")
    axis.set_title("H 128, L 3, ten molecules", fontsize=10)
    ticks = sorted({row["beads"] for row in rows})
    axis.set_xticks(ticks, labels=ticks)
    axis.set_xticks([], minor=True)
    axis.grid(alpha=0.3, which="both")
    axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def inverse(rate: dict) -> dict:
    """Return milliseconds for a rate per second."""
    return {"median": 1e3 / rate["median"], "min": 1e3 / rate["max"], "max": 1e3 / rate["min"]}


def points(axis, x: list, values: list[dict]):
    """Draw medians as a line and spreads as bars; return the line."""
    (line,) = axis.plot(x, [value["median"] for value in values], marker="o", markersize=3)
    axis.vlines(x, [value["min"] for value in values], [value["max"] for value in values], color="0.4", lw=1)
    return line
