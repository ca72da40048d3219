"""Runs of AnnealedSampler: checkpoints, seeds, levels, step sizes, and what is refused."""

import numpy as np
import openmm
import pytest
from openmmscore.sampling import (
    AnnealedSampler,
    GaussianMixtureProposal,
    hmc,
    mala,
)
from sampling_targets import Harmonic, Normal, expectWithin


class Interrupting(Harmonic):
    """Is interrupted when it has been asked often enough."""

    def __init__(self, after):
        super().__init__()
        self.after = after

    def energiesAndForces(self, x):
        if self.numAsked > self.after:
            raise KeyboardInterrupt
        return super().energiesAndForces(x)


def expectEqual(one, other):
    for name in ("positions", "logWeight", "reducedEnergy", "logDensity", "status", "ancestor"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.logNormalization().value == other.logNormalization().value
    for name in ("levels", "effectiveFraction", "resampled", "acceptance", "stepSizes", "lineages"):
        np.testing.assert_array_equal(getattr(one.histories[0], name), getattr(other.histories[0], name))


def test_continuedRunsEqualUninterruptedOnes(tmp_path):
    proposal = GaussianMixtureProposal(None, np.zeros((1, 2, 3)), 1.0)

    def run(target, checkpoint=None):
        sampler = AnnealedSampler(proposal, target, move=mala(0.1), stepQuality=0.95)
        return sampler.run(100, seed=9, checkpoint=checkpoint)

    path = tmp_path / "run.safetensors"
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            run(Interrupting(150), path)
    whole = run(Harmonic())
    assert len(whole.histories[0].levels) > 5 and whole.histories[0].resampled.any()
    expectEqual(run(Harmonic(), path), whole)
    target = Harmonic()
    expectEqual(run(target, path), whole)
    assert target.numAsked <= 4


def test_checkpointsOfOtherRunsAreRefused(tmp_path):
    proposal = Normal(3)
    path = tmp_path / "run.safetensors"
    AnnealedSampler(proposal, Harmonic()).run(20, checkpoint=path)
    before = path.read_bytes()
    for sampler, n, seed, message in (
        (AnnealedSampler(proposal, Harmonic()), 20, 1, "belongs to a run with seed 0, this one has 1"),
        (AnnealedSampler(proposal, Harmonic()), 21, 0, "with n 20, this one has 21"),
        (AnnealedSampler(proposal, Harmonic(), levels=5), 20, 0, "with levels None"),
        (AnnealedSampler(proposal, Harmonic(2.1)), 20, 0, "made with another proposal or target"),
    ):
        with pytest.raises(openmm.OpenMMException, match=message):
            sampler.run(n, seed=seed, checkpoint=path)
    assert path.read_bytes() == before
    path.write_bytes(before[:1000])
    with pytest.raises(openmm.OpenMMException, match="run.safetensors"):
        AnnealedSampler(proposal, Harmonic()).run(20, checkpoint=path)


def test_resultDependsOnSeedsAndNotOnChunks():
    proposal = GaussianMixtureProposal(None, np.zeros((1, 2, 3)), 1.0)

    def run(chunkSize, seed):
        return AnnealedSampler(proposal, Harmonic(), move=hmc(0.02, 3), chunkSize=chunkSize).run(
            100, seed=seed
        )

    whole = run(1000, 1)
    for chunkSize in (1, 7, 99):
        expectEqual(run(chunkSize, 1), whole)
    assert run(1000, 2).logNormalization().value != whole.logNormalization().value


def test_chosenLevelsKeepTheQualityOfSteps():
    sampler = AnnealedSampler(Normal(3), Harmonic(30.0, 1.0), stepQuality=0.8, threshold=1.0, move=mala(0.01))
    history = sampler.run(500, seed=1).histories[0]
    assert len(history.levels) > 5 and history.levels[-1] == 1
    np.testing.assert_allclose(history.effectiveFraction[:-1], 0.8, rtol=1e-3)
    assert history.effectiveFraction[-1] >= 0.8 and (np.diff(history.levels) > 0).all()


def test_stepSizesFollowTheAcceptance():
    sampler = AnnealedSampler(Normal(30), Harmonic(1.0, 0.0), levels=40, move=mala(10.0), threshold=0.0)
    history = sampler.run(200, seed=1).histories[0]
    assert history.acceptance[0] < 0.01
    assert abs(history.acceptance[-10:].mean() - 0.574) < 0.1
    fixed = AnnealedSampler(Normal(30), Harmonic(1.0, 0.0), levels=5, move=mala(0.1, adapt=None))
    assert set(fixed.run(50).histories[0].stepSizes) == {0.1}


def test_integerLevelsRiseFromOneMthToOne():
    result = AnnealedSampler(Normal(3), Harmonic(), levels=8, threshold=0.0).run(50, seed=1)
    np.testing.assert_allclose(result.histories[0].levels, np.arange(1, 9) / 8)
    np.testing.assert_array_equal(result.ancestor, np.arange(50))
    assert not result.histories[0].resampled.any()


@pytest.mark.parametrize("scheme", ["stratified", "residual", "multinomial"])
def test_otherSchemesOfResamplingGiveTheSameAnswer(scheme):
    sampler = AnnealedSampler(
        Normal(3), Harmonic(), move=mala(0.1), resampling=scheme, threshold=1.0, levels=6
    )
    result = sampler.run(1000, seed=3)
    assert result.histories[0].resampled.all() and result.numLineages < 1000
    expectWithin(*result.logNormalization(), Harmonic().logZ(3))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"levels": [0.0, 1.0]}, "levels must rise from above 0 to exactly 1"),
        ({"levels": [0.5, 0.9]}, "levels must rise"),
        ({"levels": 0}, "levels must be an integer of at least 1"),
        ({"threshold": 1.5}, "threshold must lie from 0 to 1"),
        ({"stepQuality": 1.0}, "stepQuality must lie between 0 and 1"),
        ({"resampling": "bootstrap"}, "resampling must be a function or one of systematic"),
        ({"movesPerLevel": 0}, "movesPerLevel must be an integer of at least 1"),
        ({"centreOfMass": -1.0}, "centreOfMass must be a positive length"),
    ],
)
def test_whatIsWrongIsSaid(options, message):
    with pytest.raises(openmm.OpenMMException, match=message) as error:
        AnnealedSampler(Normal(1, 3), Harmonic(), **options)
    assert not str(error.value).endswith(".")


def test_movesSayWhatIsWrong():
    with pytest.raises(openmm.OpenMMException, match="stepSize must be a positive number"):
        mala(0.0)
    with pytest.raises(openmm.OpenMMException, match="numSteps must be 1 to 10000"):
        hmc(0.1, 0)
    with pytest.raises(openmm.OpenMMException, match="the proposal must have the method logDensityGradient"):
        AnnealedSampler(object(), Harmonic())
    with pytest.raises(openmm.OpenMMException, match="the target must have the method evaluate"):
        AnnealedSampler(Normal(3), object())


def test_summaryWarnsOfFewLineages():
    text = AnnealedSampler(Normal(3), Harmonic(), move=mala(0.1)).run(40, seed=1).summary()
    assert "ln Z" in text and "few lineages are left" in text and "fewer than 100 effective samples" in text
