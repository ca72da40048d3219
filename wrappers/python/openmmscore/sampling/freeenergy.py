"""Free energy differences from samples of two or more states: BAR and MBAR."""

from __future__ import annotations

import numpy as np
import openmm
from numpy.typing import ArrayLike

from .._arrays import address, numbers, vector
from ..plugin import _MbarHandle, _WeightsHandle
from .estimates import Estimate


def bar(forwardWork: ArrayLike, reverseWork: ArrayLike) -> Estimate:
    """Free energy difference of two states by Bennett's acceptance ratio.

    With state 0 a proposal and state 1 a target, the forward work is minus the log weights of the proposal's
    draws, and the reverse work is the log weights u_0 - u_1 = -log q(x) - u(x) of frames of molecular
    dynamics in the target. The result is then -ln Z, better than from either set alone.

    Arguments
    ---------
    forwardWork : array, shape [n0]
        u_1 - u_0 at independent samples of state 0; +inf where state 1 forbids the sample
    reverseWork : array, shape [n1]
        u_0 - u_1 at independent samples of state 1. Frames of a trajectory are correlated: take every
        (2 tau + 1)-th, or the error is too small

    Returns
    -------
    Estimate (value, error) of f_1 - f_0 = -ln(Z_1 / Z_0), in kT

    References
    ----------
    C. H. Bennett, J. Comput. Phys. 22 (1976) 245; Shirts et al., Phys. Rev. Lett. 91 (2003) 140601
    """
    forward = vector(forwardWork, None, "bar: forwardWork")
    reverse = vector(reverseWork, None, "bar: reverseWork")
    return Estimate(*_WeightsHandle.bar(len(forward), address(forward), len(reverse), address(reverse)))


class Mbar:
    """The solution of the multistate Bennett acceptance ratio; mbar() makes it.

    K states, N samples of all together, which must be independent of each other.
    """

    def __init__(self, reducedEnergies: ArrayLike, counts: ArrayLike):
        energies = numbers(reducedEnergies, "mbar: reducedEnergies")
        numSamples = vector(counts, None, "mbar: counts", np.int64)
        if energies.ndim != 2 or energies.shape != (len(numSamples), numSamples.sum()):
            raise openmm.OpenMMException(
                f"mbar: reducedEnergies must have the shape [{len(numSamples)},{numSamples.sum()}], each "
                f"state and all samples, for counts that sum to {numSamples.sum()}; got "
                f"{list(energies.shape)}"
            )
        self.counts = numSamples
        self._handle = _MbarHandle(len(energies), address(numSamples), energies.shape[1], address(energies))

    def freeEnergies(self) -> Estimate:
        """Return f_k = -ln Z_k relative to state 0 in kT, shape [K], and their errors."""
        errors = [self._handle.difference(0, k)[1] for k in range(len(self.counts))]
        return Estimate(np.array(self._handle.getFreeEnergies()), np.array(errors))

    def freeEnergyDifference(self, i: int, j: int) -> Estimate:
        """Return f_j - f_i and its error."""
        return Estimate(*self._handle.difference(int(i), int(j)))

    def overlap(self) -> np.ndarray:
        """Return the overlap matrix, shape [K,K]; neighbours below about 0.03 make errors unreliable."""
        return np.array(self._handle.overlap()).reshape(len(self.counts), -1)

    def perturbed(self, energies: ArrayLike) -> Estimate:
        """Return the free energy of any state, of reduced energies [N], relative to state 0."""
        u = vector(energies, int(self.counts.sum()), "Mbar: energies")
        return Estimate(*self._handle.perturbed(address(u)))

    def average(self, energies: ArrayLike, values: ArrayLike) -> Estimate:
        """Return the average of values [N] in the state of reduced energies [N], and its error."""
        n = int(self.counts.sum())
        u, a = vector(energies, n, "Mbar: energies"), vector(values, n, "Mbar: values")
        return Estimate(*self._handle.average(address(u), address(a)))

    def logWeights(self, energies: ArrayLike) -> np.ndarray:
        """Return normalised log weights of all samples, [N], in the state of reduced energies [N]."""
        u = vector(energies, int(self.counts.sum()), "Mbar: energies")
        result = np.empty_like(u)
        self._handle.logWeights(address(u), address(result))
        return result


def mbar(reducedEnergies: ArrayLike, counts: ArrayLike) -> Mbar:
    """Solve the multistate Bennett acceptance ratio for samples of K states.

    A normalised proposal is a state of reduced energy -log q, whose free energy is 0; as state 0 it makes the
    others' free energies -ln Z.

    Arguments
    ---------
    reducedEnergies : array, shape [K,N]
        energies in kT of every sample in every state; samples in the order of the states that they are of.
        +inf where a state forbids a sample
    counts : int array, shape [K]
        how many samples are of each state, each at least 1

    Raises
    ------
    openmm.OpenMMException
        if shapes differ, an energy is NaN, or states do not overlap

    References
    ----------
    Shirts & Chodera, J. Chem. Phys. 129 (2008) 124105
    """
    return Mbar(reducedEnergies, counts)
