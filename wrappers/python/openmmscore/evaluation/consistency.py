"""Whether a model's samples and the potential that it is simulated with agree."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike

from ..diffusion import DiffusionDensity
from ..model import Model


def consistency(
    model: Model,
    count: int,
    time: float | None = None,
    features: ArrayLike | None = None,
    seed: int = 1,
    threads: int | None = None,
    steps: int = 100,
    progress: bool = False,
) -> dict[str, float | int]:
    """Reweight independent samples with known density to the potential that simulations use.

    Samples of the probability-flow ODE have a density q; the potential has the density exp(-e)/Z with the
    reduced energy e at the evaluation time. Were the model consistent, all weights w = exp(-e)/q would be
    equal and the effective sample size (sum w)^2 / sum w^2 the number of samples.

    Returns
    -------
    dict
        samples, effective_sample_size, fraction, pareto_k, log_z (ln Z in nm), not_finite
    """
    from ..sampling import Weights

    time = model.defaultDiffusionTime if time is None else time
    if not model.hasEnergy(time):
        raise ValueError(
            f"the model has no energy at diffusion time {time}, so there is nothing to reweight to"
        )
    density = DiffusionDensity(model, time, steps, features, threads)
    positions, logDensity = density.sample(count, seed, progress=progress)
    positions = positions._value
    good = np.isfinite(positions).all(axis=(1, 2)) & np.isfinite(logDensity)
    if not good.any():
        raise ValueError("no sample of the probability flow is finite")
    energies = np.full(count, np.nan)
    energies[good] = model.potentialEnergy(positions[good], time, features) / model._kT
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # how uneven the weights are is the result
        weights = Weights(-energies - logDensity, (~good).astype(np.int32))
        return {
            "samples": count,
            "effective_sample_size": float(weights.effectiveSampleSize()),
            "fraction": float(weights.effectiveSampleSize()) / count,
            "pareto_k": float(weights.paretoK()),
            "log_z": float(weights.logNormalization().value),
            "not_finite": int((~good).sum()),
            "diffusion_time": float(time),
        }
