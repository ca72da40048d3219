"""Make triangle.npy: three particles held together by three springs, at 300 K.

20 000 configurations, float32 [n, 3, 3] in nm, of 1000 Metropolis chains that reweight_diffusion.py's energy
decides on. For examples/train/triangle.toml.

    python make_triangle.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

KT = 8.31446261815324e-3 * 300.0  # kJ/mol
PAIRS = ((0, 1), (1, 2), (0, 2))
LENGTHS = (0.30, 0.35, 0.40)  # nm
CONSTANTS = (1500.0, 1000.0, 800.0)  # kJ/mol/nm^2


def reducedEnergy(x: np.ndarray) -> np.ndarray:
    """U/kT of positions [..., 3, 3] in nm."""
    u = 0.0
    for (a, b), length, constant in zip(PAIRS, LENGTHS, CONSTANTS, strict=True):
        r = np.linalg.norm(x[..., a, :] - x[..., b, :], axis=-1)
        u = u + constant / 2 / KT * (r - length) ** 2
    return u


def main() -> None:
    """Write the file beside this one."""
    random = np.random.default_rng(1)
    x = 0.2 * random.normal(size=(1000, 3, 3))
    u, frames = reducedEnergy(x), []
    for step in range(3000):
        moved = x + 0.03 * random.normal(size=x.shape)
        new = reducedEnergy(moved)
        accepted = random.random(len(x)) < np.exp(np.minimum(0, u - new))
        x[accepted], u[accepted] = moved[accepted], new[accepted]
        if step >= 1000 and step % 100 == 99:
            frames.append(x - x.mean(axis=1, keepdims=True))
    path = Path(__file__).parent / "triangle.npy"
    np.save(path, np.concatenate(frames).astype(np.float32))
    print(f"wrote {path}: {sum(map(len, frames))} configurations")


if __name__ == "__main__":
    main()
