"""The part of a training configuration that is about data (docs/training.md)."""

from __future__ import annotations

import difflib
import glob
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

WEIGHTS = ("weights", "log_weights", "bias_energy")
_SOURCE = {
    "trajectory": (str, list), "topology": (str,), "selection": (str,), "stride": (int,), "file": (str,),
    "weights": (str,), "log_weights": (str,), "bias_energy": (str,),
}  # fmt: skip
_DATA = {
    **_SOURCE, "atoms": (list,), "unit": (str,), "temperature": (int, float),
    "validation_fraction": (int, float), "validation_split": (str,),
}  # fmt: skip
_MOLECULE = {**_SOURCE, "name": (str,), "sequence": (str,), "features": (list,)}
_KINDS = {
    str: "a text", int: "an integer", float: "a number", list: "an array", bool: "true or false",
    dict: "a table",
}  # fmt: skip


class ConfigError(ValueError):
    """What is wrong with a configuration, as a sentence that begins with its path."""


@dataclass
class Source:
    """Frames of one molecule: of trajectories, or an array in a file."""

    #: What to call it in messages and in file names; empty where there is one only.
    name: str = ""
    trajectories: list[Path] = field(default_factory=list)
    topology: Path | None = None
    selection: str | None = None
    atoms: list[int] | None = None
    stride: int = 1
    #: A .npy file, or a .npz file and a name in it.
    array: str | None = None
    #: One of WEIGHTS, and a file as for array.
    weights: tuple[str, str] | None = None
    sequence: str | None = None
    features: list[list[int]] | None = None


@dataclass
class DataConfig:
    """Everything that ``openmmscore train`` needs to know about a run."""

    path: Path
    output: Path
    #: nm for one unit of an array.
    unit: float
    sources: list[Source]
    particles: list[dict[str, Any]]
    features: list[dict[str, Any]]
    #: The table [evaluation], or None.
    evaluation: dict[str, Any] | None

    @property
    def model(self) -> Path:
        """The model file that the training writes."""
        return self.output / "model.safetensors"

    def needsPreparation(self) -> bool:
        """Return whether there is anything that openmmscore-train cannot read by itself."""
        return any(
            source.trajectories
            or source.sequence is not None
            or isNpz(source.array)
            or (source.weights and isNpz(source.weights[1]))
            for source in self.sources
        )


def isNpz(file: str | None) -> bool:
    """Return whether a file, perhaps with :NAME behind it, is a .npz archive."""
    return file is not None and splitName(file)[0].endswith(".npz")


def splitName(file: str) -> tuple[str, str]:
    """Divide run.npz:positions into the file and the name of an array in it, which may be empty."""
    head, colon, name = file.rpartition(":")
    return (head, name) if colon and head.endswith(".npz") else (file, "")


def readConfig(path: str | Path, output: str | Path | None = None) -> DataConfig:
    """Read a configuration as far as data are concerned.

    Parameters
    ----------
    path : path
        the TOML file; what it names is relative to its folder
    output : path, optional
        instead of output.directory, relative to the working directory

    Raises
    ------
    ConfigError
        if the file is missing, is no TOML or says something about data that cannot be meant. What the rest of
        it says is for openmmscore-train to judge.
    """
    return _Reader(Path(path)).read(output)


class _Reader:
    def __init__(self, path: Path):
        self.path = path
        try:
            with open(path, "rb") as file:
                self.root = tomllib.load(file)
        except FileNotFoundError:
            raise ConfigError(f"{path}: there is no such file") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: this is not TOML: {error}") from None

    def fail(self, key: str, sentence: str) -> NoReturn:
        raise ConfigError(f"{self.path}: {key} {sentence}")

    def read(self, output: str | Path | None) -> DataConfig:
        data = self.root.get("data", {})
        self.check("data", data, _DATA)
        molecules = self.root.get("molecules", [])
        if not isinstance(molecules, list):
            self.fail("molecules", "must be tables, each under [[molecules]]")
        for k, molecule in enumerate(molecules):
            self.check(f"molecules[{k}]", molecule, _MOLECULE)
        if molecules:
            for key in ("trajectory", "file", *WEIGHTS):
                if key in data:
                    self.fail(f"data.{key}", "stands beside tables [[molecules]], each of which has its own")
            sources = [self.source(f"molecules[{k}]", m, data) for k, m in enumerate(molecules)]
        else:
            sources = [self.source("data", data)]
        self.name(sources)
        unit = data.get("unit", "nm")
        if unit not in ("nm", "angstrom"):
            self.fail("data.unit", f'is "{unit}", it must be one of "nm", "angstrom"')
        if "unit" in data and any(source.trajectories for source in sources):
            self.fail("data.unit", "stands beside a trajectory, whose format has a unit of its own")
        evaluation = self.root.get("evaluation")
        if evaluation is not None and not isinstance(evaluation, dict):
            self.fail("evaluation", "must be a table, [evaluation]")
        return DataConfig(
            path=self.path,
            output=self.outputFolder(output),
            unit=1.0 if unit == "nm" else 0.1,
            sources=sources,
            particles=self.tables("particles"),
            features=self.tables("features"),
            evaluation=evaluation,
        )

    def tables(self, key: str) -> list[dict[str, Any]]:
        value = self.root.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.fail(key, f"must be tables, each under [[{key}]]")
        return value

    def outputFolder(self, output: str | Path | None) -> Path:
        if output is not None:
            return Path(output)
        table = self.root.get("output", {})
        default = self.path.stem + "-output"
        named = table.get("directory", default) if isinstance(table, dict) else default
        return self.path.parent / (named if isinstance(named, str) else default)

    def check(self, name: str, table: Any, known: dict[str, tuple[type, ...]]) -> None:
        if not isinstance(table, dict):
            self.fail(name, f"must be a table, it is {_KINDS.get(type(table), 'something else')}")
        for key, value in table.items():
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                hint = f"; did you mean {name}.{near[0]}?" if near else ""
                self.fail(f"{name}.{key}", f"is not a key that is known{hint}")
            if isinstance(value, bool) or not isinstance(value, known[key]):
                wanted = " or ".join(_KINDS[kind] for kind in known[key])
                self.fail(f"{name}.{key}", f"must be {wanted}, it is {_KINDS.get(type(value), 'a date')}")

    def source(self, name: str, own: dict[str, Any], shared: dict[str, Any] | None = None) -> Source:
        table = {**(shared or {}), **own}
        if ("trajectory" in table) == ("file" in table):
            either = "needs one of trajectory (files of a simulation) and file (an array)"
            self.fail(name, f"{either}, not both" if "file" in table else either)
        given = [key for key in WEIGHTS if key in table]
        if len(given) > 1:
            self.fail(f"{name}.{given[1]}", f"stands beside {given[0]}; weights can be given in one way only")
        source = Source(
            name=table.get("name", ""),
            weights=(given[0], self.relative(table[given[0]])) if given else None,
            sequence=table.get("sequence"),
            features=table.get("features"),
            atoms=self.atoms(table.get("atoms")),
            stride=table.get("stride", 1),
        )
        if source.stride < 1:
            self.fail(f"{name}.stride", f"must be at least 1, it is {source.stride}")
        if source.sequence is not None and source.features is not None:
            self.fail(f"{name}.features", "stands beside a sequence, which says the same")
        if "file" in table:
            for key in ("topology", "selection", "stride"):
                if key in own:
                    self.fail(
                        f"{name}.{key}", "belongs to a trajectory, but an array of frames is named (file)"
                    )
            source.array = self.relative(table["file"])
            return source
        source.trajectories = self.trajectories(f"{name}.trajectory", table["trajectory"])
        source.selection = table.get("selection")
        if source.selection is not None and source.atoms is not None:
            self.fail("data.atoms", "stands beside a selection; particles can be chosen in one way only")
        if "topology" in table:
            source.topology = Path(self.relative(table["topology"]))
            if not source.topology.is_file():
                self.fail(f"{name}.topology", f"names {source.topology}, which is not there")
        return source

    def relative(self, name: str) -> str:
        return str(self.path.parent / name)

    def atoms(self, value: list | None) -> list[int] | None:
        if value is None:
            return None
        if not value or not all(isinstance(i, int) and not isinstance(i, bool) and i >= 0 for i in value):
            self.fail("data.atoms", "must be integers, counted from 0")
        if len(set(value)) < len(value):
            self.fail("data.atoms", "names an atom twice")
        return value

    def trajectories(self, key: str, value: str | list) -> list[Path]:
        patterns = [value] if isinstance(value, str) else value
        files = []
        for pattern in patterns:
            if not isinstance(pattern, str):
                self.fail(
                    key, f"must be a text or an array of texts, one item is {_KINDS.get(type(pattern))}"
                )
            full = self.relative(pattern)
            found = [full] if Path(full).is_file() else sorted(glob.glob(full))
            if not found:
                self.fail(key, f"names {full}, which is not there")
            files.extend(Path(file) for file in found)
        if not files:
            self.fail(key, "names no files")
        return files

    def name(self, sources: list[Source]) -> None:
        if len(sources) == 1 and not self.root.get("molecules"):
            return
        for k, source in enumerate(sources):
            source.name = source.name or source.sequence or f"molecule{k}"
            if not all(c.isalnum() or c in "._-" for c in source.name):
                self.fail(
                    f"molecules[{k}].name", "must consist of letters, digits and . _ - (it names a file)"
                )
        names = [source.name for source in sources]
        for k, name in enumerate(names):
            if name in names[:k]:
                self.fail(f"molecules[{k}].name", f"{name!r} is that of another molecule")


def toToml(value: Any) -> str:
    """Write a value as TOML, tables inside of arrays as inline tables."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toToml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toToml(item) for item in value) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)
