"""Weight the samples of a diffusion model for an OpenMM System, where the answer is known exactly.

    python examples/reweight_diffusion.py

Three particles are held together by three springs. A small diffusion model was trained on 20 000
configurations of them (examples/data/make_triangle.py, examples/train/triangle.toml, some minutes on one
core), and has learnt them roughly. Its samples along the probability-flow ODE come with their density, so
each gets a weight exp(-U/kT)/q, and weighted means are those of the springs, whatever the model has got
wrong; how wrong it is, is what the effective sample size says. With --proposal the samples are those of any
proposal file, such as the flows that examples/train/triangle_egnn.toml and triangle_transformer.toml train.
Means are compared to quadrature over the three distances, unweighted ones beside them. About half a minute on
one core.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import openmm
import openmmscore
from openmm import unit

MODEL = Path(__file__).parent / "models" / "triangle.safetensors"
TEMPERATURE = 300.0  # K
KT = 8.31446261815324e-3 * TEMPERATURE  # kJ/mol
PAIRS = ((0, 1), (1, 2), (0, 2))
LENGTHS = (0.30, 0.35, 0.40)  # nm
CONSTANTS = (1500.0, 1000.0, 800.0)  # kJ/mol/nm^2


def createSystem() -> openmm.System:
    """Three particles and three springs."""
    system = openmm.System()
    springs = openmm.HarmonicBondForce()
    for _ in range(3):
        system.addParticle(40.0)
    for pair, length, constant in zip(PAIRS, LENGTHS, CONSTANTS, strict=True):
        springs.addBond(*pair, length, constant)
    system.addForce(springs)
    return system


def exact() -> tuple[np.ndarray, float]:
    """The mean of each distance (nm), and log Z (nm^6) in the space of zero centroid, by quadrature.

    Volume in that space is 3^(-3/2) d^3(x1 - x0) d^3(x2 - x0), and two of the three directions of each vector
    integrate to 8 pi^2 r01 r12 r02 in place of d^3 d^3 (where the distances make a triangle).
    """
    axes = [
        np.linspace(length - 7 * np.sqrt(KT / constant), length + 7 * np.sqrt(KT / constant), 141)
        for length, constant in zip(LENGTHS, CONSTANTS, strict=True)
    ]
    r = np.meshgrid(*(np.clip(axis, 0, None) for axis in axes), indexing="ij")
    possible = (r[0] < r[1] + r[2]) & (r[1] < r[0] + r[2]) & (r[2] < r[0] + r[1])
    mass = np.where(possible, 8 * np.pi**2 * r[0] * r[1] * r[2], 0.0) * 3**-1.5
    for distance, length, constant in zip(r, LENGTHS, CONSTANTS, strict=True):
        mass *= np.exp(-constant / 2 / KT * (distance - length) ** 2)
    mass *= np.prod([axis[1] - axis[0] for axis in axes])
    means = np.array([(mass * distance).sum() for distance in r]) / mass.sum()
    return means, float(np.log(mass.sum()))


def distances(positions: np.ndarray) -> np.ndarray:
    """[n, 3] in nm."""
    return np.stack([np.linalg.norm(positions[:, a] - positions[:, b], axis=1) for a, b in PAIRS], axis=1)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--proposal", type=Path, help="a proposal file to weight instead of the model")
    parser.add_argument("--samples", type=int, default=4000, help="(default: %(default)s)")
    parser.add_argument("--steps", type=int, default=30, help="of the integrator (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    if options.proposal:
        proposal = openmmscore.loadProposal(options.proposal)
    else:
        proposal = openmmscore.DiffusionProposal(MODEL, steps=options.steps)
    target = openmmscore.BoltzmannTarget(createSystem(), TEMPERATURE * unit.kelvin, platform="Reference")
    samples = openmmscore.BoltzmannSampler(proposal, target).sample(options.samples, seed=options.seed)
    print(samples.summary(), "\n")

    means, logZ = exact()
    weighted = samples.average(distances)
    logNormalization = samples.weights.logNormalization()
    plain = distances(samples.positions)
    rows = [
        (f"r{a}{b} / nm", means[i], plain[:, i].mean(), weighted.value[i], weighted.error[i])
        for i, (a, b) in enumerate(PAIRS)
    ]
    rows.append(("log Z", logZ, np.nan, *logNormalization))
    print(f"{'':10}{'exact':>9}{'model':>9}{'weighted':>10}{'+-':>9}{'sigmas':>8}")
    for name, right, unweighted, found, error in rows:
        deviation = (found - right) / error
        print(f"{name:10}{right:9.4f}{unweighted:9.4f}{found:10.4f}{error:9.4f}{deviation:8.1f}")
    return 0 if all(abs(found - right) < 5 * error for _, right, _, found, error in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
