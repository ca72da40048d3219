"""How fast simulations run: OpenMM-Score beside the programs that it stands in for.

    python benchmarks/simulation.py throughput    # molecule-steps/s, fraction of the matrix product rate
    python benchmarks/simulation.py pytorch       # one molecule, against OpenMM's TorchForce and PythonForce
    python benchmarks/simulation.py overhead      # what a step costs beyond the engine
    python benchmarks/simulation.py memory        # memory per molecule, growth over many steps
    python benchmarks/simulation.py growth        # over the number of beads
    python benchmarks/simulation.py all           # all of them
    python benchmarks/simulation.py report        # tables and plots of the results that are there

Each table is printed and kept in benchmarks/results/simulation.json; `report` also rewrites the tables of
docs/benchmarks.md and draws its images. Programs that are not there are left out, with the reason.
benchmarks/README.md says how to name them.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import measurements
import report
from machine import describeMachine, load
from session import Session, say
from worker import WorkerError

ROOT = Path(__file__).resolve().parent.parent
TABLES = {
    "throughput": measurements.throughput,
    "pytorch": measurements.pytorch,
    "overhead": measurements.overhead,
    "memory": measurements.memory,
    "growth": measurements.growth,
}


def main() -> int:
    options = parseOptions()
    results = json.loads(options.output.read_text()) if options.output.exists() else {}
    names = [] if options.table == "report" else list(TABLES) if options.table == "all" else [options.table]
    if names:
        results["machine"] = describeMachine()
    for name in names:
        say(f"--- {name}")
        results[name] = merge(results.get(name), measure(name, options))
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(results, indent=1) + "\n")
        print(report.TABLES[name](results[name]), "\n")
    if options.table in ("all", "report"):
        report.writeDocument(results, options.document)
        report.draw(results, options.document.parent / "images")
    return 0


def merge(old: dict | None, new: dict) -> dict:
    """Keep what was measured before with other numbers of threads."""
    if old is None:
        return new
    threads = set(new["runs"][0]["threads"])
    rows = [row for row in old["rows"] if row["threads"] not in threads]
    runs = [run for run in old["runs"] if not threads & set(run["threads"])]
    return {"runs": runs + new["runs"], "rows": rows + new["rows"]}


def measure(name: str, options: argparse.Namespace) -> dict:
    """Measure one table, with the circumstances."""
    before, start = load(), time.perf_counter()
    with Session(options) as session:
        if not options.any_engine:
            measurements.checkEngine(session)
        rows = TABLES[name](session)
        versions = session.versions()
        run = {
            "threads": sorted({row["threads"] for row in rows}),
            "before": before,
            "after": load(),
            "seconds": round(time.perf_counter() - start, 1),
            "rounds": options.rounds,
            "sampleSeconds": options.seconds,
            "versions": versions,
            "leftOut": session.skipped,
        }
        return {"runs": [run], "rows": rows}


def parseOptions() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", choices=[*TABLES, "all", "report"])
    parser.add_argument(
        "--scoremd-python", help="Python in which ScoreMD's modules import; also set SCOREMD_DIR"
    )
    parser.add_argument(
        "--torch-python", help="Python with torch and openmm, for TorchForce with openmmtorch"
    )
    parser.add_argument("--evaluator", help="the program BenchEvaluator, built from this folder")
    parser.add_argument("--rounds", type=int, default=5, help="samples of everything (default: 5)")
    parser.add_argument("--seconds", type=float, default=0.25, help="of one sample (default: 0.25)")
    parser.add_argument("--molecules", type=integers, default=[1, 10, 100, 1000])
    parser.add_argument("--peer-molecules", type=integers, default=[1, 10, 100], help="the same for ScoreMD")
    parser.add_argument("--threads", type=integers, default=[1, 2])
    parser.add_argument("--cases", type=integers, default=[0, 1, 2], help="which of cases.CASES")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks/results/simulation.json")
    parser.add_argument("--document", type=Path, default=ROOT / "docs/benchmarks.md")
    parser.add_argument("--any-engine", action="store_true", help="do not insist on the fast engine")
    return parser.parse_args()


def integers(text: str) -> list[int]:
    """Parse 1,10,100."""
    return [int(item) for item in text.split(",")]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except WorkerError as error:
        sys.exit(f"Cannot measure: {error}")
