"""Independent samples of diffusion models, and their densities."""

import functools
import signal
import threading
from pathlib import Path

import numpy as np
import openmm
import openmmscore
import pytest
from conftest import document, expert, writeModel
from openmm import unit
from openmmscore import DiffusionDensity, DiffusionSampler, convert
from safetensors.numpy import load_file

DATA = Path(__file__).parents[1] / "data" / "scoremd"
MUELLER_BROWN = Path(__file__).parents[2] / "examples" / "models" / "mueller_brown.safetensors"


@functools.cache
def golden(name):
    return load_file(DATA / f"{name}.safetensors")


@functools.cache
def original(name):
    program = convert.fromTwoForOne if name.startswith("t4o") else convert.fromScoremd
    return openmmscore.Model.fromBytes(program(DATA / f"{name}.safetensors").encode(), name)


def centred(model, z):
    """Ours has the centre of mass projected out of everything, the original of nothing."""
    if model.space != "particles":
        return z
    beads = z.reshape(*z.shape[:-1], -1, 3)
    return (beads - beads.mean(axis=-2, keepdims=True)).reshape(z.shape)


def replay(sampler, z, updates, noise):
    """Return the states after updates with given noise."""
    z, states = np.array(z, dtype=np.float64), []
    for update, xi in zip(updates, noise, strict=True):
        xi = np.ascontiguousarray(xi, dtype=np.float64)
        sampler._handle.replay(int(update), len(z), z.ctypes.data, xi.ctypes.data)
        states.append(z.copy())
    return np.array(states)


def assertClose(found, expected, tolerance):
    """Compare each state relative to its largest number."""
    scale = np.abs(expected).max(axis=(1, 2), keepdims=True)
    assert np.all(np.abs(found - expected) <= tolerance * scale)


# With so coarse a step and random weights the alanine run ends at 1e3 and magnifies the last digits.
@pytest.mark.parametrize("system, tolerance", [("mb", 1e-14), ("aldp", 1e-9)])
def test_a_coarse_run_follows_the_original(system, tolerance):
    case, model = golden(f"sampler_{system}"), original(f"mixture_{system}_both")
    sampler = DiffusionSampler(model, 50, double=True)
    assert sampler.method == "euler-maruyama" and sampler.numUpdates == 50
    np.testing.assert_allclose([sampler._handle.getTime(k) for k in range(50)], case["out64/t_grid"], 1e-14)
    noise = case["in/noise"]
    found = replay(sampler, centred(model, noise[0]), range(50), noise[1:])
    assertClose(found, centred(model, case["out64/traj"]), tolerance)


@pytest.mark.parametrize("double, tolerance", [(True, 1e-14), (False, 2e-7)])
@pytest.mark.parametrize("system", ["mb", "aldp"])
def test_stretches_of_a_production_run_follow_the_original(system, double, tolerance):
    case, model = golden(f"sampler_{system}_windows"), original(f"mixture_{system}_both")
    sampler = DiffusionSampler(model, double=double)
    for start, begin, end in zip(case["in/start"], (0, 17, 34), (17, 34, 50), strict=True):
        updates = 999 - case["in/k"][begin:end]
        found = replay(sampler, centred(model, start), updates, case["in/noise"][begin:end])
        assertClose(found, centred(model, case["out64/traj"][begin:end]), tolerance)


# In the first stretch random weights make coordinates grow, until the original clamps them to +-1000.
@pytest.mark.parametrize("system, grown", [("alanine", 11), ("chignolin", 5)])
@pytest.mark.parametrize("stretch", ["top", "high", "low"])
def test_ancestral_sampling_follows_the_original(system, grown, stretch):
    count = grown if stretch == "top" else 20
    case, model = golden(f"t4o_{system}"), original(f"t4o_{system}")
    sampler = DiffusionSampler(model, double=True)
    assert sampler.method == "ancestral" and sampler.numUpdates == 1000
    start = case["in/anc_start_low" if stretch == "low" else "in/anc_start"]
    flat = (len(start), -1)
    noise = [centred(model, xi.reshape(flat)) for xi in case[f"in/anc_noise_{stretch}"][:count]]
    updates = 999 - case[f"in/anc_n_{stretch}"][:count]
    found = replay(sampler, centred(model, start.reshape(flat)), updates, noise)
    expected = case[f"out64/ancestral_{stretch}"][:count].reshape(found.shape)
    assertClose(found, expected, 1e-8 if stretch == "top" else 1e-11)


def test_samples_do_not_depend_on_pieces_and_threads(vectorPath):
    whole = DiffusionSampler(vectorPath, 20, threads=2).sample(300, seed=5)
    piece = DiffusionSampler(vectorPath, 20, threads=1).sample(40, seed=5, first=150)
    np.testing.assert_array_equal(whole.positions[150:190]._value, piece.positions._value)
    np.testing.assert_array_equal(piece.indices, np.arange(150, 190))
    assert piece.dropped == 0 and piece.positions.unit == unit.nanometer
    assert not np.array_equal(
        piece.positions._value,
        DiffusionSampler(vectorPath, 20).sample(40, seed=6, first=150).positions._value,
    )
    assert DiffusionSampler(vectorPath, 20).sample(0).positions.shape == (0, 1, 3)


def test_particles_are_centred_and_scaled(particlePath):
    sampler = DiffusionSampler(particlePath, 10, method="ancestral")
    positions = sampler.sample(5).positions._value
    assert positions.shape == (5, 5, 3) and sampler.method == "ancestral"
    np.testing.assert_allclose(positions.mean(axis=1), 0, atol=1e-12)


def test_features_reach_the_network(transferablePath):
    features = np.zeros((5, 2), dtype=int)
    first = DiffusionSampler(transferablePath, 10, features=features).sample(3).positions._value
    features[2, 0] = 2
    assert not np.allclose(
        first, DiffusionSampler(transferablePath, 10, features=features).sample(3)[0]._value
    )
    with pytest.raises(openmm.OpenMMException, match="must be told residue, kind"):
        DiffusionSampler(transferablePath)


def test_what_is_not_finite_is_dropped_and_counted(vectorPath, monkeypatch):
    sampler = DiffusionSampler(vectorPath, 10)
    good = sampler.sample(6).positions._value

    def spoil(self, z, seed, first, bar, fill=DiffusionSampler._fill):
        fill(self, z, seed, first, bar)
        z[2, 1] = np.inf

    monkeypatch.setattr(DiffusionSampler, "_fill", spoil)
    samples = sampler.sample(6, first=0)
    assert samples.dropped == 1
    np.testing.assert_array_equal(samples.indices, [0, 1, 3, 4, 5])
    np.testing.assert_array_equal(samples.positions._value, good[[0, 1, 3, 4, 5]])


@pytest.mark.parametrize(
    "arguments, text",
    [
        ({"steps": 1}, "expected 2 steps at least, got 1"),
        ({"steps": 2.5}, "steps must be an integer of at least 1, got 2.5"),
        ({"method": "euler"}, 'expected one of the methods "euler-maruyama", "ancestral", .*, got "euler"'),
        ({"method": "ddim", "eta": 2.0}, "expected eta between 0 and 1"),
        ({"method": "stochastic-heun", "churn": -1.0}, "expected a churn of 0 at least"),
        ({"ending": "noisy"}, "expected the ending 'clean' or 'upstream-lowest-level'"),
        ({"threads": 0}, "threads must be an integer"),
        ({"correctorSteps": True}, "correctorSteps must be an integer of at least 0, got True"),
    ],
)
def test_refuses_bad_arguments(vectorPath, arguments, text):
    with pytest.raises(openmm.OpenMMException, match=text):
        DiffusionSampler(vectorPath, **arguments)


def test_stochastic_heun_without_churn_is_heun(vectorPath):
    still = DiffusionSampler(vectorPath, 12, method="stochastic-heun", churn=0.0)
    renewed = DiffusionSampler(vectorPath, 12, method="stochastic-heun")
    one = DiffusionSampler(vectorPath, 12, method="heun").sample(20, seed=1).positions
    assert (still.method, still.numEvaluations) == ("stochastic-heun", 21)
    np.testing.assert_allclose(still.sample(20, seed=1).positions, one, atol=1e-5)
    assert np.abs(renewed.sample(20, seed=1).positions - one).max() > 1e-3


def test_refuses_bad_numbers_of_samples(vectorPath):
    sampler = DiffusionSampler(vectorPath, 10)
    for arguments in (
        {"n": -1},
        {"n": 1.5},
        {"n": 1, "seed": -1},
        {"n": 1, "seed": 2**31},
        {"n": 1, "first": -1},
    ):
        with pytest.raises(openmm.OpenMMException, match="DiffusionSampler: .* must be an integer"):
            sampler.sample(**arguments)


def test_refuses_a_model_of_small_times_only(folder):
    path = writeModel(folder / "small.safetensors", document("vector", [expert("mlp", interval=(0.0, 0.1))]))
    with pytest.raises(
        openmm.OpenMMException, match="only answers up to 0.1.*it can be simulated, not sampled"
    ):
        DiffusionSampler(path)
    with pytest.raises(openmm.OpenMMException, match="only answers up to 0.1"):
        DiffusionDensity(path)


def test_ctrl_c_ends_sampling(vectorPath, heedingInterrupts):
    timer = threading.Timer(0.3, signal.raise_signal, (signal.SIGINT,))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        DiffusionSampler(vectorPath, 1000, double=True, threads=1).sample(200_000)
    timer.join()


def test_density_of_the_shipped_model_is_normalized():
    density = DiffusionDensity(MUELLER_BROWN, steps=50)
    # Where hardly anything lies the density is tiny; a coarse grid is exact for what is smooth.
    x, y = np.meshgrid(np.linspace(-2.2, 1.7, 60), np.linspace(-1, 2.5, 60), indexing="ij")
    positions = np.zeros((x.size, 1, 3))
    positions[:, 0, 0], positions[:, 0, 1] = x.ravel(), y.ravel()
    cell = (x[1, 0] - x[0, 0]) * (y[0, 1] - y[0, 0])
    assert np.exp(density.logDensity(positions)).sum() * cell == pytest.approx(1, abs=0.01)


def test_density_of_samples_is_that_of_their_positions():
    density = DiffusionDensity(MUELLER_BROWN)
    positions, logDensity = density.sample(20, seed=3)
    np.testing.assert_allclose(density.logDensity(positions), logDensity, atol=0.05)
    assert density.logDensity(positions[0]) == pytest.approx(logDensity[0], abs=0.05)
