"""The demonstration, as `make demo` runs it but shorter."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

DEMO = Path(__file__).parents[2] / "examples" / "alanine_dipeptide.py"
SMALL = ["--molecules", "8", "--seconds", "2"]


def start(*options):
    return subprocess.Popen(
        [sys.executable, str(DEMO), *map(str, options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that starts tests in the background makes them, and what they start, ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def run(*options):
    process = start(*options)
    output, errors = process.communicate(timeout=120)
    return process.returncode, output, errors


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "new folder"
    code, output, errors = run(*SMALL, "--output", folder)
    assert code == 0, errors
    return folder, output, errors, json.loads((folder / "results.json").read_text())


def test_demo_draws_a_picture_and_says_where_it_is(finished):
    folder, output, _, _ = finished
    assert (folder / "alanine_dipeptide.png").read_bytes().startswith(b"\x89PNG")
    assert str(folder / "alanine_dipeptide.png") in output


def test_demo_reports_speed_distance_and_floor(finished):
    _, output, errors, results = finished
    for word in ("molecule-steps/s", "ns/day", "JS", "PMF error", "floor", "temperature", "phi > 0"):
        assert word in output
    assert "ETA" in errors
    assert results["samples"] == 8 * (results["steps"] // 50)
    assert results["picoseconds_per_molecule"] == pytest.approx(0.002 * results["steps"])
    assert results["comparison"]["count"] == min(results["samples"], 50794 // 2)
    assert all(np.isfinite(value) for value in results["comparison"].values())


def test_demo_takes_the_time_that_it_was_given(finished):
    # Ten more steps at most, on a machine that may be busy.
    assert 2 <= finished[3]["seconds"] < 10


def test_interrupted_demo_still_draws(tmp_path):
    process = start("--molecules", "8", "--seconds", "100", "--output", tmp_path)
    # The first line tells that the set-up is done.
    process.stdout.readline()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=3)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "Interrupted after" in errors
    assert (tmp_path / "alanine_dipeptide.png").exists()


def test_missing_model_is_a_sentence(tmp_path):
    code, _, errors = run(*SMALL, "--model", tmp_path / "none.safetensors", "--output", tmp_path)
    assert code == 1
    assert "Cannot start" in errors and "none.safetensors" in errors
    assert "Traceback" not in errors
