"""The survey's discrete diffusion: schedule and a recorded chain of its published program."""

from pathlib import Path

import numpy as np
import pytest
from conftest import document, expert, writeModel
from openmmscore import DiffusionSampler, Model
from safetensors.numpy import load_file

DATA = Path(__file__).parents[1] / "data" / "prose" / "survey" / "ddpm.safetensors"
STANDARD_DEVIATION = 0.5  # of the normal data of the recorded chain
SCHEDULE = {"kind": "polynomial-ddpm", "steps": 100, "precision": 1e-5}


@pytest.fixture(scope="module")
def case():
    return load_file(DATA)


@pytest.fixture(scope="module")
def model(folder):
    doc = document("vector", [expert("mlp", head="score")], count=4, named=False, schedule=SCHEDULE)
    doc["default_diffusion_time"] = 0.0
    return Model(writeModel(folder / "ddpm.safetensors", doc))


def factors(sampler):
    return np.array([sampler._handle.getFactors(k) for k in range(sampler.numUpdates)])


def test_scheduleIsThePublishedOne(case, model):
    sampler = DiffusionSampler(model, 100)
    assert sampler.method == "ancestral" and sampler.numUpdates == sampler.numEvaluations == 100
    times = [sampler._handle.getTime(k) for k in range(100)]
    np.testing.assert_allclose(times, np.arange(99, -1, -1) / 100, atol=1e-15)
    # An update from level n to the next divides by m(n)/m(n-1); the last leads to clean data.
    alphaBar = np.cumprod(factors(sampler)[::-1, 0] ** -2)
    np.testing.assert_allclose(alphaBar, case["alpha_bar.f64"], rtol=1e-12)


def test_recordedChainIsFollowed(case, model):
    sampler = DiffusionSampler(model, 100, ending="upstream-lowest-level")
    alphaBar, mean = case["alpha_bar.f64"], case["data_mean"]
    x, states = case["x_T"].astype(np.float64), case["replay.trajectory.f64"]
    assert sampler.numUpdates == 99
    for k, (position, ofScore, noise) in enumerate(factors(sampler)):
        level = 99 - k
        m, variance = np.sqrt(alphaBar[level]), 1 - alphaBar[level]
        # The posterior mean of normal data, which stands for a network, and the score that it means.
        gain = m * STANDARD_DEVIATION**2 / (alphaBar[level] * STANDARD_DEVIATION**2 + variance)
        clean = mean + gain * (x - m * mean)
        x = position * x + ofScore * (m * clean - x) / variance + noise * case["noise"][k]
        np.testing.assert_allclose(x, states[k], atol=1e-9)
    # The published program's last update leads from the lowest level to itself and changes nothing.
    np.testing.assert_array_equal(states[99], states[98])


def test_defaultEndsWithCleanData(model):
    upstream = factors(DiffusionSampler(model, 100, ending="upstream-lowest-level"))
    default = factors(DiffusionSampler(model, 100))
    np.testing.assert_array_equal(default[:99], upstream)
    alphaBar = 1 - 1e-4
    np.testing.assert_allclose(default[99], [alphaBar**-0.5, (1 - alphaBar) * alphaBar**-0.5, 0], rtol=1e-3)
