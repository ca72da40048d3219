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
from typing import TYPE_CHECKING

from .assemble import Converted, Options
from .errors import ConversionError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from openmm import unit

    from ..sampling import ContinuousFlowProposal

__all__ = ["ConversionError", "Converted", "Options", "fromEcnf", "fromScoremd", "fromTwoForOne"]


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


def fromEcnf(
    path: str | os.PathLike[str],
    nodeFeatures: ArrayLike,
    scale: float | unit.Quantity,
    coordinateRange: float = 15.0,
) -> ContinuousFlowProposal:
    """Convert an equivariant continuous flow of transferable-samplers.

    Parameters
    ----------
    path : str or os.PathLike
        a .pth file, or a safetensors file, of its weights
    nodeFeatures : array, shape [N,any]
        what the network is told about each particle, without the time: one-hot codes, one after the other
    scale : float or Quantity
        standard deviation of the training data, by which they were divided, in nm
    coordinateRange : float
        of the network's settings

    Returns
    -------
    ContinuousFlowProposal
        with the frame "centred"

    Raises
    ------
    ConversionError
        if those are no such weights
    """
    from . import ecnf

    return ecnf.convert(os.fspath(path), nodeFeatures, scale, coordinateRange)
