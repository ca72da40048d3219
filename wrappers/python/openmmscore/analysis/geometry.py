"""Internal coordinates of many frames at once, in double precision (MDTraj's are single)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def dihedrals(positions: ArrayLike, quadruples: Sequence[Sequence[int]]) -> np.ndarray:
    """Dihedral angles with the IUPAC sign: positive if, along the middle bond, the far one turns clockwise.

    Arguments
    ---------
    positions : array, shape [..., N, 3]
        in any unit of length; molecules must be whole
    quadruples : sequence of four indices each, length k

    Returns
    -------
    array of float64, shape [..., k], in radians, -pi to pi

    Examples
    --------
    >>> phi, psi = dihedrals(beads, [(0, 1, 2, 3), (1, 2, 3, 4)]).T      # beads: [frames,5,3]
    """
    a, b, c, d = _particles(positions, quadruples, 4)
    middle = c - b
    first = np.cross(b - a, middle)
    last = np.cross(middle, d - c)
    sine = np.einsum("...i,...i", b - a, last) * np.linalg.norm(middle, axis=-1)
    return np.arctan2(sine, np.einsum("...i,...i", first, last))


def bondLengths(positions: ArrayLike, bonds: Sequence[Sequence[int]]) -> np.ndarray:
    """Distances between pairs of particles.

    Arguments
    ---------
    positions : array, shape [..., N, 3]
    bonds : sequence of two indices each, length k

    Returns
    -------
    array of float64, shape [..., k], in the unit of positions
    """
    first, second = _particles(positions, bonds, 2)
    return np.linalg.norm(second - first, axis=-1)


def _particles(positions: ArrayLike, groups: Sequence[Sequence[int]], size: int) -> list[np.ndarray]:
    """The positions of the first particle of every group, of the second, ..., each [..., groups, 3]."""
    x = np.asarray(positions, dtype=np.float64)
    if x.ndim < 2 or x.shape[-1] != 3:
        raise ValueError(f"positions must have the shape [..., N, 3], got {list(x.shape)}")
    indices = np.asarray(groups)
    if indices.ndim != 2 or indices.shape[1] != size or indices.dtype.kind not in "iu":
        raise ValueError(f"expected groups of {size} particle indices, got {groups!r:.60}")
    if indices.size and (indices.min() < 0 or indices.max() >= x.shape[-2]):
        raise ValueError(f"there are {x.shape[-2]} particles, but a group names another: {groups!r:.60}")
    return [x[..., column, :] for column in indices.T]
