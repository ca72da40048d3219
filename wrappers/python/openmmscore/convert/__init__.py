"""Weights of other programs as model files.

Example
-------
>>> from openmmscore import convert
>>> options = convert.Options(lengthScale=0.0945, temperature=300)
>>> convert.fromScoremd("mixture.safetensors", options).write("mixture.oms.safetensors")

Nothing is ever executed that comes out of a file of weights.
"""

from __future__ import annotations

import os

from .assemble import Converted, Options
from .errors import ConversionError

__all__ = ["ConversionError", "Converted", "Options", "fromScoremd", "fromTwoForOne"]


def fromScoremd(
    path: str | os.PathLike[str],
    options: Options | None = None,
    config: str | os.PathLike[str] | None = None,
    epoch: int | None = None,
) -> Converted:
    """Convert a model of ScoreMD.

    Parameters
    ----------
    path : str or os.PathLike
        a safetensors file with its JSON description beside it, or the directory of a training run
    options : Options, optional
        what the files do not say; a training run needs at least a length scale
    config : str or os.PathLike, optional
        the run's configuration (default: .hydra/config.yaml in its directory)
    epoch : int, optional
        which of the run's checkpoints (default: the last)

    Raises
    ------
    ConversionError
        if that is no model of ScoreMD, or one that model files cannot hold
    """
    if os.path.isdir(path):
        from . import checkpoints

        return checkpoints.convert(path, options, config, epoch)
    from . import scoremd

    return scoremd.convert(path, options)


def fromTwoForOne(
    path: str | os.PathLike[str], options: Options | None = None, noiseLevel: int | None = None
) -> Converted:
    """Convert a model of Two-for-One.

    Parameters
    ----------
    path : str or os.PathLike
        a checkpoint or state dictionary saved by PyTorch, or a safetensors file with its JSON description
        beside it
    options : Options, optional
        what the files do not say; a checkpoint needs a system, or length scale, temperature and noise level
    noiseLevel : int, optional
        the level n at which the model serves as a potential, t = n/1000

    Raises
    ------
    ConversionError
        if that is no model of Two-for-One, or one that model files cannot hold
    """
    from . import two_for_one

    return two_for_one.convert(path, options, noiseLevel)
