"""openmmscore.Model: arrays in and out, units, and a sentence for everything that is wrong."""

import hashlib
import pickle
import threading

import numpy as np
import pytest
from conftest import document, expert, writeModel
from openmm import OpenMMException, Vec3, unit
from openmmscore import Model

KT = 8.31446261815324e-3 * 300


def differences(function, x, h=1e-5):
    """Return the gradient of function(x [B,...]) -> [1] by central differences."""
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        ends = []
        for sign in (1, -1):
            moved = x.copy()
            moved[index] += sign * h
            ends.append(function(moved))
        gradient[index] = (ends[0] - ends[1]) / (2 * h)
    return gradient


def test_attributesComeFromTheFile(particlePath):
    model = Model(particlePath)
    assert model.title == "random particles" and model.space == "particles"
    assert model.numParticles == 5 and model.numCoordinates == 15 and model.featureNames == []
    assert model.temperature == 300 * unit.kelvin and model.lengthScale == 0.2 * unit.nanometer
    assert model.defaultDiffusionTime == 1e-3 and model.interval == (0.0, 1.0)
    assert model.path == particlePath
    with open(particlePath, "rb") as file:
        assert model.sha256 == hashlib.sha256(file.read()).hexdigest()
    assert model.description["particles"][2]["name"] == "CA"
    assert "random particles" in repr(model) and str(model.numParameters) in repr(model)


def test_numParametersCountsEveryTensor(vectorPath):
    assert Model(vectorPath).numParameters == (6 * 8 + 8) + (8 * 8 + 8) + (8 + 1)


def test_descriptionIsACopy(particlePath):
    model = Model(particlePath)
    model.description["title"] = "other"
    assert model.description["title"] == model.title == "random particles"


def test_vectorModelCountsTheParticlesThatItSees(vectorPath):
    model = Model(vectorPath)
    assert model.numParticles == 1 and model.numCoordinates == 2


@pytest.mark.parametrize("kind", ["particlePath", "vectorPath"])
def test_scoreIsTheNegativeGradientOfTheEnergy(kind, request):
    model = Model(request.getfixturevalue(kind))
    shape = (1, 5, 3) if model.space == "particles" else (1, 2)
    z = np.random.default_rng(5).standard_normal(shape)
    gradient = differences(lambda x: model.networkEnergy(x, 0.2)[0], z)
    np.testing.assert_allclose(model.networkScore(z, 0.2), -gradient, atol=1e-8)


def test_forceIsTheNegativeGradientOfThePotentialEnergy(particlePath, positions):
    model = Model(particlePath)
    gradient = differences(lambda x: model.potentialEnergy(x)[0], positions[:1], h=1e-6)
    np.testing.assert_allclose(model.forces(positions[:1]), -gradient, rtol=1e-6, atol=1e-5)


def test_potentialIsTheReducedEnergyInKJPerMole(particlePath, positions):
    model = Model(particlePath)
    z = positions / 0.2
    t = model.defaultDiffusionTime
    np.testing.assert_allclose(model.potentialEnergy(positions), KT * model.networkEnergy(z, t), rtol=1e-12)
    np.testing.assert_allclose(model.forces(positions), KT / 0.2 * model.networkScore(z, t), atol=1e-10)


def test_positionsMayBeQuantitiesOrLists(particlePath, positions):
    model = Model(particlePath)
    expected = model.potentialEnergy(positions)
    angstroms = unit.Quantity(10 * positions, unit.angstrom)
    np.testing.assert_allclose(model.potentialEnergy(angstroms), expected, rtol=1e-10)
    vectors = [Vec3(*row) for row in positions[0]] * unit.nanometer
    assert model.potentialEnergy(vectors) == pytest.approx(expected[0], rel=1e-12)
    assert model.forces(positions.tolist()).shape == (7, 5, 3)


def test_oneConfigurationGivesOneAnswer(particlePath, vectorPath, positions):
    model = Model(particlePath)
    energy = model.potentialEnergy(positions[0])
    assert isinstance(energy, float) and energy == model.potentialEnergy(positions)[0]
    assert model.forces(positions[0]).shape == (5, 3)
    vector = Model(vectorPath)
    assert isinstance(vector.networkEnergy([0.1, 0.2], 0.5), float)
    assert vector.networkScore([0.1, 0.2], 0.5).shape == (2,)


def test_vectorModelSeesTheFirstCoordinatesOfPositions(vectorPath):
    model = Model(vectorPath)
    positions = np.array([[[0.3, -0.2, 7.0]]])
    assert model.potentialEnergy(positions) == pytest.approx(KT * model.networkEnergy([[0.3, -0.2]], 1e-3))
    forces = model.forces(positions)
    assert forces.shape == (1, 1, 3) and forces[0, 0, 2] == 0 and np.all(forces[0, 0, :2] != 0)


def test_eachSampleMayHaveItsOwnTime(particlePath, positions):
    model = Model(particlePath)
    times = np.linspace(0.1, 0.9, len(positions))
    together = model.networkEnergy(positions, times)
    alone = [model.networkEnergy(z, t) for z, t in zip(positions, times, strict=True)]
    np.testing.assert_array_equal(together, alone)


def test_anySliceOfAnArrayIsUnderstood(particlePath):
    model = Model(particlePath)
    array = np.random.default_rng(1).standard_normal((5, 3, 8)).astype(np.float32)
    strided = array.transpose(2, 0, 1)[::2]
    expected = model.networkEnergy(np.array(strided, dtype=float), 0.1)
    np.testing.assert_array_equal(model.networkEnergy(strided, 0.1), expected)


def test_argumentsAreNotChanged(particlePath, positions):
    before = positions.copy()
    Model(particlePath).forces(positions)
    np.testing.assert_array_equal(positions, before)


def test_anEmptyBatchIsAnEmptyAnswer(particlePath):
    model = Model(particlePath)
    assert model.potentialEnergy(np.zeros((0, 5, 3))).shape == (0,)
    assert model.forces(np.zeros((0, 5, 3))).shape == (0, 5, 3)


def test_featuresMayBeSharedOrGivenForEachSample(transferablePath, positions):
    model = Model(transferablePath)
    assert model.featureNames == ["residue", "kind"]
    shared = [[0, 1], [1, 0], [2, 1], [1, 1], [0, 0]]
    expected = model.potentialEnergy(positions, features=shared)
    each = np.tile(shared, (len(positions), 1, 1))
    np.testing.assert_array_equal(model.potentialEnergy(positions, features=each), expected)
    each[0, 0, 0] = 2
    other = model.potentialEnergy(positions, features=each)
    assert other[0] != expected[0] and np.array_equal(other[1:], expected[1:])


def test_aSingleFeatureNeedsNoAxisOfItsOwn(folder, positions):
    features = [{"name": "residue", "num_values": 3}]
    model = Model(writeModel(folder / "single.safetensors", document(features=features)))
    expected = model.potentialEnergy(positions, features=[[0], [1], [2], [1], [0]])
    np.testing.assert_array_equal(model.potentialEnergy(positions, features=[0, 1, 2, 1, 0]), expected)


def test_modelWithoutEnergyStillHasForces(scorePath, positions):
    model = Model(scorePath)
    assert not model.hasEnergy()
    assert np.isfinite(model.forces(positions)).all()
    with pytest.raises(OpenMMException, match="no energy"):
        model.potentialEnergy(positions)


def test_hasEnergyDependsOnTheTime(folder):
    experts = [
        expert("mlp", head="score", interval=(0.5, 1.0)),
        expert("mlp", head="energy", interval=(0.0, 0.5)),
    ]
    model = Model(writeModel(folder / "mixture.safetensors", document("vector", experts=experts)))
    assert model.hasEnergy(0.2) and model.hasEnergy() and not model.hasEnergy(0.8)
    with pytest.raises(OpenMMException, match="no energy"):
        model.networkEnergy([[0.0, 0.0], [0.0, 0.0]], [0.2, 0.8])


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m, x: m.networkEnergy(x[:, :4], 0.1), r"z must have the shape \[batch,5,3\] or \[5,3\], got"),
        (lambda m, x: m.forces(x.reshape(-1, 3)), r"positions must have the shape .*reshape\(-1, 5, 3\)"),
        (lambda m, x: m.forces(None), "positions must be an array of numbers|positions must have the shape"),
        (lambda m, x: m.forces("abc"), "positions must be an array of numbers"),
        (lambda m, x: m.forces(x * unit.kelvin), "positions must be lengths, their unit is kelvin"),
        (lambda m, x: m.networkEnergy(x * unit.nanometer, 0.1), "have no unit"),
        (
            lambda m, x: m.potentialEnergy(x, 1.5),
            r"diffusion time 1.5 lies outside the interval \[0.0, 1.0\]",
        ),
        (lambda m, x: m.networkEnergy(x, float("nan")), "diffusion time nan lies outside"),
        (lambda m, x: m.networkEnergy(x, [0.1, 0.2]), "one number or one for each of 7 samples"),
        (lambda m, x: m.networkEnergy(x, "soon"), "the diffusion time must be a number"),
        (
            lambda m, x: m.networkEnergy(x, np.full(7, 0.1) * unit.picosecond),
            "without a unit, got one in pico",
        ),
        (lambda m, x: m.forces(x, 0.1 * unit.picosecond), "without a unit, got one in picosecond"),
        (lambda m, x: m.forces(x, features=[1, 2, 3, 4, 5]), "takes no features"),
    ],
)
def test_wrongArgumentsAreRefusedWithASentence(call, sentence, particlePath, positions):
    with pytest.raises(OpenMMException, match=sentence):
        call(Model(particlePath), positions)


@pytest.mark.parametrize(
    ("features", "sentence"),
    [
        (None, r"must be told residue, kind of each of 5 particles"),
        ([[0, 0]] * 4, r"features must have the shape \[5, 2\]"),
        ([[0.5, 0]] * 5, "features must be integers"),
        ([[0, 0], [0]], "features must be integers"),
        (
            [[0, 0], [0, 2], [0, 0], [0, 0], [0, 0]],
            "feature 'kind' of sample 0, particle 1 is 2, outside 0 ... 1",
        ),
        ([[0, 0], [-1, 1], [0, 0], [0, 0], [0, 0]], "feature 'residue' of sample 0, particle 1 is -1"),
    ],
)
def test_wrongFeaturesAreRefusedWithASentence(features, sentence, transferablePath, positions):
    with pytest.raises(OpenMMException, match=sentence):
        Model(transferablePath).forces(positions, features=features)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nonFiniteInputNamesSampleAndParticle(bad, particlePath, positions):
    positions[3, 2, 1] = bad
    with pytest.raises(OpenMMException, match=rf"positions of sample 3, particle 2 is {bad}"):
        Model(particlePath).forces(positions)


def test_overflowInTheNetworkIsAnError(vectorPath):
    with pytest.raises(OpenMMException, match="the energy of sample 1 is not finite"):
        Model(vectorPath).networkEnergy([[0.0, 0.0], [1e308, 1e308]], 0.5)


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, b"{}"])
def test_damagedFileIsRefused(content, tmp_path):
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(content)
    with pytest.raises(OpenMMException, match="damaged.safetensors"):
        Model(path)


def test_missingFileAndWrongTypeAreRefused(tmp_path):
    with pytest.raises(OpenMMException, match="absent.safetensors"):
        Model(tmp_path / "absent.safetensors")
    with pytest.raises(OpenMMException, match="expected the path of a model file"):
        Model(17)


def test_modelFromBytesEqualsModelFromFile(particlePath, positions):
    model = Model(particlePath)
    with open(particlePath, "rb") as file:
        memory = Model.fromBytes(file.read())
    assert memory.path == "" and memory.sha256 == model.sha256
    np.testing.assert_array_equal(memory.forces(positions), model.forces(positions))
    with pytest.raises(OpenMMException, match="my model"):
        Model.fromBytes(b"nonsense", "my model")


def test_picklingKeepsTheModel(tmp_path, positions):
    path = writeModel(tmp_path / "model.safetensors", document())
    model = Model(path)
    with open(path, "rb") as file:
        memory = Model.fromBytes(file.read())
    for each in (model, memory):
        copy = pickle.loads(pickle.dumps(each))
        assert (copy.path, copy.sha256) == (each.path, each.sha256)
        np.testing.assert_array_equal(copy.forces(positions), model.forces(positions))
    data = pickle.dumps(model)
    writeModel(path, document(), seed=2)
    with pytest.raises(OpenMMException, match="has changed since"):
        pickle.loads(data)


def test_evaluationReleasesTheGil(particlePath):
    model = Model(particlePath)
    z = np.random.default_rng(0).standard_normal((40000, 5, 3))
    running, ticks = True, 0

    def count():
        nonlocal ticks
        while running:
            ticks += 1
            threading.Event().wait(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    before = ticks
    model.networkScore(z, 0.1)
    during = ticks - before
    running = False
    thread.join()
    assert during > 20
