"""Converted models against what the original programs compute, through the engine that users meet."""

import functools
from pathlib import Path

import numpy as np
import openmm
import openmmscore
import pytest
from openmmscore import convert
from safetensors.numpy import load_file

DATA = Path(__file__).parents[1] / "data" / "scoremd"
NETWORKS = [path.stem for path in sorted(DATA.glob("*.safetensors")) if path.stem.startswith(("gt_", "mlp_"))]
MIXTURES = ["mixture_aldp_both", "mixture_mb_both"]
TWO_FOR_ONE = ["t4o_alanine", "t4o_chignolin"]

# Sums of some thousand terms in another order, and a softmax between them.
TOLERANCE = 1e-10


@functools.cache
def tensors(name):
    """Return a case's inputs and results."""
    return load_file(DATA / f"{name}.safetensors")


@functools.cache
def model(name):
    """Return a case as a model."""
    program = convert.fromTwoForOne if name.startswith("t4o") else convert.fromScoremd
    return openmmscore.Model.fromBytes(program(DATA / f"{name}.safetensors").encode(), name)


def shaped(name, x):
    """Return coordinates in the shape that the model takes."""
    return x.reshape(len(x), -1, 3) if model(name).space == "particles" else x


def assertClose(found, expected):
    """Compare relative to the largest number."""
    found, expected = np.asarray(found), np.asarray(expected)
    np.testing.assert_allclose(found, expected.reshape(found.shape), 0, TOLERANCE * np.abs(expected).max())


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_gives_the_energies_and_scores_of_the_original(name):
    case, network = tensors(name), model(name)
    z, features = shaped(name, case["in/x"]), case.get("in/features")
    # Some of these times lie outside the network's interval.
    times = case["in/t"]
    for i, t in enumerate(times):
        assertClose(network.networkScore(z, t, features), case["out64/score"][i])
    if "out64/energy" in case:
        energies = [network.networkEnergy(z, t, features) for t in times]
        assertClose(energies, case["out64/energy"])


@pytest.mark.parametrize("name", MIXTURES)
def test_a_mixture_gives_the_scores_of_the_original(name):
    case, mixture = tensors(name), model(name)
    z = shaped(name, case["in/x"])
    for i, t in enumerate(case["in/t"]):
        assertClose(mixture.networkScore(z, t), case["out64/score"][i])
    assertClose(mixture.networkScore(z, case["in/t_mixed"]), case["out64/mixed/score"])


@pytest.mark.parametrize("name", MIXTURES)
def test_a_mixture_gives_the_energies_of_the_original_where_it_has_some(name):
    case, mixture = tensors(name), model(name)
    z = shaped(name, case["in/x"])
    for i, t in enumerate(case["in/t"]):
        has = bool(np.ravel(case["out64/has_energy"])[i])
        assert mixture.hasEnergy(t) == has
        if has:
            assertClose(mixture.networkEnergy(z, t), -case["out64/log_q"][i])
        else:
            with pytest.raises(openmm.OpenMMException, match="energy"):
                mixture.networkEnergy(z, t)


@pytest.mark.parametrize("name", ["langevin_aldp_net", "langevin_mb_net"])
def test_a_potential_gives_the_forces_of_the_original(name):
    case, potential = tensors(name), model(name)
    x, force = case["in/x0"], case["out64/force0"]
    if potential.space == "vector":
        # A vector of two numbers is seen in x and y of one particle.
        x, force = (np.pad(array, ((0, 0), (0, 1)))[:, None, :] for array in (x, force))
    assertClose(potential.forces(x), force)
    assertClose(potential.potentialEnergy(x), case["out64/energy0"])


@pytest.mark.parametrize("name", TWO_FOR_ONE)
def test_a_model_of_two_for_one_gives_the_forces_of_the_original(name):
    case, potential = tensors(name), model(name)
    z = case["in/x"].reshape(-1, potential.numParticles, 3)
    x = z * potential.description["length_scale"]
    for i, n in enumerate(case["in/n"].ravel()):
        t, sigma = n / 1000, case["out64/sigma_n"].ravel()[i]
        assertClose(potential.networkEnergy(z, t), -case["out64/energy"][i] / sigma)
        assertClose(potential.networkScore(z, t), -case["out64/eps"][i] / sigma)
        # From g A/ps^2/mol, where the original's Boltzmann constant has one digit less.
        np.testing.assert_allclose(
            potential.forces(x, t).ravel(), case["out64/force_per_angstrom"][i].ravel() / 10, 2e-9, 1e-8
        )
