"""Frames of a reference, out of .npy files and whatever MDTraj reads."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..model import Model
from ..trajectories import readPositions, readTopology, selectAtoms

_UNITS = {"nm": 1.0, "angstrom": 0.1}


def readFrames(
    path: str | os.PathLike[str],
    topology: str | os.PathLike[str] | None = None,
    selection: str | None = None,
    atoms: Sequence[int] | None = None,
    unit: str = "nm",
    stride: int = 1,
) -> np.ndarray:
    """Read frames of a trajectory.

    Parameters
    ----------
    path : str or os.PathLike
        a .npy file of shape [frames,N,3], or [frames,d] for plain vectors; or a trajectory in a format that
        MDTraj reads
    topology : str or os.PathLike, optional
        file with the topology, for formats without one
    selection : str, optional
        which atoms, in MDTraj's selection language, for example "name CA"; needs a topology
    atoms : sequence of int, optional
        which atoms, counted from 0, in the model's order
    unit : str
        'nm' or 'angstrom': of a .npy file
    stride : int
        only every so-manieth frame

    Returns
    -------
    array of float64, shape [frames,N,3] in nm, or [frames,d]

    Raises
    ------
    ValueError
        if the file cannot be read, or an argument or a number in it is no good; the sentence says which
    """
    path = Path(path)
    if selection is not None and atoms is not None:
        raise ValueError("give either a selection or atoms, not both")
    if stride < 1:
        raise ValueError(f"the stride must be at least 1, got {stride}")
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    if path.suffix == ".npy":
        frames = _readArray(path, topology, selection, unit)[::stride]
        if atoms is not None and len(frames):
            _checkIndices(atoms, frames.shape[1], path)
            frames = frames[:, np.asarray(atoms)]
    else:
        frames = _readTrajectory(path, topology, selection, atoms, stride)
    if len(frames) == 0:
        raise ValueError(f"{path} has no frames")
    bad = np.argwhere(~np.isfinite(frames))
    if len(bad):
        raise ValueError(
            f"{path}: frame {bad[0][0] * stride}, {'atom' if frames.ndim == 3 else 'coordinate'} {bad[0][1]} "
            f"is not finite ({len(np.unique(bad[:, 0]))} such frames); remove them first"
        )
    return np.ascontiguousarray(frames, dtype=np.float64)


def _readArray(path: Path, topology, selection: str | None, unit: str) -> np.ndarray:
    if selection is not None or topology is not None:
        raise ValueError(
            f"{path} names no atoms, so topology and selection mean nothing; choose them by index"
        )
    if unit not in _UNITS:
        raise ValueError(f"the unit must be one of {', '.join(_UNITS)}, got {unit!r}")
    try:
        frames = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path} is no array that NumPy can read: {error}") from None
    if frames.dtype.kind != "f":
        raise ValueError(f"{path}: expected floating-point numbers, got {frames.dtype}")
    if frames.ndim not in (2, 3) or (frames.ndim == 3 and frames.shape[2] != 3):
        raise ValueError(
            f"{path}: expected the shape [frames,atoms,3], or [frames,d] for vectors, got "
            f"{list(frames.shape)}"
        )
    return frames if unit == "nm" else frames * _UNITS[unit]


def _readTrajectory(
    path: Path, topology, selection: str | None, atoms: Sequence[int] | None, stride: int
) -> np.ndarray:
    topologyFile = None if topology is None else Path(topology)
    described = readTopology(path, topologyFile, "the topology")
    if selection is not None:
        atoms = selectAtoms(described, selection, "the selection", topologyFile or path)
    if atoms is not None:
        _checkIndices(atoms, described.n_atoms, path)
    chosen = list(range(described.n_atoms)) if atoms is None else list(atoms)
    chunks = list(readPositions(path, topologyFile, described.n_atoms, chosen, stride))
    return np.concatenate(chunks) if chunks else np.empty((0, len(chosen), 3))


def _checkIndices(atoms: Sequence[int], numAtoms: int, path: Path) -> None:
    if len(atoms) == 0:
        raise ValueError(f"no atoms of {path} were chosen")
    indices = np.asarray(atoms)
    if indices.min() < 0 or indices.max() >= numAtoms:
        bad = indices[(indices < 0) | (indices >= numAtoms)][0]
        raise ValueError(f"{path} has {numAtoms} atoms, so there is no atom {bad} (they count from 0)")
    if len(np.unique(indices)) < len(indices):
        raise ValueError(f"an atom of {path} was chosen twice: {', '.join(str(i) for i in indices)}")


def doubtUnit(model: Model, frames: np.ndarray) -> str:
    """Return a sentence if frames of a molecule are so large or small that their unit must be another one."""
    if model.space == "vector":
        return ""
    spread = float((frames - frames.mean(axis=1, keepdims=True)).std())
    trained = model.description["length_scale"]
    if trained / 4 < spread < 4 * trained:
        return ""
    return (
        f"coordinates of the reference spread over {spread:.3g} nm, those that the model was trained on over "
        f"{trained:.3g} nm; is the reference in another unit?"
    )


def checkFrames(model: Model, frames: np.ndarray) -> np.ndarray:
    """Return frames as configurations of the model: [frames,N,3] in nm, or [frames,d] of a vector model."""
    frames = np.asarray(frames, dtype=np.float64)
    if model.space == "vector":
        if frames.ndim != 2 or frames.shape[1] != model.numCoordinates:
            raise ValueError(
                f"the model {model.title!r} is of vectors of {model.numCoordinates} numbers, so the "
                f"reference must have the shape [frames,{model.numCoordinates}], got {list(frames.shape)}"
            )
    elif frames.ndim != 3 or frames.shape[1:] != (model.numParticles, 3):
        count = f"{frames.shape[1]} atoms" if frames.ndim == 3 else f"the shape {list(frames.shape)}"
        raise ValueError(
            f"the model {model.title!r} has {model.numParticles} particles, the reference {count}; choose "
            "atoms with a selection or by index, in the model's order"
        )
    if len(frames) < 8:
        raise ValueError(f"the reference has {len(frames)} frames, which is too few to compare with")
    return frames
