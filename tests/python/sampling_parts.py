"""Proposals and targets in plain NumPy whose answers are known, for tests of what is put together of them."""

import os
import signal
import time

import numpy as np
from openmmscore import BoltzmannSampler
from openmmscore.target import FrameStatus, TargetEnergies
from scipy.special import ndtri

LN_2PI = np.log(2 * np.pi)


class NormalProposal:
    """All 3N coordinates are independent and normal; sample i is a function of (seed, i)."""

    family = "normal"
    frame = "absolute"
    hasDensity = True

    def __init__(self, numParticles=2, mean=0.0, deviation=1.0):
        self.numParticles, self.mean, self.deviation = numParticles, mean, deviation

    def sample(self, n, seed=0, first=0):
        d = 3 * self.numParticles
        blocks = -(-d // 4)  # of four numbers, what one count of Philox gives
        stream = np.random.Generator(np.random.Philox(key=seed, counter=[first * blocks, 0, 0, 0]))
        normal = ndtri(stream.random((n, 4 * blocks)))[:, :d]
        positions = (self.mean + self.deviation * normal).reshape(n, self.numParticles, 3)
        return positions, self.logDensity(positions)

    def logDensity(self, positions):
        z = (np.asarray(positions).reshape(len(positions), -1) - self.mean) / self.deviation
        return -0.5 * (z**2).sum(axis=1) - z.shape[1] * (0.5 * LN_2PI + np.log(self.deviation))


class SpoilingProposal(NormalProposal):
    """Every tenth sample is not finite, and every tenth has a density that is not."""

    def sample(self, n, seed=0, first=0):
        positions, logDensity = super().sample(n, seed, first)
        number = first + np.arange(n)
        positions[number % 10 == 3, 0, 1] = np.nan
        logDensity[number % 10 == 7] = np.inf
        return positions, logDensity


class HarmonicTarget:
    """U/kT = |x|^2 / 2, so Z = (2 pi)^(3N/2); energies of samples that lie far out are planted faults."""

    temperature = 300.0

    def __init__(self, numParticles=2, faults=False, spring=1.0):
        self.numParticles, self.faults, self.spring = numParticles, faults, spring

    def __reduce__(self):
        return type(self), (self.numParticles, self.faults, self.spring)

    def energies(self, positions):
        return 0.5 * self.spring * (positions**2).sum(axis=(1, 2))

    def evaluate(self, positions):
        energies = self.energies(positions)
        status = np.zeros(len(positions), dtype=np.uint8)
        if self.faults:
            status[positions[:, 0, 0] > 1.5] = FrameStatus.NonFiniteEnergy
            status[positions[:, 0, 0] < -1.5] = FrameStatus.OpenMMError
            energies[status != 0] = np.inf
        return TargetEnergies(energies, status, None, np.array(300.0))


class SlowTarget(HarmonicTarget):
    """Takes its time."""

    def energies(self, positions):
        time.sleep(0.05)
        return super().energies(positions)


class DeadlyTarget(SlowTarget):
    """Kills the process that computes it, once: the first that finds no file of that name."""

    def __init__(self, flag):
        super().__init__()
        self.flag = flag

    def __reduce__(self):
        return DeadlyTarget, (self.flag,)

    def energies(self, positions):
        try:
            os.close(os.open(self.flag, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return super().energies(positions)
        os.kill(os.getpid(), signal.SIGKILL)


FIELDS = ("positions", "logDensity", "reducedEnergy", "logWeight", "status")


def assertEqualBits(a, b):
    for name in FIELDS:
        x, y = np.asarray(getattr(a, name)), np.asarray(getattr(b, name))
        assert x.dtype.newbyteorder("=") == y.dtype.newbyteorder("="), name
        np.testing.assert_array_equal(x, y, err_msg=name)
    assert a.statusNames == b.statusNames


def draw(n=500, seed=3, chunkSize=64, proposal=None, target=None, sampler=None, **options):
    proposal = proposal or NormalProposal(deviation=1.2)
    sampler = BoltzmannSampler(
        proposal, target or HarmonicTarget(faults=True), chunkSize=chunkSize, **(sampler or {})
    )
    return sampler.sample(n, seed=seed, progress=False, **options)
