"""From trajectories to what openmmscore-train takes."""

import errno
import json
import os

import numpy as np
import openmm
import pytest
from openmmscore import trajectories
from openmmscore.features import sequenceFeatures
from openmmscore.train import config as train_config
from openmmscore.train import frames, prepare
from train_parts import (
    HEAVY,
    HEAVY_ATOMS,
    make_trajectory,
    write_config,
)


def prepared(data_folder, *arguments, **keys):
    return prepare(train_config.readConfig(write_config(data_folder, *arguments, **keys)))


def problem(data_folder, *arguments, **keys):
    with pytest.raises(ValueError) as caught:
        prepared(data_folder, *arguments, **keys)
    assert not list(data_folder.glob("out/*.new"))
    return str(caught.value)


def load(toml):
    return train_config.tomllib.loads(toml.read_text())


def test_frames_and_particles_come_from_the_trajectory(data_folder, trajectory):
    table = load(prepared(data_folder))
    xyz = np.load(data_folder / "out/frames.npy")
    assert xyz.dtype == np.float32 and xyz.shape == (100, 10, 3)
    # The format keeps picometres.
    np.testing.assert_allclose(xyz, trajectory.xyz[:, HEAVY_ATOMS], atol=6e-4)
    assert [p["name"] for p in table["particles"]] == ["N", "CA", "CB", "C", "O"] * 2
    assert table["particles"][6] == {
        "name": "CA", "element": "C", "mass": pytest.approx(12.01, abs=0.01), "residue": "VAL",
        "residue_index": 1,
    }  # fmt: skip
    assert [0, 1] in table["bonds"] and [3, 5] in table["bonds"] and len(table["bonds"]) == 9
    record = json.loads((data_folder / "out/frames.json").read_text())["files"]["frames.npy"]["made_of"]
    assert record["selection"] == "element != H" and len(record["sources"][0]["sha256"]) == 64


@pytest.mark.parametrize("extension", ["dcd", "xtc", "trr", "h5", "nc", "pdb"])
def test_formats(tmp_path, trajectory, extension):
    if extension == "h5":
        pytest.importorskip("tables")
    trajectory[:30].save(str(tmp_path / f"run.{extension}"))
    trajectory[0].save_pdb(str(tmp_path / "top.pdb"))
    topology = "" if extension in ("h5", "pdb") else 'topology = "top.pdb"\n'
    prepared(tmp_path, f'trajectory = "run.{extension}"\n{topology}atoms = [4, 0]\nstride = 7')
    xyz = np.load(tmp_path / "out/frames.npy")
    np.testing.assert_allclose(xyz, trajectory.xyz[:30:7, [4, 0]], atol=6e-4)


def test_several_files_go_one_after_another_and_in_pieces(data_folder, trajectory, monkeypatch):
    trajectory[:40].save_dcd(str(data_folder / "part1.dcd"))
    trajectory[40:].save_dcd(str(data_folder / "part2.dcd"))
    monkeypatch.setattr(trajectories, "_CHUNK", 7 * 36)
    prepared(data_folder, 'trajectory = "part*.dcd"\ntopology = "run.pdb"')
    np.testing.assert_allclose(np.load(data_folder / "out/frames.npy"), trajectory.xyz, atol=1e-6)


def test_frames_are_used_again_until_something_changes(data_folder, monkeypatch):
    prepared(data_folder)
    file = data_folder / "out/frames.npy"
    before = file.stat().st_mtime_ns
    os.utime(data_folder / "run.xtc")
    prepared(data_folder)
    assert file.stat().st_mtime_ns == before
    prepared(data_folder, HEAVY.replace("element != H", "name CA"))
    assert np.load(file).shape == (100, 2, 3)
    config = train_config.readConfig(write_config(data_folder))
    with pytest.raises(ValueError, match="made of other files or another selection"):
        prepare(config, mayReplace=False)
    assert np.load(file).shape == (100, 2, 3)
    make_trajectory(50).save_xtc(str(data_folder / "run.xtc"))
    prepare(config)
    assert np.load(file).shape == (50, 10, 3)


def test_arrays_in_archives_and_weights(data_folder, trajectory):
    bias = np.linspace(-2.0, 0.0, 100)
    np.savez(data_folder / "biased.npz", positions=trajectory.xyz * 10, bias_kJmol=bias)
    data = 'file = "biased.npz"\nunit = "angstrom"\natoms = [2, 0]\nbias_energy = "biased.npz:bias_kJmol"'
    table = load(prepared(data_folder, data))
    assert table == {"file": "frames.npy", "bias_energy": "weights.npy"}
    np.testing.assert_allclose(np.load(data_folder / "out/frames.npy"), trajectory.xyz[:, [2, 0]], atol=1e-6)
    np.testing.assert_array_equal(np.load(data_folder / "out/weights.npy"), bias)

    np.save(data_folder / "w.npy", np.arange(100.0))
    prepared(data_folder, HEAVY + '\nstride = 3\nweights = "w.npy"')
    np.testing.assert_array_equal(np.load(data_folder / "out/weights.npy"), np.arange(0.0, 100.0, 3))
    make_trajectory(50).save_xtc(str(data_folder / "short.xtc"))
    short = HEAVY.replace("run.xtc", "short.xtc") + '\nweights = "w.npy"'
    assert "has 100 numbers, there are 50 frames" in problem(data_folder, short)
    assert "must be one of the arrays" in problem(data_folder, 'file = "biased.npz:nothing"')


def test_molecules_get_features_from_their_sequences(data_folder, trajectory):
    molecules = """
[[features]]
name = "amino_acid"
num_values = 20
[[features]]
name = "residue"
num_values = 2
[[molecules]]
sequence = "AV"
trajectory = "run.xtc"
[[molecules]]
name = "turned"
sequence = "VA"
file = "va.npy"
"""
    np.save(data_folder / "va.npy", trajectory.xyz[:, HEAVY_ATOMS].astype(np.float16))
    table = load(prepared(data_folder, 'topology = "run.pdb"\nselection = "element != H"', tables=molecules))
    assert [m["file"] for m in table["molecules"]] == ["frames-AV.npy", "frames-turned.npy"]
    assert table["molecules"][0]["features"] == [[0, 0]] * 5 + [[19, 1]] * 5
    assert table["molecules"][1]["features"] == [[19, 0]] * 5 + [[0, 1]] * 5
    assert len(table["particles"]) == 10


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (HEAVY.replace("selection", "selecton"), "is not a key that is known; did you mean data.selection?"),
        (HEAVY.replace("element != H", "name XX"), "matches none of the 12 atoms"),
        (HEAVY.replace("element != H", "nome CA ("), "is not in MDTraj's selection language (at character"),
        (HEAVY.replace("element != H", ""), "data.selection is empty"),
        (HEAVY.replace("run.xtc", "none.xtc"), "none.xtc, which is not there"),
        (HEAVY + "\natoms = [1]", "stands beside a selection"),
        ('trajectory = "run.xtc"\ntopology = "run.pdb"\natoms = [12]', "names atom 12"),
        (HEAVY + "\nstride = 0", "must be at least 1"),
        (HEAVY + "\nstride = 100", "has 1 frames at a stride"),
        (HEAVY + '\nunit = "angstrom"', "has a unit of its own"),
        ('trajectory = "run.xtc"\nselection = "all"', "run.xtc: this file names no atoms; name a PDB file"),
        (HEAVY + '\nfile = "x.npy"', "not both"),
        ("stride = true", "must be an integer, it is true or false"),
        ("", "needs one of trajectory"),
        ("trajectory = 7", "must be a text or an array, it is an integer"),
        ("x = [", "this is not TOML"),
    ],
)  # fmt: skip
def test_mistakes_in_the_configuration_are_sentences(data_folder, data, part):
    message = problem(data_folder, data)
    assert part in message and "\n" not in message
    assert not (data_folder / "out/frames.npy").exists()


def test_bad_trajectories_are_sentences_and_lose_nothing(data_folder, trajectory):
    prepared(data_folder)
    good = (data_folder / "out/frames.npy").read_bytes()

    broken = trajectory[:]
    broken.xyz[61, 3, 1] = np.nan
    broken.save_dcd(str(data_folder / "nan.dcd"))
    assert "nan.dcd: frame 61 holds a position that is not finite" in problem(
        data_folder, HEAVY.replace("run.xtc", "nan.dcd")
    )
    trajectory.atom_slice(range(9)).save_dcd(str(data_folder / "small.dcd"))
    assert "small.dcd: this trajectory cannot be read: it has 9 atoms, the topology has 12" in problem(
        data_folder, HEAVY.replace("run.xtc", "small.dcd")
    )
    (data_folder / "noise.dcd").write_bytes(os.urandom(5000))
    assert "noise.dcd: this trajectory cannot be read" in problem(
        data_folder, HEAVY.replace("run.xtc", "noise.dcd")
    )
    trajectory.save_dcd(str(data_folder / "run.dcd"))
    for kind in ("xtc", "dcd"):
        damaged = bytearray((data_folder / f"run.{kind}").read_bytes())
        damaged[len(damaged) // 2 : len(damaged) // 2 + 200] = bytes(range(200))
        (data_folder / f"bad.{kind}").write_bytes(damaged)
        message = problem(data_folder, HEAVY.replace("run.xtc", f"bad.{kind}"))
        assert f"bad.{kind}: this trajectory cannot be read" in message
    assert (data_folder / "out/frames.npy").read_bytes() == good


@pytest.mark.parametrize("stride", [1, 7])
@pytest.mark.parametrize("kind", ["xtc", "trr", "dcd"])
def test_whole_frames_before_a_cut_are_used(data_folder, trajectory, capsys, kind, stride):
    trajectory.save(str(data_folder / f"run.{kind}"))
    data = HEAVY.replace("run.xtc", f"run.{kind}") + f"\nstride = {stride}"
    prepared(data_folder, data)
    whole = np.load(data_folder / "out/frames.npy")
    content = (data_folder / f"run.{kind}").read_bytes()
    (data_folder / f"run.{kind}").write_bytes(content[: len(content) - 40])
    prepared(data_folder, data)
    np.testing.assert_array_equal(
        np.load(data_folder / "out/frames.npy"), whole[: -1 if stride == 1 else None]
    )
    # Other readers end there in silence, and with a larger stride nobody asks for the last frame.
    if kind == "xtc" and stride == 1:
        assert f"run.{kind} ends inside frame {len(trajectory) - 1}" in capsys.readouterr().err


def test_a_full_disk_leaves_what_was_there(data_folder, monkeypatch):
    prepared(data_folder)
    good = (data_folder / "out/frames.npy").read_bytes()

    def no_space(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(frames.NpyWriter, "append", no_space)
    with pytest.raises(OSError, match="No space left"):
        prepared(data_folder, HEAVY + "\nstride = 2")
    assert (data_folder / "out/frames.npy").read_bytes() == good and not list(data_folder.glob("out/*.new"))


def test_sequences_are_features_of_a_model():
    particles = [
        {"name": n, "element": n[0], "residue_index": r} for r in (1, 2) for n in ("N", "CA", "CB", "C", "O")
    ]
    tables = [("amino_acid", 20), ("atom", 5), ("element", 3), ("residue", 2)]
    features = [{"name": name, "num_values": count} for name, count in tables]
    rows = sequenceFeatures("AV", particles, features)
    # The golden rows of ScoreMD's A, and V as the last amino acid of the table.
    assert rows[:5].tolist() == [[0, 0, 1, 0], [0, 1, 0, 0], [0, 2, 0, 0], [0, 3, 0, 0], [0, 4, 2, 0]]
    assert rows[5:, 0].tolist() == [19] * 5 and rows[5:, 3].tolist() == [1] * 5
    for sequence, part in [("AVA", "has 3 residues"), ("aV", "letters"), ("", "letters")]:
        with pytest.raises(openmm.OpenMMException, match=part):
            sequenceFeatures(sequence, particles, features)
    with pytest.raises(openmm.OpenMMException, match="none that follows from a sequence"):
        sequenceFeatures("AV", particles, [{"name": "colour", "num_values": 2}])
