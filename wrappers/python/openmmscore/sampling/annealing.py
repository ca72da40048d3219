"""Sequential Monte Carlo and annealed importance sampling between a proposal and a target."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import openmm

from .._arrays import checkedCount, checkedSeed
from .annealed import AnnealedSamples, History, readRun, writeRun
from .annealingmoves import Move, mala, takeMove
from .annealingpath import Path, Walkers, allLost, effectiveFraction, logMean, nextStep, normalised
from .frames import centroidWidth
from .resampling import resample

_SCHEMES = ("systematic", "stratified", "residual", "multinomial")
_PURPOSES = {"move": 1, "resample": 2}


class AnnealedSampler:
    """Carries samples of a proposal over to a target through a sequence of densities between them.

    With the proposal's density q and the target's reduced energy u = U/kT the densities are

        pi_l(x) ~ q(x)^(1 - l) exp(-u(x))^l,     l from 0 to 1.

    At every level each walker's log weight grows by (l - l_before) (-u(x) - log q(x)); walkers are resampled
    when their effective number has fallen too far; and they move by steps that keep pi_l. Without
    resampling this is annealed importance sampling (Neal, Stat. Comput. 2001, doi:10.1023/A:1008923215028),
    with it sequential Monte Carlo (Del Moral, Doucet and Jasra, J. R. Stat. Soc. B 2006,
    doi:10.1111/j.1467-9868.2006.00553.x). The first level is above 0 and the last is 1, and weights that are
    left then are kept, all constants included: their mean is the target's configuration integral in nm^3N.

    Step sizes adapt between levels only, to the acceptance of the level before. A level's moves thus do not
    depend on where they lead, and each of them keeps pi_l. That the ladder and step sizes look at the
    population makes log Z consistent (the error falls with the number of walkers) instead of exactly
    unbiased; fixed ``levels`` and a move with ``adapt=None`` restore that.

    A System without external forces does not care where it is: for a proposal of absolute positions
    give ``centreOfMass``, which makes a normal distribution of centroids part of the target. For one of
    centred positions the moves leave centroids alone.

    Parameters
    ----------
    proposal
        has ``sample(n, seed=, first=)``, ``logDensity(x)`` and ``logDensityGradient(x)`` (see
        openmmscore.sampling.proposals)
    target
        a BoltzmannTarget, or another object whose ``evaluate(positions, forces=True)`` returns something with
        ``reducedEnergies`` [n], ``forces`` -grad u [n,N,3] in 1/nm, and a ``status`` [n] that is not 0 where
        the energy must not be used
    levels : None, int or array
        None chooses each level so that ``stepQuality`` is kept; an integer M means 1/M, 2/M ... 1; or the
        levels themselves, rising to 1
    stepQuality : float
        conditional effective sample size of a step, as a fraction, when levels are chosen
    move : Move
        from ``ula``, ``mala`` or ``hmc``
    movesPerLevel : int
        how often it is repeated at a level
    threshold : float
        walkers are resampled when their effective sample size over n falls below; 0 means never
    resampling : str or callable
        a scheme of ``resample``; or a function (weights that sum to one, seed) -> indices [n]
    resampleBeforeMove : bool
        whether resampling comes before a level's moves, which then spread the copies, or after them
    centreOfMass : float or Quantity, optional
        width of the normal distribution of centroids, nm
    chunkSize : int
        how many positions proposal and target are asked about at a time; never changes the result

    Examples
    --------
    >>> sampler = AnnealedSampler(proposal, target, move=hmc(1e-5), threshold=0.5)
    >>> result = sampler.run(1000, seed=1, checkpoint="run.safetensors")
    >>> logZ, error = result.logNormalization()
    """

    def __init__(
        self,
        proposal: Any,
        target: Any,
        levels: int | Sequence[float] | None = None,
        stepQuality: float = 0.9,
        move: Move | None = None,
        movesPerLevel: int = 1,
        threshold: float = 0.5,
        resampling: str | Callable[[np.ndarray, int], np.ndarray] = "systematic",
        resampleBeforeMove: bool = True,
        centreOfMass: Any = None,
        chunkSize: int = 1024,
    ):
        for name, part, method in (
            ("proposal", proposal, "logDensityGradient"),
            ("target", target, "evaluate"),
        ):
            if not callable(getattr(part, method, None)):
                raise _wrong(f"the {name} must have the method {method}(), got {part!r:.60}")
        counts = [getattr(part, "numParticles", None) for part in (proposal, target)]
        if None not in counts and counts[0] != counts[1]:
            raise _wrong(f"the proposal has {counts[0]} particles, the target's System {counts[1]}")
        if not 0 < stepQuality < 1:
            raise _wrong(f"stepQuality must lie between 0 and 1, got {stepQuality}")
        if not 0 <= threshold <= 1:
            raise _wrong(f"threshold must lie from 0 to 1, got {threshold}")
        self.proposal, self.target = proposal, target
        self.levels = None if levels is None else _ladder(levels)
        if not callable(resampling) and resampling not in _SCHEMES:
            raise _wrong(
                f"resampling must be a function or one of {', '.join(_SCHEMES)}, got {resampling!r:.40}"
            )
        self.stepQuality, self.threshold = float(stepQuality), float(threshold)
        self.move = mala(1e-5) if move is None else move
        self.movesPerLevel = checkedCount(movesPerLevel, "AnnealedSampler: movesPerLevel")
        self.resampling = resampling
        self.resampleBeforeMove = bool(resampleBeforeMove)
        self.centreOfMass = centroidWidth(proposal, centreOfMass, "AnnealedSampler")
        self.chunkSize = checkedCount(chunkSize, "AnnealedSampler: chunkSize")

    def run(
        self,
        n: int,
        seed: int = 0,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpointInterval: float = 60.0,
        progress: bool = True,
    ) -> AnnealedSamples:
        """Carry n walkers from the proposal to the target.

        Random numbers are functions of (seed, level, move), so the result depends on neither
        ``chunkSize`` nor interruptions.

        Parameters
        ----------
        n : int
            number of walkers
        seed : int
            of the proposal's samples and of everything after them
        checkpoint : str or os.PathLike, optional
            file that the run is kept in, written between levels and when the run is interrupted. If it is
            there the run goes on from it; a finished one is returned at once
        checkpointInterval : float
            seconds between two writings
        progress : bool
            whether to show a bar

        Raises
        ------
        openmm.OpenMMException
            if no walker has a finite energy and density, or the checkpoint belongs to another run
        """
        n, seed = checkedCount(n, "AnnealedSampler: n"), checkedSeed(seed)
        path = Path(self.proposal, self.target, self.centreOfMass, self.chunkSize)
        state = self._start(path, n, seed, checkpoint)
        written = time.monotonic()
        bar = _bar(progress, state)
        try:
            while state.history.level < 1:
                state = self._advance(path, state)
                bar.update(state.history.level - bar.n)
                bar.set_postfix(ess=f"{state.history.effectiveFraction[-1]:.2f}", refresh=False)
                if checkpoint is not None and time.monotonic() - written > checkpointInterval:
                    writeRun(checkpoint, state, self._settings(n, seed))
                    written = time.monotonic()
        except BaseException:
            if checkpoint is not None:
                writeRun(checkpoint, state, self._settings(n, seed))
            raise
        finally:
            bar.close()
        if checkpoint is not None:
            writeRun(checkpoint, state, self._settings(n, seed))
        return AnnealedSamples.fromRun(state)

    def _start(self, path: Path, n: int, seed: int, checkpoint: Any) -> Run:
        if checkpoint is not None and os.path.exists(checkpoint):
            walkers, history, counts = readRun(checkpoint, self._settings(n, seed))
            _checkSame(path, walkers, checkpoint)
            path.counts[:] = counts
            return Run(n, seed, walkers, history, path.counts.copy())
        positions, _ = self.proposal.sample(n, seed=seed, first=0)
        positions = np.array(positions, dtype=np.float64)
        evaluation = path.evaluate(positions)
        weight = np.where(evaluation.usable, 0.0, -np.inf)
        if not evaluation.usable.any():
            raise allLost()
        walkers = Walkers(positions, evaluation, weight, np.arange(n))
        return Run(n, seed, walkers, History.empty(self.move.stepSize), path.counts.copy())

    def _advance(self, path: Path, state: Run) -> Run:
        """Everything that happens at the next level; the state before it stays valid."""
        history, walkers = state.history, state.walkers
        number = len(history.levels)
        level = self._nextLevel(walkers, history)
        walkers = walkers.reweighted(level - history.level)
        if not walkers.alive.any():
            raise allLost()
        quality = effectiveFraction(walkers.logWeight)

        resampled, logZ, stepSize = False, history.logZ, history.stepSize
        if self.resampleBeforeMove:
            walkers, resampled, logZ = self._resample(state.seed, number, walkers, logZ)
        accepted = []
        for repeat in range(self.movesPerLevel):
            random = _Random(state.seed, number, repeat)
            walkers, share = takeMove(self.move, path, walkers, level, stepSize, random)
            accepted.append(share)
        acceptance = float(np.mean(accepted))
        if not self.resampleBeforeMove:
            if not walkers.alive.any():
                raise allLost()
            walkers, resampled, logZ = self._resample(state.seed, number, walkers, logZ)
        following = stepSize if self.move.adapt is None else float(self.move.adapt(stepSize, acceptance))
        history = history.extended(
            level, quality, resampled, acceptance, stepSize, len(np.unique(walkers.ancestor[walkers.alive]))
        )
        history = dataclasses.replace(history, logZ=logZ, stepSize=following)
        return Run(state.n, state.seed, walkers, history, path.counts.copy())

    def _nextLevel(self, walkers: Walkers, history: History) -> float:
        if self.levels is not None:
            return float(self.levels[len(history.levels)])
        step = nextStep(walkers, history.level, self.stepQuality)
        return 1.0 if history.level + step > 1 - 1e-12 else history.level + step

    def _resample(self, seed: int, number: int, walkers: Walkers, logZ: float) -> tuple[Walkers, bool, float]:
        if not effectiveFraction(walkers.logWeight) < self.threshold:
            return walkers, False, logZ
        weight = normalised(walkers.logWeight)
        draw = int(_generator(seed, "resample", number, 0).integers(2**63))
        if isinstance(self.resampling, str):
            index = resample(weight, scheme=self.resampling, seed=draw)
        else:
            index = np.asarray(self.resampling(weight, draw))
        return walkers.resampled(index), True, logZ + logMean(walkers.logWeight)

    def _settings(self, n: int, seed: int) -> dict[str, Any]:
        """What a run follows from, as far as a file can hold it."""
        return {
            "n": n,
            "seed": seed,
            "levels": None if self.levels is None else self.levels.tolist(),
            "stepQuality": self.stepQuality,
            "move": [self.move.kind, self.move.stepSize, self.move.numSteps, self.move.adapt is not None],
            "movesPerLevel": self.movesPerLevel,
            "threshold": self.threshold,
            "resampling": getattr(self.resampling, "__name__", str(self.resampling)),
            "resampleBeforeMove": self.resampleBeforeMove,
            "centreOfMass": self.centreOfMass,
        }


@dataclasses.dataclass(frozen=True)
class Run:
    """All that a run is between two levels."""

    n: int
    seed: int
    walkers: Walkers
    history: History
    counts: np.ndarray


class _Random:
    """The numbers of one move of all walkers."""

    def __init__(self, seed: int, level: int, repeat: int):
        self._generator = _generator(seed, "move", level, repeat)

    def normal(self, shape: tuple[int, ...]) -> np.ndarray:
        return self._generator.standard_normal(shape)

    def uniform(self, n: int) -> np.ndarray:
        return self._generator.random(n)


def _generator(seed: int, purpose: str, level: int, repeat: int) -> np.random.Generator:
    # The low word of the counter is the generator's own.
    return np.random.Generator(
        np.random.Philox(
            key=np.array([seed, _PURPOSES[purpose]], dtype=np.uint64),
            counter=np.array([0, 0, repeat, level], dtype=np.uint64),
        )
    )


def _checkSame(path: Path, walkers: Walkers, checkpoint: Any) -> None:
    """Proposal and target must say of some walkers what they said when the file was written."""
    chosen = np.flatnonzero(walkers.alive)[:4]
    again = path.evaluate(walkers.positions[chosen])
    for name in ("reducedEnergy", "logDensity"):
        before, now = getattr(walkers.evaluation, name)[chosen], getattr(again, name)
        if not np.allclose(before, now, rtol=1e-6, atol=1e-4):
            raise _wrong(
                f"{os.fspath(checkpoint)} was made with another proposal or target: {name} of walker "
                f"{chosen[0]} is {now[0]:.8g}, in the file {before[0]:.8g}; delete it to start again"
            )


def _bar(progress: bool, state: Run) -> Any:
    from tqdm import tqdm

    return tqdm(
        total=1.0,
        initial=state.history.level,
        disable=not progress,
        desc="annealing",
        bar_format="{desc} {percentage:3.0f}%|{bar}| level {n:.4f} [{elapsed}{postfix}]",
    )


def _ladder(levels: Any) -> np.ndarray:
    if np.ndim(levels) == 0:
        count = checkedCount(levels, "AnnealedSampler: levels")
        return np.arange(1, count + 1) / count
    array = np.array(levels, dtype=np.float64)
    if array.ndim != 1 or not len(array) or not (np.diff(array, prepend=0.0) > 0).all() or array[-1] != 1:
        raise _wrong("levels must rise from above 0 to exactly 1, for example numpy.arange(1, 101) / 100")
    return array


def _wrong(sentence: str) -> openmm.OpenMMException:
    return openmm.OpenMMException(f"AnnealedSampler: {sentence}")
