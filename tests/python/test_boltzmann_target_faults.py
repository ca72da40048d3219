"""What becomes of frames that have no energy, and that it changes nothing else."""

import numpy as np
import openmm
import pytest
from openmmscore import BoltzmannTarget, FrameStatus
from target_systems import KT, broken, fluid, noisy


@pytest.mark.parametrize("platform", ["Reference", "CPU"])
@pytest.mark.parametrize("contexts", [1, 3])
@pytest.mark.parametrize("forces", [False, True])
def test_brokenFramesChangeNothingButTheCounts(dipeptide, platform, contexts, forces):
    system, structure = dipeptide
    frames = noisy(structure, 30, 0.003)
    target = BoltzmannTarget(system, 300, contexts, platform)
    whole = target.evaluate(frames, forces=forces)
    planted, expected = broken(frames)
    result = target.evaluate(planted, forces=forces)
    assert np.array_equal(result.status, expected)
    good = expected == FrameStatus.Ok
    assert np.array_equal(result.reducedEnergies[good], whole.reducedEnergies[good])
    assert (result.reducedEnergies[~good] == np.inf).all()
    assert result.counts == {**dict.fromkeys(result.counts, 0), "Ok": 24, "NonFinitePosition": 2,
                             "NonFiniteEnergy": 2, "EnergyTooHigh": 2}  # fmt: skip
    if forces:
        assert np.array_equal(result.forces[good], whole.forces[good])
        assert np.isnan(result.forces[~good]).all()
    # The Contexts are as good as new.
    assert np.array_equal(target.reducedEnergies(frames), whole.reducedEnergies)


def test_brokenFramesOfAPeriodicSystem():
    system, lattice = fluid(openmm.NonbondedForce.CutoffPeriodic)
    frames = noisy(lattice, 12, 0.02)
    for platform in ("Reference", "CPU"):
        target = BoltzmannTarget(system, 300, 2, platform)
        whole = target.reducedEnergies(frames)
        planted = frames.copy()
        planted[2, 7] += 1e300
        planted[5] *= 1e12
        planted[9, 0] = np.nan
        result = target.evaluate(planted)
        rest = np.delete(np.arange(12), [2, 5, 9])
        assert np.array_equal(result.reducedEnergies[rest], whole[rest])
        assert result.status[9] == FrameStatus.NonFinitePosition
        assert not np.isnan(result.reducedEnergies).any()


def test_energiesOfChargesWithoutRepulsionAreTooLow():
    system = openmm.System()
    force = openmm.NonbondedForce()
    for charge in (1.0, -1.0):
        system.addParticle(1.0)
        force.addParticle(charge, 0.1, 0.0)
    system.addForce(force)
    frames = np.zeros((2, 2, 3))
    frames[:, 1, 0] = [0.3, 1e-9]
    target = BoltzmannTarget(system, 300, 1)
    result = target.evaluate(frames)
    assert list(result.status) == [FrameStatus.Ok, FrameStatus.EnergyTooLow]
    assert result.reducedEnergies[1] == np.inf
    target.energyLimits = (-np.inf, np.inf)
    assert target.evaluate(frames).counts["Ok"] == 2
    target.energyLimits = (-100, 0)
    assert target.evaluate(frames).counts["EnergyTooLow"] == 2
    with pytest.raises(openmm.OpenMMException, match="lower limit .* below the upper"):
        target.energyLimits = (1, 1)


def test_nonFiniteForcesAreAStatus():
    system = openmm.System()
    force = openmm.CustomExternalForce("sqrt(x)")
    system.addParticle(1.0)
    force.addParticle(0)
    system.addForce(force)
    frames = np.array([[[1.0, 0, 0]], [[0.0, 0, 0]]])
    target = BoltzmannTarget(system, 300, 1, "Reference")
    result = target.evaluate(frames, forces=True)
    assert list(result.status) == [FrameStatus.Ok, FrameStatus.NonFiniteForce]
    np.testing.assert_allclose(result.forces[0, 0, 0], -0.5 / KT)
    assert target.evaluate(frames).counts["Ok"] == 2


def throwOnTheRight(state):
    x = state.getPositions(asNumpy=True)._value
    if x[0, 0] > 5.0:
        raise ValueError("too far to the right")
    return 0.5 * np.sum(x * x), -x


@pytest.mark.parametrize("contexts", [1, 4])
def test_exceptionsOfOpenMMAreAStatusAndLeaveContextsSound(contexts):
    system = openmm.System()
    for _ in range(2):
        system.addParticle(1.0)
    system.addForce(openmm.PythonForce(throwOnTheRight))
    frames = noisy(np.zeros((2, 3)), 40, 0.1)
    target = BoltzmannTarget(system, 300, contexts, "Reference")
    whole = target.evaluate(frames)
    assert whole.ok.all() and whole.firstError is None
    planted = frames.copy()
    planted[[3, 4, 17, 39], 0, 0] = 6.0
    result = target.evaluate(planted, forces=True)
    bad = result.status == FrameStatus.OpenMMError
    assert list(np.flatnonzero(bad)) == [3, 4, 17, 39]
    assert result.firstError.startswith("frame 3:") and "too far to the right" in result.firstError
    assert np.array_equal(result.reducedEnergies[~bad], whole.reducedEnergies[~bad])
    np.testing.assert_array_equal(result.forces[~bad], -frames[~bad] / KT)
    assert np.array_equal(target.reducedEnergies(frames), whole.reducedEnergies)
