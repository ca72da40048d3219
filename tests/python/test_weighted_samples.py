"""What is done with weighted samples: averages, other targets, files, trajectories."""

import csv

import mdtraj
import numpy as np
import openmm
import pytest
from openmm import app, unit
from openmmscore import BoltzmannSampler, WeightedSamples
from sampling_parts import HarmonicTarget, NormalProposal
from scipy.io import netcdf_file
from scipy.special import ndtr

LN_2PI = np.log(2 * np.pi)


def draw(n=4000, seed=5, deviation=1.2, target=None):
    sampler = BoltzmannSampler(NormalProposal(deviation=deviation), target or HarmonicTarget(faults=False))
    return sampler.sample(n, seed=seed, progress=False)


@pytest.fixture(scope="module")
def samples():
    return draw()


@pytest.fixture(scope="module")
def faulty():
    return draw(target=HarmonicTarget(faults=True))


@pytest.fixture(scope="module")
def topology():
    topology = app.Topology()
    residue = topology.addResidue("MOL", topology.addChain())
    for name in ("C1", "C2"):
        topology.addAtom(name, app.Element.getBySymbol("C"), residue)
    return topology


# Averages.


def test_averagesAreThoseOfTheTarget(samples):
    mean, error = samples.average(lambda x: (x**2).sum(axis=2))
    assert mean.shape == error.shape == (2,)
    assert np.all(error < 0.1) and np.all(np.abs(mean - 3) < 5 * error)
    logZ, error = samples.weights.logNormalization()
    assert error < 0.02 and abs(logZ - 3 * LN_2PI) < 5 * error


def test_functionAndArrayGiveTheSameAverage(faulty, monkeypatch):
    monkeypatch.setattr("openmmscore.sampling.samples._CHUNK", 97)
    function, array = faulty.average(lambda x: x[:, 0, 0]), faulty.average(faulty.positions[:, 0, 0])
    np.testing.assert_allclose(function[:2], array[:2], rtol=1e-13)


def test_valuesMayHaveAUnit(samples):
    x = samples.positions[:, 0, 0]
    plain, found = samples.average(x), samples.average(unit.Quantity(10 * x, unit.angstrom))
    for one, other in zip(plain, found, strict=True):
        assert other.unit == unit.angstrom and other.value_in_unit(unit.nanometer) == pytest.approx(one)
    assert samples.average(lambda x: unit.Quantity(10 * x[:, 0, 0], unit.angstrom)) == pytest.approx(plain)
    bins = {"bins": 8, "range": (-2, 2)}
    given = samples.histogram(unit.Quantity(10 * x, unit.angstrom), **bins)
    np.testing.assert_allclose(given.values, samples.histogram(x, **bins).values, rtol=1e-12)
    with pytest.raises(openmm.OpenMMException, match="values must have the shape"):
        samples.average(unit.Quantity(x[:3], unit.nanometer))


def test_functionsSeeOnlySamplesWithAWeight(faulty):
    def observable(positions):
        assert np.abs(positions[:, 0, 0]).max() <= 1.5
        return positions[:, 0, 0] ** 2

    mean, error = faulty.average(observable)
    # Of a normal distribution cut at 1.5 deviations.
    assert abs(mean - 0.5514) < 5 * error


def test_histogramIsThatOfTheTarget(samples):
    result = samples.histogram(lambda x: x[:, 0, 0], bins=8, range=(-2, 2))
    exact = np.diff(ndtr(result.edges[0])) / np.diff(result.edges[0])
    assert np.all(np.abs(result.values - exact) < 5 * result.errors) and result.errors.max() < 0.02


@pytest.mark.parametrize("values", [np.zeros(3), 1.0])
def test_observablesOfTheWrongLengthAreRefused(samples, values):
    with pytest.raises(openmm.OpenMMException, match="one entry for each of 4000 samples"):
        samples.average(values)
    with pytest.raises(openmm.OpenMMException, match="what the observable returns must have one entry"):
        samples.average(lambda x: values)


def test_summarySpeaks(samples, faulty):
    text = str(samples.summary())
    assert "4,000 samples: 4,000 ok" in text and "ln Z" in text and "Warning" not in text
    assert "energy not finite" in str(faulty.summary())
    few = draw(n=40)
    assert any("100" in sentence for sentence in few.summary().warnings)
    assert "Warning" in str(few.summary())


# Other targets.


def test_anotherTargetWithoutDrawing(samples):
    stiff = samples.reweight(HarmonicTarget(spring=2.0))
    direct = draw(target=HarmonicTarget(spring=2.0))
    np.testing.assert_array_equal(stiff.logWeight, direct.logWeight)
    assert stiff.positions is samples.positions


def test_anotherTemperatureScalesEnergies(samples):
    hot = samples.reweight(temperature=600 * unit.kelvin)
    np.testing.assert_allclose(hot.logWeight, draw(target=HarmonicTarget(spring=0.5)).logWeight, rtol=1e-13)
    assert hot.settings["temperature"] == 600
    back = hot.reweight(temperature=300)
    np.testing.assert_allclose(back.logWeight, samples.logWeight, rtol=1e-13)


def test_anotherTargetJudgesAnew(samples, faulty):
    np.testing.assert_array_equal(faulty.reweight(HarmonicTarget()).logWeight, samples.logWeight)
    again = samples.reweight(HarmonicTarget(faults=True))
    np.testing.assert_array_equal(again.logWeight, faulty.logWeight)
    np.testing.assert_array_equal(again.status, faulty.status)


def test_targetsThatCannotBePickledWillDoInMemory(samples):
    class Local(HarmonicTarget):
        def __reduce__(self):
            raise TypeError("it is local")

    direct = draw(target=Local(spring=2.0)).logWeight
    np.testing.assert_array_equal(samples.reweight(Local(spring=2.0)).logWeight, direct)


def test_centreOfMassStaysWithTheSamples():
    sampler = BoltzmannSampler(NormalProposal(), HarmonicTarget(), centreOfMass=0.7)
    a = sampler.sample(100, seed=1, progress=False)
    np.testing.assert_array_equal(a.reweight(HarmonicTarget()).logWeight, a.logWeight)
    assert not np.allclose(a.logWeight, draw(100, 1, 1.0).logWeight)


def test_reweightRefuses(samples):
    with pytest.raises(openmm.OpenMMException, match="the samples have 2 particles, the target 3"):
        samples.reweight(HarmonicTarget(3))
    for bad in (0, -3, "warm", 1 * unit.nanometer):
        with pytest.raises(openmm.OpenMMException, match="temperature must be"):
            samples.reweight(temperature=bad)
    with pytest.raises(openmm.OpenMMException, match="takes a target or a temperature"):
        samples.reweight()
    with pytest.raises(openmm.OpenMMException, match="takes a BoltzmannTarget, or temperature=..., got 310"):
        samples.reweight(310)


def test_freeEnergyDifferenceOfTheSameSamples(samples):
    # -ln(Z_2 / Z_1) = 3N/2 ln(2)
    difference, error = samples.freeEnergyDifference(samples.reweight(HarmonicTarget(spring=2.0)))
    assert 0 < error < 0.1 and abs(difference - 3 * np.log(2)) < 5 * error
    # A perfectly correlated pair has no error, two independent ones have.
    assert samples.freeEnergyDifference(samples) == pytest.approx((0, 0), abs=1e-12)
    independent, error = samples.freeEnergyDifference(draw(seed=6))
    assert error > 0 and abs(independent) < 5 * error


def test_errorOfThePairedDifferenceCovers():
    deviates = []
    for seed in range(200):
        a = draw(300, seed)
        value, error = a.freeEnergyDifference(a.reweight(HarmonicTarget(spring=1.3)))
        deviates.append((value - 3 * np.log(1.3)) / error)
    # Standard deviation of 200 normal deviates: 1 +- 0.05; mean 0 +- 0.07.
    assert abs(np.std(deviates) - 1) < 0.25 and abs(np.mean(deviates)) < 0.35


def test_resamplingFollowsTheWeights(faulty):
    for scheme in ("multinomial", "stratified", "systematic", "residual"):
        chosen = faulty.resample(10_000, scheme, seed=2)
        assert chosen.shape == (10_000, 2, 3)
        assert np.abs(chosen[:, 0, 0]).max() <= 1.5
        mean, error = faulty.average(lambda x: x[:, 1, 1] ** 2)
        assert abs(np.mean(chosen[:, 1, 1] ** 2) - mean) < 5 * np.sqrt(2 / 10_000 + error**2)
        indices = faulty.weights.resample(10_000, scheme=scheme, seed=2)
        np.testing.assert_array_equal(chosen, faulty.positions[indices])
    assert len(faulty.resample()) == len(faulty)


# Files.


@pytest.mark.parametrize("mapped", [False, True])
def test_savedSamplesAreTheSame(faulty, tmp_path, mapped):
    faulty.save(tmp_path / "a.nc")
    read = WeightedSamples.load(tmp_path / "a.nc", mapped=mapped)
    for name in ("positions", "logDensity", "reducedEnergy", "logWeight", "status"):
        np.testing.assert_array_equal(getattr(read, name), getattr(faulty, name))
        if not (mapped and name == "positions"):
            assert getattr(read, name).dtype == getattr(faulty, name).dtype
    assert read.statusNames == faulty.statusNames and read.settings == faulty.settings
    observable = lambda x: x[:, 0, 0]  # noqa: E731
    np.testing.assert_array_equal(read.average(observable)[0], faulty.average(observable)[0])
    np.testing.assert_array_equal(read.resample(50), faulty.resample(50))
    read.save(tmp_path / "b.nc")
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()


def test_fileIsNetcdf(samples, tmp_path):
    samples.save(tmp_path / "a.nc")
    with netcdf_file(tmp_path / "a.nc", mmap=False) as file:
        assert file.variables["positions"].units == b"nm"
        assert file.variables["positions"].dimensions == ("sample", "particle", "spatial")
        np.testing.assert_array_equal(file.variables["positions"][:], samples.positions)
        np.testing.assert_array_equal(file.variables["log_weight"][:], samples.logWeight)
        assert file.variables["status"].flag_meanings.split()[0] == b"ok"


def test_savingReplacesOnlyWithACompleteFile(samples, faulty, tmp_path, monkeypatch):
    path = tmp_path / "a.nc"
    faulty.save(path)
    before = path.read_bytes()

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.pwrite", fail)
        with pytest.raises(openmm.OpenMMException, match="No space left on device"):
            samples.save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    samples.save(path)
    assert path.read_bytes() != before


def test_damagedFilesAreASentence(tmp_path):
    path = tmp_path / "a.nc"
    draw(20).save(path)
    data = path.read_bytes()
    spoilt = [data[:length] for length in range(0, len(data), 29)]
    random = np.random.default_rng(1)
    for where in random.integers(0, 1500, 400):
        change = bytearray(data)
        change[where] ^= 1 << random.integers(8)
        spoilt.append(bytes(change))
    spoilt += [b"", b"CDF\x02", b"no such thing" * 100, data[:4] + b"\x7f\xff\xff\xff" + data[8:]]
    refused = 0
    for content in spoilt:
        path.write_bytes(content)
        try:
            # A changed letter of a description is no damage that anybody can see.
            assert len(WeightedSamples.load(path)) == len(WeightedSamples.load(path, mapped=True))
        except openmm.OpenMMException as error:
            assert "is damaged or no file of weighted samples" in str(error)
            refused += 1
    assert refused > len(data) // 29 + 50


def test_missingFileIsASentence(tmp_path):
    with pytest.raises(openmm.OpenMMException, match="there is no file '.*none.nc'"):
        WeightedSamples.load(tmp_path / "none.nc")


# Trajectories.


def test_mdtrajGetsTheSamplesWithAWeight(faulty, topology):
    trajectory = faulty.toMDTraj(topology)
    assert trajectory.n_frames == faulty.counts["ok"] == len(faulty.weighted)
    np.testing.assert_allclose(trajectory.xyz, faulty.positions[faulty.weighted], atol=1e-6)
    again = faulty.toMDTraj(trajectory.topology)
    assert again.n_frames == trajectory.n_frames


@pytest.mark.parametrize("ending, tolerance", [("dcd", 1e-5), ("xtc", 6e-4), ("nc", 1e-5)])
def test_trajectoryAndWeightsAreRead(faulty, topology, tmp_path, ending, tolerance):
    path = tmp_path / f"samples.{ending}"
    faulty.saveTrajectory(path, topology)
    trajectory = mdtraj.load(path, top=str(tmp_path / "samples.pdb"))
    np.testing.assert_allclose(trajectory.xyz, faulty.positions[faulty.weighted], atol=tolerance)
    with open(tmp_path / "samples.weights.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["sample"]) for row in rows] == list(faulty.weighted)
    weights = np.array([float(row["weight"]) for row in rows])
    assert weights.sum() == pytest.approx(1)
    mean = np.sum(weights * trajectory.xyz[:, 0, 0] ** 2)
    assert mean == pytest.approx(faulty.average(lambda x: x[:, 0, 0] ** 2)[0], rel=1e-3)
    assert float(rows[0]["log_weight"]) == faulty.logWeight[faulty.weighted[0]]


@pytest.mark.parametrize("ending", ["dcd", "xtc", "nc"])
def test_mdanalysisReadsTrajectories(faulty, topology, tmp_path, ending):
    import MDAnalysis  # takes seconds

    faulty.saveTrajectory(tmp_path / f"samples.{ending}", topology)
    universe = MDAnalysis.Universe(str(tmp_path / "samples.pdb"), str(tmp_path / f"samples.{ending}"))
    assert universe.trajectory.n_frames == faulty.counts["ok"]
    universe.trajectory[7]
    expected = 10 * faulty.positions[faulty.weighted[7]]
    np.testing.assert_allclose(universe.atoms.positions, expected, atol=6e-3)


def test_trajectoryRefuses(samples, topology, tmp_path):
    with pytest.raises(openmm.OpenMMException, match="should end in .dcd, .xtc or .nc"):
        samples.saveTrajectory(tmp_path / "samples.xyz", topology)
    with pytest.raises(openmm.OpenMMException, match="the topology must be OpenMM's or MDTraj's, got a str"):
        samples.toMDTraj("samples.pdb")
    with pytest.raises(openmm.OpenMMException, match="the topology has 0 atoms, the samples have 2"):
        samples.toMDTraj(app.Topology())
    with pytest.raises(openmm.OpenMMException, match="cannot write"):
        samples.saveTrajectory(tmp_path / "none" / "samples.dcd", topology)
