"""Chunks drawn by Dask's workers: the same bits, and nothing lost with a worker."""

import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import openmm
import pytest
from openmmscore import BoltzmannSampler
from sampling_parts import DeadlyTarget, HarmonicTarget, NormalProposal, SlowTarget, SpoilingProposal

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")

FIELDS = ("positions", "logDensity", "reducedEnergy", "logWeight", "status")


@pytest.fixture(scope="module")
def client():
    # How many workers a chunk may take with it before it is given up: fewer are soon killed.
    dask.config.set({"distributed.scheduler.allowed-failures": 1})
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            silence_logs=50,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def draw(proposal, target, client=None, n=1000, **options):
    sampler = BoltzmannSampler(proposal, target, chunkSize=30)
    return sampler.sample(n, seed=9, client=client, progress=False, **options)


def assertEqualBits(a, b):
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


def test_workersDrawTheSameBits(client, tmp_path):
    parts = SpoilingProposal(deviation=1.2), HarmonicTarget(faults=True)
    here = draw(*parts)
    assertEqualBits(draw(*parts, client), here)
    draw(*parts, client, output=tmp_path / "there.nc")
    draw(*parts, output=tmp_path / "here.nc")
    assert (tmp_path / "there.nc").read_bytes() == (tmp_path / "here.nc").read_bytes()


def test_killedWorkerLosesNothing(client, tmp_path):
    flag = tmp_path / "killed"
    before = set(client.scheduler_info()["workers"])
    there = draw(NormalProposal(), DeadlyTarget(str(flag)), client)
    assert flag.exists()
    assertEqualBits(there, draw(NormalProposal(), HarmonicTarget()))
    client.wait_for_workers(2, timeout=30)
    assert set(client.scheduler_info()["workers"]) != before


class Lethal(HarmonicTarget):
    """Kills every worker that tries."""

    def energies(self, positions):
        import os
        import signal

        os.kill(os.getpid(), signal.SIGKILL)


def test_chunkThatKillsWorkersIsASentence(client):
    with pytest.raises(openmm.OpenMMException, match="several workers died one after another"):
        draw(NormalProposal(), Lethal(), client, n=20)
    client.wait_for_workers(2, timeout=30)


class Failing(HarmonicTarget):
    def energies(self, positions):
        raise openmm.OpenMMException("Failing: it always does")


def test_errorsOfWorkersComeBack(client):
    with pytest.raises(openmm.OpenMMException, match="Failing: it always does"):
        draw(NormalProposal(), Failing(), client)
    assertEqualBits(
        draw(NormalProposal(), SlowTarget(), client, n=90), draw(NormalProposal(), HarmonicTarget(), n=90)
    )


class Hopeless(HarmonicTarget):
    def evaluate(self, positions):
        return replace(super().evaluate(positions), firstError="frame 0: it is hopeless")


def test_whyWorkersFailedAtFramesIsSaidOnceAndHere(client):
    with pytest.warns(UserWarning, match="OpenMM failed for some samples.* it is hopeless") as found:
        draw(NormalProposal(), Hopeless(), client, n=90)
    assert len(found) == 1


def test_whatCannotBePickledIsSaid(client):
    class Local(HarmonicTarget):
        def __reduce__(self):
            raise pickle.PicklingError("it is local")

    with pytest.raises(openmm.OpenMMException, match="Recipe cannot be pickled .*it is local"):
        draw(NormalProposal(), Local(), client)


def test_importLoadsNoDask():
    code = "import sys, openmmscore, openmmscore.sampling; print({'dask', 'distributed'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
