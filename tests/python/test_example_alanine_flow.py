"""The flagship example with a crude flow: every coordinate by itself, no layers."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import openmmscore
import openmmscore.analysis
import pytest
from openmm import app
from openmmscore.sampling import SplineFlowProposal

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/alanine_dipeptide_flow.py"
DATA = ROOT / "examples/data"


def crudeFlow():
    """Bonds, angles and stiff torsions normally distributed as in frames of MD, phi and psi anywhere."""
    topology = app.PDBFile(str(DATA / "alanine_dipeptide.pdb")).topology
    coordinates = openmmscore.InternalCoordinates(topology)
    frames = 2e-5 * np.load(DATA / "alanine_dipeptide_starts.npy").astype(float)
    settings = coordinates.flowSettings(frames)
    y = coordinates.toInternal(frames).coordinates
    n, d = 22, 60
    y[:, : n - 1] = np.log(y[:, : n - 1])
    y[:, n - 1 : 2 * n - 3] = np.log(np.tan(y[:, n - 1 : 2 * n - 3] / 2))
    circular = []
    for i, centre in enumerate(settings["centres"], start=2 * n - 3):
        if centre is None:
            circular.append(i)
        else:
            y[:, i] = 2 * np.tan(np.angle(np.exp(1j * (y[:, i] - centre))) / 2)
    location, scale = y.mean(axis=0), y.std(axis=0)
    location[circular], scale[circular] = 0, 1
    return SplineFlowProposal(
        {"dimension": d, "circular": circular},
        {"location": location, "scale": scale},
        frame="centred",
        coordinates=settings,
    )


@pytest.fixture(scope="module")
def proposal(tmp_path_factory):
    path = tmp_path_factory.mktemp("flow") / "crude.safetensors"
    crudeFlow().save(path)
    return path


def test_theExampleRunsWithAnyFlow(proposal, tmp_path):
    options = ["--proposal", proposal, "--samples", "2000", "--seconds", "2", "--frequency", "20"]
    command = [sys.executable, EXAMPLE, *options, "--output", tmp_path]
    result = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "alanine_dipeptide_flow.png").stat().st_size > 10000
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["samples"] == 2000 and 1 <= found["effectiveSampleSize"] < 2000
    # phi is uniform in this flow.
    assert abs(found["proposedPopulation"] - 2.2 / (2 * np.pi)) < 5 * np.sqrt(0.35 * 0.65 / 2000)
    plain, moved = found["runs"]
    assert plain["acceptance"] is None and 0 <= moved["acceptance"] < 0.5
    assert moved["attempted"] > 10 and moved["picoseconds"] > 0.1
    assert re.search(r"% of [\d,]+ moves accepted", result.stdout)


def test_theShippedDiffusionIsReweighted(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    import alanine_dipeptide_flow as example

    diffusion = openmmscore.loadProposal(ROOT / "examples/models/alanine_dipeptide_all_atoms.safetensors")
    diffusion = diffusion.withSolver(absoluteTolerance=1e-4, relativeTolerance=1e-4)
    target = openmmscore.BoltzmannTarget(example.createSystem()[1], example.TEMPERATURE)
    samples = openmmscore.BoltzmannSampler(diffusion, target).sample(600, seed=3)
    logZ, error = samples.summary().logNormalization
    assert abs(logZ + 195.587) < 5 * np.hypot(error, 0.002)
    assert samples.summary().effectiveSampleSize > 0.4 * 600


def test_aMissingFlowIsNamed(tmp_path):
    command = [sys.executable, str(EXAMPLE), "--proposal", str(tmp_path / "none"), "--output", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1 and "Cannot start: " in result.stderr and "none" in result.stderr


def test_burstsAreAFunctionOfTheSeedAlone(tmp_path):
    script = DATA / "make_alanine_dipeptide_frames.py"
    common = ["--bursts", "2", "--frames", "3"]

    def make(*options):
        command = [sys.executable, str(script), *common, *options]
        subprocess.run(command, check=True, capture_output=True, timeout=60)

    make("--output", str(tmp_path / "a.npy"))
    whole = np.load(tmp_path / "a.npy")
    assert whole.shape == (6, 22, 3) and whole.dtype == np.float32
    # As if interrupted after the first burst.
    partial = np.lib.format.open_memmap(tmp_path / "a.npy", "r+")
    partial[3:] = 0
    partial.flush()
    del partial
    make("--output", str(tmp_path / "a.npy"))
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), whole)
    make("--output", str(tmp_path / "b.npy"), "--seed", "2")
    assert np.abs(np.load(tmp_path / "b.npy") - whole).max() > 1e-3


def test_trainingInRoundsCompletesTheFrames(tmp_path, monkeypatch):
    """A file of frames exists from the first burst on, full of zeros."""
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    import train_alanine_dipeptide_flow as rounds

    calls = []
    monkeypatch.setattr(rounds, "script", lambda name, *arguments: calls.append(name))
    monkeypatch.setattr(rounds, "trainRound", lambda number, *rest: calls.append(number) or tmp_path)
    frames = tmp_path / "frames.npy"
    np.save(frames, np.zeros((10, 22, 3), np.float32))
    arguments = ["--frames", str(frames), "--output", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["train_alanine_dipeptide_flow.py", *arguments])
    assert rounds.main() == 0
    assert calls == ["make_alanine_dipeptide_frames.py", *range(len(rounds.ROUNDS))]


def test_startsCoverBothBasins():
    frames = 2e-5 * np.load(DATA / "alanine_dipeptide_starts.npy").astype(float)
    phi = openmmscore.analysis.dihedrals(frames, [(4, 6, 8, 14)])[:, 0]
    rare = (phi > 0) & (phi < 2.2)
    assert frames.shape == (2000, 22, 3) and 0.04 < rare.mean() < 0.06


def test_drawsBecomeTrainingFrames(proposal, tmp_path):
    output = tmp_path / "draws.npy"
    also = tmp_path / "md.npy"
    md = (2e-5 * np.load(DATA / "alanine_dipeptide_starts.npy")[:40]).astype(np.float32)
    np.save(also, md)
    script = str(DATA / "make_alanine_dipeptide_draws.py")
    command = [sys.executable, script, str(proposal), "--draws", "3000", "--also", str(also)]
    result = subprocess.run([*command, "--output", str(output)], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    frames = np.load(output)
    assert frames.shape == (3040, 22, 3) and frames.dtype == np.float32 and np.isfinite(frames).all()
    # Those of MD are there, up to names of hydrogens.
    heavy = [4, 5, 6, 8, 14]
    found = {row.tobytes() for row in frames[:, heavy]}
    assert all(row.tobytes() in found for row in md[:, heavy])
    assert {len(np.unique(part[:, heavy], axis=0)) > 1 for part in (frames[:100], frames[-50:])} == {True}


def test_relabelledFramesHaveTheSameEnergy():
    sys.path.insert(0, str(DATA))
    try:
        from make_alanine_dipeptide_frames import createSystem, relabel
    finally:
        sys.path.remove(str(DATA))
    topology, system = createSystem()
    frames = 2e-5 * np.load(DATA / "alanine_dipeptide_starts.npy")[:100].astype(float)
    other = relabel(frames, np.random.default_rng(1))
    assert 90 < np.count_nonzero((other != frames).any(axis=(1, 2))) <= 100
    target = openmmscore.BoltzmannTarget(system, 300, numContexts=1, platform="Reference")
    energies = [target.evaluate(each).reducedEnergies for each in (frames, other)]
    np.testing.assert_allclose(*energies, atol=1e-9)
    coordinates = openmmscore.InternalCoordinates(topology)
    siblings = 41 + np.flatnonzero(coordinates.kinds == coordinates.Kind.Sibling)
    signs = [np.sign(coordinates.toInternal(each).coordinates[:, siblings]) for each in (frames, other)]
    np.testing.assert_array_equal(*signs)
