"""Kinetic energies, their equipartition, and the canonical ensemble, by the physical_validation package.

Shirts, J. Chem. Theory Comput. 2013, doi:10.1021/ct300688p; Merz and Shirts, PLoS ONE 2018,
doi:10.1371/journal.pone.0202764. Its results are distances from the exact value in standard errors.
"""

import numpy as np
import pytest
from chains import GAS_CONSTANT, AlanineModel, BondedChains, SpringModel, sample

pytestmark = [pytest.mark.validation, pytest.mark.timeout(1800)]

HOT = 400.0  # K; the energies of 300 K and of this temperature overlap
STANDARD_ERRORS = 5.0
# Case -> (scheme, step in ps, ps between samples). Bonds have up to 110 rad/ps, springs up to 35.
# Metropolized steps are so large that some are rejected; they take no other force than a model's.
CASES = {
    "bonds": ("LFMiddle", 0.002, 1.0),
    "springs": ("LFMiddle", 0.01, 1.0),
    "springs, Metropolized": ("Metropolized", 0.02, 1.0),
    "springs, Legacy": ("Legacy", 0.03, 1.0),
}
RIGHT_CASES = ["bonds", "springs", "springs, Metropolized"]
ALANINE_CASES = {"LFMiddle": 0.002, "Metropolized": 0.002}


def simulationData(samples, beads=slice(None)):
    """Return what physical_validation takes for a molecule, or for some of its beads."""
    # Imported where used: it takes a second, which a run without these tests need not wait for.
    from physical_validation import data

    masses = samples.masses[beads]
    return data.SimulationData(
        units=data.UnitData(
            kb=GAS_CONSTANT,
            energy_conversion=1,
            length_conversion=1,
            volume_conversion=1,
            temperature_conversion=1,
            pressure_conversion=1,
            time_conversion=1,
        ),
        ensemble=data.EnsembleData("NVT", len(masses), volume=1, temperature=samples.temperature),
        system=data.SystemData(
            natoms=len(masses),
            nconstraints=0,
            ndof_reduction_tra=0,
            ndof_reduction_rot=0,
            mass=masses,
            molecule_idx=np.array([0]),
            nconstraints_per_molecule=np.array([0]),
        ),
        observables=data.ObservableData(
            kinetic_energy=samples.kineticEnergies[:, beads].sum(axis=1),
            potential_energy=samples.potentialEnergies,
        ),
        trajectory=data.TrajectoryData(samples.positions[:, beads], samples.velocities[:, beads]),
    )


def checkKineticEnergies(samples):
    """Check mean, width and shape for the molecule and each bead, and equipartition between motions."""
    from physical_validation import kinetic_energy as check

    common = {"data_is_uncorrelated": True, "verbosity": 0}
    parts = {f"bead {i}": slice(i, i + 1) for i in range(len(samples.masses))}
    for name, beads in {"molecule": slice(None), **parts}.items():
        data = simulationData(samples, beads)
        distances = np.round(check.distribution(data, bootstrap_seed=1, **common), 2)
        probability = check.distribution(data, strict=True, **common)
        print(f"{name}: mean and width off by {distances} errors, p = {probability:.3f}")
        assert distances.max() < STANDARD_ERRORS
        assert probability > 1e-4
    # All of it, translation, rotation with internal motion, rotation, internal motion.
    distances = np.round(check.equipartition(simulationData(samples), bootstrap_seed=1, **common), 2)
    print(f"equipartition: means and widths off by {distances.tolist()} errors")
    assert distances.shape == (5, 2) and distances.max() < STANDARD_ERRORS


def ensembleDistance(cold, hot):
    """Return by how many standard errors the ratio of the two densities of energies is off."""
    from physical_validation import ensemble

    return ensemble.check(
        simulationData(cold), simulationData(hot), data_is_uncorrelated=True, bootstrap_seed=1, verbosity=0
    )[0]


def makeChains(case, folder, molecules=200):
    return BondedChains(molecules) if case == "bonds" else SpringModel(molecules, folder)


@pytest.fixture(scope="module")
def chainSamples(tmp_path_factory):
    """Return a function that gives samples of a case at a temperature, and keeps them."""
    kept = {}
    folder = tmp_path_factory.mktemp("springs")

    def get(case, temperature):
        if (case, temperature) not in kept:
            kept[case, temperature] = sample(
                makeChains(case, folder), *CASES[case], numSamples=50, temperature=temperature
            )
        return kept[case, temperature]

    return get


@pytest.mark.parametrize("case", RIGHT_CASES)
def test_chainsHaveMaxwellsVelocities(case, chainSamples):
    checkKineticEnergies(chainSamples(case, 300.0))


@pytest.mark.parametrize("case", RIGHT_CASES)
def test_chainsHaveBoltzmannsRatioBetweenTwoTemperatures(case, chainSamples):
    cold, hot = (chainSamples(case, temperature) for temperature in (300.0, HOT))
    distance = ensembleDistance(cold, hot)
    print(f"slope off by {distance:.2f} errors; accepted {cold.acceptance:.3f} and {hot.acceptance:.3f}")
    assert distance < STANDARD_ERRORS
    if "Metropolized" in case:
        assert cold.acceptance < 0.99


@pytest.mark.parametrize("case", RIGHT_CASES[1:])
@pytest.mark.parametrize("temperature", [300.0, HOT])
def test_springsHaveTheirExactEnergy(case, temperature, chainSamples):
    # Fifteen harmonic degrees of freedom: mean 15/2 kT, variance 15/2 (kT)^2.
    energies = chainSamples(case, temperature).potentialEnergies / (GAS_CONSTANT * temperature)
    error = np.sqrt(7.5 / len(energies))
    print(f"energy {energies.mean():.4f} +- {error:.4f} kT, variance {energies.var():.3f}")
    assert abs(energies.mean() - 7.5) < STANDARD_ERRORS * error


def test_checksNoticeAWrongEnsemble(chainSamples):
    # At this step the legacy scheme's energies are a tenth too high.
    cold, hot = (chainSamples("springs, Legacy", temperature) for temperature in (300.0, HOT))
    assert cold.potentialEnergies.mean() / (GAS_CONSTANT * 300.0) > 8.1
    assert ensembleDistance(cold, hot) > STANDARD_ERRORS


@pytest.mark.parametrize("scheme", ALANINE_CASES)
def test_alanineModelHasMaxwellsVelocities(scheme):
    # A friction of 10/ps makes velocities forget themselves e^5-fold between samples.
    checkKineticEnergies(
        sample(AlanineModel(100), scheme, ALANINE_CASES[scheme], 0.5, numSamples=20, friction=10.0)
    )
