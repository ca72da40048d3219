"""What tells how good a model of Aib9's torsions is, and how far its simulation has come.

Torsions are arrays [frames,18] in radians: phi_1, psi_1, ... phi_9, psi_9. A residue is right-handed if its
phi is negative. Frames of one walker follow one another in time, so errors of averages come from blocks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

RESIDUES = 9
#: between these distances of phi from 0 a residue is surely in a conformation, radians
CORE = (np.radians(30), np.radians(120))


def wrapped(torsions: Array) -> Array:
    """The same angles from -pi to below pi."""
    return (torsions + np.pi) % (2 * np.pi) - np.pi


def blocked(walkers: list[Array], count: int) -> list[Array]:
    """About this many blocks of consecutive frames, of about equal length, none of two walkers."""
    length = max(1, sum(map(len, walkers)) // count)
    blocks = []
    for frames in walkers:
        blocks += np.array_split(frames, max(1, round(len(frames) / length)))
    return blocks


def bootstrap(blocks: list[Array], resamples: int = 2000) -> tuple[Array, Array]:
    """Mean over all frames, and its standard error by drawing whole blocks with replacement."""
    sums = np.array([block.sum(axis=0, dtype=float) for block in blocks])
    sizes = np.array([len(block) for block in blocks], dtype=float)
    drawn = np.random.default_rng(1).multinomial(
        len(blocks), np.full(len(blocks), 1 / len(blocks)), resamples
    )
    means = (drawn @ sums) / (drawn @ sizes).reshape(-1, *(1,) * (sums.ndim - 1))
    return sums.sum(axis=0) / sizes.sum(), means.std(axis=0)


def transitions(walkers: list[Array]) -> NDArray[np.int64]:
    """How often each residue changed its hand, [9]: from one core to the other, not counting recrossings."""
    count = np.zeros(RESIDUES, dtype=int)
    for torsions in walkers:
        phi = torsions[:, 0::2]
        hand = np.where((abs(phi) > CORE[0]) & (abs(phi) < CORE[1]), np.sign(phi), 0)
        for residue in range(RESIDUES):
            seen = hand[:, residue][hand[:, residue] != 0]
            count[residue] += int((np.diff(seen) != 0).sum())
    return count


def rightHanded(torsions: Array) -> NDArray[np.float64]:
    """1 where a residue's phi is negative, else 0, [frames,9]."""
    return (torsions[:, 0::2] < 0).astype(float)


def leftHandedResidues(torsions: Array) -> NDArray[np.float64]:
    """Share of frames with 0, 1, ... 9 left-handed residues, [10]."""
    number = (torsions[:, 0::2] >= 0).sum(axis=1)
    return np.bincount(number, minlength=RESIDUES + 1) / len(torsions)


def totalVariation(p: Array, q: Array) -> float:
    """Half the sum of absolute differences: the share that would have to move."""
    return float(0.5 * abs(p - q).sum())


def ramachandranDivergences(generated: Array, test: Array) -> NDArray[np.float64]:
    """The published survey's "KL divergence" of each residue, [9], as it is (arXiv:2411.09388).

    (phi, psi) are counted in square bins of 0.1 on [-4, 4]; 1e-7 is added to both densities, and
    sum g ln(g/t) is not multiplied with a bin's area, so that it is in units of 0.01 nats.
    """
    edges = np.linspace(-4, 4, 81)
    found = []
    for i in range(RESIDUES):
        g, t = (
            np.histogram2d(x[:, 2 * i], x[:, 2 * i + 1], bins=(edges, edges), density=True)[0] + 1e-7
            for x in (generated, test)
        )
        found.append((g * np.log(g / t)).sum())
    return np.array(found)
