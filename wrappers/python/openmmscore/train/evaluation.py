"""The evaluation after a training: the table [evaluation] as a command line of ``openmmscore evaluate``."""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from ..evaluation.command import addEvaluate
from .config import ConfigError, DataConfig, tomllib
from .prepare import particleFeatures, writeAtomically

#: What names a file, relative to the configuration.
_PATHS = ("reference", "topology", "features", "relative_to", "output")


class _Parser(argparse.ArgumentParser):
    """A parser that raises what it has to say."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def checkEvaluation(config: DataConfig) -> None:
    """Find what is wrong with the table [evaluation] before a model is trained.

    Raises
    ------
    ConfigError
        if a key or a value is not one of ``openmmscore evaluate``, or a file is not there
    """

    def fail(key: str, sentence: str) -> NoReturn:
        raise ConfigError(f"{config.path}: evaluation.{key} {sentence}")

    parser = _Parser()
    addEvaluate(parser.add_subparsers())
    defaults = vars(parser.parse_args(["evaluate", "model", "--reference", "frames"]))
    known = [key for key in defaults if key not in ("model", "run")]
    table = config.evaluation or {}
    for key, value in table.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"; did you mean evaluation.{near[0]}?" if near else ""
            fail(key, f"is not a key that is known{hint}")
        if isinstance(value, bool) != (defaults[key] is False):
            fail(key, "must not be true or false" if isinstance(value, bool) else "must be true or false")
        if key in _PATHS and key != "output" and not (config.path.parent / str(value)).is_file():
            fail(key, f"names {config.path.parent / str(value)}, which is not there")
    if "features" in table and "sequence" in table:
        fail("features", "stands beside a sequence, which says the same")
    if "reference" not in table and config.sources[0].weights is not None:
        fail("reference", "is missing: the frames are of a biased simulation, which is no reference")
    try:
        parser.parse_args(["evaluate", "model", "--reference", "frames", *_options(config, table)])
    except ValueError as error:
        raise ConfigError(f"{config.path}: evaluation: {error}") from None


def checkSequence(config: DataConfig, prepared: Path | None) -> None:
    """Find out before a model is trained whether evaluation.sequence is one of its particles.

    Parameters
    ----------
    config : DataConfig
    prepared : path or None
        frames.toml, which names the particles where the configuration does not

    Raises
    ------
    ConfigError
        if it is not
    """
    sequence = (config.evaluation or {}).get("sequence")
    if sequence is None:
        return
    particles = config.particles
    if not particles and prepared is not None:
        particles = tomllib.loads(prepared.read_text()).get("particles", [])
    particleFeatures(config, sequence, particles)


def evaluationCommand(config: DataConfig) -> list[str]:
    """Return the command that evaluates the trained model by what the table [evaluation] says.

    Every key is an option of ``openmmscore evaluate`` (underscores as hyphens, arrays as I,J;K,L), and paths
    are relative to the configuration. The reference is what the (first) molecule was trained on unless there
    is one.
    """
    table = dict(config.evaluation or {})
    if "reference" not in table:
        table = {**_trainingFrames(config), **table}
    table.setdefault("output", str((config.output / "evaluation").resolve()))
    command = [sys.executable, "-m", "openmmscore.cli", "evaluate", str(config.model)]
    return command + _options(config, table)


def _trainingFrames(config: DataConfig) -> dict[str, Any]:
    """Return the keys that make the frames of the first molecule the reference."""
    source = config.sources[0]
    table: dict[str, Any] = {}
    if config.needsPreparation():
        name = f"frames-{source.name}.npy" if source.name else "frames.npy"
        table["reference"] = str((config.output / name).resolve())
    else:
        table["reference"] = str(Path(source.array or "").resolve())
        table["unit"] = "nm" if config.unit == 1.0 else "angstrom"
        if source.atoms is not None:
            table["atoms"] = source.atoms
    if "features" in (config.evaluation or {}) or "sequence" in (config.evaluation or {}):
        return table
    if source.sequence is not None:
        table["sequence"] = source.sequence
    elif source.features is not None:
        path = config.output / "evaluation-features.npy"
        writeAtomically(path, np.array(source.features))
        table["features"] = str(path.resolve())
    return table


def _options(config: DataConfig, table: dict[str, Any]) -> list[str]:
    options = []
    for key, value in table.items():
        if value is False:
            continue
        options.append("--" + key.replace("_", "-"))
        if key in _PATHS:
            value = str(config.path.parent / str(value))
        if value is not True:
            options.append(_joined(value))
    return options


def _joined(value: Any) -> str:
    if not isinstance(value, list):
        return str(value)
    separator = ";" if any(isinstance(item, list) for item in value) else ","
    return separator.join(_joined(item) for item in value)
