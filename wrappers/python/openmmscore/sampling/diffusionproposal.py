"""A diffusion model as a proposal: what its probability-flow ODE draws, with its density."""

from __future__ import annotations

import os
import time as clock
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import checkedCount
from ..diffusion import _bar
from ..model import Model
from ..plugin import _ProposalHandle
from ._proposalparts import FRAMES, checkFrame, integer
from .proposals import FlowProposal, _families

# Between two looks at the keyboard, s.
_SECONDS_PER_CALL = 1.0


class DiffusionProposal(FlowProposal):
    """What a diffusion model draws along its deterministic way from noise to data, with its density.

    The way is the probability-flow ODE, integrated with a fixed number of Runge-Kutta steps. Its density is
    exact for what is drawn, up to the error of the integrator and of the float32 engine, however good or bad
    the model is: reweighting to a target corrects for the rest. That needs 4 ``steps`` evaluations of scores
    with their divergences for each density, where a divergence costs a perceptron (vector models) as much as
    its number of coordinates + 2 forward passes (score heads with two hidden layers: as much as 2), and a
    graph transformer (models of particles) 12 N + 1 scores. There is no gradient of the density. toBase() and
    fromBase() give the standard normal numbers at the other end.

    Parameters
    ----------
    model : Model, str or os.PathLike
        a model, or the path of its file; it must answer up to diffusion time 1
    steps : int
        of the integrator; twice as many make its error 16 times smaller
    time : float, optional
        the diffusion time at the data's end (default: the model's default)
    features : int array, shape [N,k], optional
        what a transferable network is told about each particle
    frame : {"centred", "vector", "absolute"}, optional
        models of particles are "centred"; vector models "vector", or "absolute" if their d = 3N numbers are
        positions of N particles in nm
    threads : int, optional
        how many processor cores a call uses (default: all); not kept in files, as no result depends on it
    double : bool
        whether to use the float64 engine, some ten to a hundred times slower

    Raises
    ------
    openmm.OpenMMException
        if the model does not answer up to the noise, or arguments do not fit it

    Examples
    --------
    >>> proposal = openmmscore.DiffusionProposal("molecule.safetensors", steps=60)
    >>> samples = openmmscore.BoltzmannSampler(proposal, target).sample(10000)
    """

    def __init__(
        self,
        model: Model | str | os.PathLike[str],
        steps: int = 100,
        time: float | None = None,
        features: ArrayLike | None = None,
        frame: str | None = None,
        threads: int | None = None,
        double: bool = False,
    ):
        model = model if isinstance(model, Model) else Model(model)
        if frame is None:
            frame = "centred" if model.space == "particles" else "vector"
        checkFrame(frame)
        self._handle = _ProposalHandle.ofDiffusion(
            model._handle,
            model._featureArray(features, 1).ravel().tolist(),
            float(model._times(time, 1)[0]),
            checkedCount(steps, "DiffusionProposal: steps"),
            FRAMES.index(frame),
            0 if threads is None else checkedCount(threads, "DiffusionProposal: threads"),
            bool(double),
        )

    def sample(
        self, n: int, seed: int = 0, first: int = 0, progress: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """See ``Proposal.sample``; Ctrl-C is heeded meanwhile.

        Parameters
        ----------
        progress : bool
            whether to show a progress bar on stderr
        """
        n = integer(n, "n", 2**48)
        seed, first = integer(seed, "seed", 2**64 - 1), integer(first, "first", 2**62)
        positions, density = np.empty((n, *self._shape)), np.empty(n)
        with _bar(n, progress, "sampling") as bar:
            for begin, end in _pieces(n):
                addresses = positions[begin:].ctypes.data, density[begin:].ctypes.data
                self._handle.sample(seed, first + begin, end - begin, *addresses)
                bar.update(end - begin)
        return positions, density

    def logDensity(self, positions: ArrayLike, progress: bool = False) -> np.ndarray:
        """See ``Proposal.logDensity``; Ctrl-C is heeded meanwhile."""
        array = self._positions(positions)
        density = np.empty(len(array))
        with _bar(len(array), progress, "density") as bar:
            for begin, end in _pieces(len(array)):
                addresses = array[begin:].ctypes.data, density[begin:].ctypes.data
                self._handle.logDensity(end - begin, *addresses)
                bar.update(end - begin)
        return density


def _pieces(n: int) -> Iterator[tuple[int, int]]:
    """Cut n samples so that each call takes about a second, or has one sample for each core."""
    cores = os.cpu_count() or 1
    begin, size = 0, cores
    while begin < n:
        end = min(n, begin + size)
        started = clock.perf_counter()
        yield begin, end
        elapsed = max(clock.perf_counter() - started, 1e-6)
        size = max(cores, min(4 * size, int(size * _SECONDS_PER_CALL / elapsed)))
        begin = end


_families["diffusion"] = DiffusionProposal
