"""Configurations with weights: what a BoltzmannSampler returns."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import openmm
from numpy.typing import ArrayLike
from openmm import unit

from .._units import checkedTemperature, withoutUnits
from .drawing import (
    BAD_PROPOSAL,
    MIRRORED,
    OK,
    STATUS_NAMES,
    checkedArray,
    fingerprint,
    logWeights,
    platformOf,
    reducedEnergies,
    temperatureOf,
    warnOfFailure,
)
from .estimates import Estimate, Histogram
from .samplefile import SampleWriter, mapPositions, readHeader
from .summary import SampleSummary
from .weights import Weights

if TYPE_CHECKING:
    import mdtraj

_CHUNK = 4096  # samples in memory at a time where positions may lie on disk
_SCALAR_FIELDS = ("logDensity", "reducedEnergy", "logWeight", "status")


@dataclass(frozen=True, eq=False)
class WeightedSamples:
    """Independent configurations and the weights that make averages over them averages of a target.

    Attributes
    ----------
    positions : array, shape [n,N,3]
        nm, of every sample, those of weight zero included. After ``load(path, mapped=True)``, and after
        sampling to a file, they are on disk, big-endian and read-only; ``positions[i:j]`` reads some
    logDensity : array of float64, shape [n]
        natural logarithm of the proposal's density, positions in nm
    reducedEnergy : array of float64, shape [n]
        U/kT; NaN where it was not asked for, +inf where the target refused the configuration
    logWeight : array of float64, shape [n]
        -reducedEnergy - logDensity, and the logarithm of the centre of mass factor if there is one;
        -inf where the status is not ok
    status : array of int32, shape [n]
        index into statusNames: what became of the sample
    statusNames : list of str
    settings : dict
        what the samples follow from: seed, proposal, temperature (K), centreOfMass (nm), ...
    """

    positions: np.ndarray
    logDensity: np.ndarray
    reducedEnergy: np.ndarray
    logWeight: np.ndarray
    status: np.ndarray
    statusNames: list[str]
    settings: dict[str, Any]

    def __len__(self) -> int:
        return len(self.status)

    def __repr__(self) -> str:
        particles = self.positions.shape[1]
        return f"<openmmscore.WeightedSamples: {len(self):,} samples of {particles} particles>"

    @cached_property
    def weights(self) -> Weights:
        """Diagnostics and estimators of the log weights; also Pareto-smoothed and truncated ones."""
        return Weights(self.logWeight, np.where(self.status > MIRRORED, self.status, 0))

    @property
    def counts(self) -> dict[str, int]:
        """How many samples have each status, for those that occur; ok comes first, even if there are none."""
        counts = np.bincount(self.status, minlength=len(self.statusNames))
        return {name: int(c) for name, c in zip(self.statusNames, counts, strict=True) if c or name == "ok"}

    def summary(self) -> SampleSummary:
        """Return how good the weights are, in numbers and, printed, in words."""
        return SampleSummary.of(self)

    def average(self, observable: Callable[[np.ndarray], ArrayLike] | ArrayLike, **options: Any) -> Estimate:
        """Return the weighted average and its standard error.

        Arguments
        ---------
        observable : function, array or Quantity
            of positions [m,N,3] in nm to values [m,...], called for some thousand samples at a time, and
            only for such as have a weight (what it gives with a unit is taken in nm, ps, K, amu, kJ/mol); or
            the values, shape [n,...]
        options
            of Weights.average(), such as ``error="bootstrap"``

        Returns
        -------
        Estimate (value, error): floats, or arrays of shape [...]; with the unit of a Quantity
        """
        values = observable if unit.is_quantity(observable) else self.evaluate(observable)
        return self.weights.average(values, **options)

    def histogram(
        self,
        observable: Callable[[np.ndarray], ArrayLike] | ArrayLike,
        bins: Any = 50,
        range: Any = None,
        **options: Any,
    ) -> Histogram:
        """Return the weighted histogram of one or two observables (see average()), with standard errors.

        bins, range and options are those of Weights.histogram().
        """
        values = observable if unit.is_quantity(observable) else self.evaluate(observable)
        return self.weights.histogram(values, bins, range, **options)

    def evaluate(self, observable: Callable[[np.ndarray], ArrayLike] | ArrayLike) -> np.ndarray:
        """Return an observable (see average()) for each sample; zero where a function was not called."""
        if not callable(observable):
            return checkedArray(withoutUnits(observable), len(self), "the observable")
        result: np.ndarray | None = None
        for begin, positions in self._batches():
            used = np.flatnonzero(np.isfinite(self.logWeight[begin : begin + len(positions)]))
            if not len(used):
                continue
            values = withoutUnits(observable(positions[used]))
            values = checkedArray(values, len(used), "what the observable returns")
            if result is None:
                result = np.zeros((len(self), *values.shape[1:]), np.result_type(values, np.float64))
            result[begin + used] = values
        if result is None:
            raise openmm.OpenMMException("WeightedSamples: no sample has a weight, so there is no average")
        return result

    def _batches(self) -> Iterator[tuple[int, np.ndarray]]:
        for begin in range(0, len(self), _CHUNK):
            batch = self.positions[begin : begin + _CHUNK]
            yield begin, batch.astype(batch.dtype.newbyteorder("="), copy=False)

    def reweight(self, target: Any = None, temperature: Any = None) -> WeightedSamples:
        """Return the same configurations, weighted for another System or temperature. Nothing is drawn.

        Arguments
        ---------
        target : BoltzmannTarget, optional
            whose energies are computed
        temperature : float or Quantity, optional
            instead of a target: the same System at another temperature (K), from the stored energies; for
            Systems whose energy function does not depend on the temperature

        Raises
        ------
        openmm.OpenMMException
            if not exactly one of the two is given, or the target has other particles
        """
        if (target is None) == (temperature is None):
            raise openmm.OpenMMException("WeightedSamples: reweight() takes a target or a temperature")
        if target is not None:
            if not hasattr(target, "evaluate"):
                raise openmm.OpenMMException(
                    "WeightedSamples: reweight() takes a BoltzmannTarget, or temperature=..., got "
                    f"{target!r:.60}"
                )
            return self._retargeted(target)
        before = self.settings.get("temperature")
        if not before:
            raise openmm.OpenMMException(
                "WeightedSamples: the temperature of these samples is not known; reweight() with a target"
            )
        after = checkedTemperature(temperature, "WeightedSamples: temperature")
        return self._withEnergies(
            self.reducedEnergy * (before / after), self.status, self.statusNames, {"temperature": after}
        )

    def _retargeted(self, target: Any) -> WeightedSamples:
        if target.numParticles != self.positions.shape[1]:
            raise openmm.OpenMMException(
                f"WeightedSamples: the samples have {self.positions.shape[1]} particles, the target "
                f"{target.numParticles}"
            )
        # What an earlier target had against a sample does not count any more.
        status = np.where(self.status > BAD_PROPOSAL, OK, self.status).astype(np.int32)
        energies, reason = np.empty(len(self)), None
        for begin, positions in self._batches():
            part = slice(begin, begin + len(positions))
            energies[part], failure = reducedEnergies(target, positions, status[part])
            reason = reason or failure
        warnOfFailure(reason)
        changes = {"temperature": temperatureOf(target), "platform": platformOf(target)}
        if "targetHash" in self.settings:
            changes["targetHash"] = fingerprint(target)
        return self._withEnergies(energies, status, list(STATUS_NAMES), changes)

    def _withEnergies(
        self, energies: np.ndarray, status: np.ndarray, names: list[str], changes: dict[str, Any]
    ) -> WeightedSamples:
        logWeight = np.empty(len(self))
        sigma = self.settings.get("centreOfMass")
        for begin, positions in self._batches():
            part = slice(begin, begin + len(positions))
            logWeight[part] = logWeights(
                positions, energies[part], self.logDensity[part], status[part], sigma
            )
        settings = {**self.settings, **changes}
        return WeightedSamples(self.positions, self.logDensity, energies, logWeight, status, names, settings)

    def freeEnergyDifference(self, other: WeightedSamples) -> Estimate:
        """Return the free energy of the other samples' target less that of this one, in kT.

        It is -ln(Z_other / Z_self). Samples that come from each other by reweight() share their fluctuations,
        which the error takes into account.
        """
        if len(self) == len(other) and np.array_equal(self.logDensity, other.logDensity):
            return self.weights.targetDifference(other.weights)
        (a, errorA), (b, errorB) = self.weights.logNormalization(), other.weights.logNormalization()
        return Estimate(a - b, float(np.hypot(errorA, errorB)))

    def resample(self, n: int | None = None, scheme: str = "systematic", seed: int = 0) -> np.ndarray:
        """Return n configurations of equal weight, [n,N,3] in nm, chosen by their weights.

        Arguments
        ---------
        n : int, optional
            how many (default: as many as samples)
        scheme : str
            "multinomial", "stratified", "systematic" or "residual"
        seed : int
        """
        chosen = self.weights.resample(len(self) if n is None else n, scheme=scheme, seed=seed)
        order = np.argsort(chosen, kind="stable")  # read the disk forwards
        result = np.empty((len(chosen), *self.positions.shape[1:]), self.positions.dtype.newbyteorder("="))
        for begin in range(0, len(order), _CHUNK):
            some = order[begin : begin + _CHUNK]
            result[some] = self.positions[chosen[some]]
        return result

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to a NetCDF file; one that is there is replaced when the new one is complete."""
        path = os.path.abspath(os.fsdecode(os.fspath(path)))
        partial = f"{path}.part"
        if os.path.exists(partial):
            os.remove(partial)
        kind = f"f{self.positions.dtype.itemsize}"
        try:
            with SampleWriter(
                partial, self.settings, self.statusNames, self.positions.shape[1], kind
            ) as writer:
                for begin, positions in self._batches():
                    part = slice(begin, begin + len(positions))
                    scalars = {name: getattr(self, name)[part] for name in _SCALAR_FIELDS}
                    writer.append({"positions": positions, **scalars})
            os.replace(partial, path)
        except BaseException:
            if os.path.exists(partial):
                os.remove(partial)
            raise

    @classmethod
    def load(cls, path: str | os.PathLike[str], mapped: bool = False) -> WeightedSamples:
        """Read what save() or sampling to a file has written.

        Arguments
        ---------
        path : str or os.PathLike
        mapped : bool
            leave the positions on disk

        Raises
        ------
        openmm.OpenMMException
            if the file is missing, damaged, or something else
        """
        path = os.path.abspath(os.fsdecode(os.fspath(path)))
        found = readHeader(path)
        positions = mapPositions(path, found)
        if not mapped:
            positions = positions.astype(positions.dtype.newbyteorder("="))
        scalars = {name: found[name] for name in _SCALAR_FIELDS}
        return cls(positions, **scalars, statusNames=found["statusNames"], settings=found["settings"])

    def toMDTraj(self, topology: Any) -> mdtraj.Trajectory:
        """Return the samples that have a weight as an MDTraj trajectory, in order.

        Their weights are ``samples.weights.normalized[samples.weighted]``.

        Arguments
        ---------
        topology : openmm.app.Topology or mdtraj.Topology
        """
        from .export import toMDTraj

        return toMDTraj(self, topology)

    def saveTrajectory(self, path: str | os.PathLike[str], topology: Any) -> None:
        """Write the samples that have a weight as a trajectory that MDTraj, MDAnalysis, VMD and others read.

        Three files: ``path`` (.dcd, .xtc or .nc), beside it the topology as .pdb, and .weights.csv with a
        row for each frame: the number of the sample, weight (they add up to 1), log weight, reduced energy,
        log density.

        Arguments
        ---------
        path : str or os.PathLike
        topology : openmm.app.Topology or mdtraj.Topology
        """
        from .export import saveTrajectory

        saveTrajectory(self, os.fsdecode(os.fspath(path)), topology)

    @property
    def weighted(self) -> np.ndarray:
        """Numbers of the samples whose weight is not zero."""
        return np.flatnonzero(np.isfinite(self.logWeight))
