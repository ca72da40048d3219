"""A worker that runs ScoreMD's own simulation: jitted JAX, float32, its step and simulate functions.

It needs a checkout of github.com/noegroup/ScoreMD named by the environment variable SCOREMD_DIR, in a Python
where its modules import. Compilation is not part of a sample.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time

import numpy as np
from cases import startPositions
from worker import clock, serve

ROOT = os.environ["SCOREMD_DIR"]
sys.path[:0] = [os.path.join(ROOT, "src"), ROOT]
os.environ.setdefault("PERSISTENT_STORE", tempfile.mkdtemp())
os.environ.setdefault("MPLBACKEND", "Agg")

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
from scoremd.data.dataset.base import Datapoints, Dataset  # noqa: E402
from scoremd.data.preprocess import CenterMolecule  # noqa: E402
from scoremd.models.base import RangedModel  # noqa: E402
from scoremd.models.graph_transformer import GraphTransformerModelInfo  # noqa: E402
from scoremd.models.mixture import MixtureOfModels  # noqa: E402
from scoremd.simulation import create_langevin_step_function, simulate  # noqa: E402
from scoremd.training.weighting import construct_ranged_constant_weighting_function  # noqa: E402

DIFFUSION_TIME = 1e-5
FRICTION = 1.0  # 1/ps


class StandIn(Dataset):
    """Random positions in place of a data set; ScoreMD takes sizes, masses and the length scale from it."""

    def __init__(self, case: dict, positions: np.ndarray):
        Dataset.__init__(self, name=case["name"], sample_shape=positions.shape[1:], kbT=case["kT"])
        self._positions = jnp.asarray(positions.reshape(len(positions), -1), jnp.float32)
        self.mass = jnp.array(case["masses"]).reshape(-1, 1)
        if case["features"]:
            self.max_z = [values for _, values in case["features"]]

    def _get_data(self):
        return Datapoints(self._positions, None), None, None


class Run:
    """A compiled simulation of one molecule many times, in calls of a fixed number of frames of one step."""

    def __init__(self, case: dict, molecules: int, secondsPerCall: float):
        self.molecules, self.beads = molecules, case["beads"]
        positions = startPositions(case["masses"], case["lengthScale"], 1024)
        self.dataset = StandIn(case, positions)
        features = case["featureValues"]
        self.features = None if features is None else jnp.asarray([features], jnp.int32)
        self.step = self.createStep(case)
        self.positions = jnp.asarray(positions[np.arange(molecules) % 1024], jnp.float32)
        self.key, key = jax.random.split(jax.random.PRNGKey(1))
        thermal = jnp.sqrt(case["kT"] / self.dataset.mass)[None]
        self.velocities = thermal * jax.random.normal(key, self.positions.shape)
        self.frames = self.chooseFrames(case, secondsPerCall)
        self.call = self.compile()

    def chooseFrames(self, case: dict, seconds: float) -> int:
        """Return how many frames take about so long; measuring it would take one more compilation."""
        edges = case["beads"] ** 2 * case["layers"] * 2 * case["hidden"] * 512
        return max(1, min(200, int(seconds * 30e9 / (4 * edges * self.molecules))))

    def createStep(self, case: dict):
        """Return ScoreMD's Langevin step with the force that its evaluation uses."""
        dataset = self.dataset
        scale = 1.0 / dataset.std
        network = GraphTransformerModelInfo(hidden_nf=case["hidden"], n_layers=case["layers"], potential=True)
        ranges = [RangedModel(network, (1.0, 0.0))]
        model = MixtureOfModels(
            [each.build(dataset, scale) for each in ranges],
            construct_ranged_constant_weighting_function(ranges),
            CenterMolecule(dataset),
        )
        shape = (1, 3 * self.beads)
        parameters = model.init(
            jax.random.PRNGKey(0), jnp.ones(shape), self.features, jnp.ones((1, 1)), training=False
        )

        def force(x, features, point_idx):
            z = x.reshape(shape) * scale
            kind = None if features is None else features[None]
            f = model.apply(parameters, z, kind, DIFFUSION_TIME, training=False, method=model.__class__.force)
            return (dataset.kbT * f * scale).reshape(self.beads, 3)

        return create_langevin_step_function(
            force=force,
            mass=dataset.mass,
            gamma=FRICTION,
            num_steps=1,
            dt=case["timeStep"],
            kbT=dataset.kbT,
        )

    def compile(self):
        """Return the jitted simulation, called once."""
        many = self.molecules
        features = None if self.features is None else jnp.repeat(self.features, many, axis=0)

        def stepAll(x, v, key):
            return jax.vmap(self.step)(
                x, v, jax.random.split(key, many), features=features, point_idx=jnp.arange(many)
            )

        call = jax.jit(lambda x, v, key: simulate(x, v, stepAll, self.frames, key))
        jax.block_until_ready(call(self.positions, self.velocities, self.key))
        return call

    def time(self) -> float:
        """Return how long one call takes in s."""
        start = clock()
        positions, _ = jax.block_until_ready(self.call(self.positions, self.velocities, self.key))
        elapsed = clock() - start
        if not bool(jnp.isfinite(positions).all()):
            raise FloatingPointError("positions are not finite")
        return elapsed

    def measure(self, seconds: float) -> dict:
        """Time calls for about so many seconds."""
        times = []
        while sum(times) < seconds:
            times.append(self.time())
        steps = self.frames * len(times)
        return {
            "steps": steps,
            "seconds": sum(times),
            "stepsPerSecond": steps / sum(times),
            "best": self.frames / min(times),
        }


runs: dict[str, Run] = {}


def prepare(key: str, case: dict, molecules: int, secondsPerCall: float) -> dict:
    """Compile a simulation."""
    start = time.perf_counter()
    runs[key] = Run(case, molecules, secondsPerCall)
    return {"seconds": time.perf_counter() - start, "frames": runs[key].frames}


if __name__ == "__main__":
    serve(
        {
            "prepare": prepare,
            "measure": lambda key, seconds: runs[key].measure(seconds),
            "versions": lambda: {"jax": jax.__version__, "numpy": np.__version__},
        }
    )
