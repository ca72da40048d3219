"""Which frames of Aib9 are trained on, and which are held out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from aib9 import loadWalkers
from aib9_measures import wrapped
from numpy.typing import NDArray

Frames = NDArray[np.float32]

#: of each walker's frames in the order of time: for training, for validation; the rest is held out
TRAINING, VALIDATION = 0.72, 0.08
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


def split(walkers: list[Frames]) -> tuple[list[Frames], list[Frames], list[Frames]]:
    """Frames for training, for validation and held out, of each walker, in this order of time."""
    cuts = [(round(TRAINING * len(x)), round((TRAINING + VALIDATION) * len(x))) for x in walkers]
    parts = [np.split(x, cut) for x, cut in zip(walkers, cuts, strict=True)]
    training, validation, heldOut = zip(*parts, strict=True)
    return list(training), list(validation), list(heldOut)


def withMirrorImages(torsions: Frames) -> Frames:
    return np.concatenate([torsions, wrapped(-torsions)])


def trainingSet(walkers: list[Frames], frames: int, mirror: bool) -> tuple[Frames, float]:
    """What a family is trained on, the frames for validation last, and the share of these."""
    parts = []
    for part, share in zip(split(walkers), (TRAINING, VALIDATION), strict=False):
        torsions = np.concatenate(part)
        if frames:
            wanted = round(frames * share / (TRAINING + VALIDATION))
            if wanted > len(torsions):
                raise SystemExit(f"--frames {frames}: there are only {sum(map(len, walkers))} in all")
            torsions = torsions[np.linspace(0, len(torsions) - 1, wanted).round().astype(int)]
        parts.append(withMirrorImages(torsions) if mirror else torsions)
    return np.concatenate(parts), len(parts[1]) / sum(map(len, parts))
