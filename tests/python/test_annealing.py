"""Annealing on problems whose answers are known: averages and log Z within 5 standard errors."""

import pathlib
import re

import numpy as np
import openmm
import openmmscore
import pytest
from openmm import unit
from openmmscore.sampling import (
    AnnealedSampler,
    AnnealedSamples,
    GaussianMixtureProposal,
    hmc,
    mala,
    ula,
)
from sampling_targets import (
    LN_2PI,
    AnalyticTarget,
    Broken,
    Dimer,
    DoubleWell,
    Harmonic,
    Normal,
    expectWithin,
    grid,
)


@pytest.mark.parametrize("dimension", [1, 3, 12, 66])
def test_gaussiansInManyDimensions(dimension):
    if dimension % 3:
        proposal = Normal(dimension)
    else:
        means = np.zeros((1, dimension // 3, 3))
        proposal = GaussianMixtureProposal(None, means, 1.0)
    target = Harmonic(2.0, 0.5)
    result = AnnealedSampler(proposal, target, move=hmc(0.02, 5)).run(600, seed=dimension)
    assert 0 < result.logNormalization().error < 0.25
    expectWithin(*result.logNormalization(), target.logZ(dimension))
    x = result.positions.reshape(600, -1)
    mean, error = result.average(x)
    expectWithin(mean, error, 0.5)
    variance, error = result.average((x - 0.5) ** 2)
    expectWithin(variance, error, 0.5)


@pytest.mark.parametrize(
    "options",
    [
        {"move": mala(0.02)},
        {"move": hmc(0.02, 4), "movesPerLevel": 2},
        {"move": mala(0.02), "threshold": 0.0, "levels": 20},
        {"move": mala(0.02), "threshold": 1.0, "levels": np.linspace(0, 1, 15)[1:] ** 2},
        {"move": mala(0.02), "resampleBeforeMove": False},
    ],
)
def test_doubleWellAgreesWithQuadrature(options):
    target = DoubleWell()
    result = AnnealedSampler(Normal(2), target, **options).run(3000, seed=5)
    logZ, x, y2 = grid(target)
    assert result.logNormalization().error < 0.1
    expectWithin(*result.logNormalization(), logZ)
    expectWithin(*result.average(result.positions[:, 0]), x)
    expectWithin(*result.average(result.positions[:, 1] ** 2), y2)


def test_mixturesAreCarriedIntoEachOther():
    means = np.array([[[1.0, 0, 0], [0, 0, 0]], [[-1.0, 0, 0], [0, 0, 0]]])
    proposal = GaussianMixtureProposal([0.5, 0.5], means, [0.5, 0.5])
    aim = GaussianMixtureProposal([0.2, 0.8], means, [0.1, 0.2])

    class Mixture(AnalyticTarget):
        def energiesAndForces(self, x):
            return -aim.logDensity(x) - 2, aim.logDensityGradient(x), np.zeros(len(x), dtype=int)

    result = AnnealedSampler(proposal, Mixture(), move=mala(0.02)).run(3000, seed=2)
    expectWithin(*result.logNormalization(), 2.0)
    expectWithin(*result.average(result.positions[:, 0, 0]), 0.2 - 0.8)
    assert result.logNormalization().error < 0.05


def test_perfectProposalLosesNothing():
    target = Harmonic(1.0, 0.0, 1.5 * LN_2PI)
    result = AnnealedSampler(Normal(3), target, move=mala(0.1)).run(200, seed=3)
    assert len(result.histories[0].levels) == 1
    assert result.logNormalization().value == pytest.approx(0, abs=1e-12)
    assert result.logNormalization().error < 1e-7
    assert result.effectiveSampleSize() == pytest.approx(200, rel=1e-12)
    assert result.numLineages == 200


def test_acceptanceRemovesTheBiasOfLangevinSteps():
    """Steps of h = 0.8 in u = x^2 / 2 lead from its own density to one of variance 1/(1 - h/2) = 1.67."""
    target, n = Harmonic(1.0, 0.0, 1.5 * LN_2PI), 4000
    error = np.sqrt(2 / (3 * n))

    def variance(move):
        sampler = AnnealedSampler(Normal(3), target, levels=1, move=move, movesPerLevel=12)
        return (sampler.run(n, seed=4).positions ** 2).mean()

    assert abs(variance(mala(0.8, adapt=None)) - 1) < 5 * error
    assert abs(variance(hmc(0.4, 3, adapt=None)) - 1) < 5 * error
    assert abs(variance(ula(0.8)) - 1 / 0.6) < 5 * error / 0.6
    assert abs(variance(ula(0.01)) - 1) < 5 * error + 0.01


@pytest.mark.parametrize("move", [mala(0.4, adapt=None), hmc(0.1, 4, adapt=None)])
def test_movesStayExactWhereForcesAreNotFinite(move):
    class Cracked(Harmonic):
        def energiesAndForces(self, x):
            energy, forces, status = super().energiesAndForces(x)
            forces[x[:, 0] > 0.3] = np.nan
            return energy, forces, status

    sampler = AnnealedSampler(Normal(1), Cracked(1.0, 0.0), levels=1, move=move, movesPerLevel=15)
    x = sampler.run(4000, seed=4).positions
    share = 0.3820885778  # of a standard normal above 0.3
    assert abs(x.mean()) < 5 / np.sqrt(4000)
    assert abs((x > 0.3).mean() - share) < 5 * np.sqrt(share * (1 - share) / 4000)


def test_errorsHaveTheSizeOfTheScatter():
    target = Harmonic(3.0, 0.7)
    sampler = AnnealedSampler(Normal(3), target, levels=6, move=mala(0.1), threshold=0.7)
    runs = [sampler.run(150, seed=seed) for seed in range(60)]
    logZ, errors = np.array([run.logNormalization() for run in runs]).T
    off = (logZ - target.logZ(3)) / errors
    # A standard deviation from 60 numbers is right to 9 %; the small bias of families and of log are within.
    assert 0.65 < off.std() < 1.5 and abs(off.mean()) < 5 / np.sqrt(60)
    off = [(run.average(run.positions[:, 0])[0] - 0.7) / run.average(run.positions[:, 0])[1] for run in runs]
    assert 0.65 < np.std(off) < 1.5

    joined = AnnealedSamples.combine(runs)
    value, error = joined.logNormalization()
    assert value == pytest.approx(np.log(np.mean(np.exp(logZ))), rel=1e-12)
    expectWithin(value, error, target.logZ(3))
    assert 0.65 < np.std(logZ) / np.sqrt(60) / error < 1.5
    assert joined.numLineages == sum(run.numLineages for run in runs)
    found = joined.average(unit.Quantity(joined.positions[:, 0], unit.angstrom))
    plain = joined.average(joined.positions[:, 0])
    np.testing.assert_allclose([each.value_in_unit(unit.angstrom) for each in found], plain)
    for values in (1.0, np.zeros(7)):
        with pytest.raises(openmm.OpenMMException, match="values must be one for each of 9000 walkers"):
            joined.average(values)


@pytest.mark.parametrize("move", [mala(0.02), hmc(0.02, 3)])
def test_plantedFaultsHaveNoWeightAndAreCounted(move):
    sampler = AnnealedSampler(Normal(2), Broken(), move=move)
    result = sampler.run(3000, seed=6)
    logZ, x, y2 = grid(Broken(), highest=1.2)
    expectWithin(*result.logNormalization(), logZ)
    expectWithin(*result.average(result.positions[:, 0]), x)
    expectWithin(*result.average(result.positions[:, 1] ** 2), y2)
    assert result.counts["energy not usable"] > 100 and result.counts["gradient not finite"] > 0
    alive = np.isfinite(result.logWeight)
    assert not np.isnan(result.logWeight).any() and result.positions[alive, 0].max() <= 1.2
    assert np.isfinite(result.reducedEnergy[alive]).all()


def test_lostWalkersOfUnadjustedStepsHaveNoWeight():
    result = AnnealedSampler(Normal(2), Broken(), move=ula(0.05), threshold=0.0, levels=10).run(500, seed=6)
    lost = ~np.isfinite(result.logWeight)
    assert 0 < lost.sum() < 250 and np.isneginf(result.logWeight[lost]).all()
    assert result.positions[~lost, 0].max() <= 1.2
    assert np.isfinite([*result.logNormalization(), result.effectiveSampleSize()]).all()
    assert (result.status[lost] == 1).all() and not np.isin(result.status[~lost], [1, 2]).any()


def test_withNothingLeftItSaysSo():
    class Nothing(Harmonic):
        def energiesAndForces(self, x):
            energy, forces, status = super().energiesAndForces(x)
            return np.full(len(x), np.nan), forces, status

    with pytest.raises(openmm.OpenMMException, match="every walker has weight zero"):
        AnnealedSampler(Normal(3), Nothing()).run(10)


def test_centresOfMass():
    """Z of absolute positions with a normal distribution of centroids is N^(3/2) that of centred ones."""
    # The distance r of the two, r = sqrt(2) |y| with the one coordinate y: Z = int 4 pi y^2 exp(-u) dy.
    r = np.linspace(0, 4, 400001)
    integrand = r**2 * np.exp(-10 * (r - 0.8) ** 2)
    z = 4 * np.pi / 2**1.5 * integrand.sum() * (r[1] - r[0])
    means = np.zeros((1, 2, 3))
    centred = GaussianMixtureProposal(None, means, 0.2, "centred")
    result = AnnealedSampler(centred, Dimer(), move=mala(0.005), movesPerLevel=2).run(1500, seed=1)
    expectWithin(*result.logNormalization(), np.log(z))
    assert result.logNormalization().error < 0.1
    assert np.abs(result.positions.mean(axis=1)).max() < 1e-12
    absolute = GaussianMixtureProposal(None, means, 0.2)
    sampler = AnnealedSampler(absolute, Dimer(), move=mala(0.005), movesPerLevel=2, centreOfMass=0.3)
    result = sampler.run(1500, seed=1)
    expectWithin(*result.logNormalization(), np.log(z) + 1.5 * np.log(2))
    expectWithin(*result.average((result.positions.mean(axis=1) ** 2).sum(axis=1)), 3 * 0.3**2)


def doubleWellSystem(kT):
    """A System of one particle, the energy of which in kT is DoubleWell's plus 5 z^2."""
    system = openmm.System()
    system.addParticle(10.0)
    force = openmm.CustomExternalForce("kT*((x^2-1)^2/0.4 + x/2 + 2*(y-x/2)^2 + 5*z^2)")
    force.addGlobalParameter("kT", kT)
    force.addParticle(0)
    system.addForce(force)
    return system


def test_aSystemIsATarget():
    system = doubleWellSystem(8.31446261815324e-3 * 300)
    target = openmmscore.BoltzmannTarget(system, 300 * unit.kelvin, numContexts=1, platform="Reference")
    proposal = GaussianMixtureProposal(None, np.zeros((1, 1, 3)), 1.0)
    result = AnnealedSampler(proposal, target, move=mala(0.02)).run(1000, seed=3)
    logZ, x, _ = grid(DoubleWell())
    expectWithin(*result.logNormalization(), logZ + 0.5 * np.log(np.pi / 5))
    expectWithin(*result.average(result.positions[:, 0, 0]), x)
    two = GaussianMixtureProposal(None, np.zeros((1, 2, 3)), 1.0)
    with pytest.raises(openmm.OpenMMException, match="proposal has 2 particles, the target's System 1"):
        AnnealedSampler(two, target)


def test_theExampleOfTheDocumentationIsRight(capsys):
    page = pathlib.Path(__file__).parents[2] / "docs" / "annealing.md"
    names = {}
    exec(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)[0], names)
    axis = np.linspace(-3, 3, 100001)
    weight = np.exp(-(8 * (axis**2 - 1) ** 2 + 2 * axis))
    logZ = 4 * (np.log(weight.sum() * (axis[1] - axis[0])) + np.log(np.pi / 10))
    expectWithin(*names["result"].logNormalization(), logZ)
    expectWithin(names["mean"], names["error"], weight @ axis / weight.sum())
    assert names["direct"].effectiveSampleSize() < 5
    assert "warning" not in capsys.readouterr().out
