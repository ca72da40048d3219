"""openmmscore-train from outside: the program as a person runs it."""

import json
import os
import resource
import signal
import socket
import subprocess
import time
from pathlib import Path

import numpy as np
import openmmscore
import openmmscore.diagnostics
import pytest
from safetensors import safe_open

CONFIG = """
seed = 3
[data]
file = "chain.npy"
temperature = 300.0
[model]
architecture = "graph-transformer"
hidden = 8
layers = 1
heads = 2
head_size = 4
[training]
steps = {steps}
batch_size = 32
[output]
directory = "out"
checkpoint_interval = 1000000
"""


def find_program():
    """Return the path of the program: $OPENMMSCORE_TRAIN, or the one that the package carries, or None."""
    if "OPENMMSCORE_TRAIN" in os.environ:
        return os.environ["OPENMMSCORE_TRAIN"]
    return openmmscore.diagnostics.trainProgram()


PROGRAM = find_program()
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="openmmscore-train is not built (it needs LibTorch)")


@pytest.fixture
def run_folder(tmp_path):
    """A folder with data of a wobbling chain of four particles."""
    random = np.random.default_rng(1)
    chain = np.array([[0, 0, 0], [0.1, 0.1, 0], [0.2, 0, 0], [0.3, 0.1, 0.1]])
    np.save(tmp_path / "chain.npy", (chain + 0.01 * random.normal(size=(200, 4, 3))).astype(np.float32))
    return tmp_path


def write_config(folder, text=CONFIG, steps=20):
    """Write run.toml."""
    (folder / "run.toml").write_text(text.format(steps=steps))


def train(folder, *arguments):
    """Run the program to its end."""
    return subprocess.run(
        [PROGRAM, str(folder / "run.toml"), *arguments], capture_output=True, text=True, timeout=120
    )


def read_model(path):
    """Return the document and the tensors of a model file."""
    with safe_open(path, "numpy") as file:
        return json.loads(file.metadata()["openmmscore"]), {k: file.get_tensor(k) for k in file.keys()}


def test_trains_and_writes_a_model(run_folder):
    write_config(run_folder)
    result = train(run_folder)
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    assert "step 20/20" in result.stderr and "ETA" in result.stderr
    document, tensors = read_model(run_folder / "out/model.safetensors")
    assert document["count"] == 4 and document["provenance"]["steps"] == 20
    frames = np.load(run_folder / "chain.npy").astype(float)
    centred = frames - frames.mean(axis=1, keepdims=True)
    assert document["length_scale"] == pytest.approx(centred.std(), rel=0.02)
    assert all(np.isfinite(t).all() for t in tensors.values())
    lines = [json.loads(line) for line in (run_folder / "out/log.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 20 and "validation_loss" in lines[-1]


def test_threads_do_not_change_a_small_batch(run_folder):
    np.save(run_folder / "plane.npy", np.load(run_folder / "chain.npy").reshape(-1, 2))
    text = CONFIG.replace("chain.npy", "plane.npy").replace("batch_size = 32", "batch_size = 128")
    text = (
        text[: text.index("architecture")]
        + 'architecture = "mlp"\nhidden = [16, 16]\n[fokker_planck]\n'
        + ("weight = 1e-3\n" + text[text.index("[training]") :])
    )
    write_config(run_folder, text)
    found = []
    for threads in ("1", "2", "3"):
        result = train(run_folder, "--threads", threads, "--overwrite")
        assert result.returncode == 0, result.stderr
        found.append(read_model(run_folder / "out/model.safetensors")[1])
    assert all(np.array_equal(found[0][name], other[name]) for other in found[1:] for name in other)


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_can_be_resumed(run_folder, sent, code):
    write_config(run_folder, steps=1000000)
    process = subprocess.Popen(
        [PROGRAM, str(run_folder / "run.toml")], stderr=subprocess.PIPE, text=True, stdout=subprocess.DEVNULL
    )
    while not process.stderr.readline().startswith("step"):
        pass
    time.sleep(0.2)
    process.send_signal(sent)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert f"continue with: openmmscore-train {run_folder}/run.toml --resume" in stderr
    reached = read_model(run_folder / "out/model.safetensors")[0]["provenance"]["steps"]
    assert 0 < reached < 1000000
    again = train(run_folder, "--resume", "--steps", str(reached + 5))
    assert again.returncode == 0, again.stderr
    assert f"from step {reached} to {reached + 5}" in again.stderr
    assert read_model(run_folder / "out/model.safetensors")[0]["provenance"]["steps"] == reached + 5


MIXTURE = CONFIG.replace("seed = 3", 'method = "both"\nseed = 3').replace(
    "steps = {steps}", 'steps = {steps}\nprecision = "float64"'
)


def free_port():
    """Return a port that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start_processes(folder, size, *arguments, **more):
    """Start several processes as torchrun does, with more in their environment, and return them."""
    common = {
        "WORLD_SIZE": str(size),
        "LOCAL_WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
    }
    return [
        subprocess.Popen(
            [PROGRAM, str(folder / "run.toml"), *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | common | {"RANK": str(rank), "LOCAL_RANK": str(rank)} | more,
        )
        for rank in range(size)
    ]


def test_a_mixture_leaves_its_experts_and_a_model(run_folder):
    write_config(run_folder, MIXTURE)
    result = train(run_folder)
    assert result.returncode == 0, result.stderr
    assert "stage 2: training" in result.stderr and "(Fokker-Planck " in result.stderr
    document, _ = read_model(run_folder / "out/model.safetensors")
    assert [len(document["experts"]), document["provenance"]["steps"]] == [3, 20]
    assert [stage["steps"] for stage in document["provenance"]["stages"]] == [2, 4, 14]
    assert read_model(run_folder / "out/expert-1.safetensors")[0]["experts"][0]["interval"] == [0.1, 0.6]


def test_two_processes_give_what_one_gives(run_folder):
    write_config(run_folder, MIXTURE)
    assert train(run_folder, "--output", str(run_folder / "one")).returncode == 0
    processes = start_processes(run_folder, 2, "--output", str(run_folder / "two"))
    outputs = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert "in each of 2 processes" in outputs[0] and outputs[1] == ""
    one, two = (read_model(run_folder / name / "model.safetensors") for name in ("one", "two"))
    # Sums in another order, in double precision; the tensors are of order one.
    for name, tensor in one[1].items():
        np.testing.assert_allclose(two[1][name], tensor, rtol=0, atol=1e-11)
    for stage, other in zip(one[0]["provenance"]["stages"], two[0]["provenance"]["stages"], strict=True):
        assert other["validation_loss"] == pytest.approx(stage["validation_loss"], rel=1e-10)


FLOW = """
seed = 3
[data]
file = "plane.npy"
[coordinates]
kind = "vector"
[proposal]
family = "{family}"
hidden = [16, 16]
[training]
steps = 15
batch_size = 100
precision = "float64"
early_stopping = 4
[output]
validation_interval = 3
"""


@pytest.mark.parametrize(
    "name, steps",
    [("spline_flow_2d", 200), ("spline_flow_2d_transformer", 16), ("continuous_flow_2d", 200)],
)
def test_examples_of_flows_learn(tmp_path, name, steps):
    config = Path(__file__).parents[2] / "examples" / "train" / f"{name}.toml"
    text = config.read_text().replace("validation_interval = ", f"validation_interval = {steps // 4}\n# ")
    text = text.replace("../data", str(config.parent.parent / "data"))
    (tmp_path / "run.toml").write_text(text)
    result = train(tmp_path, "--steps", str(steps), "--output", str(tmp_path / "out"))
    assert result.returncode == 0, result.stderr
    lines = [json.loads(line) for line in (tmp_path / "out/log.jsonl").read_text().splitlines()]
    losses = [line["validation_loss"] for line in lines if "validation_loss" in line]
    assert len(losses) == 4 and losses[-1] < losses[0]
    proposal = openmmscore.loadProposal(tmp_path / "out/proposal.safetensors")
    samples, logDensity = proposal.sample(500, 1)
    assert samples.shape == (500, 2)
    np.testing.assert_allclose(proposal.logDensity(samples), logDensity, atol=1e-3)
    if name == "spline_flow_2d":
        frames = np.load(config.parent.parent / "data/mueller_brown.npy").astype(float)
        normal = 1 + np.log(2 * np.pi) + 0.5 * np.linalg.slogdet(np.cov(frames.T))[1]
        assert losses[-1] < normal - 0.3


@pytest.mark.parametrize("family", ["spline-flow", "continuous-flow"])
def test_two_processes_train_a_proposal_like_one(run_folder, family):
    random = np.random.default_rng(1)
    np.save(run_folder / "plane.npy", random.normal(size=(1000, 2)).astype(np.float32))
    # Blocks of 32 pairs do not fit into shares of 50 samples.
    pairing = "pairing = 32\n[training]" if family == "continuous-flow" else "[training]"
    (run_folder / "run.toml").write_text(FLOW.format(family=family).replace("[training]", pairing))
    assert train(run_folder, "--output", str(run_folder / "one")).returncode == 0
    processes = start_processes(run_folder, 2, "--output", str(run_folder / "two"))
    outputs = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    one, two = (read_model(run_folder / name / "proposal.safetensors") for name in ("one", "two"))
    assert one[0]["family"] == family and one[0]["provenance"]["steps"] == 15
    for name, tensor in one[1].items():
        np.testing.assert_allclose(two[1][name], tensor, rtol=0, atol=1e-10)


def test_a_signal_to_one_process_stops_all(run_folder):
    write_config(run_folder, steps=1000000)
    processes = start_processes(run_folder, 2)
    while not processes[0].stderr.readline().startswith("step"):
        pass
    processes[1].send_signal(signal.SIGTERM)
    outputs = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [143, 143]
    assert "the checkpoint is written" in outputs[0] and outputs[1] == ""
    reached = read_model(run_folder / "out/model.safetensors")[0]["provenance"]["steps"]
    assert 0 < reached < 1000000


def test_processes_meet_at_a_store_that_is_there(run_folder):
    # torchrun's agent may keep the store itself. Here one process alone, of another run, keeps it.
    write_config(run_folder, steps=1000000)
    port = str(free_port())
    (keeper,) = start_processes(run_folder, 1, MASTER_PORT=port)
    try:
        while not keeper.stderr.readline().startswith("step"):
            pass
        write_config(run_folder)
        agent = {
            "TORCHELASTIC_USE_AGENT_STORE": "True",
            "TORCHELASTIC_RESTART_COUNT": "1",
            "MASTER_PORT": port,
        }
        processes = start_processes(run_folder, 2, "--output", str(run_folder / "two"), **agent)
        outputs = [process.communicate(timeout=120)[1] for process in processes]
        assert [process.returncode for process in processes] == [0, 0], outputs
        assert "in each of 2 processes" in outputs[0]
    finally:
        keeper.kill()
        keeper.communicate()


def test_half_an_environment_of_processes_is_refused(run_folder, monkeypatch):
    write_config(run_folder)
    monkeypatch.setenv("RANK", "0")
    result = train(run_folder)
    assert result.returncode == 1 and "WORLD_SIZE is not (start them by torchrun)" in result.stderr
    monkeypatch.setenv("WORLD_SIZE", "two")
    assert 'WORLD_SIZE is "two", expected an integer' in train(run_folder).stderr


def test_a_checkpoint_that_cannot_be_written_leaves_the_last_one(run_folder):
    write_config(run_folder)
    assert train(run_folder).returncode == 0
    good = (run_folder / "out/checkpoint.safetensors").read_bytes()
    limit = len(good) // 2
    result = subprocess.run(
        [PROGRAM, str(run_folder / "run.toml"), "--resume", "--steps", "30"],
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert result.returncode == 1 and "checkpoint.safetensors: cannot write it" in result.stderr
    assert (run_folder / "out/checkpoint.safetensors").read_bytes() == good
    assert not list(run_folder.glob("out/*.new*"))
    assert train(run_folder, "--resume", "--steps", "30").returncode == 0


def test_output_and_overwrite(run_folder):
    write_config(run_folder)
    other = run_folder / "elsewhere"
    assert train(run_folder, "--output", str(other), "--steps", "3").returncode == 0
    assert (other / "model.safetensors").is_file() and not (run_folder / "out").exists()
    refused = train(run_folder, "--output", str(other))
    assert refused.returncode == 1 and "--overwrite" in refused.stderr
    assert train(run_folder, "--output", str(other), "--overwrite", "--steps", "3").returncode == 0


def test_problems_are_one_sentence(run_folder):
    for arguments, text, part in [
        ((), CONFIG.replace("seed", "sede"), "did you mean seed?"),
        ((), CONFIG.replace("chain.npy", "none.npy"), "none.npy: the data file cannot be opened"),
        (("--resume",), CONFIG, "there is no checkpoint to resume from"),
    ]:
        write_config(run_folder, text)
        result = train(run_folder, *arguments)
        assert result.returncode == 1
        lines = result.stderr.splitlines()
        assert len(lines) == 1 and lines[0].startswith("openmmscore-train: ") and part in lines[0]


def test_usage(run_folder):
    def run(*arguments):
        return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60)

    assert run("--version").stdout.startswith("openmmscore-train 0.")
    assert run("--help").returncode == 0
    assert run().returncode == 2
    assert run("x.toml", "--resume", "--overwrite").returncode == 2
    assert run("x.toml", "--steps", "-1").returncode == 2
    assert run("/nowhere/x.toml").returncode == 1
