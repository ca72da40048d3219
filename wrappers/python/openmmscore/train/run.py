"""Prepare, train, evaluate: the command ``openmmscore train``."""

from __future__ import annotations

import argparse
import shlex
import signal
import subprocess
import sys

from .. import diagnostics
from .config import ConfigError, DataConfig, readConfig
from .evaluation import checkEvaluation, checkSequence, evaluationCommand
from .prepare import prepare, writeAtomically


def train(options: argparse.Namespace) -> int:
    """Train a model from trajectories or arrays of frames, as a TOML file describes it, and evaluate it.

    Returns
    -------
    int
        the exit status of what failed, or 0; 130 (143) if the training was interrupted by Ctrl-C (SIGTERM)

    Raises
    ------
    ValueError, OSError
        if the configuration or the data are unusable, or openmmscore-train is not there
    """
    program = diagnostics.trainProgram()
    if program is None:
        raise FileNotFoundError(
            "openmmscore-train is not there: this copy was built without LibTorch (docs/training.md says how "
            "to build it)"
        )
    config = readConfig(options.config, options.output)
    evaluated = options.evaluate or config.evaluation is not None
    if evaluated:
        checkEvaluation(config)
    arguments, prepared = [program, options.config], None
    if config.needsPreparation():
        _checkStart(config, options)
        _checkConfig(program, config)
        prepared = prepare(config, mayReplace=not options.resume)
        print(f"openmmscore: the frames are in {config.output}", file=sys.stderr)
        arguments += ["--data", str(prepared)]
    if evaluated:
        checkSequence(config, prepared)
    if options.prepare:
        print(
            "openmmscore: train with: " + shlex.join(["openmmscore-train", *arguments[1:]]), file=sys.stderr
        )
        return 0
    for name in ("steps", "threads", "device", "output", "stage"):
        if (value := getattr(options, name)) is not None:
            arguments += [f"--{name}", str(value)]
    arguments += ["--resume"] * options.resume + ["--overwrite"] * options.overwrite
    status = runProgram(arguments)
    # After one of several stages there may be no model yet.
    if status == 0 and evaluated and (options.stage is None or config.model.exists()):
        status = _evaluate(config)
    return status


def _evaluate(config: DataConfig) -> int:
    command = evaluationCommand(config)
    status = runProgram(command)
    if status != 0:
        again = shlex.join(["openmmscore", *command[3:]])
        print(f"openmmscore: {config.model} is there, evaluate it with: {again}", file=sys.stderr)
    return status


def _checkStart(config: DataConfig, options: argparse.Namespace) -> None:
    """Say before an hour of extraction what openmmscore-train would say after it."""
    pattern = (
        "checkpoint*.safetensors" if options.stage is None else f"checkpoint-{options.stage}.safetensors"
    )
    found = sorted(config.output.glob(pattern))
    if found and not options.resume and not options.overwrite:
        raise ValueError(
            f"{found[0]}: there is a run in this folder already; continue it with --resume, or replace it "
            "with --overwrite"
        )
    if options.resume and not found:
        raise ValueError(f"{config.output}: there is no checkpoint to resume from")


def _checkConfig(program: str, config: DataConfig) -> None:
    """Let openmmscore-train read the configuration before any frame is extracted."""
    config.output.mkdir(parents=True, exist_ok=True)
    stub = config.output / "check.toml"
    writeAtomically(stub, 'file = "frames.npy"\n')
    try:
        command = [program, str(config.path), "--data", str(stub), "--check"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        stub.unlink(missing_ok=True)
    if result.returncode != 0:
        raise ConfigError(result.stderr.strip().removeprefix("openmmscore-train: "))


def runProgram(arguments: list[str]) -> int:
    """Run a program to its end and return its exit status; signals reach it once, and it decides what to do.

    It runs in a session of its own, so that Ctrl-C in a terminal does not reach it a second time.
    """
    waiting: list[int] = []
    process: subprocess.Popen | None = None

    def forward(number: int, _frame) -> None:
        if process is None:
            waiting.append(number)
        else:
            process.send_signal(signal.SIGTERM if number == signal.SIGHUP else number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, forward) for number in numbers}
    try:
        process = subprocess.Popen(arguments, start_new_session=True)
        for number in waiting:
            process.send_signal(number)
        status = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return status if status >= 0 else 128 - status
