"""The families of the survey: how each is trained here, and how it becomes a proposal."""

from __future__ import annotations

from pathlib import Path

import openmmscore

_DATA = """
title = "{title}"
seed = 1

[data]
file = "training.npy"
validation_fraction = 0.1
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

NAMES = tuple(_PROPOSALS)
#: what openmmscore-train calls its result
FILES = {
    "spline": "proposal.safetensors",
    "flow-matching": "proposal.safetensors",
    "diffusion": "model.safetensors",
    "ddpm": "model.safetensors",
}
_RATES = {"spline": 2e-3, "flow-matching": 1e-3, "diffusion": 1e-3, "ddpm": 1e-3}


def configuration(family: str, title: str, steps: int) -> str:
    """The TOML file of a training."""
    # A key before the first table belongs to the whole file.
    own = _PROPOSALS[family].lstrip()
    head, table, rest = own.partition("[")
    # A model is told one, although here it has no meaning.
    temperature = "temperature = 300.0\n" if family in ("diffusion", "ddpm") else ""
    # A likelihood can be learnt by heart; the others' losses are noisy averages, which are not.
    stopping = "early_stopping = 8\n" if family == "spline" else ""
    return (
        head
        + _DATA.format(title=title, temperature=temperature)
        + table
        + rest
        + _TRAINING.format(steps=steps, rate=_RATES[family], stopping=stopping)
    )


def load(family: str, path: Path) -> openmmscore.Proposal:
    """What was trained, as a proposal whose density is known."""
    if family in ("diffusion", "ddpm"):
        return openmmscore.DiffusionProposal(str(path))
    return openmmscore.loadProposal(path)


def numParameters(path: Path) -> int:
    """How many numbers were trained."""
    from openmmscore import modelfile

    return sum(array.size for array in modelfile.read(path)[1].values())
