"""Slow coordinates of chains: time-lagged independent components of distances and torsions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..analysis import bondLengths, dihedrals


def ticaFeatures(positions: np.ndarray) -> np.ndarray:
    """Distances of all pairs i < j in nm, row by row, then the consecutive dihedral angles in radians."""
    n = positions.shape[1]
    pairs = np.array(np.triu_indices(n, 1)).T
    quadruples = [(i, i + 1, i + 2, i + 3) for i in range(n - 3)]
    return np.concatenate([bondLengths(positions, pairs), dihedrals(positions, quadruples)], axis=1)


def fitTica(reference: np.ndarray, lag: int) -> Callable[[np.ndarray], np.ndarray]:
    """Fit TICA with kinetic-map scaling to frames in the order of time.

    Arguments
    ---------
    reference : array, shape [frames,N,3]
    lag : int
        in frames

    Returns
    -------
    a function of positions [n,N,3] that gives the first two components, [n,2]

    Raises
    ------
    ValueError
        if deeptime is not installed or there are too few frames
    """
    try:
        from deeptime.decomposition import TICA
    except ImportError:
        raise ValueError(
            "TICA needs the package deeptime; install it with: pip install 'openmmscore[tica]'"
        ) from None
    if not 1 <= lag < len(reference) // 2:
        raise ValueError(f"TICA's lag must lie between 1 and half of {len(reference)} frames, got {lag}")
    model = TICA(lagtime=lag, dim=2, scaling="kinetic_map").fit(ticaFeatures(reference)).fetch_model()
    mean, coefficients = model.mean_0, model.instantaneous_coefficients[:, :2]
    if coefficients.shape[1] < 2:
        raise ValueError("TICA found fewer than two slow coordinates; the reference has too few frames")

    def project(positions: np.ndarray) -> np.ndarray:
        return np.concatenate(
            [(ticaFeatures(part) - mean) @ coefficients for part in _parts(positions)] or [np.empty((0, 2))]
        )

    return project


def _parts(positions: np.ndarray, size: int = 20_000):
    for begin in range(0, len(positions), size):
        yield positions[begin : begin + size]
