"""Drawing weighted samples: equal bits however they are drawn, faults counted, interrupted and continued."""

import numpy as np
import openmm
import pytest
from openmm import unit
from openmmscore import BoltzmannSampler, WeightedSamples
from openmmscore.target import FrameStatus, TargetEnergies
from sampling_parts import FIELDS, HarmonicTarget, NormalProposal, SpoilingProposal, assertEqualBits, draw


class Handedness:
    """The first three particles and the origin: right if their triple product is positive."""

    def check(self, positions):
        return np.linalg.det(positions[:, :3]) > 0


# Equal bits.


@pytest.mark.parametrize("chunkSize", [1, 7, 500, 4096])
def test_chunksDoNotChangeABit(chunkSize):
    assertEqualBits(draw(chunkSize=chunkSize), draw(chunkSize=64))


def test_seedsDiffer():
    assert not np.array_equal(draw(seed=1).positions, draw(seed=2).positions)
    sampler = BoltzmannSampler(NormalProposal(), HarmonicTarget())
    assertEqualBits(sampler.sample(50, progress=False), sampler.sample(50, seed=0, progress=False))


@pytest.mark.parametrize("precision", ["single", "double"])
def test_fileHoldsTheSameBits(tmp_path, precision):
    options = {"sampler": {"precision": precision}}
    onDisk = draw(output=tmp_path / "a.nc", **options)
    assertEqualBits(onDisk, draw(**options))
    assertEqualBits(WeightedSamples.load(tmp_path / "a.nc"), onDisk)
    draw(output=tmp_path / "b.nc", chunkSize=9, **options)
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()


def test_energiesAreThoseOfTheKeptPositions():
    samples = draw(sampler={"precision": "single"}, target=HarmonicTarget())
    assert samples.positions.dtype == np.float32
    kept = samples.positions.astype(np.float64)
    np.testing.assert_array_equal(samples.reducedEnergy, 0.5 * (kept**2).sum(axis=(1, 2)))


def test_noSamplesAreSamplesToo(tmp_path):
    assert len(draw(n=0)) == 0
    assert len(draw(n=0, output=tmp_path / "empty.nc")) == 0
    assertEqualBits(draw(output=tmp_path / "empty.nc", resume=True), draw())


# Interrupted and continued.


# Trouble with the disk.


# Statuses.


def test_faultsOfTheTargetCountAndChangeNothingElse():
    spoilt, clean = draw(target=HarmonicTarget(faults=True)), draw(target=HarmonicTarget())
    good = spoilt.status == 0
    assert 50 < (~good).sum() < 450
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(spoilt, name)[good], getattr(clean, name)[good])
    assert np.all(spoilt.logWeight[~good] == -np.inf)
    assert not np.isfinite(spoilt.reducedEnergy[~good]).any()
    counts = spoilt.counts
    assert list(counts) == ["ok", "energy not finite", "OpenMM failed"] and sum(counts.values()) == 500
    x = spoilt.positions[:, 0, 0]
    assert counts["energy not finite"] == (x > 1.5).sum() and counts["OpenMM failed"] == (x < -1.5).sum()


def test_brokenProposalsCountAndAreNotEvaluated():
    class Strict(HarmonicTarget):
        def energies(self, positions):
            assert np.isfinite(positions).all()
            return super().energies(positions)

    spoilt = draw(proposal=SpoilingProposal(deviation=1.2), target=Strict())
    clean = draw(proposal=NormalProposal(deviation=1.2), target=Strict())
    good = spoilt.status == 0
    assert spoilt.counts == {"ok": 400, "proposal not finite": 100}
    np.testing.assert_array_equal(spoilt.logWeight[good], clean.logWeight[good])
    assert np.all(spoilt.logWeight[~good] == -np.inf)
    assert np.isnan(spoilt.reducedEnergy[~good]).all()


def test_nothingOkIsSaid():
    class Hopeless(HarmonicTarget):
        def evaluate(self, positions):
            broken = np.full(len(positions), FrameStatus.OpenMMError, np.uint8)
            energies = np.full(len(positions), np.inf)
            return TargetEnergies(energies, broken, None, np.array(300.0), "frame 0: it is hopeless")

    with pytest.warns(UserWarning, match="OpenMM failed for some samples.* it is hopeless"):
        samples = draw(target=Hopeless())
    assert samples.counts == {"ok": 0, "OpenMM failed": 500}
    assert "no sample has a weight" in str(samples.summary())
    with pytest.raises(openmm.OpenMMException, match="no sample has a weight"):
        samples.average(lambda x: x[:, 0, 0])


# Chirality.


def test_wrongHandsAreRejectedBeforeEnergies():
    seen = []

    class Watching(HarmonicTarget):
        def energies(self, positions):
            seen.append(positions)
            return super().energies(positions)

    samples = draw(
        n=4000,
        proposal=NormalProposal(3, deviation=1.2),
        target=Watching(3),
        sampler={"chirality": Handedness()},
    )
    right = Handedness().check(samples.positions)
    assert sum(map(len, seen)) == right.sum() == samples.counts["ok"]
    assert samples.counts["wrong chirality"] == (~right).sum()
    assert np.all(samples.logWeight[~right] == -np.inf)
    logZ, error = samples.weights.logNormalization()
    assert abs(logZ - (4.5 * np.log(2 * np.pi) - np.log(2))) < 5 * error


def test_mirroredSamplesHaveBothDensities():
    # A proposal that is not symmetric, so q(x) and q(-x) differ.
    proposal, target = NormalProposal(3, mean=0.3, deviation=1.2), HarmonicTarget(3)
    options = {"n": 4000, "proposal": proposal, "target": target}
    plain = draw(**options)
    samples = draw(**options, sampler={"chirality": Handedness(), "chiralityPolicy": "mirror"})
    assert Handedness().check(samples.positions).all()
    mirrored = samples.status == 1
    assert 1000 < mirrored.sum() == samples.counts["ok, mirrored"]
    np.testing.assert_array_equal(samples.positions[mirrored], -plain.positions[mirrored])
    both = np.logaddexp(proposal.logDensity(samples.positions), proposal.logDensity(-samples.positions))
    np.testing.assert_allclose(samples.logDensity, both, rtol=1e-14)
    # Weights are for the half of configurations that are right.
    logZ, error = samples.weights.logNormalization()
    assert error < 0.1 and abs(logZ - (4.5 * np.log(2 * np.pi) - np.log(2))) < 5 * error


def test_handsThatMirroringDoesNotMendAreRejected():
    class Never:
        def check(self, positions):
            return np.zeros(len(positions), bool)

    samples = draw(sampler={"chirality": Never(), "chiralityPolicy": "mirror"})
    assert samples.counts == {"ok": 0, "wrong chirality": 500}


# Centre of mass.


class Free(HarmonicTarget):
    """Particles bound to their own centroid."""

    def energies(self, positions):
        return super().energies(positions - positions.mean(axis=1, keepdims=True))


def test_perfectProposalOfAFreeMoleculeHasEqualWeights():
    n = 5
    sigma = 1 / np.sqrt(n)
    samples = draw(
        proposal=NormalProposal(n), target=Free(n), sampler={"centreOfMass": sigma * unit.nanometer}
    )
    assert samples.summary().effectiveSampleSize == pytest.approx(500)
    # Z_centred N^(3/2)
    expected = (3 * n - 3) / 2 * np.log(2 * np.pi) + 1.5 * np.log(n)
    assert samples.weights.logNormalization()[0] == pytest.approx(expected, abs=1e-12)


# What does not fit.


class Blind(NormalProposal):
    hasDensity = False


class Centred(NormalProposal):
    frame = "centred"


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"proposal": Blind()}, "Blind does not know its density, so its samples cannot be weighted"),
        ({"target": HarmonicTarget(3)}, "the proposal has 2 particles, the target's System 3"),
        ({"chiralityPolicy": "flip"}, "chiralityPolicy must be 'reject' or 'mirror', got 'flip'"),
        ({"precision": "half"}, "precision must be 'double' or 'single'"),
        ({"chunkSize": 0}, "chunkSize must be an integer of at least 1"),
        ({"chunkSize": 2.5}, "chunkSize must be an integer"),
        ({"centreOfMass": -1}, "centreOfMass must be a positive length"),
        ({"centreOfMass": 1 * unit.kelvin}, "centreOfMass must be a positive length"),
        (
            {"proposal": Centred(), "centreOfMass": 0.1},
            "absolute positions, this one's frame is 'centred'",
        ),
    ],
)
def test_whatDoesNotFitIsRefused(arguments, sentence):
    with pytest.raises(openmm.OpenMMException, match=f"BoltzmannSampler: .*{sentence}"):
        BoltzmannSampler(**{"proposal": NormalProposal(), "target": HarmonicTarget(), **arguments})


@pytest.mark.parametrize("n, seed", [(-1, 0), (1.5, 0), (10, -1), (10, "x")])
def test_numbersAreChecked(n, seed):
    with pytest.raises(openmm.OpenMMException, match="BoltzmannSampler: (n|seed) must be"):
        draw(n=n, seed=seed)


def test_progressIsShown(capsys):
    sampler = BoltzmannSampler(NormalProposal(), HarmonicTarget())
    sampler.sample(100, seed=1)
    assert "100/100" in capsys.readouterr().err
    sampler.sample(100, seed=1, progress=False)
    assert capsys.readouterr().err == ""
