"""Samples that are written while they are drawn: interrupted, continued, on a full disk."""

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
from openmmscore import WeightedSamples
from sampling_parts import (
    HarmonicTarget,
    NormalProposal,
    SlowTarget,
    assertEqualBits,
    draw,
)


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


def startPython(code, **options):
    setup = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    return subprocess.Popen([sys.executable, "-c", setup + textwrap.dedent(code)], text=True, **options)


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
