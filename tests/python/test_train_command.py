"""openmmscore train: the command around openmmscore-train, and the evaluation after it."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import openmm
import openmmscore
import openmmscore.diagnostics
import pytest
from openmmscore import cli
from openmmscore.train import config as train_config
from openmmscore.train import prepare
from openmmscore.train.evaluation import checkEvaluation, checkSequence, evaluationCommand
from openmmscore.train.run import _checkConfig
from safetensors import safe_open
from train_parts import HEAVY, HEAVY_ATOMS, PROGRAM, needs_trainer, write_config

EXAMPLES = Path(__file__).parents[2] / "examples" / "train"
DATA = EXAMPLES.parent / "data"


def test_evaluation_options(data_folder):
    path = write_config(
        data_folder,
        tables="[evaluation]\nsteps = 10\nno_iid = true\natoms = [1, 2]\ntorsions = [[0, 1], [2, 3]]",
    )
    config = train_config.readConfig(path)
    checkEvaluation(config)
    command = evaluationCommand(config)
    assert command[3:5] == ["evaluate", str(data_folder / "out/model.safetensors")]
    rest = command[5:]
    assert rest[rest.index("--steps") + 1] == "10" and "--no-iid" in rest
    assert rest[rest.index("--atoms") + 1] == "1,2" and rest[rest.index("--torsions") + 1] == "0,1;2,3"
    assert rest[rest.index("--reference") + 1] == str((data_folder / "out/frames.npy").resolve())
    assert rest[rest.index("--output") + 1] == str((data_folder / "out/evaluation").resolve())


def test_the_reference_of_an_array_is_what_was_trained_on(data_folder):
    data = 'file = "chain.npy"\nunit = "angstrom"\natoms = [2, 1]'
    rest = evaluationCommand(train_config.readConfig(write_config(data_folder, data)))
    assert rest[rest.index("--reference") + 1] == str((data_folder / "chain.npy").resolve())
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
def test_mistakes_about_the_evaluation_are_found_before_training(data_folder, table, part):
    path = write_config(data_folder, tables=f"[evaluation]\n{table}")
    with pytest.raises(ValueError) as caught:
        checkEvaluation(train_config.readConfig(path))
    assert part in str(caught.value) and "\n" not in str(caught.value)


def test_a_sequence_for_the_evaluation_must_fit_the_particles_of_the_trajectory(data_folder):
    feature = '[[features]]\nname = "amino_acid"\nnum_values = 20\n'
    path = write_config(data_folder, tables=feature + '[evaluation]\nsequence = "AXV"')
    config = train_config.readConfig(path)
    with pytest.raises(train_config.ConfigError, match="sequence 'AXV': it must consist of the letters"):
        checkSequence(config, prepare(config))
    config.evaluation["sequence"] = "GAV"
    with pytest.raises(train_config.ConfigError, match="sequence 'GAV': it has 3 residues"):
        checkSequence(config, prepare(config))
    config.evaluation["sequence"] = "GA"
    checkSequence(config, prepare(config))


def test_biased_frames_are_no_reference(data_folder):
    path = write_config(data_folder, HEAVY + '\nbias_energy = "bias.npy"', tables="[evaluation]")
    with pytest.raises(ValueError, match="evaluation.reference is missing"):
        checkEvaluation(train_config.readConfig(path))


@needs_trainer
def test_one_command_trains_from_a_trajectory(data_folder, capfd):
    path = write_config(data_folder)
    assert cli.main(["train", str(path), "--threads", "1"]) == 0
    with safe_open(data_folder / "out/model.safetensors", "numpy") as file:
        document = json.loads(file.metadata()["openmmscore"])
    assert document["count"] == 10 and document["provenance"]["steps"] == 6
    assert document["particles"][6]["residue"] == "VAL" and [3, 5] in document["bonds"]

    assert cli.main(["train", str(path)]) == 1
    assert "continue it with --resume" in capfd.readouterr().err
    assert cli.main(["train", str(path), "--overwrite", "--steps", "3", "--threads", "1"]) == 0
    assert cli.main(["train", str(path), "--resume", "--steps", "4", "--threads", "1"]) == 0
    write_config(data_folder, HEAVY + "\nstride = 2")
    assert cli.main(["train", str(path), "--resume", "--steps", "5"]) == 1
    assert "made of other files or another selection" in capfd.readouterr().err


@needs_trainer
def test_a_mixture_is_continued_and_evaluated(data_folder, capfd):
    evaluation = "samples = 20\nsteps = 5\nmolecules = 2\nframes = 5\ntorsions = [[0, 1, 3, 5], [3, 5, 6, 8]]"
    path = write_config(data_folder, more='method = "mixture"', tables=f"[evaluation]\n{evaluation}")
    path.write_text(path.read_text().replace("steps = 6", "steps = 20"))
    arguments = ["train", str(path), "--threads", "1"]
    assert cli.main([*arguments, "--prepare"]) == 0
    printed = capfd.readouterr().err.strip().splitlines()[-1]
    assert (
        printed == f"openmmscore: train with: openmmscore-train {path} --data {data_folder}/out/frames.toml"
    )
    assert cli.main([*arguments, "--stage", "0", "--steps", "2"]) == 0
    assert cli.main(arguments) == 1
    assert "checkpoint-0.safetensors: there is a run in this folder already" in capfd.readouterr().err
    assert cli.main([*arguments, "--resume"]) == 0
    results = json.loads((data_folder / "out/evaluation/evaluation.json").read_text())
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
        made = any(Path(source.array).name in script.read_text() for script in DATA.glob("make_*.py"))
        assert made or Path(source.array).is_file()


@needs_trainer
def test_mistakes_elsewhere_are_found_before_frames_are_read(data_folder, capfd):
    path = write_config(data_folder)
    path.write_text(path.read_text().replace("batch_size", "batchsize"))
    assert cli.main(["train", str(path)]) == 1
    assert (
        "training.batch_size is missing; is training.batchsize (line 17) a misspelling?"
        in capfd.readouterr().err
    )
    assert not (data_folder / "out/frames.npy").exists()


@needs_trainer
def test_a_transferable_model_is_trained_and_told_the_sequence(data_folder, trajectory, capfd):
    tables = "".join(
        f'[[features]]\nname = "{name}"\nnum_values = {count}\n'
        for name, count in [("amino_acid", 20), ("atom", 5), ("element", 3), ("residue", 2)]
    )
    for sequence in ("AV", "VA"):
        np.save(data_folder / f"{sequence}.npy", trajectory.xyz[:, HEAVY_ATOMS].astype(np.float16))
        tables += f'[[molecules]]\nsequence = "{sequence}"\nfile = "{sequence}.npy"\n'
    for k, name in enumerate(["N", "CA", "CB", "C", "O"] * 2):
        tables += (
            f'[[particles]]\nname = "{name}"\nelement = "{name[0]}"\nmass = 12.0\nresidue_index = {k // 5}\n'
        )
    wrong = tables + '[evaluation]\nsequence = "AVA"\n'
    assert cli.main(["train", str(write_config(data_folder, "", tables=wrong)), "--threads", "1"]) == 1
    assert "sequence 'AVA': it has 3 residues, the particles are of 2" in capfd.readouterr().err
    assert not (data_folder / "out/model.safetensors").exists()
    assert cli.main(["train", str(write_config(data_folder, "", tables=tables)), "--threads", "1"]) == 0
    model = openmmscore.Model(data_folder / "out/model.safetensors")
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
def test_an_interruption_reaches_the_trainer(data_folder, sent, code):
    path = write_config(data_folder)
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
    assert (data_folder / "out/checkpoint.safetensors").exists()
