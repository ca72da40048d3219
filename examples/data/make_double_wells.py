"""Make double_well_1d.npy and double_well_2d.npy: points drawn from two Gaussians of unit variance.

In one dimension they lie at -5 and 5 with half of the points each, in two at (-5, -5) with a fifth and at
(5, 5). 12 000 points each, of which the example configurations keep 2000 for validation.

    python make_double_wells.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

FIRST_WEIGHT = {1: 0.5, 2: 0.2}


def draw(dimension: int, count: int, random: np.random.Generator) -> np.ndarray:
    """Return points of shape [count, dimension]."""
    first = random.random(count) < FIRST_WEIGHT[dimension]
    centre = np.where(first, -5.0, 5.0)[:, None]
    return centre + random.normal(size=(count, dimension))


def main() -> None:
    """Write both files beside this one."""
    for dimension in (1, 2):
        points = draw(dimension, 12000, np.random.default_rng(dimension))
        path = Path(__file__).parent / f"double_well_{dimension}d.npy"
        np.save(path, points.astype(np.float32))
        print(f"wrote {path}: {len(points)} points")


if __name__ == "__main__":
    main()
