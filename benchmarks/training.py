"""How long a training step takes: openmmscore-train beside ScoreMD's own training.

    python benchmarks/training.py --scoremd-python PYTHON        # with SCOREMD_DIR set
    python benchmarks/training.py report                         # the tables of the results that are there

A step is everything: drawing a batch, loss, gradient, optimiser, average. Both train the same networks with
the same batch on the same cores, in samples taken by turns; compilation is not counted. The result is kept in
benchmarks/results/training.json and in docs/benchmarks.md. Without --scoremd-python only we are measured.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import report
from machine import describeMachine, load
from session import say
from spreads import ratio, spread, text
from worker import Worker, WorkerError, chooseCores

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = Path(sys.executable).parent / "openmmscore-train"


@dataclass(frozen=True)
class Case:
    """One kind of step."""

    name: str
    system: str
    #: "single" for one network over all times, "last" for the expert of small times
    stage: str
    batch: int
    #: of the Fokker-Planck loss
    weight: float

    @property
    def hidden(self) -> str:
        """Of the network, as the configuration says it."""
        if self.system == "alanine":
            return "96"
        return "[92, 92, 92]" if self.stage == "single" else "[64, 64, 64]"

    def config(self, data: Path, output: Path, steps: int) -> str:
        """Return the configuration of our run."""
        particles = self.system == "alanine"
        lines = ["[data]", f'file = "{data}"', "temperature = 300.0", "validation_fraction = 0.0"]
        lines += ["[model]", f'architecture = "{"graph-transformer" if particles else "mlp"}"']
        lines += [f"hidden = {self.hidden}", f"interval = [0.0, {1.0 if self.stage == 'single' else 0.1}]"]
        lines += ["layers = 2"] if particles else ["length_scale = 1.0"]
        lines += ["[training]", f"steps = {steps}", f"batch_size = {self.batch}"]
        lines += ["[fokker_planck]", f"weight = {self.weight}"] if self.weight else []
        lines += ["[output]", f'directory = "{output}"', f"log_interval = {max(1, steps // 10)}"]
        lines += [
            f"validation_interval = {10**9}",
            "validation_samples = 1",
            f"checkpoint_interval = {10**9}",
        ]
        return "\n".join(lines) + "\n"


CASES = (
    Case("Mueller-Brown, denoising", "mueller-brown", "single", 128, 0.0),
    Case("Mueller-Brown, Fokker-Planck", "mueller-brown", "single", 128, 5e-4),
    Case("Mueller-Brown, Both, last stage", "mueller-brown", "last", 128, 5e-4),
    Case("alanine dipeptide, denoising", "alanine", "single", 256, 0.0),
    Case("alanine dipeptide, Fokker-Planck", "alanine", "single", 256, 1e-3),
    Case("alanine dipeptide, Both, last stage", "alanine", "last", 256, 1e-3),
)


class Ours:
    """Runs of openmmscore-train on random data."""

    def __init__(self, folder: Path, case: Case, threads: int, device: str):
        self.folder, self.case, self.threads, self.device = folder, case, threads, device
        generator = np.random.default_rng(0)
        shape = (4096, 5, 3) if case.system == "alanine" else (4096, 2)
        self.data = folder / f"{case.system}.npy"
        np.save(self.data, (0.1 * generator.standard_normal(shape)).astype(np.float32))
        self.steps = 20

    def run(self) -> dict:
        """Train anew; return seconds per step, without the first tenth, and the process's peak memory."""
        output = self.folder / "run"
        shutil.rmtree(output, ignore_errors=True)
        config = self.folder / "run.toml"
        config.write_text(self.case.config(self.data, output, self.steps))
        cores = chooseCores(self.threads)
        process = subprocess.Popen(
            [str(PROGRAM), str(config), "--threads", str(self.threads), "--device", self.device],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        message = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise WorkerError(f"openmmscore-train: {message.strip().splitlines()[-1]}")
        lines = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
        steps = lines[-1]["step"] - lines[0]["step"]
        elapsed = lines[-1]["elapsed_seconds"] - lines[0]["elapsed_seconds"]
        return {"secondsPerStep": elapsed / steps, "peakMiB": usage.ru_maxrss / 1024}

    def prepare(self, seconds: float) -> None:
        """Choose the number of steps of a sample, by a short run."""
        self.steps = max(20, round(seconds / self.run()["secondsPerStep"]))


class Theirs:
    """ScoreMD, in a worker of its own for each case so that its peak memory is that case's."""

    def __init__(self, case: Case, threads: int, python: str):
        self.worker = Worker("peer_scoremd_training.py", threads, python, {"BENCHMARK_CLOCK": "wall"})
        steps = 50 if case.system == "mueller-brown" else 2
        self.worker.ask(
            "prepare",
            key="run",
            system=case.system,
            stage=case.stage,
            weight=case.weight,
            batch=case.batch,
            steps=steps,
        )

    def measure(self, seconds: float) -> float:
        """Return seconds per step."""
        return self.worker.ask("measure", key="run", seconds=seconds)["secondsPerStep"]


def measure(case: Case, threads: int, options: argparse.Namespace) -> dict:
    """Return one row: times, their ratio, and memory."""
    say(f"--- {case.name}, {threads} threads")
    row = {"case": case.name, "batch": case.batch, "threads": threads}
    theirs = None
    with tempfile.TemporaryDirectory() as folder:
        ours = Ours(Path(folder), case, threads, options.device)
        ours.prepare(options.seconds)
        if options.scoremd_python:
            theirs = Theirs(case, threads, options.scoremd_python)
            row["versions"] = theirs.worker.ask("versions")
        times, peaks, others = [], [], []
        for _ in range(options.rounds):
            result = ours.run()
            times.append(result["secondsPerStep"])
            peaks.append(result["peakMiB"])
            if theirs:
                others.append(theirs.measure(options.seconds))
        row["ours"], row["oursPeakMiB"] = spread(times), max(peaks)
        if theirs:
            row["scoremd"], row["ratio"] = spread(others), ratio(others, times)
            row["scoremdPeakMiB"] = theirs.worker.ask("memory")["peakMiB"]
            theirs.worker.close()
    return row


def table(result: dict) -> str:
    """Return the Markdown table of all rows."""
    milliseconds = {
        "openmmscore-train": "ours",
        "ScoreMD": "scoremd",
    }
    rows = []
    for row in result["rows"]:
        cells = [row["case"], row["batch"], row["threads"]]
        for key in milliseconds.values():
            value = row.get(key)
            scaled = value and {k: 1e3 * v if k != "samples" else v for k, v in value.items()}
            cells.append(text(scaled or None))
        cells.append(text(row.get("ratio")))
        cells += [f"{row[key]:.0f}" if key in row else "-" for key in ("oursPeakMiB", "scoremdPeakMiB")]
        rows.append(cells)
    names = ["step", "batch", "threads", *(f"{name}, ms" for name in milliseconds), "ScoreMD / ours"]
    return report.table([*names, "our memory, MiB", "ScoreMD's memory, MiB"], rows)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", choices=["measure", "report"], default="measure")
    parser.add_argument("--scoremd-python", help="Python in which ScoreMD's modules import")
    parser.add_argument("--rounds", type=int, default=5, help="samples of everything (default: 5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of one sample (default: 3)")
    parser.add_argument("--threads", type=int, nargs="+", default=[2])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="of openmmscore-train")
    parser.add_argument("--cases", type=int, nargs="+", default=list(range(len(CASES))))
    parser.add_argument("--output", type=Path, help="default: training.json, or training-cuda.json")
    parser.add_argument("--document", type=Path, default=ROOT / "docs/benchmarks.md")
    options = parser.parse_args()
    onGpu = options.device != "cpu"
    if options.output is None:
        options.output = ROOT / f"benchmarks/results/training{'-cuda' if onGpu else ''}.json"
    if options.what == "measure":
        result = {"machine": describeMachine(), "before": load(), "rows": []}
        for threads in options.threads:
            for index in options.cases:
                result["rows"].append(measure(CASES[index], threads, options))
        result["after"] = load()
        options.output.write_text(json.dumps(result, indent=1) + "\n")
    else:
        result = json.loads(options.output.read_text())
    print(table(result))
    if not onGpu:
        report.replaceTable(options.document, "training", table(result))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except WorkerError as error:
        sys.exit(f"Cannot measure: {error}")
