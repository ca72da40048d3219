"""The command line."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import openmmscore
import pytest
from conftest import document, writeModel
from openmmscore import cli, modelfile

DATA = Path(__file__).parents[1] / "data" / "scoremd"


def run(capsys, *arguments):
    """Run a command; return its exit status, stdout and stderr."""
    status = cli.main([str(argument) for argument in arguments])
    return status, *capsys.readouterr()


def test_a_conversion_gives_a_model(tmp_path, capsys):
    output = tmp_path / "model.safetensors"
    status, out, err = run(capsys, "convert", "scoremd", DATA / "langevin_aldp_net.safetensors", output)
    assert (status, err) == (0, "")
    assert out == f"{output}: 3 networks, 1957567 parameters\n"
    assert openmmscore.Model(output).numParticles == 5


def test_options_reach_the_model(tmp_path, capsys):
    output = tmp_path / "model.safetensors"
    options = ["--system", "aldp", "--norm-factor", "10", "--temperature", "310", "--diffusion-time", "0.01"]
    options += ["--masses", "13", "--title", "five beads"]
    run(capsys, "convert", "scoremd", DATA / "mixture_aldp_both.safetensors", output, *options)
    model = openmmscore.Model(output)
    assert (model.title, model.defaultDiffusionTime) == ("five beads", 0.01)
    assert (model.description["length_scale"], model.description["temperature"]) == (0.1, 310)
    assert [particle["name"] for particle in model.description["particles"]] == ["C", "N", "CA", "C", "N"]
    assert {particle["mass"] for particle in model.description["particles"]} == {13}


def test_two_for_one_is_converted_too(tmp_path, capsys):
    output = tmp_path / "model.safetensors"
    status, *_ = run(
        capsys, "convert", "two-for-one", DATA / "t4o_alanine.json", output, "--noise-level", "5"
    )
    assert status == 0
    assert openmmscore.Model(output).defaultDiffusionTime == 0.005


def test_a_placeholder_is_noted(tmp_path, capsys):
    output = tmp_path / "model.safetensors"
    status, _, err = run(capsys, "convert", "scoremd", DATA / "gt_tiny_potential.safetensors", output)
    assert status == 0
    assert "the length scale is unknown and set to 1 nm" in err


def test_a_file_is_only_replaced_by_force(tmp_path, capsys):
    output = tmp_path / "model.safetensors"
    output.write_text("precious")
    command = ["convert", "scoremd", DATA / "mixture_mb_both.safetensors", output]
    status, _, err = run(capsys, *command)
    assert status == 1
    assert "exists already" in err
    assert output.read_text() == "precious"
    status, *_ = run(capsys, *command, "--force")
    assert status == 0
    assert openmmscore.Model(output).space == "vector"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["info", "absent.safetensors"], "absent.safetensors"),
        (["convert", "scoremd", "absent.safetensors", "out"], "no such file"),
        (["convert", "two-for-one", "absent.pt", "out"], "no such file"),
        (["convert", "scoremd", DATA / "vp_sde.json", "out"], "describes no network"),
        (["convert", "scoremd", DATA / "gt_tiny_potential.json", "out", "--temperature", "-3"], "positive"),
        (["convert", "scoremd", DATA / "gt_tiny_potential.json", "no/such/folder/out"], "cannot be written"),
    ],
)
def test_a_failure_is_one_sentence(tmp_path, capsys, monkeypatch, arguments, reason):
    monkeypatch.chdir(tmp_path)
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (1, "")
    assert err.startswith("openmmscore: ")
    assert err.count("\n") == 1
    assert reason in err
    assert list(tmp_path.iterdir()) == []


def test_info_tells_what_is_in_a_file(folder, capsys):
    path = writeModel(folder / "info.safetensors", document(title="five beads"))
    status, out, _ = run(capsys, "info", path)
    assert status == 0
    assert out.startswith("title               five beads\n")
    assert openmmscore.Model(path).sha256 in out


def test_info_tells_what_a_proposal_is(tmp_path, capsys):
    path = tmp_path / "proposal.safetensors"
    openmmscore.GaussianMixtureProposal(None, [[0.0, 1.0]], 0.5, "vector").save(path)
    code, out, _ = run(capsys, "info", path)
    assert code == 0
    for part in ("gaussian-mixture", "2 plain numbers", "gradient            yes", "isotropic"):
        assert part in out
    path.write_bytes(path.read_bytes()[:-8])
    code, _, err = run(capsys, "info", path)
    assert code == 1 and "proposal.safetensors" in err


def test_info_tells_what_the_layers_of_a_flow_are(tmp_path, capsys):
    path = tmp_path / "flow.safetensors"
    transformer = {"network": "transformer", "hidden": [8, 8], "heads": 2, "activation": "silu"}
    layers = [{"transformed": [i % 2], **transformer} for i in range(4)] + [{"transformed": [0, 1]}]
    openmmscore.sampling.SplineFlowProposal({"dimension": 2, "layers": layers}, frame="vector").save(path)
    code, out, _ = run(capsys, "info", path)
    assert code == 0
    kind = "4 x coupling, transformer 8x8, 2 heads, feed forward 128, silu; 1 x coupling, mlp, relu"
    assert kind in out


def test_info_checks_the_file(folder, capsys):
    path = writeModel(folder / "bad.safetensors", document(temperature=-1.0))
    status, out, err = run(capsys, "info", path)
    assert (status, out) == (1, "")
    assert "temperature" in err


def test_a_converted_file_is_described(tmp_path, capsys):
    output = tmp_path / "model.safetensors"
    run(capsys, "convert", "two-for-one", DATA / "t4o_chignolin.safetensors", output, "--system", "chignolin")
    status, out, _ = run(capsys, "info", output)
    assert status == 0
    for part in ("Two-for-One", "cosine-ddpm", "340 K", "CA(12)", "t4o_chignolin.safetensors"):
        assert part in out


def test_a_wrong_command_is_a_usage_error(capsys):
    for arguments in ([], ["fly"], ["convert"], ["convert", "other", "a", "b"], ["info"]):
        with pytest.raises(SystemExit) as caught:
            cli.main(arguments)
        assert caught.value.code == 2
        assert "usage:" in capsys.readouterr().err


def test_the_program_runs_as_a_module(tmp_path):
    for name in ("mlp_pot_t0-0.1.safetensors", "mlp_pot_t0-0.1.json"):
        shutil.copy(DATA / name, tmp_path)
    command = [sys.executable, "-m", "openmmscore.cli", "convert", "scoremd"]
    result = subprocess.run(
        [*command, "mlp_pot_t0-0.1.safetensors", "out.safetensors"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    description, tensors = modelfile.read(tmp_path / "out.safetensors")
    assert description["experts"][0]["hidden"] == [64, 64, 64]
    assert tensors["experts.0.layers.0.weight"].shape == (64, 6)
    assert tensors["experts.0.layers.0.weight"].dtype == np.float32
