"""Train and evaluate methods with several seeds, and print the table of the publication.

    python examples/reproduce/reproduce.py mueller_brown                    # all methods, seeds 0, 1, 2
    python examples/reproduce/reproduce.py mueller_brown --methods both --seeds 0
    python examples/reproduce/reproduce.py mueller_brown --report           # of what is there
    python examples/reproduce/reproduce.py alanine_dipeptide --methods both --seeds 0 -- --scale 0.01

Every run is one call of openmmscore-train with a configuration of examples/train and one of openmmscore
evaluate; what is finished is not done again, what was interrupted is resumed. "two_for_one" is the network
of "diffusion" simulated at a larger diffusion time. Options behind `--` go to openmmscore evaluate. Models,
logs, pictures and numbers lie in <output>/<system>/<method>-<seed>.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from published import PUBLISHED

EXAMPLES = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
COLUMNS = {
    "iid JS": ("iid", "js"),
    "sim JS": ("simulation", "js"),
    "iid PMF": ("iid", "pmf"),
    "sim PMF": ("simulation", "pmf"),
}


@dataclass(frozen=True)
class System:
    """A data set, and what is trained on it."""

    reference: str
    methods: tuple[str, ...]
    #: of "two_for_one"
    diffusionTime: float
    #: script in examples/data that makes the reference where it is not there
    script: str = ""


ALL = ("diffusion", "two_for_one", "mixture", "fokker_planck", "both")
SYSTEMS = {
    "double_well_1d": System("double_well_1d.npy", ALL, 0.005, "make_double_wells.py"),
    "double_well_2d": System("double_well_2d.npy", ALL, 0.005, "make_double_wells.py"),
    # The best of 0.001, 0.002, 0.005, 0.01, 0.02, 0.03 and 0.05 with seed 0.
    "mueller_brown": System("mueller_brown.npy", ALL, 0.02),
    "alanine_dipeptide": System(
        "alanine_dipeptide_beads.npy", ("diffusion", "two_for_one", "fokker_planck", "both"), 0.005
    ),
}


def main() -> int:
    own, passed = (
        (sys.argv[1 : sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1 :])
        if "--" in sys.argv
        else (sys.argv[1:], [])
    )
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("--methods", nargs="+", choices=ALL)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=1, help="runs at once, each on one thread (1)")
    parser.add_argument("--steps", type=int, help="instead of those of the configuration")
    parser.add_argument("--output", type=Path, default=Path("reproduction"))
    parser.add_argument("--report", action="store_true", help="only print the table")
    options = parser.parse_args(own)
    system = SYSTEMS[options.system]
    methods = options.methods or list(system.methods)
    folder = options.output / options.system
    if not (EXAMPLES / "data" / system.reference).exists():
        subprocess.run([sys.executable, str(EXAMPLES / "data" / system.script)], check=True)
    if not options.report:
        # Two-for-one needs the networks of diffusion, so those come first.
        runs = [(method, seed) for seed in options.seeds for method in sorted(methods, key=ALL.index)]
        with ThreadPoolExecutor(options.jobs) as pool:
            trained = [run for run in runs if run[0] != "two_for_one"]
            trained += [("diffusion", seed) for method, seed in runs if method == "two_for_one"]
            trained = list(dict.fromkeys(trained))
            list(pool.map(lambda run: train(options.system, *run, folder, options.steps), trained))
            list(pool.map(lambda run: evaluate(system, *run, folder, passed), runs))
    results = collect(folder, methods)
    print(table(options.system, results))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "table.json").write_text(json.dumps(results, indent=1) + "\n")
    return 0


def train(system: str, method: str, seed: int, folder: Path, steps: int | None) -> None:
    """Train a model unless that is done."""
    output = folder / f"{method}-{seed}"
    finished = output / "finished"
    if finished.exists():
        return
    output.mkdir(parents=True, exist_ok=True)
    config = output / "run.toml"
    config.write_text(configuration(system, method, seed))
    command = [str(BIN / "openmmscore-train"), str(config), "--threads", "1", "--output", str(output)]
    command += ["--steps", str(steps)] if steps else []
    command += ["--resume"] if any(output.glob("checkpoint*")) else []
    print(f"training {output}", file=sys.stderr)
    with open(output / "training.out", "a") as log:
        if subprocess.run(command, stderr=log).returncode:
            raise SystemExit(f"{' '.join(command)} failed; {output / 'training.out'} says why")
    finished.touch()


def configuration(system: str, method: str, seed: int) -> str:
    """Return the configuration of a method with another seed, its paths made absolute."""
    path = EXAMPLES / "train" / f"{system}_{method}.toml"
    if not path.exists():
        path = EXAMPLES / "train" / f"{system}.toml"
    text = re.sub(r"^seed = .*$", f"seed = {seed}", path.read_text(), flags=re.M)
    text = re.sub(r'^method = ".*"$', f'method = "{method.replace("_", "-")}"', text, flags=re.M)
    return text.replace('"../data/', f'"{EXAMPLES}/data/')


def evaluate(system: System, method: str, seed: int, folder: Path, passed: list[str]) -> None:
    """Evaluate a model unless that is done."""
    output = folder / f"{method}-{seed}" / "evaluation"
    if (output / "evaluation.json").exists():
        return
    trained = "diffusion" if method == "two_for_one" else method
    command = [str(BIN / "openmmscore"), "evaluate", str(folder / f"{trained}-{seed}" / "model.safetensors")]
    command += ["--reference", str(EXAMPLES / "data" / system.reference), "--output", str(output)]
    command += ["--seed", str(seed), "--threads", "1", "--quiet"]
    # The independent samples are those of diffusion.
    command += ["--time", str(system.diffusionTime), "--no-iid"] if method == "two_for_one" else []
    print(f"evaluating {output.parent}", file=sys.stderr)
    if subprocess.run([*command, *passed], stdout=subprocess.DEVNULL).returncode:
        raise SystemExit(f"{' '.join(command)} failed")


def collect(folder: Path, methods: list[str]) -> dict:
    """Return method -> column -> the values of all seeds, and the floors."""
    results: dict = {}
    for method in methods:
        for path in sorted(folder.glob(f"{method}-*/evaluation/evaluation.json")):
            found = json.loads(path.read_text())["comparison"]
            for column, (kind, name) in COLUMNS.items():
                if kind in found:
                    own = results.setdefault(method, {}).setdefault(column, {"values": [], "floors": []})
                    own["values"].append(found[kind][name]["value"])
                    own["floors"].append(found[kind][name]["floor"])
    return results


def table(system: str, results: dict) -> str:
    """Return the table in Markdown: mean and standard deviation over seeds, and the published ones if any."""
    published = PUBLISHED.get(system, {})
    heads = [head for name in COLUMNS for head in ([name, "published"] if published else [name])]
    lines = [["", "seeds", *heads], ["---"] * (2 + len(heads))]
    floors: dict = {}
    for method, columns in results.items():
        count = max(len(column["values"]) for column in columns.values())
        cells = [method.replace("_", "-"), str(count)]
        for name in COLUMNS:
            column = columns.get(name)
            cells.append("-" if column is None else spread(column["values"]))
            if published:
                cells.append(published.get(method, {}).get(name, "-"))
            if column:
                floors.setdefault(name, []).extend(column["floors"])
        lines.append(cells)
    floor = ["floor of the reference", ""]
    for name in COLUMNS:
        floor.append(f"{np.mean(floors[name]):.3g}" if name in floors else "-")
        floor += [""] * bool(published)
    lines.append(floor)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def spread(values: list[float]) -> str:
    """Return mean +- standard deviation (of the population, as published)."""
    digits = 4 if np.mean(values) < 0.1 else 3
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{np.mean(values):.{digits}f} +- {np.std(values):.{digits}f}"


if __name__ == "__main__":
    sys.exit(main())
