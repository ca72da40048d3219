"""Independent samples of a diffusion model, and their densities."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import openmm
from numpy.typing import ArrayLike
from openmm import unit

from ._arrays import checkedCount
from .model import Model
from .plugin import _DiffusionHandle, _FlowHandle

# Between two looks at the clock and the keyboard: evaluations of the network, and updates of all samples.
_EVALUATIONS_PER_CALL = 50_000
# Samples that are taken through all updates together: a network is prepared for each time once for all.
_BATCH = 32_768


class DiffusionSamples(NamedTuple):
    """What DiffusionSampler.sample() returns."""

    #: nm, shape [n,N,3]; samples that are not finite have been dropped
    positions: unit.Quantity
    #: which sample of the seed's sequence each is, shape [n]
    indices: np.ndarray
    #: how many were dropped because a coordinate was not finite
    dropped: int


class DiffusionSampler:
    """Draws independent samples of a diffusion model: noise is taken back through time to data.

    All experts of a mixture take part, those without an energy too. What comes out is distributed as the
    model has learnt the data, up to the error of the method; a simulation of the model as a potential need
    not give the same distribution, which is what ``openmmscore evaluate`` compares.

    Parameters
    ----------
    model : Model, str or os.PathLike
        a model, or the path of its file; it must answer up to diffusion time 1
    steps : int
        how many diffusion times are visited
    method : str, optional
        'euler-maruyama' (default for variance-preserving schedules: the published sampler, with noise after
        the last update), 'ancestral' (default for discrete schedules; ends without noise), 'ddim', 'heun',
        'exponential' (without noise but at the start; the last two are of second order, so that tens of
        steps do, with two evaluations each), 'predictor-corrector' or 'stochastic-heun'. docs/proposals.md
        compares them
    features : int array, shape [N,k], optional
        what a transferable network is told about each particle
    threads : int, optional
        how many processor cores to use (default: all)
    double : bool
        whether to use the float64 engine, some ten to a hundred times slower
    eta : float
        of 'ddim': how much noise, from 0 to 1, where it is 'ancestral'
    signalToNoise : float
        of 'predictor-corrector': of each Langevin step
    correctorSteps : int
        of 'predictor-corrector': Langevin steps after each update
    ending : {"clean", "upstream-lowest-level"}
        of discrete schedules: "upstream-lowest-level" leaves the noise of the lowest level in the samples, as
        the published program of the polynomial schedule does
    churn : float
        of 'stochastic-heun': how much noise is renewed in all (S_churn of arXiv:2206.00364); 0 is 'heun'

    Raises
    ------
    openmm.OpenMMException
        if the model cannot be sampled

    Examples
    --------
    >>> sampler = openmmscore.DiffusionSampler("alanine.safetensors")
    >>> positions = sampler.sample(10000, seed=1).positions
    """

    def __init__(
        self,
        model: Model | str | os.PathLike[str],
        steps: int = 1000,
        method: str | None = None,
        features: ArrayLike | None = None,
        threads: int | None = None,
        double: bool = False,
        eta: float = 0.0,
        signalToNoise: float = 0.16,
        correctorSteps: int = 1,
        ending: str = "clean",
        churn: float = 20.0,
    ):
        self._model = model if isinstance(model, Model) else Model(model)
        own = self._model._featureArray(features, 1).ravel().tolist()
        if ending not in ("clean", "upstream-lowest-level"):
            raise openmm.OpenMMException(
                "DiffusionSampler: expected the ending 'clean' or 'upstream-lowest-level', got "
                f"{ending!r:.40}"
            )
        self._handle = _DiffusionHandle(
            self._model._handle,
            own,
            checkedCount(steps, "DiffusionSampler: steps"),
            method or "",
            _threads(threads, "DiffusionSampler"),
            bool(double),
            float(eta),
            float(signalToNoise),
            checkedCount(correctorSteps, "DiffusionSampler: correctorSteps", 0),
            ending != "clean",
            float(churn),
        )

    @property
    def model(self) -> Model:
        """The model that is sampled."""
        return self._model

    @property
    def method(self) -> str:
        """The method's name."""
        return self._handle.getMethod()

    @property
    def numUpdates(self) -> int:
        """How often each sample is updated."""
        return self._handle.getNumUpdates()

    @property
    def numEvaluations(self) -> int:
        """How often the network is evaluated for each sample."""
        return self._handle.getNumEvaluations()

    def sample(self, n: int, seed: int = 0, first: int = 0, progress: bool = False) -> DiffusionSamples:
        """Draw samples first ... first+n-1 of the sequence that a seed names.

        Sample i is a function of (seed, i): the pieces in which a sequence is drawn do not matter.

        Parameters
        ----------
        n : int
            how many
        seed : int
            of the random numbers, 0 to 2^31 - 1
        first : int
            number of the first sample in the sequence
        progress : bool
            whether to show a progress bar on stderr

        Returns
        -------
        DiffusionSamples
            positions of particle models have their centroid at the origin; a vector of d numbers is the
            first d of x0, y0, z0, x1, ..., the rest zero
        """
        n = checkedCount(n, "DiffusionSampler: the number of samples", 0)
        seed, first = _place(seed, first, "DiffusionSampler")
        z = np.empty((n, self._model.numCoordinates))
        with _bar(n * self.numUpdates, progress, "sampling") as bar:
            for begin in range(0, n, _BATCH):
                self._fill(z[begin : begin + _BATCH], seed, first + begin, bar)
        finite = np.isfinite(z).all(axis=1)
        positions = toPositions(self._model, z[finite])
        return DiffusionSamples(
            positions * unit.nanometer, first + np.flatnonzero(finite), int(n - finite.sum())
        )

    def _fill(self, z: np.ndarray, seed: int, first: int, bar) -> None:
        address, count = z.ctypes.data, len(z)
        self._handle.drawStart(seed, first, count, address)
        for begin, end in _pieces(self.numUpdates, count):
            self._handle.advance(seed, first, count, address, begin, end)
            bar.update((end - begin) * count)


class DiffusionDensity:
    """The density of what a model generates along its deterministic way.

    The way is the probability-flow ODE from diffusion time 1 (or the last level of a discrete schedule),
    where samples are standard normal numbers, to `time`. Its samples are not those of DiffusionSampler, but
    for a perfect model have the same distribution. The density is exact up to the integration error. Each
    sample costs 4 steps evaluations of scores with their divergences: of a graph transformer 4 coordinates +
    1 scores, of a perceptron about (coordinates + 2)/2. ``DiffusionProposal`` is the same for samplers that
    weight, and for files.

    Parameters
    ----------
    model : Model, str or os.PathLike
        a model, or the path of its file
    time : float, optional
        the diffusion time at the data's end (default: the model's default)
    steps : int
        of the integrator; 100 leave an error of about 1e-3 in log densities (float32, graph transformers)
    features : int array, shape [N,k], optional
        what a transferable network is told about each particle
    threads : int, optional
        how many processor cores to use (default: all)

    Raises
    ------
    openmm.OpenMMException
        if the model does not answer up to the noise, or arguments do not fit it
    """

    def __init__(
        self,
        model: Model | str | os.PathLike[str],
        time: float | None = None,
        steps: int = 100,
        features: ArrayLike | None = None,
        threads: int | None = None,
    ):
        self._model = model if isinstance(model, Model) else Model(model)
        own = self._model._featureArray(features, 1).ravel().tolist()
        self._handle = _FlowHandle(
            self._model._handle,
            own,
            self._model._times(time, 1)[0],
            checkedCount(steps, "DiffusionDensity: steps"),
            _threads(threads, "DiffusionDensity"),
        )
        # In nm^-D instead of the network's units.
        dimensions = self._model.numCoordinates - (3 if self._model.space == "particles" else 0)
        self._shift = -dimensions * np.log(self._model.description["length_scale"])

    def sample(
        self, n: int, seed: int = 0, first: int = 0, progress: bool = False
    ) -> tuple[unit.Quantity, np.ndarray]:
        """Draw samples first ... first+n-1 of the sequence that a seed names, with their densities.

        Returns
        -------
        Quantity in nm, shape [n,N,3]
            as of DiffusionSampler.sample(); what is not finite has not been dropped
        array, shape [n]
            ln of the density in nm^-D, with D = 3N-3 for particles (of configurations centred on the origin,
            volume measured in their subspace) and D = d for vectors
        """
        n = checkedCount(n, "DiffusionDensity: the number of samples", 0)
        z, logDensity = np.empty((n, self._model.numCoordinates)), np.empty(n)
        arrays = (z.ctypes.data, logDensity.ctypes.data)
        self._handle.drawStart(*_place(seed, first, "DiffusionDensity"), n, *arrays)
        with _bar(n * self._handle.getNumSteps(), progress, "density") as bar:
            for begin, end in _pieces(self._handle.getNumSteps(), n * (16 * z.shape[1] + 4)):
                self._handle.generate(n, *arrays, begin, end)
                bar.update((end - begin) * n)
        return toPositions(self._model, z) * unit.nanometer, logDensity + self._shift

    def logDensity(self, positions: ArrayLike, progress: bool = False) -> np.ndarray:
        """Return ln of the density of configurations, as of sample(); centroids do not matter.

        Parameters
        ----------
        positions : array or Quantity in nm, shape [n,N,3] or [N,3]
        progress : bool
            whether to show a progress bar on stderr

        Returns
        -------
        array of float64, shape [n]; a float for one configuration
        """
        z, single = self._model._scaled(positions)
        z = np.array(z, dtype=np.float64)
        n, result = len(z), np.zeros(len(z))
        arrays = (z.ctypes.data, result.ctypes.data)
        with _bar(n * self._handle.getNumSteps(), progress, "density") as bar:
            for begin, end in _pieces(self._handle.getNumSteps(), n * (16 * z.shape[1] + 4)):
                self._handle.absorb(n, *arrays, begin, end)
                bar.update((end - begin) * n)
        self._handle.addPrior(n, *arrays)
        result += self._shift
        return result[0] if single else result


def toPositions(model: Model, z: np.ndarray) -> np.ndarray:
    """Return configurations in the network's coordinates [n,3N or d] as positions in nm, [n,N,3]."""
    positions = np.zeros((len(z), 3 * model.numParticles))
    positions[:, : z.shape[1]] = z * model.description["length_scale"]
    return positions.reshape(len(z), model.numParticles, 3)


def _pieces(steps: int, evaluationsPerStep: int) -> Iterator[tuple[int, int]]:
    """Cut steps so that a call takes about a second at most, to show progress and heed Ctrl-C."""
    size = max(1, _EVALUATIONS_PER_CALL // max(1, evaluationsPerStep))
    for begin in range(0, steps, size):
        yield begin, min(steps, begin + size)


def _bar(total: int, progress: bool, what: str):
    from tqdm import tqdm

    return tqdm(total=total, disable=not progress, desc=what, unit="step", unit_scale=True, mininterval=1.0)


def _place(seed: int, first: int, who: str) -> tuple[int, int]:
    """Return a seed and the number of a first sample, checked."""
    return checkedCount(seed, f"{who}: the seed", 0, 2**31 - 1), checkedCount(first, f"{who}: first", 0)


def _threads(threads: int | None, who: str) -> int:
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return checkedCount(threads, f"{who}: threads")
