"""Frames of particles out of trajectories, whatever their size: read, selected and written piece by piece."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ..trajectories import readPositions, readTopology, reasonOf, selectAtoms
from .config import Source, splitName


@dataclass
class Frames:
    """What was taken out of trajectories."""

    numFrames: int
    #: As the tables [[particles]], and pairs of them; empty for arrays.
    particles: list[dict[str, Any]]
    bonds: list[list[int]]


def extract(source: Source, path: Path) -> Frames:
    """Write the selected particles of all trajectories as float32 [frames, particles, 3] in nm.

    Parameters
    ----------
    source : Source
        with trajectories
    path : path
        the .npy file, written beside its place and renamed when it is complete

    Raises
    ------
    ValueError
        if a file cannot be read, atoms do not fit, none is chosen, or a position is not finite; the sentence
        names the file and the frame
    OSError
        if the result cannot be written
    """
    topology = readTopology(source.trajectories[0], source.topology, "data.topology")
    atoms = _chooseAtoms(source, topology)
    with NpyWriter(path, (len(atoms), 3)) as writer:
        for file in source.trajectories:
            before = writer.numFrames
            with tqdm(desc=file.name, unit="frame", leave=False, disable=None) as progress:
                for positions in readPositions(file, source.topology, topology.n_atoms, atoms, source.stride):
                    _checkFinite(positions, file, writer.numFrames - before, source.stride)
                    writer.append(positions)
                    progress.update(len(positions))
        if writer.numFrames < 2:
            raise ValueError(
                f"{source.trajectories[0]}: the trajectory has {writer.numFrames} frames at a stride of "
                f"{source.stride}, at least 2 are needed"
            )
    particles, bonds = describeParticles(topology, atoms)
    return Frames(writer.numFrames, particles, bonds)


class NpyWriter:
    """A float32 .npy file that grows; it appears under its name when the with-block ends well."""

    def __init__(self, path: Path, shape: tuple[int, ...]):
        self.path, self.shape, self.numFrames = path, shape, 0
        self._temporary = path.with_name(f"{path.name}.{os.getpid()}.new")

    def __enter__(self) -> NpyWriter:
        self._file = open(self._temporary, "wb")
        self._file.write(self._header())
        return self

    def append(self, frames: np.ndarray) -> None:
        """Write frames of this file's shape."""
        self._file.write(np.ascontiguousarray(frames, dtype="<f4").data)
        self.numFrames += len(frames)

    def _header(self) -> bytes:
        # Padded to a fixed size, since the number of frames is known only in the end.
        shape = ", ".join(str(n) for n in (self.numFrames, *self.shape))
        text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}"
        return b"\x93NUMPY\x01\x00\x76\x00" + text.ljust(117).encode() + b"\n"

    def __exit__(self, kind, *_) -> None:
        try:
            if kind is None:
                self._file.seek(0)
                self._file.write(self._header())
                self._file.flush()
                os.fsync(self._file.fileno())
                self._file.close()
                os.replace(self._temporary, self.path)
        finally:
            self._file.close()
            self._temporary.unlink(missing_ok=True)


def _chooseAtoms(source: Source, topology) -> list[int]:
    file = source.topology or source.trajectories[0]
    if source.selection is not None:
        return selectAtoms(topology, source.selection, "data.selection", file)
    atoms = source.atoms if source.atoms is not None else list(range(topology.n_atoms))
    if max(atoms) >= topology.n_atoms:
        raise ValueError(
            f"data.atoms names atom {max(atoms)}, {file} has {topology.n_atoms} (counted from 0)"
        )
    return atoms


def _checkFinite(positions: np.ndarray, file: Path, first: int, stride: int) -> None:
    bad = np.flatnonzero(~np.isfinite(positions).all(axis=(1, 2)))
    if len(bad):
        raise ValueError(
            f"{file}: frame {(first + bad[0]) * stride} holds a position that is not finite (cut the "
            "trajectory before the simulation exploded)"
        )


def describeParticles(topology, atoms: list[int]) -> tuple[list[dict[str, Any]], list[list[int]]]:
    """Return the tables [[particles]] and the bonds of some atoms of an MDTraj topology."""
    chosen = [topology.atom(i) for i in atoms]
    firstResidue = min(atom.residue.index for atom in chosen)
    particles = []
    for atom in chosen:
        element = atom.element
        if element is None or not element.mass:
            return [], []
        particles.append(
            {
                "name": atom.name,
                "element": element.symbol,
                "mass": float(element.mass),
                "residue": atom.residue.name,
                "residue_index": atom.residue.index - firstResidue,
            }
        )
    place = {index: k for k, index in enumerate(atoms)}
    bonds = sorted(
        sorted((place[a.index], place[b.index]))
        for a, b in topology.bonds
        if a.index in place and b.index in place
    )
    return particles, bonds


def loadArray(file: str, what: str, default: str = "") -> np.ndarray:
    """Read a .npy file, or an array of a .npz file: the one behind the colon, `default`, or the only one.

    Raises
    ------
    ValueError
        if the file is missing or damaged or has no such array; the sentence calls it `what`
    """
    path, name = splitName(file)
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            if not name and (default in loaded.files or len(loaded.files) == 1):
                name = default if default in loaded.files else loaded.files[0]
            if name in loaded.files:
                return loaded[name]
            names = ", ".join(loaded.files)
    except Exception as error:
        raise ValueError(f"{path}: {what} cannot be read: {reasonOf(error)}") from None
    raise ValueError(f"{path}: {what} must be one of the arrays {names}; name it as {path}:NAME")
