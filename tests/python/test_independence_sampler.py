"""Independence chains: exact against quadrature, the same in any pieces, and honest about what fails."""

import numpy as np
import openmm
import pytest
from openmm import OpenMMException, unit
from openmmscore import BoltzmannTarget, GaussianMixtureProposal
from openmmscore.sampling import IndependenceSampler, integratedAutocorrelationTime
from openmmscore.sampling.independence import _uniforms

KT = 8.31446261815324e-3 * 300


class DoubleWell:
    """U/kT of one particle: wells at x = -0.3 and 0.3 nm; no energy beyond x = 0.36."""

    limit = 0.36

    def reducedEnergies(self, positions):
        x, y, z = np.moveaxis(positions[:, 0], 1, 0)
        u = (100 * ((x / 0.3) ** 2 - 1) ** 2 - 5.5 * x + 500 * (y**2 + z**2)) / KT
        return np.where(x < self.limit, u, np.inf)


def twoWells():
    return GaussianMixtureProposal(
        means=[[[-0.3, 0.02, 0]], [[0.3, 0, 0.01]]], covariances=[0.0036, 0.003], weights=[0.65, 0.35]
    )


def gaussian(variance=0.01, particles=1, frame="absolute"):
    return GaussianMixtureProposal(
        means=np.zeros((1, particles, 3)), covariances=[variance], weights=[1], frame=frame
    )


class Harmonic:
    def __init__(self, variance):
        self.variance = variance

    def reducedEnergies(self, positions):
        return 0.5 * np.sum(positions**2, axis=(1, 2)) / self.variance


def test_aDoubleWellIsPopulatedAsQuadratureSays():
    chain = IndependenceSampler(twoWells(), DoubleWell()).sample(30_000, seed=2)
    edges = np.array([-0.6, -0.32, -0.3, -0.28, 0.28, 0.29, 0.3, 0.31, 0.32, 0.36])
    fine = np.linspace(-0.6, DoubleWell.limit, 200_001)
    middle = 0.5 * (fine[1:] + fine[:-1])
    density = np.exp(-(100 * ((middle / 0.3) ** 2 - 1) ** 2 - 5.5 * middle) / KT)
    exact = np.histogram(middle, edges, weights=density)[0] / density.sum()
    x = chain.positions[:, 0, 0]
    for low, high, share in zip(edges[:-1], edges[1:], exact, strict=True):
        inside = ((x >= low) & (x < high)).astype(float)
        error = np.sqrt(share * (1 - share) * chain.autocorrelationTime(inside) / len(chain))
        assert abs(inside.mean() - share) < 5 * error
    assert 0.1 < chain.acceptanceRate < 0.6
    assert abs(chain.acceptanceRate - chain.expectedAcceptance) < 0.02
    assert chain.numInvalid > 0


def test_chunksAndInterruptionsDoNotShow():
    expected = IndependenceSampler(twoWells(), DoubleWell()).sample(500, seed=3)
    for chunkSize in (1, 7, 499, 10_000):
        chain = IndependenceSampler(twoWells(), DoubleWell(), chunkSize=chunkSize).sample(500, seed=3)
        np.testing.assert_array_equal(chain.indices, expected.indices)
        np.testing.assert_array_equal(chain.positions, expected.positions)
        assert chain.numInvalid == expected.numInvalid
        assert chain.last.nextSample == expected.last.nextSample
    sampler = IndependenceSampler(twoWells(), DoubleWell())
    first = sampler.sample(123, seed=3)
    second = sampler.sample(377, seed=3, start=first.last)
    np.testing.assert_array_equal(np.concatenate([first.indices, second.indices]), expected.indices)
    np.testing.assert_array_equal(np.concatenate([first.positions, second.positions]), expected.positions)
    energies = np.concatenate([first.reducedEnergies, second.reducedEnergies])
    np.testing.assert_array_equal(energies, expected.reducedEnergies)
    assert not np.array_equal(sampler.sample(500, seed=4).indices, expected.indices)


def test_indicesAreThoseOfTheProposalsSequence():
    chain = IndependenceSampler(twoWells(), DoubleWell()).sample(200, seed=5)
    positions, _ = twoWells().sample(200, seed=5)
    np.testing.assert_array_equal(chain.positions, positions[chain.indices])
    np.testing.assert_allclose(chain.reducedEnergies, DoubleWell().reducedEnergies(chain.positions))
    assert chain.accepted[0] and np.all(np.diff(chain.visits) == chain.accepted[1:])


def test_aPerfectProposalIsAlwaysAccepted():
    chain = IndependenceSampler(gaussian(0.02, 3), Harmonic(0.02)).sample(4000, seed=1)
    assert chain.acceptanceRate == pytest.approx(1, abs=1e-3)
    assert chain.autocorrelationTime() < 1.3
    x = chain.positions.ravel()
    assert np.mean(x**2) == pytest.approx(0.02, abs=5 * 0.02 * np.sqrt(2 / len(x)))


def test_theChainGivesTheVarianceOfTheTargetNotOfTheProposal():
    chain = IndependenceSampler(gaussian(0.02), Harmonic(0.01)).sample(20_000, seed=1)
    squares = np.mean(chain.positions**2, axis=(1, 2))
    error = np.std(squares) * np.sqrt(chain.autocorrelationTime(squares) / len(chain))
    assert abs(np.mean(squares) - 0.01) < 5 * error
    assert error < 2e-4


def test_anOpenMMSystemIsATarget():
    system = openmm.System()
    system.addParticle(1.0)
    force = openmm.CustomExternalForce("100*((x/0.3)^2-1)^2 - 5.5*x + 500*(y*y+z*z)")
    force.addParticle(0)
    system.addForce(force)
    target = BoltzmannTarget(system, 300 * unit.kelvin, numContexts=1)
    well = DoubleWell()
    well.limit = np.inf
    chain = IndependenceSampler(twoWells(), target).sample(300, seed=3)
    np.testing.assert_array_equal(
        chain.indices, IndependenceSampler(twoWells(), well).sample(300, seed=3).indices
    )


def test_aSystemWithoutPlaceGetsOne():
    class Bond:
        def reducedEnergies(self, positions):
            return 0.5 * np.sum((positions[:, 1] - positions[:, 0]) ** 2, axis=1) / 0.01

    sampler = IndependenceSampler(gaussian(0.01, 2), Bond(), centreOfMass=0.05 * unit.nanometer)
    chain = sampler.sample(20_000, seed=1)
    squares = np.mean(chain.positions.mean(axis=1) ** 2, axis=1)
    error = np.std(squares) * np.sqrt(chain.autocorrelationTime(squares) / len(chain))
    assert abs(np.mean(squares) - 0.05**2) < 5 * error
    with pytest.raises(OpenMMException, match="centred"):
        IndependenceSampler(gaussian(0.01, 2, "centred"), Bond(), centreOfMass=0.05)


def test_aChainMayStartAnywhere():
    sampler = IndependenceSampler(twoWells(), DoubleWell())
    start = np.array([[-3.0, 0, 0]]) * unit.angstrom
    chain = sampler.sample(50, seed=1, initialPositions=start)
    assert chain.indices[0] == -1 or chain.accepted[0]
    np.testing.assert_allclose(chain.visitedPositions[0], [[-0.3, 0, 0]])
    with pytest.raises(OpenMMException, match="cannot start there"):
        sampler.sample(50, initialPositions=[[0.5, 0, 0]])
    with pytest.raises(OpenMMException, match="not both"):
        sampler.sample(50, start=chain.last, initialPositions=start)
    with pytest.raises(OpenMMException, match="initialPositions must be in nm, their unit is kelvin"):
        sampler.sample(50, initialPositions=start._value * unit.kelvin)


def test_whatHasNoWeightIsRejectedAndCounted():
    class Broken(Harmonic):
        def reducedEnergies(self, positions):
            u = super().reducedEnergies(positions)
            for axis, value in enumerate((np.nan, np.inf, -np.inf)):
                u[positions[:, 0, axis] > 0.05] = value
            return u

    chain = IndependenceSampler(gaussian(), Broken(0.01), chunkSize=100).sample(997, seed=2)
    positions, _ = gaussian().sample(chain.last.nextSample, seed=2)
    invalid = np.any(positions[:, 0] > 0.05, axis=1)
    # Those before the first state are no part of the chain.
    first = np.argmin(invalid)
    assert first > 0 and chain.indices[0] == first and chain.last.nextSample == first + 997
    assert chain.numInvalid == invalid[first:].sum() > 300
    assert not invalid[chain.indices].any()

    class Hopeless(Harmonic):
        def reducedEnergies(self, positions):
            return np.full(len(positions), np.nan)

    with pytest.raises(OpenMMException, match="does not fit the target"):
        IndependenceSampler(gaussian(), Hopeless(1), chunkSize=500_000).sample(500_000)


def test_argumentsAreChecked():
    with pytest.raises(OpenMMException, match="reducedEnergies"):
        IndependenceSampler(gaussian(), 3)
    with pytest.raises(OpenMMException, match="sample"):
        IndependenceSampler(3, DoubleWell())
    with pytest.raises(OpenMMException, match="chunkSize"):
        IndependenceSampler(gaussian(), DoubleWell(), chunkSize=0)
    with pytest.raises(OpenMMException, match="positive length"):
        IndependenceSampler(gaussian(), DoubleWell(), centreOfMass=-1)
    with pytest.raises(OpenMMException, match="n must be"):
        IndependenceSampler(gaussian(), DoubleWell()).sample(1.5)
    chain = IndependenceSampler(gaussian(), Harmonic(0.01)).sample(10)
    with pytest.raises(OpenMMException, match=r"\[10\], got \[9\]"):
        chain.autocorrelationTime(np.zeros(9))


def test_autocorrelationTimeOfAnAutoregressiveSeries():
    generator = np.random.default_rng(1)
    n, memory = 200_000, 0.8
    series = np.empty(n)
    series[0] = 0
    noise = generator.standard_normal(n)
    for i in range(1, n):
        series[i] = memory * series[i - 1] + noise[i]
    assert integratedAutocorrelationTime(series) == pytest.approx((1 + memory) / (1 - memory), rel=0.06)
    assert integratedAutocorrelationTime(noise) == pytest.approx(1, abs=0.05)
    assert integratedAutocorrelationTime(np.ones(7)) == 7
    with pytest.raises(OpenMMException, match="not finite"):
        integratedAutocorrelationTime([1.0, np.nan])


def test_decisionsUseEveryRandomNumberOnce():
    numbers = _uniforms(1, 0, 5000)
    assert len(np.unique(numbers)) == 5000
    np.testing.assert_array_equal(_uniforms(1, 1020, 2000), numbers[1020:3020])
    assert len(np.intersect1d(_uniforms(2, 0, 5000), numbers)) == 0
    assert np.all((numbers >= 0) & (numbers < 1)) and abs(numbers.mean() - 0.5) < 5 / np.sqrt(12 * 5000)
