"""Prepare, train, evaluate: the command ``openmmscore train``."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from pathlib import Path

from .. import diagnostics
from ..model import Model
from .config import ConfigError, DataConfig, readConfig
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
    arguments = [program, options.config]
    if config.needsPreparation():
        _checkStart(config, options)
        _checkConfig(program, config)
        prepared = prepare(config, mayReplace=not options.resume)
        print(f"openmmscore: the frames are in {config.output}", file=sys.stderr)
        arguments += ["--data", str(prepared)]
    for name in ("steps", "threads", "device", "output"):
        if (value := getattr(options, name)) is not None:
            arguments += [f"--{name}", str(value)]
    arguments += ["--resume"] * options.resume + ["--overwrite"] * options.overwrite
    status = runProgram(arguments)
    if status == 0 and (options.evaluate or config.evaluation is not None):
        status = runProgram(evaluationCommand(config))
    return status


def _checkStart(config: DataConfig, options: argparse.Namespace) -> None:
    """Say before an hour of extraction what openmmscore-train would say after it."""
    checkpoint = config.output / "checkpoint.safetensors"
    if checkpoint.exists() and not options.resume and not options.overwrite:
        raise ValueError(
            f"{checkpoint}: there is a run in this folder already; continue it with --resume, or replace it "
            "with --overwrite"
        )
    if options.resume and not checkpoint.exists():
        raise ValueError(f"{checkpoint}: there is no checkpoint to resume from")


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


def evaluationCommand(config: DataConfig) -> list[str]:
    """Return the command that evaluates the trained model by what the table [evaluation] says.

    Every key is an option of ``openmmscore evaluate`` (underscores as hyphens, arrays as I,J;K,L), and paths
    are relative to the configuration. The reference is what the (first) molecule was trained on unless there
    is one. A key of its own is ``sequence``, which stands for the features of a transferable model.
    """
    table = dict(config.evaluation or {})
    if "reference" not in table:
        source = config.sources[0]
        name = f"frames-{source.name}.npy" if source.name else "frames.npy"
        prepared = config.needsPreparation()
        table["reference"] = str((config.output / name if prepared else Path(source.array or "")).resolve())
        if source.sequence is not None and "features" not in table:
            table.setdefault("sequence", source.sequence)
    model = config.output / "model.safetensors"
    if "sequence" in table:
        features = Model(model).sequenceFeatures(table.pop("sequence"))
        writeAtomically(config.output / "evaluation-features.npy", features)
        table["features"] = str((config.output / "evaluation-features.npy").resolve())
    command = [sys.executable, "-m", "openmmscore.cli", "evaluate", str(model)]
    for key, value in table.items():
        if value is False:
            continue
        command.append("--" + key.replace("_", "-"))
        if key in ("reference", "output", "topology", "features"):
            value = str(config.path.parent / str(value))
        if value is not True:
            command.append(_joined(value))
    return command


def _joined(value) -> str:
    if not isinstance(value, list):
        return str(value)
    separator = ";" if any(isinstance(item, list) for item in value) else ","
    return separator.join(_joined(item) for item in value)


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
