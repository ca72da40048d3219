"""Models and frames that evaluations are tested with."""

import numpy as np
from conftest import document, writeModel


def chain(frames, n):
    """Return random-walk chains of CA that move slowly in time."""
    random = np.random.default_rng(4)
    steps = 0.38 * np.array([1.0, 0, 0]) + 0.1 * random.standard_normal((1, n, 3))
    drift = np.cumsum(0.02 * random.standard_normal((frames, n, 3)), axis=0)
    return np.cumsum(steps + drift, axis=1)


def proteinPath(folder, n=6):
    particles = [
        {"name": "CA", "element": "C", "mass": 12.0, "residue": "ALA", "residue_index": i} for i in range(n)
    ]
    doc = document(count=n, particles=particles, bonds=[], length_scale=0.4)
    return writeModel(folder / "chain.safetensors", doc)
