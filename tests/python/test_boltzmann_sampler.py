"""Drawing weighted samples: equal bits however they are drawn, faults counted, interrupted and continued."""

import itertools
import signal
import subprocess
import sys
import textwrap
import time
import tracemalloc
from pathlib import Path

import numpy as np
import openmm
import pytest
from openmm import unit
from openmmscore import BoltzmannSampler, WeightedSamples
from openmmscore.target import FrameStatus, TargetEnergies
from sampling_parts import HarmonicTarget, NormalProposal, SlowTarget, SpoilingProposal

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


class Interrupting(HarmonicTarget):
    """Ctrl-C while the fourth chunk is computed."""

    def __init__(self, calls=3):
        super().__init__(faults=True)
        self.calls = itertools.count(-calls)

    def energies(self, positions):
        if next(self.calls) == 0:
            raise KeyboardInterrupt
        return super().energies(positions)

    def __reduce__(self):  # nothing but the energies counts: it is the target that it interrupts
        return HarmonicTarget, (2, True, 1.0)


class Handedness:
    """The first three particles and the origin: right if their triple product is positive."""

    def check(self, positions):
        return np.linalg.det(positions[:, :3]) > 0


def startPython(code, **options):
    setup = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    return subprocess.Popen([sys.executable, "-c", setup + textwrap.dedent(code)], text=True, **options)


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


def test_interruptedRunContinuesToTheSameFile(tmp_path):
    whole, broken = tmp_path / "whole.nc", tmp_path / "broken.nc"
    draw(output=whole)
    with pytest.raises(KeyboardInterrupt):
        draw(output=broken, target=Interrupting())
    partial = WeightedSamples.load(broken)
    assert len(partial) == 3 * 64
    np.testing.assert_array_equal(partial.logWeight, draw(n=192).logWeight)
    draw(output=broken, resume=True, chunkSize=50)
    assert broken.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_killedProcessIsContinuedToTheSameFile(tmp_path, number):
    whole, broken = tmp_path / "whole.nc", tmp_path / "broken.nc"
    slow = SlowTarget(faults=True)
    draw(output=whole, target=slow, chunkSize=500)
    code = f"""
        import signal
        signal.signal(signal.SIGINT, signal.default_int_handler)
        from openmmscore import BoltzmannSampler
        from sampling_parts import NormalProposal, SlowTarget
        sampler = BoltzmannSampler(NormalProposal(deviation=1.2), SlowTarget(faults=True), chunkSize=10)
        sampler.sample(500, seed=3, progress=False, output={str(broken)!r})
    """
    process = startPython(code, stderr=subprocess.PIPE)
    while process.poll() is None and (not broken.exists() or broken.stat().st_size < 3000):
        time.sleep(0.01)
    process.send_signal(number)
    message = process.communicate(timeout=60)[1]
    assert process.returncode != 0 and ("KeyboardInterrupt" in message) == (number == signal.SIGINT)
    assert 10 <= len(WeightedSamples.load(broken)) < 500
    draw(output=broken, target=slow, chunkSize=500, resume=True)
    assert broken.read_bytes() == whole.read_bytes()


def test_tornAppendIsNotCounted(tmp_path):
    whole, torn = tmp_path / "whole.nc", tmp_path / "torn.nc"
    draw(output=whole)
    draw(n=100, output=torn)
    with open(torn, "ab") as file:
        file.write(b"\x7f" * 100_000)
    assertEqualBits(WeightedSamples.load(torn), draw(n=100))
    draw(output=torn, resume=True)
    assert torn.read_bytes() == whole.read_bytes()


def test_tornHeaderIsBegunAgain(tmp_path):
    whole, torn = tmp_path / "whole.nc", tmp_path / "torn.nc"
    draw(output=whole)
    torn.write_bytes(whole.read_bytes()[:3])
    draw(output=torn, resume=True)
    assert torn.read_bytes() == whole.read_bytes()


def test_moreSamplesFollowTheOld(tmp_path):
    path = tmp_path / "samples.nc"
    draw(n=130, output=path)
    assertEqualBits(draw(n=500, output=path, resume=True, seed=None), draw(n=500))
    with pytest.raises(openmm.OpenMMException, match="already has 500 samples, more than n = 20"):
        draw(n=20, output=path, resume=True)


def test_fileIsNeverOverwritten(tmp_path):
    path = tmp_path / "samples.nc"
    draw(n=10, output=path)
    before = path.read_bytes()
    with pytest.raises(openmm.OpenMMException, match="exists; give resume=True"):
        draw(n=10, output=path)
    with pytest.raises(openmm.OpenMMException, match="cannot be continued.* seed = 3, not 4"):
        draw(seed=4, output=path, resume=True)
    with pytest.raises(openmm.OpenMMException, match="cannot be continued.* proposalHash"):
        draw(proposal=NormalProposal(deviation=1.3), output=path, resume=True)
    with pytest.raises(openmm.OpenMMException, match="cannot be continued.* targetHash"):
        draw(target=HarmonicTarget(spring=2.0), output=path, resume=True)
    with pytest.raises(openmm.OpenMMException, match="another precision"):
        draw(sampler={"precision": "single"}, output=path, resume=True)
    assert path.read_bytes() == before


def test_twoProcessesDoNotWriteOneFile(tmp_path):
    path = tmp_path / "samples.nc"

    class Meddling(HarmonicTarget):
        def energies(self, positions):
            with pytest.raises(openmm.OpenMMException, match="is being written by another process"):
                draw(output=path, resume=True)
            return super().energies(positions)

        def __reduce__(self):
            return HarmonicTarget, (2, False, 1.0)

    assert len(draw(n=10, target=Meddling(), output=path)) == 10


# Trouble with the disk.


def test_fullDiskKeepsWhatIsThere(tmp_path):
    path = tmp_path / "samples.nc"
    process = startPython(
        f"""
        import resource
        from openmmscore import BoltzmannSampler
        from sampling_parts import HarmonicTarget, NormalProposal
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
        sampler = BoltzmannSampler(NormalProposal(deviation=1.2), HarmonicTarget(faults=True), chunkSize=64)
        sampler.sample(500, seed=3, progress=False, output={str(path)!r})
        """,
        stderr=subprocess.PIPE,
    )
    message = process.communicate(timeout=120)[1]
    assert "cannot write" in message and "File too large" in message
    assert "samples are kept, resume=True continues after them" in message
    assert 0 < len(WeightedSamples.load(path)) < 500
    assertEqualBits(draw(output=path, resume=True), draw())


def test_fullDeviceIsASentence():
    with pytest.raises(openmm.OpenMMException, match="cannot write '/dev/full': No space left on device"):
        draw(output="/dev/full")


def test_missingFolderIsASentence(tmp_path):
    with pytest.raises(openmm.OpenMMException, match="cannot write .*No such file or directory"):
        draw(output=tmp_path / "none" / "samples.nc")


class Repeating(NormalProposal):
    """Costs nothing."""

    def sample(self, n, seed=0, first=0):
        number = (first + np.arange(n))[:, None, None] % 97
        positions = np.sin(number + np.arange(66).reshape(22, 3))
        return positions, self.logDensity(positions)


def test_memoryDoesNotGrowWithTheSamples(tmp_path):
    n = 100_000  # 53 MB of positions
    tracemalloc.start()
    try:
        samples = draw(
            n,
            chunkSize=1024,
            proposal=Repeating(22),
            target=HarmonicTarget(22),
            output=tmp_path / "samples.nc",
        )
        samples.average(lambda x: x[:, 0, 0])
        samples.reweight(HarmonicTarget(22, spring=2.0)).reweight(temperature=400)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # A few dozen numbers for each sample, and some thousand positions at a time.
    assert peak < 20e6


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
        ({"proposal": Centred(), "centreOfMass": 0.1}, "centred configurations, so centreOfMass"),
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
