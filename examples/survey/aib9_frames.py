"""Which frames of Aib9 are trained on, and which are held out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from aib9 import loadWalkers
from aib9_measures import wrapped
from numpy.typing import NDArray

Frames = NDArray[np.float32]

#: what one stretch of a walker after the other is for: training, held out, validation; then the same again
STRETCHES = "TTTTHHTTTV"
#: of a stretch, or less if there are few: what is held out is 0.2 ns at a time
STRETCH_FRAMES = 100
#: of consecutive held-out frames, to estimate errors
BLOCKS = 20


def frozenFrames(simulation: Path, output: Path) -> list[Frames]:
    """The frames of each walker as they were when this folder was begun."""
    copies = sorted(output.glob("walker-*.npy"), key=lambda file: int(file.stem.split("-")[1]))
    if copies:
        return [np.load(file) for file in copies]
    walkers = loadWalkers(simulation)
    shortest = min(map(len, walkers))
    if shortest < 100:
        raise SystemExit(
            f"{simulation}: a walker has only {shortest} frames; let aib9.py go on to 100 at least"
        )
    output.mkdir(parents=True, exist_ok=True)
    # From the last to the first, so that none is missing if the first is there.
    for i in reversed(range(len(walkers))):
        np.save(output / f"walker-{i}.npy", walkers[i])
    return walkers


def split(walkers: list[Frames], later: bool = False) -> tuple[list[Frames], list[Frames], list[Frames]]:
    """Frames for training, for validation and held out, of each walker, in the order of time.

    Stretches of all of the simulation are held out, so that the same conformations of the chain are on both
    sides; or, if later, its end, whose conformations may never have been seen.
    """
    uses = [_uses(len(frames), later) for frames in walkers]
    training, validation, heldOut = (
        [frames[use == letter] for frames, use in zip(walkers, uses, strict=True)] for letter in "TVH"
    )
    return training, validation, heldOut


def _uses(count: int, later: bool) -> NDArray[np.str_]:
    """The letter of each frame."""
    letters = np.array(list(STRETCHES))
    if later:
        order = np.array(sorted(STRETCHES, key="TVH".index))
        return order[np.arange(count) * len(order) // count]
    length = max(1, min(STRETCH_FRAMES, count // (2 * len(letters))))
    return letters[np.arange(count) // length % len(letters)]


def withMirrorImages(torsions: Frames) -> Frames:
    return np.concatenate([torsions, wrapped(-torsions)])


def trainingSet(
    walkers: list[Frames], frames: int = 0, mirror: bool = True, later: bool = False
) -> tuple[Frames, float]:
    """What a family is trained on, the frames for validation last, and the share of these."""
    parts = [np.concatenate(part) for part in split(walkers, later)[:2]]
    if frames:
        whole = sum(map(len, parts))
        if frames > whole:
            raise SystemExit(f"--frames {frames}: there are only {whole} for training and validation")
        wanted = [round(frames * len(part) / whole) for part in parts]
        parts = [
            part[np.linspace(0, len(part) - 1, n).round().astype(int)]
            for part, n in zip(parts, wanted, strict=True)
        ]
    if mirror:
        parts = [withMirrorImages(part) for part in parts]
    return np.concatenate(parts), len(parts[1]) / sum(map(len, parts))
