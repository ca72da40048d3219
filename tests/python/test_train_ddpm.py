"""A discrete diffusion of plain vectors, trained, and used as a proposal."""

import os
import subprocess

import numpy as np
import openmmscore.diagnostics
import pytest
from openmmscore import DiffusionProposal, Model
from openmmscore.sampling import Weights

CONFIG = """
method = "{method}"
seed = 3
[data]
file = "wells.npy"
temperature = 300.0
[model]
architecture = "mlp"
head = "score"
hidden = [48, 48]
[training]
steps = 1500
batch_size = 256
learning_rate = 3e-3
[output]
directory = "out"
"""
CENTRES = np.array([[-1.5, 0.0], [1.5, 1.0]])
WIDTH, SHARE = 0.6, 0.3  # of both wells, and of all points in the first
PROGRAM = os.environ.get("OPENMMSCORE_TRAIN") or openmmscore.diagnostics.trainProgram()
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="openmmscore-train is not built (it needs LibTorch)")


def logDensity(x):
    squares = ((x[:, None] - CENTRES) ** 2).sum(axis=-1) / (2 * WIDTH**2)
    return np.log(np.exp(-squares) @ [SHARE, 1 - SHARE]) - np.log(2 * np.pi * WIDTH**2)


@pytest.mark.parametrize("method", ["ddpm", "single"])
def test_trainedModelIsAProposal(method, tmp_path):
    random = np.random.default_rng(1)
    which = (random.random(20000) >= SHARE).astype(int)
    points = CENTRES[which] + WIDTH * random.normal(size=(len(which), 2))
    np.save(tmp_path / "wells.npy", points.astype(np.float32))
    (tmp_path / "run.toml").write_text(CONFIG.format(method=method))
    command = [PROGRAM, str(tmp_path / "run.toml"), "--threads", "1"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert result.returncode == 0, result.stderr
    model = Model(tmp_path / "out" / "model.safetensors")
    expected = {"ddpm": ("polynomial-ddpm", "clean-data"), "single": ("variance-preserving", "none")}
    found = model.description["schedule"]["kind"], model.description["experts"][0]["output_scaling"]
    assert found == expected[method]

    x, density = DiffusionProposal(model, steps=40).sample(2000, seed=2)
    weights = Weights(logDensity(x) - density, np.zeros(len(x), dtype=np.int32))
    assert weights.effectiveSampleSize() > 0.5 * len(x)
    share = weights.average((x[:, 0] < 0).astype(float))
    # A normal tail of 2.5 widths crosses the middle from either well.
    crossing = 0.0062
    exact = SHARE * (1 - crossing) + (1 - SHARE) * crossing
    assert abs(share[0] - exact) < 5 * share[1] < 0.1
    assert abs(weights.logNormalization().value) < 5 * weights.logNormalization().error
