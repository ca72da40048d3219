"""Markov chains of independent proposals: MonteCarloFlowMove without the dynamics between moves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import openmm
from numpy.typing import ArrayLike

from .._arrays import checkedCount
from .._units import lengths
from .frames import centroidLogDensity, centroidWidth

# Uniform numbers are drawn in blocks, number i being a function of (seed, i) alone.
_BLOCK = 1024
_STREAM = 0x696E646570656E64


@dataclass(frozen=True)
class ChainState:
    """Where a chain stands; all that ``IndependenceSampler.sample`` needs to go on.

    Attributes
    ----------
    nextSample : int
        the number of the proposal's sample that is tried next
    index : int
        the number of the sample at which the chain is; -1 for initial positions
    positions : array of float64, shape [N,3]
        nm
    reducedEnergy : float
        U/kT there
    logWeight : float
        -U/kT - log q there
    """

    nextSample: int
    index: int
    positions: np.ndarray
    reducedEnergy: float
    logWeight: float


@dataclass(frozen=True)
class IndependenceChain:
    """The n states of a chain after n proposals, and what became of the proposals.

    Attributes
    ----------
    indices : array of int64, shape [n]
        the number of the proposal's sample at which the chain is; -1 while it is at its initial positions
    reducedEnergies : array of float64, shape [n]
        U/kT of the states
    accepted : array of bool, shape [n]
        whether the proposal was accepted
    acceptanceProbabilities : array of float64, shape [n]
        min(1, w'/w) of each proposal
    numInvalid : int
        how many proposals had no finite energy or density, and so were rejected
    last : ChainState
        to go on from
    visitedPositions : array of float64, shape [m,N,3]
        nm: every configuration that the chain was at, once
    visits : array of int64, shape [n]
        the states, as indices of visitedPositions
    """

    indices: np.ndarray
    reducedEnergies: np.ndarray
    accepted: np.ndarray
    acceptanceProbabilities: np.ndarray
    numInvalid: int
    last: ChainState
    visitedPositions: np.ndarray
    visits: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def positions(self) -> np.ndarray:
        """The states, [n,N,3] in nm, made anew from visitedPositions at each call."""
        return self.visitedPositions[self.visits]

    @property
    def acceptanceRate(self) -> float:
        """The share of proposals that were accepted."""
        return float(np.mean(self.accepted))

    @property
    def expectedAcceptance(self) -> float:
        """The mean acceptance probability, which is less noisy."""
        return float(np.mean(self.acceptanceProbabilities))

    def autocorrelationTime(self, values: ArrayLike | None = None) -> float:
        """integratedAutocorrelationTime() of a series of n values, by default the reduced energies."""
        series = self.reducedEnergies if values is None else np.asarray(values, dtype=np.float64)
        if series.shape != (len(self),):
            raise openmm.OpenMMException(
                f"IndependenceChain: values must have the shape [{len(self)}], got {list(series.shape)}"
            )
        return integratedAutocorrelationTime(series)

    def __repr__(self) -> str:
        return (
            f"<IndependenceChain: {len(self)} states, {100 * self.acceptanceRate:.1f} % accepted, "
            f"{self.numInvalid} invalid>"
        )


class IndependenceSampler:
    """Samples exp(-U/kT) exactly by accepting or rejecting independent proposals.

    From state x with weight w(x) = exp(-U(x)/kT)/q(x), the proposal x' is accepted with probability
    min(1, w(x')/w(x)); a rejection repeats x. Unlike reweighting this gives equally weighted configurations,
    at the price of repeated ones. Proposal i and the random number that decides upon it are functions of
    (seed, i), so neither the chunk size nor an interruption changes the result.

    Parameters
    ----------
    proposal : proposal
        what to draw from: its ``sample(n, seed=, first=)``, and ``logDensity(positions)`` if a chain starts
        from given positions
    target : BoltzmannTarget
        or any object with ``reducedEnergies(positions) -> [n]``; +inf or NaN where there is none
    centreOfMass : float or Quantity, optional
        for a proposal of absolute positions and a System that does not care where it is: sigma in nm of the
        normal distribution of centroids in the target, as in BoltzmannSampler
    chunkSize : int
        how many proposals are drawn and evaluated at a time; never changes the result

    References
    ----------
    Hastings, Biometrika 1970, doi:10.1093/biomet/57.1.97; Tierney, Ann. Statist. 1994,
    doi:10.1214/aos/1176325750 (the independence chain)

    Examples
    --------
    >>> sampler = IndependenceSampler(proposal, target)
    >>> chain = sampler.sample(10_000, seed=1)
    >>> more = sampler.sample(10_000, seed=1, start=chain.last)
    >>> chain.acceptanceRate, chain.autocorrelationTime()
    """

    def __init__(self, proposal: Any, target: Any, centreOfMass: Any = None, chunkSize: int = 1024):
        self._proposal = proposal
        self._target = target
        if not callable(getattr(target, "reducedEnergies", None)):
            raise _wrong(f"the target has no method reducedEnergies(positions): {target!r:.60}")
        if not callable(getattr(proposal, "sample", None)):
            raise _wrong(f"the proposal has no method sample(n, seed, first): {proposal!r:.60}")
        self._sigma = centroidWidth(proposal, centreOfMass, "IndependenceSampler")
        self.chunkSize = checkedCount(chunkSize, "IndependenceSampler: chunkSize")

    def sample(
        self,
        n: int,
        seed: int = 0,
        start: ChainState | None = None,
        initialPositions: ArrayLike | None = None,
    ) -> IndependenceChain:
        """Try n proposals.

        Parameters
        ----------
        n : int
            how many
        seed : int
            of the proposals and decisions, 0 to 2^63 - 1
        start : ChainState, optional
            ``last`` of a chain with the same seed, to go on from
        initialPositions : array or Quantity, shape [N,3], optional
            where to start. Default: the first sample that has a weight; those before it are not counted, and
            it counts as accepted

        Raises
        ------
        openmm.OpenMMException
            if the initial positions have no finite energy or density, or no sample in a million has a weight
        """
        n = checkedCount(n, "IndependenceSampler: n")
        seed = checkedCount(seed, "IndependenceSampler: seed", 0)
        if start is not None and initialPositions is not None:
            raise _wrong("give start or initialPositions, not both")
        if initialPositions is not None:
            start = self._stateAt(initialPositions)
        chain = _Recorder(start)
        first = 0 if start is None else start.nextSample
        while chain.count < n:
            # The last piece may be short: what is drawn is used.
            count = min(self.chunkSize, n - chain.count)
            positions, density = self._proposal.sample(count, seed=seed, first=first)
            energies, weights = self._weigh(positions, density)
            chain.extend(first, positions, energies, weights, _uniforms(seed, first, count))
            first += count
            if chain.state is None and first >= 1_000_000:
                raise _wrong(
                    f"none of the first {first} samples has a finite energy and density; the proposal does "
                    "not fit the target"
                )
        return chain.finish(first)

    def _weigh(self, positions: np.ndarray, density: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Reduced energies and log weights; -inf where there is none."""
        energies = np.array(self._target.reducedEnergies(positions), dtype=np.float64)
        weights = np.full(len(energies), -np.inf)
        good = np.isfinite(energies) & np.isfinite(density)
        weights[good] = -energies[good] - density[good]
        if self._sigma is not None:
            weights[good] += centroidLogDensity(positions[good], self._sigma)
        return energies, weights

    def _stateAt(self, positions: ArrayLike) -> ChainState:
        # A copy: the chain keeps it.
        frame = lengths(positions, "IndependenceSampler: initialPositions")[np.newaxis].copy()
        density = np.asarray(self._proposal.logDensity(frame), dtype=np.float64)
        energies, weights = self._weigh(frame, density)
        if not np.isfinite(weights[0]):
            raise _wrong(
                f"at the initial positions the reduced energy is {energies[0]:g} and the log density "
                f"{density[0]:g}; a chain cannot start there"
            )
        return ChainState(0, -1, frame[0], float(energies[0]), float(weights[0]))


class _Recorder:
    """A chain while it grows."""

    def __init__(self, state: ChainState | None):
        self.state = state
        self.count = 0
        self._numInvalid = 0
        self._columns: tuple[list, ...] = ([], [], [], [], [])
        self._visited = [] if state is None else [state.positions]

    def extend(self, first, positions, energies, weights, uniforms):
        indices, u, accepted, probabilities, visits = self._columns
        for i, weight in enumerate(weights):
            if self.state is None:
                if weight == -np.inf:
                    continue
                probability = 1.0
            else:
                probability = float(np.exp(min(0.0, weight - self.state.logWeight)))
            accept = uniforms[i] < probability
            if accept:
                frame = np.array(positions[i], dtype=np.float64)
                self.state = ChainState(0, first + i, frame, float(energies[i]), float(weight))
                self._visited.append(frame)
            self._numInvalid += weight == -np.inf
            self.count += 1
            indices.append(self.state.index)
            u.append(self.state.reducedEnergy)
            accepted.append(accept)
            probabilities.append(probability)
            visits.append(len(self._visited) - 1)

    def finish(self, nextSample: int) -> IndependenceChain:
        indices, u, accepted, probabilities, visits = self._columns
        last = replace(self.state, nextSample=nextSample)
        return IndependenceChain(
            np.array(indices, dtype=np.int64),
            np.array(u, dtype=np.float64),
            np.array(accepted, dtype=bool),
            np.array(probabilities, dtype=np.float64),
            int(self._numInvalid),
            last,
            np.array(self._visited),
            np.array(visits, dtype=np.int64),
        )


def integratedAutocorrelationTime(values: ArrayLike) -> float:
    """How many steps of a chain are worth one independent sample: 1 + 2 sum of the autocorrelation.

    The sum ends at the first lag that is at least five times the estimate so far (Sokal, Functional
    Integration, 1997, doi:10.1007/978-1-4899-0319-8_6). The variance of the mean of n steps is that of the
    values times this over n. A series that never changes gives its length.

    Parameters
    ----------
    values : array, shape [n]

    Returns
    -------
    float
        1 for independent values
    """
    x = np.asarray(values, dtype=np.float64)
    n = len(x)
    if n == 0 or not np.all(np.isfinite(x)):
        raise openmm.OpenMMException("integratedAutocorrelationTime: the series is empty or not finite")
    if np.ptp(x) == 0:
        return float(n)
    x = x - x.mean()
    transform = np.fft.rfft(x, 2 * n)
    correlation = np.fft.irfft(np.abs(transform) ** 2)[:n]
    taus = 2 * np.cumsum(correlation / correlation[0]) - 1
    window = np.nonzero(np.arange(n) >= 5 * taus)[0]
    return float(max(1.0, taus[window[0] if len(window) else n - 1]))


def _uniforms(seed: int, first: int, count: int) -> np.ndarray:
    """Numbers first ... first+count-1 of a sequence in [0, 1)."""
    blocks = []
    for block in range(first // _BLOCK, (first + count - 1) // _BLOCK + 1):
        generator = np.random.Generator(np.random.Philox(key=[seed, _STREAM], counter=[0, block, 0, 0]))
        blocks.append(generator.random(_BLOCK))
    start = first % _BLOCK
    return np.concatenate(blocks)[start : start + count]


def _wrong(sentence: str) -> openmm.OpenMMException:
    return openmm.OpenMMException(f"IndependenceSampler: {sentence}")
