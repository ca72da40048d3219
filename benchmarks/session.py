"""The workers of one measurement, and rounds in which all of them are asked in turn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections import defaultdict
from pathlib import Path

from cases import Case, writeModel
from worker import Worker, WorkerError, chooseCores

#: key of a sample -> what each round gave
Samples = dict[str, list[float]]


class Session:
    """Starts workers when they are first needed and ends them all."""

    def __init__(self, options: Namespace):
        self.options = options
        self._folder = tempfile.TemporaryDirectory()
        self._workers: dict[tuple[str, int], Worker] = {}
        #: reasons why something was left out
        self.skipped: list[str] = []

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_) -> None:
        for worker in self._workers.values():
            worker.close()
        self._folder.cleanup()

    def model(self, case: Case) -> Path:
        """Return the model file of a case."""
        return writeModel(case, Path(self._folder.name))

    def worker(self, script: str, threads: int) -> Worker:
        """Return the worker that runs a script with so many threads."""
        key = script, threads
        if key not in self._workers:
            python = {
                "peer_scoremd.py": self.options.scoremd_python,
                "peer_openmmtorch.py": self.options.torch_python,
            }.get(script, sys.executable)
            self._workers[key] = Worker(script, threads, python)
        return self._workers[key]

    def close(self, script: str) -> None:
        """End the workers that run a script, so that their memory and threads are gone."""
        for key in [key for key in self._workers if key[0] == script]:
            self._workers.pop(key).close()

    def versions(self) -> dict:
        """Return what every program that ran says about itself."""
        return {script: worker.ask("versions") for (script, _), worker in self._workers.items()}

    def skip(self, reason: str) -> None:
        """Say and remember that something is left out."""
        if reason not in self.skipped:
            self.skipped.append(reason)
            say(f"left out: {reason}")

    def hasScoreMd(self) -> bool:
        """Return whether ScoreMD can be measured."""
        if not self.options.scoremd_python or "SCOREMD_DIR" not in os.environ:
            self.skip(
                "ScoreMD, since --scoremd-python and SCOREMD_DIR do not name an environment and a checkout"
            )
            return False
        return True

    def prepareRun(
        self, case: Case, molecules: int, threads: int, integrator: str, platform: str = "CPU"
    ) -> str:
        """Have our worker create a simulation, and return its key."""
        key = f"{case.name}/{molecules}/{integrator}/{platform}"
        self.worker("measure_openmmscore.py", threads).ask(
            "prepare",
            key=key,
            case=case.asRequest(),
            model=str(self.model(case)),
            molecules=molecules,
            integrator=integrator,
            platform=platform,
        )
        return key

    def evaluate(self, case: Case, molecules: int, threads: int, seconds: float) -> dict | None:
        """Measure the engine without OpenMM by the C++ benchmark, or return None without it."""
        if not self.options.evaluator:
            self.skip("the engine without OpenMM, since --evaluator does not name the program BenchEvaluator")
            return None
        cores = chooseCores(threads)
        command = [self.options.evaluator, "--system", case.evaluator, "--molecules", str(molecules)]
        command += ["--threads", str(threads), "--seconds", str(seconds)]
        result = subprocess.run(
            command,
            capture_output=True,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        if result.returncode or not result.stdout.strip():
            self.skip(
                f"the engine without OpenMM, since {' '.join(command)} gave nothing: {result.stderr[:200]}"
            )
            return None
        return json.loads(result.stdout)

    def matrixProduct(self, threads: int, seconds: float) -> float:
        """Return the processor's rate of single-precision matrix products, operations per second."""
        return self.worker("matrix_product.py", threads).ask("measure", seconds=seconds)[
            "operationsPerSecond"
        ]


def collect(rounds: int, probes: dict[str, object]) -> Samples:
    """Call every probe once in each round; a probe that fails is left out from then on.

    Parameters
    ----------
    probes : dict from key to callable
        each returns a number
    """
    samples = defaultdict(list)
    failed = set()
    for _ in range(rounds):
        for key, probe in probes.items():
            if key in failed:
                continue
            try:
                samples[key].append(probe())
            except WorkerError as error:
                failed.add(key)
                say(f"left out: {key}: {error}")
    return {key: values for key, values in samples.items() if key not in failed}


def say(line: str) -> None:
    """Print progress, which is not the result, to standard error."""
    print(line, file=sys.stderr, flush=True)
