"""A worker that runs ScoreMD's own training steps: its schedule, loss and optimiser, jitted, float32.

It needs what peer_scoremd.py needs. Compilation, which happens in the first epoch, is not part of a sample.
"""

from __future__ import annotations

import functools
import logging
import os
import resource
import sys
import tempfile
import time

import numpy as np
from worker import clock, serve

ROOT = os.environ["SCOREMD_DIR"]
sys.path[:0] = [os.path.join(ROOT, "src"), ROOT]
os.environ.setdefault("PERSISTENT_STORE", tempfile.mkdtemp())
os.environ.setdefault("MPLBACKEND", "Agg")
logging.disable(logging.ERROR)

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import scoremd.diffusion.classic.sde  # noqa: E402, F401  (before the module that it imports in a circle)
from scoremd.data.augment import apply_random_rotations  # noqa: E402
from scoremd.data.dataset.base import Datapoints, Dataset  # noqa: E402
from scoremd.data.dataset.mueller import MuellerBrownSimulation  # noqa: E402
from scoremd.data.preprocess import CenterMolecule  # noqa: E402
from scoremd.diffusion.classic.utils import get_loss  # noqa: E402
from scoremd.loss import RangedLoss  # noqa: E402
from scoremd.models.base import RangedModel  # noqa: E402
from scoremd.models.graph_transformer import GraphTransformerModelInfo  # noqa: E402
from scoremd.models.mixture import MixtureOfModels  # noqa: E402
from scoremd.models.mlp import MLPModelInfo  # noqa: E402
from scoremd.training import equal_weight  # noqa: E402
from scoremd.training.optimizer import get_cosine_lr_optimizer  # noqa: E402
from scoremd.training.schedule import IDENTITY, OneAfterAnother  # noqa: E402
from scoremd.training.train_state import EmaTrainState  # noqa: E402
from scoremd.training.weighting import construct_ranged_constant_weighting_function  # noqa: E402

WHOLE, UPPER, MIDDLE, LOWER = (1.0, 0.0), (1.0, 0.6), (0.6, 0.1), (0.1, 0.0)


def perceptron(width: int, layers: int) -> MLPModelInfo:
    """Return an energy network."""
    return MLPModelInfo([width] * layers, "swish", True)


class StandIn(Dataset):
    """Random five-bead molecules."""

    def __init__(self, positions: np.ndarray):
        Dataset.__init__(self, name="aldp", sample_shape=(5, 3), kbT=2.494338785)
        self._positions = jnp.asarray(positions.reshape(len(positions), 15), jnp.float32)

    def _get_data(self):
        return Datapoints(self._positions, None), None, None


class Run:
    """An endless training whose epochs are samples.

    Parameters
    ----------
    system : str
        "mueller-brown" or "alanine"
    stage : str
        "single" for one network, "last" for the last stage of the mixture of three
    weight : float
        of the Fokker-Planck loss, 0 for none
    """

    def __init__(self, system: str, stage: str, weight: float, batch: int, steps: int):
        self.steps = steps
        generator = np.random.default_rng(0)
        if system == "mueller-brown":
            dataset = MuellerBrownSimulation(mass=(0.5, 0.5), dt=5e-3)
            positions = np.array([-0.55, 1.44]) + 0.2 * generator.standard_normal((batch * steps, 2))
            scale, augment, midpoints = 1.0, IDENTITY, (0.5, 0.05)
            experts = [perceptron(92, 3)], [perceptron(54, 2), perceptron(64, 2), perceptron(64, 3)]
        else:
            molecules = 0.0945 * generator.standard_normal((batch * steps, 5, 3))
            molecules -= molecules.mean(1, keepdims=True)
            dataset, positions = StandIn(molecules), molecules.reshape(batch * steps, 15)
            scale, augment, midpoints = 1.0 / dataset.std, apply_random_rotations, (0.3, 0.03)
            transformer = functools.partial(GraphTransformerModelInfo, hidden_nf=96, n_layers=2)
            heads = [transformer(potential=potential) for potential in (True, False, False, True)]
            experts = heads[:1], heads[1:]
        losses, epochs = self.losses(stage, weight, midpoints)
        ranges = [WHOLE] if stage == "single" else [UPPER, MIDDLE, LOWER]
        networks = [RangedModel(each, r) for each, r in zip(experts[stage != "single"], ranges, strict=True)]
        model = MixtureOfModels(
            [each.build(dataset, scale) for each in networks],
            construct_ranged_constant_weighting_function(networks),
            CenterMolecule(dataset),
        )
        data = jnp.asarray(positions, jnp.float32)
        self.epochs = self.train(model, data, losses, epochs, augment, scale, batch)
        next(self.epochs)

    def losses(self, stage: str, weight: float, midpoints: tuple[float, float]):
        """Return the losses of all stages, and the epochs of each."""
        loss = functools.partial(
            get_loss,
            likelihood_weighting=False,
            sliced=False,
            div_est=2,
            gaussian_div_est=False,
            partial_t_approx=True,
            residual_fp=True,
            single_gamma=True,
        )
        regularised = functools.partial(loss, beta=weight)
        forever = 10**6
        if stage == "single":
            weighting = functools.partial(equal_weight, midpoint=midpoints[0])
            return [RangedLoss(regularised, weighting, (1.0, 1e-5))], [forever]
        weightings = [
            functools.partial(equal_weight, midpoint=midpoint, t0=t0, t1=t1)
            for midpoint, t0, t1 in ((0.8, 0.6, 1.0), (0.35, 0.1, 0.6), (midpoints[1], 0.0, 0.1))
        ]
        return [
            RangedLoss(loss, weightings[0], (1.0, 0.6), [0], [0]),
            RangedLoss(loss, weightings[1], (0.6, 0.099), [1], [0, 1]),
            RangedLoss(regularised, weightings[2], (0.099, 1e-5), [2], [1, 2]),
        ], [0, 0, forever]

    def train(self, model, data, losses, epochs, augment, scale, batch):
        """Yield after every epoch."""
        variables = model.init(
            jax.random.PRNGKey(0), jnp.ones((1, data.shape[1])), None, jnp.ones((1, 1)), training=False
        )
        optimizer = functools.partial(
            get_cosine_lr_optimizer, learning_rate=3e-4, min_learning_rate=1e-5, clip=1e3
        )
        state = EmaTrainState.create(
            apply_fn=model.apply, params=variables, tx=optimizer(1), ema_weight=0.995
        )
        schedule = OneAfterAnother(losses=losses, BS=batch, BS_factor=1, epochs=epochs, augment=augment)
        points, key = Datapoints(data, None), jax.random.PRNGKey(1)
        training = schedule.train(state, model, optimizer, None, 0, points, None, 1, scale, key)
        for _, loss, _ in training:
            yield jax.block_until_ready(loss)

    def measure(self, seconds: float) -> dict:
        """Time epochs for about so many seconds."""
        start, steps = clock(), 0
        while clock() - start < seconds:
            next(self.epochs)
            steps += self.steps
        return {"secondsPerStep": (clock() - start) / steps, "steps": steps}


runs: dict[str, Run] = {}


def prepare(key: str, **settings) -> dict:
    """Compile a training."""
    start = time.perf_counter()
    runs[key] = Run(**settings)
    return {"seconds": time.perf_counter() - start}


if __name__ == "__main__":
    serve(
        {
            "prepare": prepare,
            "measure": lambda key, seconds: runs[key].measure(seconds),
            "memory": lambda: {"peakMiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024},
            "versions": lambda: {"jax": jax.__version__, "numpy": np.__version__},
        }
    )
