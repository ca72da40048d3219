"""How good a trained model is: its independent samples and its simulation beside a reference.

Example
-------
>>> from openmmscore.evaluation import Options, evaluate, readFrames
>>> reference = readFrames("frames.npy")
>>> evaluation = evaluate("model.safetensors", reference, Options(samples=10000, frames=2000))
>>> print(evaluation.table())

docs/evaluation.md has the definitions and says how to read the numbers. On the command line:
`openmmscore evaluate MODEL --reference TRAJECTORY`.
"""

from .evaluation import Evaluation, Options, evaluate
from .reference import readFrames
from .systems import Protocol, SystemKind, describeSystem

__all__ = [
    "Evaluation",
    "Options",
    "Protocol",
    "SystemKind",
    "describeSystem",
    "evaluate",
    "readFrames",
]
