"""Centroids as a factor of the target, against a perfect proposal and the published numbers."""

import math
import pathlib

import numpy as np
import openmm
import pytest
from openmm import unit
from openmmscore import BoltzmannTarget
from openmmscore.sampling.frames import centroidLogDensity, centroidLogDensityGradient
from safetensors.numpy import load_file

DATA = pathlib.Path(__file__).parent.parent / "data/prose/samplers"
KT = 8.31446261815324e-3 * 300.0


@pytest.mark.parametrize("count", [23, 70])
def test_densityAndGradientAreThePublishedOnes(count):
    golden = load_file(DATA / f"com_term_N{count}.safetensors")
    x, sigma = golden["x"].astype(float), 1 / math.sqrt(count)
    np.testing.assert_allclose(
        centroidLogDensity(x, sigma), golden["correct.log_gaussian_com.f64"], rtol=1e-12
    )
    np.testing.assert_allclose(
        centroidLogDensityGradient(x, sigma),
        golden["correct.grad_log_gaussian_com.f64"],
        rtol=1e-12,
        atol=1e-15,
    )
    # The published program has the density of the centroid's norm, with its factor r^2.
    r2 = (x.mean(axis=1) ** 2).sum(axis=1)
    chi = centroidLogDensity(x, sigma) + np.log(4 * math.pi * r2)
    np.testing.assert_allclose(chi, golden["upstream.added_to_E_source.f64"], rtol=1e-10)


def test_theDensityIntegratesToOne():
    sigma = 0.05
    axis = np.linspace(-0.4, 0.4, 65)
    grid = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 1, 3)
    total = np.exp(centroidLogDensity(grid, sigma * unit.nanometer)).sum() * (axis[1] - axis[0]) ** 3
    assert abs(total - 1) < 1e-10


def test_aPerfectProposalKeepsAllItsSamples():
    """All pairs bound by springs: then centred positions are normal, and independent of the centroid."""
    count, width, samples = 7, 0.08, 20000
    system = openmm.System()
    bonds = openmm.HarmonicBondForce()
    for i in range(count):
        system.addParticle(12.0)
        for j in range(i):
            bonds.addBond(i, j, 0.0, KT / (count * width**2))
    system.addForce(bonds)
    x = width * np.random.default_rng(5).standard_normal((samples, count, 3))
    dimension = 3 * count
    logq = -0.5 * (x**2).sum(axis=(1, 2)) / width**2 - dimension * math.log(width * math.sqrt(2 * math.pi))
    energies = BoltzmannTarget(system, 300).reducedEnergies(x)
    sigma = width / math.sqrt(count)
    logw = centroidLogDensity(x, sigma) - energies - logq

    def essFraction(logWeights):
        w = np.exp(logWeights - logWeights.max())
        return w.sum() ** 2 / (w**2).sum() / samples

    assert abs(essFraction(logw) - 1.0) < 1e-9
    logZ = (dimension - 3) / 2 * math.log(2 * math.pi * width**2) + 1.5 * math.log(count)
    np.testing.assert_allclose(logw, logZ, atol=1e-9)
    # The density of the norm instead: E[r^2]^2 / E[r^4] = 9/15, here within 5 standard errors.
    r2 = (x.mean(axis=1) ** 2).sum(axis=1)
    assert abs(essFraction(logw + np.log(r2)) - 0.6) < 0.02


def test_mistakesAreNamed():
    x = np.zeros((2, 3, 3))
    for sigma in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(openmm.OpenMMException, match="width of centroids must be a positive length"):
            centroidLogDensity(x, sigma)
    with pytest.raises(openmm.OpenMMException, match=r"\[n,N,3\]"):
        centroidLogDensity(np.zeros(6), 1.0)
    with pytest.raises(openmm.OpenMMException, match="positions must be in nm, their unit is kelvin"):
        centroidLogDensity(x * unit.kelvin, 1.0)
