"""Time a training step of a flow, all included, on one core: python benchmarks/flow_training.py."""

import argparse
import os
import resource
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from openmmscore import diagnostics

CONFIG = """
[data]
file = "frames.npy"
[coordinates]
kind = "vector"
[proposal]
{proposal}
[training]
steps = {steps}
batch_size = {batch}
threads = 1
[output]
validation_interval = 1000000
"""
FAMILIES = {
    "spline-flow": 'family = "spline-flow"\nlayers = {layers}\nbins = {bins}\ncircular = {circular}\n'
    'kind = "{kind}"\nconditioner = "{conditioner}"',
    "continuous-flow": 'family = "continuous-flow"\npairing = {pairing}',
}


def processorTime(folder: Path, proposal: str, steps: int, batch: int) -> float:
    """Seconds that a run of so many steps takes of a processor."""
    (folder / "run.toml").write_text(CONFIG.format(proposal=proposal, steps=steps, batch=batch))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [diagnostics.trainProgram(), str(folder / "run.toml"), "--overwrite"],
        check=True,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print milliseconds of processor time: the difference of two runs, so that their beginning cancels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", choices=FAMILIES, default="spline-flow")
    parser.add_argument("--dimension", type=int, default=60)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--bins", type=int, default=8)
    parser.add_argument("--hidden", type=int, nargs="+", default=[128, 128])
    parser.add_argument("--kind", choices=["coupling", "autoregressive"], default="coupling")
    parser.add_argument("--conditioner", choices=["mlp", "transformer"], default="mlp")
    parser.add_argument("--pairing", type=int, default=256)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--steps", type=int, default=100)
    options = parser.parse_args()
    settings = vars(options) | {"circular": list(range(options.dimension // 3))}
    proposal = FAMILIES[options.family].format(**settings) + f"\nhidden = {options.hidden}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        frames = np.random.default_rng(0).normal(size=(10000, options.dimension))
        np.save(folder / "frames.npy", frames.astype(np.float32))
        short, long = (processorTime(folder, proposal, k * options.steps, options.batch) for k in (1, 3))
    print(f"{options.family}: {1e3 * (long - short) / (2 * options.steps):.2f} ms/step")


if __name__ == "__main__":
    main()
