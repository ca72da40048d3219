"""Measuring processes, one for each program and number of threads, that are asked in turn.

Programs that are compared must see the same clock frequency and the same neighbours, so each is started and
prepared once, in its own Python if need be, and then asked for short samples by turns. Requests and answers
are JSON objects, one a line. Only the standard library is used here, since the peers'
environments may have little else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENMM_CPU_THREADS")


class WorkerError(RuntimeError):
    """A worker could not start or answered with an error; the message says which and why."""


class Worker:
    """One measuring process.

    Parameters
    ----------
    script : str
        a file of this folder that calls serve()
    threads : int
        how many threads it may use; it is also bound to as many cores
    python : str
        the interpreter
    environment : mapping
        further environment variables
    """

    def __init__(
        self,
        script: str,
        threads: int,
        python: str = sys.executable,
        environment: Mapping[str, str] | None = None,
    ):
        self.name = f"{script} with {threads} thread{'s' if threads > 1 else ''}"
        variables = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads)), **(environment or {})}
        if threads == 1:
            flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
            variables["BENCHMARK_CLOCK"] = "processor"
            variables["XLA_FLAGS"] = f"{variables.get('XLA_FLAGS', '')} {flags}".strip()
        cores = chooseCores(threads)
        self._process = subprocess.Popen(
            [python, str(HERE / script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=variables,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )

    def ask(self, do: str, **arguments) -> dict:
        """Have the worker do something, wait, and return its answer."""
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerError(f"{self.name} ended with status {self._process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(f"{self.name}: {answer['error']}")
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_) -> None:
        self.close()


def chooseCores(threads: int) -> set[int]:
    """Return the last cores that this process may use; the first is where interrupts mostly go."""
    return set(sorted(os.sched_getaffinity(0))[-threads:])


def serve(actions: Mapping[str, Callable[..., dict]]) -> None:
    """Answer requests from standard input until it ends. What libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = actions[request.pop("do")](**request)
        except Exception as error:
            if "BENCHMARK_TRACEBACK" in os.environ:
                traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {str(error)[:300]}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def clock() -> float:
    """Return the time in s: with one thread this process's own processor time, else that of the wall.

    Other programs on the machine disturb processor time less; on a quiet one the two agree.
    """
    return time.process_time() if os.environ.get("BENCHMARK_CLOCK") == "processor" else time.perf_counter()


#: Random weights hold nothing together, so a sample is made of runs so short that molecules keep their shape.
LONGEST_RUN = 200


def timeSteps(
    start: Callable[[], object], step: Callable[[int], object], stepTime: float, seconds: float
) -> dict:
    """Time a simulation for about so many seconds.

    Parameters
    ----------
    start : callable
        goes back to the first positions, which does not count
    step : callable
        advances by the given number of steps
    stepTime : float
        about how long one step takes, in s

    Returns
    -------
    dict
        steps, seconds, stepsPerSecond over all runs of the sample and that of the best run
    """
    each = max(1, min(LONGEST_RUN, round(seconds / stepTime)))
    runs = max(1, round(seconds / stepTime / each))
    times = []
    for _ in range(runs):
        start()
        step(1)
        begin = clock()
        step(each)
        times.append(clock() - begin)
    return {
        "steps": each * runs,
        "seconds": sum(times),
        "stepsPerSecond": each * runs / sum(times),
        "best": each / min(times),
    }


def estimateStepTime(step: Callable[[int], object], seconds: float = 0.05) -> float:
    """Return about how long one step takes in s; the first call of step(1) is not counted."""
    step(1)
    steps = 1
    while True:
        start = clock()
        step(steps)
        elapsed = clock() - start
        if elapsed >= seconds:
            return elapsed / steps
        steps *= 2
