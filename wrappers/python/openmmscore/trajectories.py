"""Positions out of files that MDTraj reads, piece by piece, with sentences about what is wrong with them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

#: Numbers that are held in memory at once: 48 MB.
_CHUNK = 4_000_000


def reasonOf(error: Exception) -> str:
    """Return the first line of what an exception says, without what it lists at length."""
    text = str(error).strip()
    line = text.splitlines()[0] if text else type(error).__name__
    return line if len(line) <= 200 else line[:200] + " ..."


def readTopology(file: Path, topology: Path | None, option: str):
    """Read MDTraj's topology of a trajectory.

    Parameters
    ----------
    file : path
        the trajectory
    topology : path, optional
        another file, for formats that name no atoms
    option : str
        how the user names the other file

    Raises
    ------
    ValueError
        if there is none; the sentence names the file
    """
    import mdtraj

    try:
        return mdtraj.load_topology(str(topology or file))
    except Exception as error:
        if topology is None:
            raise ValueError(
                f"{file}: this file names no atoms; name a PDB file or the like as {option}"
            ) from None
        raise ValueError(
            f"{topology}: no topology can be read from this file, expected a PDB file or the like: "
            f"{reasonOf(error)}"
        ) from None


def selectAtoms(topology, selection: str, option: str, file: Path) -> list[int]:
    """Return the indices of atoms in a selection of MDTraj's language.

    Parameters
    ----------
    topology : mdtraj.Topology
    selection : str
    option : str
        how the user names the selection
    file : path
        where the topology is from

    Raises
    ------
    ValueError
        if it cannot be understood or matches no atom
    """
    if not selection.strip():
        raise ValueError(f"{option} is empty; leave it out to take all atoms of {file}")
    try:
        atoms = topology.select(selection).tolist()
    except Exception as error:
        # The parser's own words list all of the language.
        found = re.search(r"at char (\d+)", str(error))
        place = f" (at character {int(found.group(1)) + 1})" if found else f": {reasonOf(error)}"
        raise ValueError(
            f"{option} {selection!r} is not in MDTraj's selection language{place}; an example is "
            '"resname ALA and name CA"'
        ) from None
    if not atoms:
        raise ValueError(f"{option} {selection!r} matches none of the {topology.n_atoms} atoms of {file}")
    return atoms


def readPositions(
    file: Path, topology: Path | None, numAtoms: int, atoms: list[int], stride: int
) -> Iterator[np.ndarray]:
    """Yield positions of some atoms in nm, float32 [frames,atoms,3], of every so-manieth frame.

    A file that ends inside its last frame, as a simulation leaves it that was killed, is used up to there,
    and a line on the standard error says so.

    Raises
    ------
    ValueError
        if the file cannot be read, is damaged or has another number of atoms than the topology
    """
    import mdtraj

    size = max(1, _CHUNK // (3 * numAtoms))
    options = {"top": str(topology)} if topology else {}
    read = 0
    try:
        _checkAtoms(file, numAtoms)
        for chunk in mdtraj.iterload(str(file), chunk=size, stride=stride, **options):
            if chunk.n_atoms != numAtoms:
                raise ValueError(f"it has {chunk.n_atoms} atoms, the topology has {numAtoms}")
            read += len(chunk)
            yield chunk.xyz[:, atoms]
        promised = _countFrames(file, stride)
        if promised is not None and read < promised:
            raise ValueError(f"it ends after {read} of {promised} frames, it is damaged")
    except Exception as error:
        whole = _wholeFrames(file, read * stride)
        if whole is not None and _endsInsideAFrame(file, whole):
            print(
                f"openmmscore: {file} ends inside frame {whole}, as if its writer had been stopped; the "
                f"{whole} whole frames before are used",
                file=sys.stderr,
            )
            yield from _readOneByOne(file, range(read * stride, whole, stride), atoms)
            return
        after = "" if whole is None else f" beyond its first {whole} frames, it is damaged"
        raise ValueError(f"{file}: this trajectory cannot be read{after}: {reasonOf(error)}") from None


def _checkAtoms(file: Path, numAtoms: int) -> None:
    """Look at the first frame, for the readers' own words about another number of atoms are obscure."""
    import mdtraj

    if file.suffix not in (".dcd", ".xtc", ".trr"):
        return
    with mdtraj.open(str(file)) as opened:
        first = opened.read(1)[0]
    if len(first) and first.shape[1] != numAtoms:
        raise ValueError(f"it has {first.shape[1]} atoms, the topology has {numAtoms}")


def _countFrames(file: Path, stride: int) -> int | None:
    """Return how many frames a file says it has, if that costs little; some readers end early in silence."""
    import mdtraj

    if file.suffix not in (".dcd", ".xtc", ".trr", ".nc", ".h5"):
        return None
    with mdtraj.open(str(file)) as opened:
        return -(-len(opened) // stride)


def _wholeFrames(file: Path, first: int) -> int | None:
    """Return how many frames a file has before the one that cannot be read; None if nobody knows.

    Frames before the first are taken for good.
    """
    import mdtraj

    if file.suffix not in (".xtc", ".trr"):
        return None
    count = first
    try:
        with mdtraj.open(str(file)) as opened:
            opened.seek(first)
            while len(opened.read(1)[0]):
                count += 1
    except Exception:
        return count or None
    return None


def _endsInsideAFrame(file: Path, whole: int) -> bool:
    """Return whether the file holds less than a frame behind its whole ones."""
    import mdtraj

    try:
        with mdtraj.open(str(file)) as opened:
            offsets = np.asarray(opened.offsets)
    except Exception:
        return False
    if not len(offsets) - 1 <= whole <= len(offsets) or whole < 2:
        return False
    # Frames that are compressed differ a little in size.
    return file.stat().st_size - offsets[whole - 1] < 2.5 * np.diff(offsets).max()


def _readOneByOne(file: Path, frames: range, atoms: list[int]) -> Iterator[np.ndarray]:
    import mdtraj

    with mdtraj.open(str(file)) as opened:
        for frame in frames:
            opened.seek(frame)
            yield opened.read(1)[0][:, atoms]
