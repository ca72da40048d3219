"""What lies in the output folder before openmmscore-train starts: frames.npy, frames.json, frames.toml."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..features import sequenceFeatures
from .config import ConfigError, DataConfig, Source, splitName, toToml
from .frames import Frames, NpyWriter, extract, loadArray

#: Of frames.json; a record of another version is not reused.
_VERSION = 1


def prepare(config: DataConfig, mayReplace: bool = True) -> Path | None:
    """Put into the output folder what openmmscore-train takes in place of trajectories.

    Frames whose sources, selection and stride are those of an earlier call are used again: frames.json keeps
    what they were made of.

    Parameters
    ----------
    config : DataConfig
        the run
    mayReplace : bool
        whether frames that were made of other sources may be replaced

    Returns
    -------
    path or None
        frames.toml, for ``openmmscore-train --data``; None if there is nothing to prepare

    Raises
    ------
    ValueError
        if a source is unusable, or has changed and mayReplace is false
    OSError
        if a file cannot be written; whatever was there before is left
    """
    if not config.needsPreparation():
        return None
    config.output.mkdir(parents=True, exist_ok=True)
    store = _Store(config.output, mayReplace)
    molecules = []
    particles, bonds = config.particles, None
    for source in config.sources:
        molecule, frames = _prepareMolecule(config, source, store)
        if frames is not None and not particles:
            particles, bonds = frames.particles, frames.bonds
        if source.sequence is not None:
            molecule["features"] = particleFeatures(config, source.sequence, particles)
        molecules.append(molecule)
    lines = ["# Made by openmmscore train out of " + toToml(str(config.path)) + "; do not edit."]
    if not config.sources[0].name:
        lines += [f"{key} = {toToml(value)}" for key, value in molecules[0].items()]
    else:
        lines.append(f"molecules = {toToml(molecules)}")
    if config.features:
        lines.append(f"features = {toToml(config.features)}")
    if bonds is not None and particles:
        lines += [f"particles = {toToml(particles)}", f"bonds = {toToml(bonds)}"]
    path = config.output / "frames.toml"
    writeAtomically(path, "\n".join(lines) + "\n")
    return path


def _prepareMolecule(
    config: DataConfig, source: Source, store: _Store
) -> tuple[dict[str, Any], Frames | None]:
    """Make the entry of one molecule in frames.toml, and say what its particles are if that is known."""
    suffix = f"-{source.name}" if source.name else ""
    molecule: dict[str, Any] = {"name": source.name} if source.name else {}
    frames = None
    if source.trajectories:
        frames = store.frames(source, f"frames{suffix}.npy")
    else:
        store.array(source, config.unit, f"frames{suffix}.npy")
    molecule["file"] = f"frames{suffix}.npy"
    if source.weights is not None:
        kind, file = source.weights
        molecule[kind] = f"weights{suffix}.npy"
        numFrames = store.numFrames(molecule["file"])
        weights = _loadWeights(kind, file, source, numFrames)
        writeAtomically(config.output / molecule[kind], weights)
    if source.features is not None:
        molecule["features"] = source.features
    return molecule, frames


def particleFeatures(config: DataConfig, sequence: str, particles: list[dict[str, Any]]) -> list[list[int]]:
    """Return the features of a configuration's particles in a molecule of a sequence.

    Raises
    ------
    ConfigError
        if there are no particles, or the sequence or the features do not fit them
    """
    if not particles:
        raise ConfigError(
            f"{config.path}: a sequence says something about particles, but there are no tables [[particles]]"
        )
    filled = [{"residue_index": 0, "element": "", **particle} for particle in particles]
    try:
        return sequenceFeatures(sequence, filled, config.features).tolist()
    except Exception as error:
        raise ConfigError(f"{config.path}: {error}") from None


def _loadWeights(kind: str, file: str, source: Source, numFrames: int) -> np.ndarray:
    weights = loadArray(file, f"data.{kind}")
    if weights.ndim != 1 or weights.dtype.kind not in "fiu":
        raise ValueError(
            f"{file}: data.{kind} must be an array of one number for each frame, it has the shape "
            f"{list(weights.shape)}"
        )
    if len(weights) != numFrames and len(source.trajectories) == 1:
        # One for each frame of the trajectory, before every stride-th was taken.
        if len(weights[:: source.stride]) == numFrames:
            weights = weights[:: source.stride]
    if len(weights) != numFrames:
        raise ValueError(f"{file}: data.{kind} has {len(weights)} numbers, there are {numFrames} frames")
    return weights.astype("<f8")


class _Store:
    """The frames in an output folder and the record of what they were made of."""

    def __init__(self, folder: Path, mayReplace: bool):
        self.folder, self.mayReplace = folder, mayReplace
        self.path = folder / "frames.json"
        self.record: dict[str, Any] = {"version": _VERSION, "files": {}}
        try:
            saved = json.loads(self.path.read_text())
            if saved["version"] == _VERSION:
                self.record = saved
        except (OSError, ValueError, KeyError, TypeError):
            pass

    def frames(self, source: Source, name: str) -> Frames:
        """Extract frames of trajectories, unless they are there already."""
        wanted = {
            "sources": self._digests(source.trajectories, name),
            "topology": self._digests([source.topology] if source.topology else [], name),
            "selection": source.selection,
            "atoms": source.atoms,
            "stride": source.stride,
        }
        entry = self._find(name, wanted)
        if entry is None:
            made = extract(source, self.folder / name)
            entry = {
                "made_of": wanted,
                "frames": made.numFrames,
                "particles": made.particles,
                "bonds": made.bonds,
            }
            self._keep(name, entry)
        return Frames(entry["frames"], entry["particles"], entry["bonds"])

    def array(self, source: Source, unit: float, name: str) -> None:
        """Write frames of an array, with the chosen atoms, in nm."""
        file = source.array or ""
        wanted = {
            "sources": self._digests([Path(splitName(file)[0])], name),
            "array": splitName(file)[1],
            "atoms": source.atoms,
            "unit": unit,
        }
        if self._find(name, wanted) is not None:
            return
        array = loadArray(file, "the array of frames", "positions")
        if array.ndim not in (2, 3) or array.dtype.kind != "f":
            raise ValueError(
                f"{file}: the array of frames has shape {list(array.shape)} and type {array.dtype}, expected "
                "[frames, particles, 3] and float32"
            )
        if source.atoms is not None:
            if max(source.atoms) >= array.shape[1]:
                raise ValueError(
                    f"{file}: data.atoms names index {max(source.atoms)}, the array's second axis has "
                    f"{array.shape[1]} (counted from 0)"
                )
            array = array[:, source.atoms]
        with NpyWriter(self.folder / name, array.shape[1:]) as writer:
            writer.append(array * unit if unit != 1.0 else array)
        self._keep(name, {"made_of": wanted, "frames": len(array)})

    def numFrames(self, name: str) -> int:
        """Return how many frames a file of this folder has."""
        return self.record["files"][name]["frames"]

    def _find(self, name: str, wanted: dict[str, Any]) -> dict[str, Any] | None:
        entry = self.record["files"].get(name)
        there = (self.folder / name).is_file()
        if entry is not None and there and _content(entry["made_of"]) == _content(wanted):
            return entry
        if there and not self.mayReplace:
            raise ValueError(
                f"{self.folder / name}: these frames were made of other files or another selection than the "
                "configuration names now; put back what was there, or start anew with --overwrite"
            )
        return None

    def _keep(self, name: str, entry: dict[str, Any]) -> None:
        self.record["files"][name] = entry
        writeAtomically(self.path, json.dumps(self.record, indent=1) + "\n")

    def _digests(self, files: list[Path], name: str) -> list[dict[str, Any]]:
        """Return name, size, time and SHA-256 of files; a digest is kept while size and time stay."""
        known = {}
        made = self.record["files"].get(name, {}).get("made_of", {})
        for item in [*made.get("sources", []), *made.get("topology", [])]:
            known[item["path"], item["size"], item["modified"]] = item["sha256"]
        result = []
        for file in files:
            if not file.is_file():
                raise ValueError(f"{file}: there is no such file")
            state = file.stat()
            key = (str(file.resolve()), state.st_size, state.st_mtime_ns)
            digest = known.get(key) or _sha256(file)
            result.append({"path": key[0], "size": key[1], "modified": key[2], "sha256": digest})
        return result


def _content(made: dict[str, Any]) -> dict[str, Any]:
    """Return what decides the frames: digests instead of paths and times."""
    return {
        key: [item["sha256"] for item in value] if key in ("sources", "topology") else value
        for key, value in made.items()
    }


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def writeAtomically(path: Path, content: str | np.ndarray) -> None:
    """Write a text or an array beside its place and rename it."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with open(temporary, "wb") as file:
            if isinstance(content, str):
                file.write(content.encode())
            else:
                np.save(file, content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
