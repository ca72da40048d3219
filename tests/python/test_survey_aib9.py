"""examples/survey on Aib9: its System, its measures, and the whole comparison on made-up torsions."""

import copy
import json
import sys
from pathlib import Path

import mdtraj
import numpy as np
import openmm
import pytest
from train_parts import needs_trainer

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples/survey"))
import aib9
import aib9_families
import aib9_frames
import aib9_measures as measures
import aib9_system

SURVEY = Path(aib9.__file__).parent


def madeUp(frames, seed):
    """Residues that change hands now and then, their torsions about (57, 47) degrees or the mirror image."""
    random = np.random.default_rng(seed)
    hands = np.cumprod(np.where(random.random((frames, 9)) < 0.02, -1, 1), axis=0)
    centres = np.stack([57 * hands, 47 * hands], axis=2).reshape(frames, 18)
    return measures.wrapped(np.radians(centres + 12 * random.standard_normal((frames, 18)))).astype(
        np.float32
    )


def simulation(folder, *walkers):
    folder.mkdir()
    for i, frames in enumerate(walkers):
        for part, torsions in enumerate(np.array_split(frames, 2)):
            np.save(folder / f"torsions-{i}-{part:012d}.npy", torsions)
    return folder


def compare(monkeypatch, *arguments):
    """The program in this process: imports alone would take longer than all the rest."""
    monkeypatch.setattr(sys, "argv", ["aib9_families.py", *map(str, arguments), "--threads", "1"])
    assert aib9_families.main() == 0


def test_theFasterForcesAreThoseOfCharmmAndObc2():
    molecule = mdtraj.load(SURVEY / "aib9.pdb", standard_names=False)
    topology = molecule.topology.to_openmm()
    plain = aib9_system.charmmSystem(topology)
    fast = copy.deepcopy(plain)
    aib9_system.useStandardForces(fast)
    assert not any("Custom" in type(force).__name__ for force in fast.getForces() if "GB" in force.getName())
    random = np.random.default_rng(1)
    positions = molecule.xyz[0].astype(float) + 0.003 * random.standard_normal((129, 3))
    states = []
    for system in (plain, fast):
        context = openmm.Context(
            system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform("Reference")
        )
        context.setPositions(positions)
        states.append(context.getState(getEnergy=True, getForces=True))
    energies = [state.getPotentialEnergy()._value for state in states]
    forces = [state.getForces(asNumpy=True)._value for state in states]
    # GBSAOBCForce's Coulomb constant is given to fewer digits than the custom force's.
    assert abs(energies[0]) > 100 and energies[0] == pytest.approx(energies[1], abs=5e-4)
    np.testing.assert_allclose(forces[0], forces[1], atol=1e-3)
    assert plain.getNumConstraints() == fast.getNumConstraints() > 0


def test_walkersAreKeptApartAndInTheOrderOfTime(tmp_path):
    first, second = madeUp(60, 1), madeUp(40, 2)
    walkers = aib9.loadWalkers(simulation(tmp_path / "md", first, second))
    np.testing.assert_array_equal(walkers[0], first)
    np.testing.assert_array_equal(walkers[1], second)
    assert aib9.loadTorsions(tmp_path / "md").shape == (100, 18)


@pytest.mark.parametrize("later", [False, True])
def test_heldOutFramesAndTheirMirrorImagesAreNotTrainedOn(later):
    # Every frame has a number of its own.
    number = np.arange(1, 3001)
    walkers = [np.tile(x[:, None] / 1000, (1, 18)) for x in (number[:2000], number[2000:])]
    training, validation, heldOut = aib9_frames.split(walkers, later)
    assert [len(x) for x in (*training, *validation, *heldOut)] == [1400, 700, 200, 100, 400, 200]
    torsions, share = aib9_frames.trainingSet(walkers, later=later)
    assert len(torsions) == 2 * 2400 and round(share * len(torsions)) == 600
    np.testing.assert_allclose(torsions[-600:-300, 0], np.concatenate(validation)[:, 0])
    assert abs(torsions.mean()) < 1e-12
    seen = set((1000 * abs(torsions[:, 0])).round())
    assert seen.isdisjoint((1000 * np.concatenate(heldOut)[:, 0]).round())
    if later:
        for a, b, c in zip(training, validation, heldOut, strict=True):
            assert a.max() < b.min() < b.max() < c.min()
    else:
        assert heldOut[0][0, 0] == 0.401 and training[0].max() > heldOut[0].max()
    few, share = aib9_frames.trainingSet(walkers, 60, False, later)
    assert len(few) == 60 and round(share * 60) == 8
    with pytest.raises(SystemExit, match="there are only 2400"):
        aib9_frames.trainingSet(walkers, 2401)


def test_handsTransitionsAndChains():
    frames = np.full((30, 18), -1.0)
    frames[10:20, 0] = 1.0  # residue 1 goes left, and comes back
    frames[15, 4] = 0.2  # residue 3 only approaches the other side
    frames[25, 6] = np.pi  # residue 4 passes the boundary at 180 degrees
    assert measures.transitions([frames]).tolist() == [2, 0, 0, 0, 0, 0, 0, 0, 0]
    # No transition from the end of one walker to the beginning of another.
    assert measures.transitions([frames[:10], frames[10:20]])[0] == 0
    assert measures.rightHanded(frames).mean(axis=0)[:2] == pytest.approx([2 / 3, 1])
    assert measures.leftHandedResidues(frames)[:3] == pytest.approx([19 / 30, 10 / 30, 1 / 30])


def test_bootstrapErrorsAreThoseOfIndependentBlocks():
    random = np.random.default_rng(1)
    # 100 steps of 50 equal numbers each: an error of 1/10, not of 1/sqrt(5000).
    values = np.repeat(random.standard_normal(100), 50)
    mean, error = measures.bootstrap(measures.blocked([values[:2000], values[2000:]], 100))
    assert mean == pytest.approx(values.mean()) and error == pytest.approx(0.1, rel=0.3)
    both, errors = measures.bootstrap(measures.blocked([np.stack([values, -values], axis=1)], 100))
    assert both == pytest.approx([mean, -mean]) and errors == pytest.approx([error, error], rel=0.1)


def test_ramachandranDivergenceIsThatOfThePublishedSurvey():
    frames = np.zeros((1000, 18))
    other = frames.copy()
    other[:500, 3] = 1.0  # psi of residue 2: half of all in another bin, where the test set has none
    found = measures.ramachandranDivergences(other, frames)
    # Densities of a bin of 0.01 square radians: 50 in each, beside 100 and the offset of 1e-7.
    assert found[1] == pytest.approx(50 * np.log(0.5) + 50 * np.log(50 / 1e-7), rel=1e-6)
    assert np.delete(found, 1) == pytest.approx(np.zeros(8), abs=1e-12)


@needs_trainer
def test_allFamiliesAreTrainedMeasuredAndNotDoneAgain(tmp_path, monkeypatch, capfd):
    folder = simulation(tmp_path / "md", madeUp(600, 1), madeUp(400, 2))
    output = tmp_path / "out"
    options = (folder, "--output", output, "--steps", 20, "--draws", 200)
    compare(monkeypatch, *options)
    table = (output / "table.md").read_text()
    assert table in capfd.readouterr().out and "frames in any order" in table
    assert (output / "ramachandran.png").stat().st_size > 5000 < (output / "residues.png").stat().st_size
    results = {path: path.read_text() for path in output.rglob("result.json")}
    assert len(results) == 4
    for path, text in results.items():
        found = json.loads(text)
        # Better than a uniform density, but for DDPM, of which twenty steps make nothing yet.
        least = -1e6 if path.parent.name == "ddpm" else -18 * np.log(2 * np.pi)
        assert found["log density"][0] > least, path
        assert len(found["right-handed"]) == len(found["histogram"]) == 9
        assert sum(found["left-handed residues"]) == pytest.approx(1)
        # Mirror images were trained on, so neither hand is far ahead.
        assert abs(np.mean(found["right-handed"]) - 0.5) < 0.2, path
        draws = np.load(path.parent / "draws.npy")
        assert draws.shape == (200, 18) and (abs(draws) <= np.float32(np.pi)).all()
    # More frames since do not change what is there, and nothing is trained again.
    np.save(folder / "torsions-1-999.npy", madeUp(100, 3))
    compare(monkeypatch, *options)
    assert results == {path: path.read_text() for path in output.rglob("result.json")}
    compare(monkeypatch, *options, "--frames", 700, "--as-simulated", "--families", "flow-matching")
    assert "as-simulated-20-steps-700" in (output / "table.md").read_text()
    assert np.load(output / "as-simulated-20-steps-700/flow-matching/training.npy").shape == (700, 18)


@pytest.mark.parametrize(
    ("torsions", "sentence"),
    [
        (None, "there are no torsions yet; run aib9.py first"),
        (np.zeros((200, 17), np.float32), "torsions are finite numbers [frames,18]"),
        (np.full((200, 18), np.nan, np.float32), "torsions are finite numbers [frames,18]"),
        (np.zeros((20, 18), np.float32), "has only 20 frames"),
    ],
)
def test_badInputIsASentence(tmp_path, torsions, sentence):
    if torsions is not None:
        np.save(tmp_path / "torsions-0-000000000001.npy", torsions)
    with pytest.raises(SystemExit, match=sentence.replace("[", r"\[")):
        aib9_frames.frozenFrames(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
