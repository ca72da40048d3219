"""Independent samples of a proposal with the weights that make them samples of an OpenMM System."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import openmm

from .._arrays import checkedCount
from .drawing import STATUS_NAMES, Recipe, fingerprint, platformOf, temperatureOf, warnOfFailure
from .fanout import drawOnWorkers
from .frames import centroidWidth
from .samplefile import SampleWriter, readHeader
from .samples import WeightedSamples

_POSITION_TYPES = {"double": "float64", "single": "float32"}


class BoltzmannSampler:
    """Draws independent configurations from a proposal and weights them for a target.

    With a proposal of density q and a target of reduced energy u = U/kT, sample x has the log weight

        log w = -u(x) - log q(x)  [ + log N(c; 0, sigma^2) ],

    all constants included, so the mean weight is the target's configuration integral in nm^3N (nm^(3N-3) for
    a proposal that draws centred configurations).

    A System without external forces does not care where it is, while a proposal of absolute positions draws
    some centroid c. ``centreOfMass`` then makes the target one with a normal distribution of centroids; the
    best sigma is that of the proposal. Proposals of centred configurations need none.

    Parameters
    ----------
    proposal : proposal
        what to draw from: its ``sample(n, seed=, first=)`` and ``logDensity(positions)``
    target : BoltzmannTarget
        what to weight for
    chirality : Chirality, optional
        which configurations have the right handedness; checked before energies and weights
    chiralityPolicy : {"reject", "mirror"}
        what to do with a wrong one: give it weight zero, or take its mirror image -x. With the latter
        the density of every sample is q(x) + q(-x), since it may have been drawn as either
    centreOfMass : float or Quantity, optional
        sigma of the centroid in the target, nm
    chunkSize : int
        how many samples are drawn and weighted at a time; bounds the memory, never changes the result
    precision : {"double", "single"}
        of the positions that are kept. Energies are those of the kept positions

    Raises
    ------
    openmm.OpenMMException
        if the proposal has no density, or its particles are not as many as the target's

    Examples
    --------
    >>> proposal = openmmscore.loadProposal("flow.safetensors")
    >>> target = openmmscore.BoltzmannTarget(system, 300 * kelvin)
    >>> samples = openmmscore.BoltzmannSampler(proposal, target).sample(100_000, seed=1)
    >>> print(samples.summary())
    """

    def __init__(
        self,
        proposal: Any,
        target: Any,
        chirality: Any = None,
        chiralityPolicy: str = "reject",
        centreOfMass: Any = None,
        chunkSize: int = 1024,
        precision: str = "double",
    ):
        _checkParts(proposal, target)
        sigma = centroidWidth(proposal, centreOfMass, "BoltzmannSampler")
        if chiralityPolicy not in ("reject", "mirror"):
            raise openmm.OpenMMException(
                f"BoltzmannSampler: chiralityPolicy must be 'reject' or 'mirror', got {chiralityPolicy!r:.40}"
            )
        if precision not in _POSITION_TYPES:
            raise openmm.OpenMMException(
                f"BoltzmannSampler: precision must be 'double' or 'single', got {precision!r:.40}"
            )
        self.chunkSize = checkedCount(chunkSize, "BoltzmannSampler: chunkSize")
        self._recipe = Recipe(
            proposal, target, chirality, chiralityPolicy == "mirror", sigma, _POSITION_TYPES[precision]
        )

    @property
    def proposal(self) -> Any:
        """What is drawn from."""
        return self._recipe.proposal

    @property
    def target(self) -> Any:
        """What samples are weighted for."""
        return self._recipe.target

    def sample(
        self,
        n: int,
        seed: int | None = None,
        client: Any = None,
        progress: bool = True,
        output: str | os.PathLike[str] | None = None,
        resume: bool = False,
    ) -> WeightedSamples:
        """Draw n samples.

        The result is a function of the seed alone, bit for bit, whatever chunkSize and client are and however
        often it was interrupted (given that the platform of the target's energies is deterministic, as
        Reference is).

        Arguments
        ---------
        n : int
            how many samples to draw; those of weight zero count too
        seed : int, optional
            0 ... 2^63 - 1. Default: that of the file that is resumed, or else 0
        client : dask.distributed.Client, optional
            draw on its workers. What a worker that dies was doing is done again by others
        progress : bool
            show a progress bar
        output : str or os.PathLike, optional
            a file to which each chunk is appended; positions are then never all in memory. Whatever
            interrupts the call, Ctrl-C included, leaves a file with the chunks so far
        resume : bool
            continue the output of an earlier call, with the same or a larger n

        Returns
        -------
        WeightedSamples
            with ``output`` its positions stay on disk and are read where they are looked at

        Raises
        ------
        openmm.OpenMMException
            if the output exists and is not to be resumed or was begun with other settings, or for trouble
            writing it
        """
        n = checkedCount(n, "BoltzmannSampler: n", 0)
        path = None if output is None else os.path.abspath(os.fsdecode(os.fspath(output)))
        if seed is None and path and resume and os.path.isfile(path) and os.path.getsize(path):
            seed = readHeader(path)["settings"].get("seed")
        seed = checkedCount(0 if seed is None else seed, "BoltzmannSampler: seed", 0)
        settings = self._settings(seed, identify=path is not None)
        if path is None:
            return self._sampleInMemory(n, settings, client, progress)
        with self._writer(path, settings, resume) as writer:
            if writer.numSamples > n:
                raise openmm.OpenMMException(
                    f"BoltzmannSampler: {path!r} already has {writer.numSamples} samples, more than n = {n}; "
                    "WeightedSamples.load() reads it"
                )
            for chunk in self._chunks(writer.numSamples, n, seed, client, progress):
                writer.append(chunk)
        return WeightedSamples.load(path, mapped=True)

    def _sampleInMemory(
        self, n: int, settings: dict[str, Any], client: Any, progress: bool
    ) -> WeightedSamples:
        shape = (n, self.target.numParticles, 3)
        arrays = {"positions": np.empty(shape, self._recipe.positionType), "status": np.empty(n, np.int32)}
        for name in ("logDensity", "reducedEnergy", "logWeight"):
            arrays[name] = np.empty(n)
        done = 0
        for chunk in self._chunks(0, n, settings["seed"], client, progress):
            for name, values in chunk.items():
                arrays[name][done : done + len(values)] = values
            done += len(chunk["status"])
        return WeightedSamples(**arrays, statusNames=list(STATUS_NAMES), settings=settings)

    def _writer(self, path: str, settings: dict[str, Any], resume: bool) -> SampleWriter:
        return SampleWriter(
            path,
            settings,
            STATUS_NAMES,
            self.target.numParticles,
            self._recipe.positionType,
            resume,
        )

    def _chunks(
        self, start: int, end: int, seed: int, client: Any, progress: bool
    ) -> Iterator[dict[str, np.ndarray]]:
        from tqdm import tqdm

        pieces = [(k, min(self.chunkSize, end - k)) for k in range(start, end, self.chunkSize)]
        if client is None:
            drawn = (self._recipe.draw(seed, first, count) for first, count in pieces)
        else:
            fingerprint(self._recipe)  # says what cannot be pickled
            drawn = drawOnWorkers(client, self._recipe, seed, pieces)
        reason = None
        with tqdm(total=end, initial=start, unit=" samples", disable=not progress) as bar:
            try:
                for chunk, failure in drawn:
                    reason = reason or failure
                    yield chunk
                    bar.update(len(chunk["status"]))
            finally:
                drawn.close()  # withdraws what workers still have to do
                warnOfFailure(reason)

    def _settings(self, seed: int, identify: bool) -> dict[str, Any]:
        """What the samples follow from; with ``identify`` also hashes of proposal and target."""
        recipe = self._recipe
        settings: dict[str, Any] = {
            "seed": seed,
            "proposal": str(getattr(recipe.proposal, "family", type(recipe.proposal).__name__)),
            "temperature": temperatureOf(recipe.target),
            "platform": platformOf(recipe.target),
            "centreOfMass": recipe.sigma,
            "chirality": "unchecked" if recipe.chirality is None else "mirror" if recipe.mirror else "reject",
        }
        if identify:
            settings["proposalHash"] = fingerprint(recipe.proposal)
            settings["targetHash"] = fingerprint(recipe.target)
            settings["chiralityHash"] = fingerprint(recipe.chirality)
        return settings


def _checkParts(proposal: Any, target: Any) -> None:
    """Refuse parts that do not fit together."""
    if not getattr(proposal, "hasDensity", True) or not hasattr(proposal, "logDensity"):
        raise openmm.OpenMMException(
            f"BoltzmannSampler: {type(proposal).__name__} does not know its density, so its samples cannot "
            "be weighted; draw from it with its own sample()"
        )
    if proposal.numParticles != target.numParticles:
        raise openmm.OpenMMException(
            f"BoltzmannSampler: the proposal has {proposal.numParticles} particles, the target's System "
            f"{target.numParticles}"
        )
