"""Equivariant continuous flows against numbers of the program that their weights come from."""

from pathlib import Path

import numpy as np
import openmmscore
import pytest
from openmm import unit
from openmmscore import convert
from openmmscore.sampling import ContinuousFlowProposal
from safetensors.numpy import load_file

DATA = Path(__file__).resolve().parent.parent / "data" / "prose"
SINGLE = DATA / "ecnf_single_22"
TRANSFERABLE = DATA / "ecnf_transferable"
# Hydrogens of one methyl group count as one kind.
KINDS = np.array([0, 2, 2, 2, *range(4, 11), 12, 12, 12, *range(14, 19), 20, 20, 20])


def single(scale=1.0):
    return convert.fromEcnf(SINGLE / "weights.pth", np.eye(21)[KINDS], scale)


def transferable(golden):
    """One-hot codes of the atom, its residue's place and kind, and the peptide's length (2 to 4)."""
    codes = [np.eye(54)[golden["enc.atom_type"] - 1], np.eye(4)[golden["enc.aa_pos"] - 1]]
    codes.append(np.eye(20)[golden["enc.aa_type"] - 1])
    length = np.eye(3)[golden["enc.seq_len"] - 2]
    codes.append(np.repeat(length, len(golden["enc.aa_pos"]), axis=0))
    return convert.fromEcnf(TRANSFERABLE / "weights.safetensors", np.hstack(codes), 1.0)


def helmert(x):
    """Coordinates of the frame "centred", [n,3N-3]."""
    n = x.shape[1]
    rows = [
        [(j < k) / np.sqrt(k * (k + 1)) - (j == k) * k / np.sqrt(k * (k + 1)) for j in range(n)]
        for k in range(1, n)
    ]
    return np.einsum("kj,bja->bka", rows, x).reshape(len(x), -1)


@pytest.mark.parametrize(
    "make, path",
    [
        (lambda golden: single(), SINGLE / "ace-ala-nme.safetensors"),
        (transferable, TRANSFERABLE / "CYQ.safetensors"),
    ],
    ids=["single", "transferable"],
)
def test_velocityAndDivergenceAreThoseOfTheSource(make, path):
    golden = load_file(path)
    count = len(golden["divergence.f64"])
    flow = make(golden)
    x, t = golden["x"].astype(float)[:count], golden["t"].astype(float)[:count]
    velocity, divergence = flow.velocity(helmert(x), t)
    np.testing.assert_allclose(velocity, helmert(golden["velocity.f64"][:count]), atol=1e-10)
    np.testing.assert_allclose(divergence, golden["divergence.f64"], atol=1e-10)


def test_densityOfFixedStepsIsThatOfTheSource():
    golden = load_file(SINGLE / "ace-ala-nme.safetensors")
    flow = single().withSolver("runge-kutta-4", numSteps=4)
    z = golden["rk4_4steps.reverse.z.f64"]
    prior = -0.5 * (z**2).sum(axis=(1, 2)) - 31.5 * np.log(2 * np.pi)
    expected = prior - golden["rk4_4steps.reverse.dlogp.f64"]
    x = golden["x"].astype(float)
    np.testing.assert_allclose(flow.logDensity(x), expected, atol=1e-9)
    # Standardised coordinates s times as large as nanometres: a density of 63 dimensions.
    scaled = single(1.6 * unit.angstrom).withSolver("runge-kutta-4", numSteps=4)
    np.testing.assert_allclose(scaled.logDensity(0.16 * x), expected - 63 * np.log(0.16), atol=1e-8)


def test_turningAndMovingChangesNoDensity():
    flow = single().withSolver("runge-kutta-4", numSteps=2)
    x = load_file(SINGLE / "ace-ala-nme.safetensors")["x"].astype(float)[:1]
    rotation = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))[0]
    logDensity = flow.logDensity(np.concatenate([x, x @ rotation.T, x + [1, -2, 3]]))
    np.testing.assert_allclose(logDensity, logDensity[0], atol=1e-9)


def test_filesKeepGraphNetworks(tmp_path):
    flow = single(0.16)
    flow.save(tmp_path / "flow.safetensors")
    again = openmmscore.loadProposal(tmp_path / "flow.safetensors")
    assert type(again) is ContinuousFlowProposal
    assert again.encode() == flow.encode()


def test_weightsOfAnotherNetworkAreRefused(tmp_path):
    with pytest.raises(convert.ConversionError, match=r"embedding.weight' has shape \[24, 22\]"):
        convert.fromEcnf(SINGLE / "weights.pth", np.eye(22), 0.16)
    with pytest.raises(convert.ConversionError, match=r"nodeFeatures must have the shape \[N,any\]"):
        convert.fromEcnf(SINGLE / "weights.pth", np.zeros(22), 0.16)
    with pytest.raises(convert.ConversionError, match="no weights under 'egnn.'"):
        convert.fromEcnf(SINGLE / "ace-ala-nme.safetensors", np.eye(21)[KINDS], 0.16)
