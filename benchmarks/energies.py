"""How many energies a second: BoltzmannTarget beside a bare OpenMM loop and the bridges of other programs.

    python benchmarks/energies.py
    python benchmarks/energies.py --torch-python PYTHON --bgflow CHECKOUT --transferable-samplers CHECKOUT

The table is printed, kept in benchmarks/results/energies.json and written into docs/benchmarks.md. Programs
that are not there are left out, with the reason. benchmarks/README.md says how it is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from energy_cases import CASES
from machine import describeMachine, load
from report import table
from session import collect, say
from spreads import number, ratio, spread, text
from worker import Worker, WorkerError

ROOT = Path(__file__).resolve().parent.parent
CORES = len(os.sched_getaffinity(0))
OURS = "BoltzmannTarget"


@dataclass(frozen=True)
class Program:
    """One line of the table."""

    name: str
    script: str
    #: cores that its process is bound to
    threads: int
    #: arguments of the worker's prepare()
    arguments: dict

    @property
    def platform(self) -> str:
        return self.arguments["platform"]


def choosePrograms(options: argparse.Namespace) -> tuple[list[Program], list[str]]:
    """Return what can be measured, and what is left out and why."""
    programs, skipped = [], []

    def ours(name: str, program: str, platform: str, threads: int, forces: bool) -> None:
        arguments = {"program": program, "platform": platform, "threads": threads, "forces": forces}
        programs.append(Program(name, "measure_energies.py", threads, arguments))

    def peer(name: str, program: str, platform: str, cores: int, workers: int, checkout: str) -> None:
        arguments = {"program": program, "platform": platform, "threads": workers, "checkout": checkout}
        programs.append(Program(name, "peer_energies.py", cores, arguments))

    ours(OURS, "target", "", CORES, False)
    ours(f"{OURS}, 1 Context", "target", "", 1, False)
    ours(f"{OURS}, energies and forces", "target", "", CORES, True)
    for platform in ("Reference", "CPU"):
        ours("bare loop, energies", "bare", platform, 1, False)
        ours("bare loop, energies and forces", "bare", platform, 1, True)
    ours(f"bare loop, energies, {CORES} threads", "bare", "CPU", CORES, False)
    for name, checkout in (
        ("bgflow", options.bgflow),
        ("transferable-samplers", options.transferable_samplers),
    ):
        if not (checkout and options.torch_python):
            skipped.append(f"{name}, since --torch-python and --{name} do not name a Python and a checkout")
        elif name == "bgflow":
            for platform in ("Reference", "CPU"):
                peer("bgflow, 1 worker", name, platform, CORES if platform == "CPU" else 1, 1, checkout)
                peer(f"bgflow, {CORES} workers", name, platform, CORES, CORES, checkout)
        else:
            peer(f"{name}, as shipped", name, "CPU", CORES, CORES, checkout)
            peer(name, name, "Reference", 1, 1, checkout)
    return programs, skipped


def measureCase(case: str, programs: list[Program], options: argparse.Namespace) -> tuple[list[dict], dict]:
    """Return the rows of one molecule, and what every worker says of itself."""
    workers, probes, answers = {}, {}, {}
    try:
        for program in programs:
            # Each has a process of its own: worker processes of one must not slow down another.
            key = f"{program.name}/{program.platform}"
            python = options.torch_python if program.script.startswith("peer") else sys.executable
            worker = workers[key] = Worker(program.script, program.threads, python)
            answers[key] = worker.ask(
                "prepare", key=key, case=case, seconds=options.seconds, **program.arguments
            )
            probes[key] = lambda w=worker, k=key: w.ask("measure", key=k, seconds=options.seconds)["rate"]
        samples = collect(options.rounds, probes)
        versions = {program.script: workers[f"{program.name}/{program.platform}"].ask("versions")
                    for program in programs}  # fmt: skip
    finally:
        for worker in workers.values():
            worker.close()
    expected = answers["bare loop, energies/Reference"]["energies"]
    rows = []
    for program in programs:
        key = f"{program.name}/{program.platform}"
        if key not in samples:
            continue
        errors = [abs(a - b) for a, b in zip(answers[key]["energies"], expected, strict=True)]
        rows.append(
            {
                "case": case,
                "program": program.name,
                "platform": answers[key].get("platform", program.platform),
                "threads": program.threads,
                "rate": spread(samples[key]),
                "ratio": ratio(samples[f"{OURS}/"], samples[key]),
                "largestError": max(errors),
            }
        )
    return rows, versions


def makeTable(rows: list[dict]) -> str:
    """Return the table of docs/benchmarks.md."""
    head = ["molecule", "program", "platform", "cores", "frames/s", f"{OURS} / it", "differs by, kT"]
    lines = [
        [
            row["case"],
            row["program"],
            row["platform"],
            row["threads"],
            text(row["rate"]),
            text(row["ratio"]),
            number(row["largestError"], 1) if row["largestError"] else "0",
        ]
        for row in rows
    ]
    return table(head, lines)


def writeDocument(result: dict, path: Path) -> None:
    """Replace the table and the circumstances in a document."""
    run = result["run"]
    circumstances = "\n".join(
        [
            f"- {result['machine']['processor']}, {result['machine']['cores']} cores, "
            f"{result['machine']['system']}",
            *(
                f"- `{script}`: " + ", ".join(f"{name} {version}" for name, version in each.items())
                for script, each in run["versions"].items()
            ),
            f"- started {run['before']['time']}, load averages {run['before']['load']} before and "
            f"{run['after']['load']} after; {run['rounds']} samples of {run['seconds']} s",
            f"- left out: {'; '.join(run['leftOut']) or 'nothing'}",
        ]
    )
    content = path.read_text()
    for name, part in (("energies", makeTable(result["rows"])), ("energies-machine", circumstances)):
        pattern = rf"(<!-- table: {name} -->\n).*?(<!-- end -->)"
        content, count = re.subn(pattern, lambda m, part=part: f"{m[1]}{part}\n{m[2]}", content, flags=re.S)
        if count != 1:
            raise ValueError(f"{path} has {count} places for the table {name}, expected one")
    path.write_text(content)


def main() -> int:
    options = parseOptions()
    programs, skipped = choosePrograms(options)
    for reason in skipped:
        say(f"left out: {reason}")
    before, rows, versions = load(), [], {}
    for case in CASES:
        say(f"--- {case}")
        found, versions = measureCase(case, programs, options)
        rows += found
    run = {"before": before, "after": load(), "rounds": options.rounds, "seconds": options.seconds,
           "versions": versions, "leftOut": skipped}  # fmt: skip
    result = {"machine": describeMachine(), "run": run, "rows": rows}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=1) + "\n")
    print(makeTable(rows))
    if options.document:
        writeDocument(result, options.document)
    return 0


def parseOptions() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--torch-python", help="Python with torch and openmm, for the two below")
    parser.add_argument("--bgflow", help="a checkout of noegroup/bgflow")
    parser.add_argument("--transferable-samplers", help="a checkout of transferable-samplers")
    parser.add_argument("--rounds", type=int, default=7, help="samples of everything (default: 7)")
    parser.add_argument("--seconds", type=float, default=0.5, help="of one sample (default: 0.5)")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks/results/energies.json")
    parser.add_argument("--document", type=Path, default=ROOT / "docs/benchmarks.md")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except WorkerError as error:
        sys.exit(f"Cannot measure: {error}")
