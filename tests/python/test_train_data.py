"""From trajectories to what openmmscore-train takes, and the command around both."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import mdtraj
import numpy as np
import openmm
import openmmscore
import openmmscore.diagnostics
import pytest
from openmmscore import cli
from openmmscore.features import sequenceFeatures
from openmmscore.train import config as train_config
from openmmscore.train import frames, prepare
from openmmscore.train.evaluation import checkEvaluation, evaluationCommand
from openmmscore.train.run import _checkConfig
from safetensors import safe_open

EXAMPLES = Path(__file__).parents[2] / "examples" / "train"
PROGRAM = openmmscore.diagnostics.trainProgram()
needs_trainer = pytest.mark.skipif(
    PROGRAM is None, reason="openmmscore-train is not built (it needs LibTorch)"
)

CONFIG = """
seed = 3
{more}
[data]
temperature = 300.0
{data}
[model]
architecture = "graph-transformer"
hidden = 8
layers = 1
heads = 2
head_size = 4
[training]
steps = 6
batch_size = 16
[output]
directory = "out"
{tables}
"""
HEAVY = 'trajectory = "run.xtc"\ntopology = "run.pdb"\nselection = "element != H"'


def make_trajectory(num_frames=100):
    """Return a wobbling trajectory of two bonded residues of heavy atoms and hydrogens."""
    topology = mdtraj.Topology()
    chain = topology.add_chain()
    atoms = []
    for residue_name in ("ALA", "VAL"):
        residue = topology.add_residue(residue_name, chain)
        for name in ("N", "H", "CA", "CB", "C", "O"):
            atoms.append(topology.add_atom(name, mdtraj.element.get_by_symbol(name[0]), residue))
    for pair in ((0, 1), (0, 2), (2, 3), (2, 4), (4, 5), (4, 6), (6, 8), (8, 9), (8, 10), (10, 11)):
        topology.add_bond(atoms[pair[0]], atoms[pair[1]])
    random = np.random.default_rng(1)
    rest = 0.1 * np.stack([np.arange(12), np.arange(12) % 2, np.arange(12) % 3], axis=1)
    xyz = rest + 0.01 * random.normal(size=(num_frames, 12, 3)) + np.arange(num_frames)[:, None, None] * 0.01
    return mdtraj.Trajectory(xyz.astype(np.float32), topology)


@pytest.fixture(scope="module")
def trajectory():
    return make_trajectory()


@pytest.fixture
def folder(tmp_path, trajectory):
    """A folder with run.xtc and run.pdb."""
    trajectory.save_xtc(str(tmp_path / "run.xtc"))
    trajectory[0].save_pdb(str(tmp_path / "run.pdb"))
    return tmp_path


def write_config(folder, data=HEAVY, more="", tables=""):
    (folder / "run.toml").write_text(CONFIG.format(data=data, more=more, tables=tables))
    return folder / "run.toml"


def prepared(folder, *arguments, **keys):
    return prepare(train_config.readConfig(write_config(folder, *arguments, **keys)))


def problem(folder, *arguments, **keys):
    with pytest.raises(ValueError) as caught:
        prepared(folder, *arguments, **keys)
    assert not list(folder.glob("out/*.new"))
    return str(caught.value)


def load(toml):
    return train_config.tomllib.loads(toml.read_text())


HEAVY_ATOMS = [0, 2, 3, 4, 5, 6, 8, 9, 10, 11]


def test_frames_and_particles_come_from_the_trajectory(folder, trajectory):
    table = load(prepared(folder))
    xyz = np.load(folder / "out/frames.npy")
    assert xyz.dtype == np.float32 and xyz.shape == (100, 10, 3)
    # The format keeps picometres.
    np.testing.assert_allclose(xyz, trajectory.xyz[:, HEAVY_ATOMS], atol=6e-4)
    assert [p["name"] for p in table["particles"]] == ["N", "CA", "CB", "C", "O"] * 2
    assert table["particles"][6] == {
        "name": "CA", "element": "C", "mass": pytest.approx(12.01, abs=0.01), "residue": "VAL",
        "residue_index": 1,
    }  # fmt: skip
    assert [0, 1] in table["bonds"] and [3, 5] in table["bonds"] and len(table["bonds"]) == 9
    record = json.loads((folder / "out/frames.json").read_text())["files"]["frames.npy"]["made_of"]
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


def test_several_files_go_one_after_another_and_in_pieces(folder, trajectory, monkeypatch):
    trajectory[:40].save_dcd(str(folder / "part1.dcd"))
    trajectory[40:].save_dcd(str(folder / "part2.dcd"))
    monkeypatch.setattr(frames, "_CHUNK", 7 * 36)
    prepared(folder, 'trajectory = "part*.dcd"\ntopology = "run.pdb"')
    np.testing.assert_allclose(np.load(folder / "out/frames.npy"), trajectory.xyz, atol=1e-6)


def test_frames_are_used_again_until_something_changes(folder, monkeypatch):
    prepared(folder)
    file = folder / "out/frames.npy"
    before = file.stat().st_mtime_ns
    os.utime(folder / "run.xtc")
    prepared(folder)
    assert file.stat().st_mtime_ns == before
    prepared(folder, HEAVY.replace("element != H", "name CA"))
    assert np.load(file).shape == (100, 2, 3)
    config = train_config.readConfig(write_config(folder))
    with pytest.raises(ValueError, match="made of other files or another selection"):
        prepare(config, mayReplace=False)
    assert np.load(file).shape == (100, 2, 3)
    make_trajectory(50).save_xtc(str(folder / "run.xtc"))
    prepare(config)
    assert np.load(file).shape == (50, 10, 3)


def test_arrays_in_archives_and_weights(folder, trajectory):
    bias = np.linspace(-2.0, 0.0, 100)
    np.savez(folder / "biased.npz", positions=trajectory.xyz * 10, bias_kJmol=bias)
    data = 'file = "biased.npz"\nunit = "angstrom"\natoms = [2, 0]\nbias_energy = "biased.npz:bias_kJmol"'
    table = load(prepared(folder, data))
    assert table == {"file": "frames.npy", "bias_energy": "weights.npy"}
    np.testing.assert_allclose(np.load(folder / "out/frames.npy"), trajectory.xyz[:, [2, 0]], atol=1e-6)
    np.testing.assert_array_equal(np.load(folder / "out/weights.npy"), bias)

    np.save(folder / "w.npy", np.arange(100.0))
    prepared(folder, HEAVY + '\nstride = 3\nweights = "w.npy"')
    np.testing.assert_array_equal(np.load(folder / "out/weights.npy"), np.arange(0.0, 100.0, 3))
    make_trajectory(50).save_xtc(str(folder / "short.xtc"))
    short = HEAVY.replace("run.xtc", "short.xtc") + '\nweights = "w.npy"'
    assert "has 100 numbers, there are 50 frames" in problem(folder, short)
    assert "must be one of the arrays" in problem(folder, 'file = "biased.npz:nothing"')


def test_molecules_get_features_from_their_sequences(folder, trajectory):
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
    np.save(folder / "va.npy", trajectory.xyz[:, HEAVY_ATOMS].astype(np.float16))
    table = load(prepared(folder, 'topology = "run.pdb"\nselection = "element != H"', tables=molecules))
    assert [m["file"] for m in table["molecules"]] == ["frames-AV.npy", "frames-turned.npy"]
    assert table["molecules"][0]["features"] == [[0, 0]] * 5 + [[19, 1]] * 5
    assert table["molecules"][1]["features"] == [[19, 0]] * 5 + [[0, 1]] * 5
    assert len(table["particles"]) == 10


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (HEAVY.replace("selection", "selecton"), "is not a key that is known; did you mean data.selection?"),
        (HEAVY.replace("element != H", "name XX"), "matches none of the 12 atoms"),
        (HEAVY.replace("element != H", "nome CA ("), "is not in MDTraj's selection language"),
        (HEAVY.replace("run.xtc", "none.xtc"), "none.xtc, which is not there"),
        (HEAVY + "\natoms = [1]", "stands beside a selection"),
        ('trajectory = "run.xtc"\ntopology = "run.pdb"\natoms = [12]', "names atom 12"),
        (HEAVY + "\nstride = 0", "must be at least 1"),
        (HEAVY + "\nstride = 100", "has 1 frames at a stride"),
        (HEAVY + '\nunit = "angstrom"', "has a unit of its own"),
        ('trajectory = "run.xtc"\nselection = "all"', "no topology can be read from this file"),
        (HEAVY + '\nfile = "x.npy"', "not both"),
        ("stride = true", "must be an integer, it is true or false"),
        ("", "needs one of trajectory"),
        ("trajectory = 7", "must be a text or an array, it is an integer"),
        ("x = [", "this is not TOML"),
    ],
)  # fmt: skip
def test_mistakes_in_the_configuration_are_sentences(folder, data, part):
    message = problem(folder, data)
    assert part in message and "\n" not in message
    assert not (folder / "out/frames.npy").exists()


def test_bad_trajectories_are_sentences_and_lose_nothing(folder, trajectory):
    prepared(folder)
    good = (folder / "out/frames.npy").read_bytes()

    broken = trajectory[:]
    broken.xyz[61, 3, 1] = np.nan
    broken.save_dcd(str(folder / "nan.dcd"))
    assert "nan.dcd: frame 61 holds a position that is not finite" in problem(
        folder, HEAVY.replace("run.xtc", "nan.dcd")
    )
    trajectory.atom_slice(range(9)).save_dcd(str(folder / "small.dcd"))
    assert "small.dcd: this trajectory cannot be read" in problem(
        folder, HEAVY.replace("run.xtc", "small.dcd")
    )
    (folder / "noise.dcd").write_bytes(os.urandom(5000))
    assert "noise.dcd: this trajectory cannot be read" in problem(
        folder, HEAVY.replace("run.xtc", "noise.dcd")
    )
    trajectory.save_dcd(str(folder / "run.dcd"))
    for kind in ("xtc", "dcd"):
        damaged = bytearray((folder / f"run.{kind}").read_bytes())
        damaged[len(damaged) // 2 : len(damaged) // 2 + 200] = bytes(range(200))
        (folder / f"bad.{kind}").write_bytes(damaged)
        message = problem(folder, HEAVY.replace("run.xtc", f"bad.{kind}"))
        assert f"bad.{kind}: this trajectory cannot be read" in message
    assert (folder / "out/frames.npy").read_bytes() == good


def test_a_full_disk_leaves_what_was_there(folder, monkeypatch):
    prepared(folder)
    good = (folder / "out/frames.npy").read_bytes()

    def no_space(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(frames.NpyWriter, "append", no_space)
    with pytest.raises(OSError, match="No space left"):
        prepared(folder, HEAVY + "\nstride = 2")
    assert (folder / "out/frames.npy").read_bytes() == good and not list(folder.glob("out/*.new"))


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


def test_evaluation_options(folder):
    path = write_config(
        folder,
        tables="[evaluation]\nsteps = 10\nno_iid = true\natoms = [1, 2]\ntorsions = [[0, 1], [2, 3]]",
    )
    config = train_config.readConfig(path)
    checkEvaluation(config)
    command = evaluationCommand(config)
    assert command[3:5] == ["evaluate", str(folder / "out/model.safetensors")]
    rest = command[5:]
    assert rest[rest.index("--steps") + 1] == "10" and "--no-iid" in rest
    assert rest[rest.index("--atoms") + 1] == "1,2" and rest[rest.index("--torsions") + 1] == "0,1;2,3"
    assert rest[rest.index("--reference") + 1] == str((folder / "out/frames.npy").resolve())
    assert rest[rest.index("--output") + 1] == str((folder / "out/evaluation").resolve())


def test_the_reference_of_an_array_is_what_was_trained_on(folder):
    data = 'file = "chain.npy"\nunit = "angstrom"\natoms = [2, 1]'
    rest = evaluationCommand(train_config.readConfig(write_config(folder, data)))
    assert rest[rest.index("--reference") + 1] == str((folder / "chain.npy").resolve())
    assert rest[rest.index("--unit") + 1] == "angstrom" and rest[rest.index("--atoms") + 1] == "2,1"


@pytest.mark.parametrize(
    ("table", "part"),
    [
        (
            "molecule = 3",
            "evaluation.molecule is not a key that is known; did you mean evaluation.molecules?",
        ),
        ("steps = true", "evaluation.steps must not be true or false"),
        ("no_iid = 1", "evaluation.no_iid must be true or false"),
        ('steps = "ten"', "argument --steps: invalid int value: 'ten'"),
        ('reference = "none.npy"', "evaluation.reference names"),
    ],
)
def test_mistakes_about_the_evaluation_are_found_before_training(folder, table, part):
    path = write_config(folder, tables=f"[evaluation]\n{table}")
    with pytest.raises(ValueError) as caught:
        checkEvaluation(train_config.readConfig(path))
    assert part in str(caught.value) and "\n" not in str(caught.value)


def test_biased_frames_are_no_reference(folder):
    path = write_config(folder, HEAVY + '\nbias_energy = "bias.npy"', tables="[evaluation]")
    with pytest.raises(ValueError, match="evaluation.reference is missing"):
        checkEvaluation(train_config.readConfig(path))


@needs_trainer
def test_one_command_trains_from_a_trajectory(folder, capfd):
    path = write_config(folder)
    assert cli.main(["train", str(path), "--threads", "1"]) == 0
    with safe_open(folder / "out/model.safetensors", "numpy") as file:
        document = json.loads(file.metadata()["openmmscore"])
    assert document["count"] == 10 and document["provenance"]["steps"] == 6
    assert document["particles"][6]["residue"] == "VAL" and [3, 5] in document["bonds"]

    assert cli.main(["train", str(path)]) == 1
    assert "continue it with --resume" in capfd.readouterr().err
    assert cli.main(["train", str(path), "--overwrite", "--steps", "3", "--threads", "1"]) == 0
    assert cli.main(["train", str(path), "--resume", "--steps", "4", "--threads", "1"]) == 0
    write_config(folder, HEAVY + "\nstride = 2")
    assert cli.main(["train", str(path), "--resume", "--steps", "5"]) == 1
    assert "made of other files or another selection" in capfd.readouterr().err


@needs_trainer
def test_a_mixture_is_continued_and_evaluated(folder, capfd):
    evaluation = "samples = 20\nsteps = 5\nmolecules = 2\nframes = 5\ntorsions = [[0, 1, 3, 5], [3, 5, 6, 8]]"
    path = write_config(folder, more='method = "mixture"', tables=f"[evaluation]\n{evaluation}")
    path.write_text(path.read_text().replace("steps = 6", "steps = 20"))
    arguments = ["train", str(path), "--threads", "1"]
    assert cli.main([*arguments, "--prepare"]) == 0
    printed = capfd.readouterr().err.strip().splitlines()[-1]
    assert printed == f"openmmscore: train with: openmmscore-train {path} --data {folder}/out/frames.toml"
    assert cli.main([*arguments, "--stage", "0", "--steps", "2"]) == 0
    assert cli.main(arguments) == 1
    assert "checkpoint-0.safetensors: there is a run in this folder already" in capfd.readouterr().err
    assert cli.main([*arguments, "--resume"]) == 0
    results = json.loads((folder / "out/evaluation/evaluation.json").read_text())
    assert set(results["comparison"]) == {"iid", "simulation"} and results["reference_frames"] == 100


@needs_trainer
@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.toml")), ids=lambda path: path.stem)
def test_examples_are_understood(path, tmp_path):
    config = train_config.readConfig(path, tmp_path)
    _checkConfig(PROGRAM, config)
    if config.evaluation is not None:
        checkEvaluation(config)
    for source in config.sources:
        # Data are here, or there is a script that makes them.
        made = "double_well" in source.array
        assert made or Path(source.array).is_file()


@needs_trainer
def test_mistakes_elsewhere_are_found_before_frames_are_read(folder, capfd):
    path = write_config(folder)
    path.write_text(path.read_text().replace("batch_size", "batchsize"))
    assert cli.main(["train", str(path)]) == 1
    assert (
        "training.batch_size is missing; is training.batchsize (line 17) a misspelling?"
        in capfd.readouterr().err
    )
    assert not (folder / "out/frames.npy").exists()


@needs_trainer
def test_a_transferable_model_is_trained_and_told_the_sequence(folder, trajectory):
    tables = "".join(
        f'[[features]]\nname = "{name}"\nnum_values = {count}\n'
        for name, count in [("amino_acid", 20), ("atom", 5), ("element", 3), ("residue", 2)]
    )
    for sequence in ("AV", "VA"):
        np.save(folder / f"{sequence}.npy", trajectory.xyz[:, HEAVY_ATOMS].astype(np.float16))
        tables += f'[[molecules]]\nsequence = "{sequence}"\nfile = "{sequence}.npy"\n'
    for k, name in enumerate(["N", "CA", "CB", "C", "O"] * 2):
        tables += (
            f'[[particles]]\nname = "{name}"\nelement = "{name[0]}"\nmass = 12.0\nresidue_index = {k // 5}\n'
        )
    assert cli.main(["train", str(write_config(folder, "", tables=tables)), "--threads", "1"]) == 0
    model = openmmscore.Model(folder / "out/model.safetensors")
    assert model.featureNames == ["amino_acid", "atom", "element", "residue"]
    positions = trajectory.xyz[0, HEAVY_ATOMS].astype(float)
    energies = [model.potentialEnergy(positions, features=model.sequenceFeatures(s)) for s in ("AV", "VA")]
    assert energies[0] != energies[1]
    topology, system = openmmscore.createSystem(model, copies=2, sequence="VA")
    assert [residue.name for residue in topology.residues()] == ["VAL", "ALA"] * 2
    context = openmm.Context(system, openmm.VerletIntegrator(0.001))
    context.setPositions(openmmscore.repeatPositions(positions, 2))
    found = context.getState(energy=True).getPotentialEnergy()
    assert found.value_in_unit(found.unit) == pytest.approx(2 * energies[1], rel=1e-4)


@needs_trainer
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_reaches_the_trainer(folder, sent, code):
    path = write_config(folder)
    path.write_text(path.read_text().replace("steps = 6", "steps = 1000000"))
    command = [sys.executable, "-m", "openmmscore.cli", "train", str(path), "--threads", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while "step" not in (line := process.stderr.readline()) or "training" in line:
        assert line, "the run ended by itself"
    time.sleep(0.1)
    process.send_signal(sent)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == code, stderr
    assert "the checkpoint is written" in stderr
    assert (folder / "out/checkpoint.safetensors").exists()
