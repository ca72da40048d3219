"""The families of the survey: how each is trained here, and how it becomes a proposal."""

from __future__ import annotations

import resource
import subprocess
import time
from pathlib import Path

import openmmscore
import openmmscore.diagnostics

_DATA = """
title = "{title}"
seed = {seed}

[data]
file = "training.npy"
validation_fraction = {held_out}
validation_split = "{split}"
{temperature}"""

_TRAINING = """
[training]
steps = {steps}
batch_size = 512
learning_rate = {rate}
final_learning_rate = 1e-5
ema_decay = 0.999
{stopping}
[output]
directory = "model"
validation_interval = 250
checkpoint_interval = 500
"""

_PROPOSALS = {
    "spline": """
[proposal]
family = "spline-flow"
kind = "autoregressive"
layers = 4
bins = 8
bound = 5.0
hidden = [128, 128]
trainable_base = true

[coordinates]
kind = "vector"
""",
    "flow-matching": """
[proposal]
family = "continuous-flow"
hidden = [256, 256]
pairing = 128

[coordinates]
kind = "vector"
""",
    "diffusion": """
method = "diffusion"

[model]
architecture = "mlp"
head = "score"
hidden = [256, 256]
default_diffusion_time = 1e-3
""",
    "ddpm": """
method = "ddpm"

[model]
architecture = "mlp"
head = "score"
hidden = [256, 256]
""",
}

_PROPOSALS["circular-spline"] = _PROPOSALS["spline"].replace(
    "trainable_base = true", 'trainable_base = true\ncircular = "all"'
)

#: for plain numbers
NAMES = ("spline", "flow-matching", "diffusion", "ddpm")
#: for angles
TORSION_NAMES = ("circular-spline", "spline", "flow-matching", "ddpm")


def configuration(
    family: str, title: str, steps: int, seed: int = 1, heldOut: float = 0.1, split: str = "random"
) -> str:
    """The TOML file of a training; heldOut is the share of frames for validation, split which ones."""
    # A key before the first table belongs to the whole file.
    head, table, rest = _PROPOSALS[family].lstrip().partition("[")
    # A model is told one, although here it has no meaning.
    temperature = "temperature = 300.0\n" if _isDiffusion(family) else ""
    # A likelihood can be learnt by heart; the others' losses are noisy averages, which are not.
    isSpline = family.endswith("spline")
    return (
        head
        + _DATA.format(title=title, seed=seed, held_out=heldOut, split=split, temperature=temperature)
        + table
        + rest
        + _TRAINING.format(
            steps=steps,
            rate=2e-3 if isSpline else 1e-3,
            stopping="early_stopping = 8\n" if isSpline else "",
        )
    )


def train(folder: Path, threads: int) -> float:
    """Run openmmscore-train in the folder, or the rest of it, and return the seconds of one core it took."""
    program = openmmscore.diagnostics.trainProgram()
    if program is None:
        raise SystemExit("openmmscore-train is not there, which trains all families (see docs/training.md)")
    command = [str(program), "training.toml", "--threads", str(threads)]
    if (folder / "model" / "checkpoint.safetensors").exists():
        command.append("--resume")
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    code = subprocess.run(command, cwd=folder).returncode
    if code:
        # It has said why, or how it is continued; here the same command does it.
        raise SystemExit(code)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def result(family: str, folder: Path) -> Path:
    """The file that a training in this folder leaves."""
    return folder / "model" / ("model.safetensors" if _isDiffusion(family) else "proposal.safetensors")


def load(family: str, path: Path) -> openmmscore.Proposal:
    """What was trained, as a proposal whose density is known."""
    if _isDiffusion(family):
        return openmmscore.DiffusionProposal(str(path))
    return openmmscore.loadProposal(path)


def speed(proposal: openmmscore.Proposal, count: int) -> float:
    """Samples with their densities per second of one core, whatever else the machine does."""
    proposal.sample(min(count, 64), seed=3)
    begin = time.process_time()
    proposal.sample(count, seed=3)
    return count / (time.process_time() - begin)


def numParameters(path: Path) -> int:
    """How many numbers were trained."""
    from openmmscore import modelfile

    return sum(array.size for array in modelfile.read(path)[1].values())


def _isDiffusion(family: str) -> bool:
    return family in ("diffusion", "ddpm")
