"""Importance weights: diagnostics, averages, histograms and free energies with errors, resampling."""

from __future__ import annotations

from typing import Any

import numpy as np
import openmm
from numpy.typing import ArrayLike
from openmm import unit

from .._arrays import address, checkedCount, checkedSeed, numbers, spread, vector
from ..plugin import _WeightsHandle
from ._weightdiagnostics import WeightDiagnostics
from .estimates import Estimate, Histogram
from .histograms import binIndex, binSizes, makeBins


class Weights(WeightDiagnostics):
    """Weights of n independent samples x of a proposal q for a target exp(-u), in float64.

    log w = -u(x) - log q(x), with all constants: the mean weight is then an estimate of the target's Z. A
    sample whose status is not 0 (a broken configuration, an energy that is not finite) has weight zero and is
    counted; it remains one of the n draws. Nothing is truncated, dropped or smoothed unless asked for by
    smoothed() or truncated(), which return new Weights and keep the raw ones.

    Estimates come with standard errors: by the delta method, or with ``error="bootstrap"``. Where weights are
    so uneven that neither can be trusted, the first estimate emits a WeightWarning with the sentences of
    warnings(). docs/reweighting.md has the formulas.

    Parameters
    ----------
    logWeights : array, shape [n]
        -inf is a weight of zero; where status is not 0, anything
    status : int array, shape [n], optional
        0 for a good sample

    Raises
    ------
    openmm.OpenMMException
        if shapes differ, a log weight is NaN or +inf at status 0, or no sample has a weight above zero

    Examples
    --------
    >>> weights = openmmscore.sampling.Weights(-reducedEnergy - logDensity)
    >>> print(weights.summary())
    >>> mean, error = weights.average(radiusOfGyration)
    """

    def __init__(self, logWeights: ArrayLike, status: ArrayLike | None = None):
        array = vector(logWeights, None, "Weights: logWeights")
        if status is not None:
            status = numbers(status, "Weights: status", np.int32)
            if status.shape != array.shape:
                raise openmm.OpenMMException(
                    f"Weights: status must have the shape {list(array.shape)}, one for each sample, got "
                    f"{list(status.shape)}"
                )
        super().__init__(_WeightsHandle(len(array), address(array), address(status)), status)

    def __reduce__(self):
        return (_restore, (self.logWeights, self._status, self._raw, self._treatment))

    @classmethod
    def fromEnergies(
        cls, reducedEnergies: ArrayLike, logDensities: ArrayLike, status: ArrayLike | None = None
    ) -> Weights:
        """Create Weights from reduced energies u = U/kT of the target and log densities of the proposal.

        An energy of +inf is a weight of zero. NaN is an error unless the sample's status is not 0.
        """
        u = vector(reducedEnergies, None, "Weights: reducedEnergies")
        logq = vector(logDensities, len(u), "Weights: logDensities")
        with np.errstate(invalid="ignore"):
            return cls(-u - logq, status)

    @property
    def raw(self) -> Weights | None:
        """The weights before smoothed() or truncated(); None if these are the raw ones."""
        return self._raw

    @property
    def treatment(self) -> str:
        """What was done to the raw weights, in words; "none" if nothing."""
        return self._treatment

    def smoothed(self) -> Weights:
        """Return Pareto-smoothed weights (PSIS): the largest replaced by quantiles of the fitted tail."""
        result = np.empty(len(self))
        k = self._handle.smooth(address(result))
        return self._treated(result, f"Pareto-smoothed (k-hat {k:.2f})")

    def truncated(self, fraction: float | None = None, drop: bool = False) -> Weights:
        """Return weights whose largest are cut, which trades variance for bias.

        Arguments
        ---------
        fraction : float, optional
            cut those above the 1-fraction quantile to it; without it, those above sqrt(n) times the mean
            weight (Ionides 2008), whose bias vanishes for large n
        drop : bool
            make those above the quantile zero instead. Some publications do; it removes the best samples
        """
        if fraction is None:
            if drop:
                raise openmm.OpenMMException("Weights: to drop weights, say which fraction of them")
            fraction, how = 0.0, "truncated at sqrt(n) times their mean"
        else:
            fraction = float(fraction)
            if not 0 < fraction < 1:
                raise openmm.OpenMMException(
                    f"Weights: the fraction of the largest weights must lie between 0 and 1, got {fraction}"
                )
            verb = "dropped above" if drop else "truncated at"
            how = f"{verb} their {1 - fraction:g} quantile"
        result = np.empty(len(self))
        self._handle.truncate(fraction, bool(drop), address(result))
        return self._treated(result, how)

    def _treated(self, logWeights: np.ndarray, treatment: str) -> Weights:
        raw = self if self._raw is None else self._raw
        if self._raw is not None:
            treatment = f"{self._treatment}, then {treatment}"
        return _restore(logWeights, self._status, raw, treatment)

    def average(
        self, values: ArrayLike, error: str = "delta", replicates: int = 200, seed: int = 0
    ) -> Estimate:
        """Return the weighted mean of an observable and its standard error.

        Arguments
        ---------
        values : array or Quantity, shape [n] or [n, ...]
            the observable at each sample; at samples of weight zero, anything
        error : str
            "delta" or "bootstrap"
        replicates, seed : int
            of the bootstrap

        Returns
        -------
        Estimate (value, error): floats, or arrays of shape [...]; with the unit of values
        """
        if unit.is_quantity(values):
            result = self.average(values.value_in_unit(values.unit), error, replicates, seed)
            return Estimate(*(unit.Quantity(x, values.unit) for x in result))
        array = numbers(values, "Weights: values")
        if array.ndim == 0 or len(array) != len(self):
            raise openmm.OpenMMException(
                f"Weights: values must have the shape [{len(self)}, ...], one for each sample, also for "
                f"those of weight zero; got {list(array.shape)}"
            )
        self._warn()
        columns = np.ascontiguousarray(array.reshape(len(self), -1).T)
        means, errors = np.empty(len(columns)), np.empty(len(columns))
        self._handle.average(len(columns), address(columns), address(means), address(errors))
        if _isBootstrap(error):
            errors = spread(self._bootstrap(columns, replicates, seed)[1])
        if array.ndim == 1:
            return Estimate(float(means[0]), float(errors[0]))
        return Estimate(means.reshape(array.shape[1:]), errors.reshape(array.shape[1:]))

    def histogram(
        self,
        values: ArrayLike,
        bins: Any = 50,
        range: Any = None,
        density: bool = True,
        error: str = "delta",
        replicates: int = 200,
        seed: int = 0,
    ) -> Histogram:
        """Return the weighted histogram of one or two observables, with standard errors.

        Arguments
        ---------
        values : array or Quantity, shape [n] or [n,2]
        bins, range
            as numpy.histogram() or numpy.histogram2d() take them; by default the range is that of the samples
            that have a weight. What lies outside, counts in the normalisation
        density : bool
            whether to divide probabilities by the size of their bins
        error, replicates, seed
            as average()
        """
        axes, edges = makeBins(values, self.normalized > 0, bins, range)
        self._warn()
        index, shape = binIndex(axes, edges)
        count = int(np.prod(shape))
        p, errors = np.empty(count), np.empty(count)
        self._handle.binProbabilities(address(index), count, address(p), address(errors))
        if _isBootstrap(error):
            logZ, p2 = self._replicates(count, replicates)
            self._handle.bootstrapBins(
                address(index), count, replicates, checkedSeed(seed), address(logZ), address(p2)
            )
            errors = spread(p2)
        p, errors = p.reshape(shape), errors.reshape(shape)
        if density:
            p, errors = p / binSizes(edges), errors / binSizes(edges)
        return Histogram(p, errors, edges, density)

    def logNormalization(self, error: str = "delta", replicates: int = 200, seed: int = 0) -> Estimate:
        """Return ln Z of the target, the logarithm of the mean weight, and its standard error.

        The free energy is -kT ln Z. Samples of weight zero are counted in the mean.
        """
        self._warn()
        value, deviation = self._handle.logNormalization()
        if _isBootstrap(error):
            deviation = float(spread(self._bootstrap(np.empty((0, len(self))), replicates, seed)[0]))
        return Estimate(value, deviation)

    def freeEnergyDifference(
        self,
        regionA: ArrayLike,
        regionB: ArrayLike,
        error: str = "delta",
        replicates: int = 200,
        seed: int = 0,
    ) -> Estimate:
        """Return the free energy of region B less that of region A, -ln(P_B / P_A) in kT, with its error.

        Arguments
        ---------
        regionA, regionB : array, shape [n]
            whether each sample lies inside (bool), or the value of a smooth indicator function. The regions
            may overlap; that both are estimated from the same samples is accounted for
        error, replicates, seed
            as average()
        """
        a = vector(regionA, len(self), "Weights: regionA")
        b = vector(regionB, len(self), "Weights: regionB")
        self._warn()
        value, deviation = self._handle.regionDifference(address(a), address(b))
        if _isBootstrap(error):
            means = self._bootstrap(np.stack([a, b]), replicates, seed)[1]
            with np.errstate(divide="ignore", invalid="ignore"):
                deviation = float(spread(np.log(means[:, 0] / means[:, 1])))
        return Estimate(value, deviation)

    def targetDifference(self, other: Weights) -> Estimate:
        """Return the free energy of another target less that of this one, -ln(Z_other / Z), in kT.

        Arguments
        ---------
        other : Weights
            of the same samples in the same order, for the other target; see reweighted(). Fluctuations that
            both share cancel in the error
        """
        if not isinstance(other, Weights):
            raise openmm.OpenMMException(
                f"Weights: expected the Weights for another target, got {other!r:.60}"
            )
        self._warn()
        return Estimate(*self._handle.targetDifference(other._handle))

    def reweighted(
        self, oldEnergies: ArrayLike, newEnergies: ArrayLike, status: ArrayLike | None = None
    ) -> Weights:
        """Return the weights of the same samples for another System or temperature; nothing is drawn again.

        Arguments
        ---------
        oldEnergies, newEnergies : array, shape [n]
            reduced energies U/kT of the samples, in the target that these weights are for and in the new one
        status : int array, shape [n], optional
            of the new energies; a sample whose old status was not 0 keeps it

        A sample of weight zero keeps it: where the old target forbids what the new one does not, begin again
        from fromEnergies().
        """
        if self._raw is not None:
            raise openmm.OpenMMException(
                f"Weights: these were {self.treatment}, which another target would not have been; reweight "
                "the raw ones"
            )
        old = vector(oldEnergies, len(self), "Weights: oldEnergies")
        new = vector(newEnergies, len(self), "Weights: newEnergies")
        merged = self._status
        if status is not None:
            merged = vector(status, len(self), "Weights: status", np.int32)
            if self._status is not None:
                merged = np.where(self._status != 0, self._status, merged)
            new = np.where(merged != 0, np.inf, new)
        result = np.empty(len(self))
        self._handle.reweight(address(old), address(new), address(result))
        return Weights(result, merged)

    def resample(self, n: int | None = None, scheme: str = "systematic", seed: int = 0) -> np.ndarray:
        """Return indices of n samples (default: as many as there are) of equal weight; see resample()."""
        count = checkedCount(len(self) if n is None else n, "Weights: the number of samples", 0)
        self._warn()
        result = np.empty(count, dtype=np.int64)
        self._handle.resample(count, str(scheme), checkedSeed(seed), address(result))
        return result

    def _replicates(self, quantities: int, replicates: int) -> tuple[np.ndarray, np.ndarray]:
        count = checkedCount(replicates, "Weights: the number of replicates", 2)
        return np.empty(count), np.empty((count, quantities))

    def _bootstrap(self, columns: np.ndarray, replicates: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        logZ, means = self._replicates(len(columns), replicates)
        self._handle.bootstrapAverages(
            len(columns), address(columns), len(logZ), checkedSeed(seed), address(logZ), address(means)
        )
        return logZ, means


def _restore(
    logWeights: np.ndarray, status: np.ndarray | None, raw: Weights | None, treatment: str
) -> Weights:
    result = Weights(logWeights, status)
    result._raw, result._treatment = raw, treatment
    return result


def _isBootstrap(error: str) -> bool:
    if error not in ("delta", "bootstrap"):
        raise openmm.OpenMMException(f"Weights: the error is by 'delta' or 'bootstrap', not {error!r:.60}")
    return error == "bootstrap"
