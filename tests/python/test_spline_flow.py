"""Spline flows as Python sees them: the properties of every proposal, and what is refused."""

import numpy as np
import openmm
import proposal_properties as properties
import pytest
from openmm import unit
from openmmscore.sampling import InternalCoordinates, SplineFlowProposal
from scipy.stats import norm
from spline_flows import FRAMES, anyFlow, autoregressive, coupling, transformer

REAL = {"dimension": 6, "bins": 5, "bound": 3.0, "base": "trainable"}
REAL["layers"] = [coupling([0, 2, 4]), coupling([1, 3, 5], network="residual", hidden=[7, 7, 7])]
MIXED = {"dimension": 4, "circular": [1, 2], "box": [3], "bins": 6, "bound": 2.0}
MIXED["layers"] = [
    coupling([0, 1], activation="tanh"),
    coupling([2, 3], activation="silu"),
    coupling([0, 1, 2, 3]),
    coupling([3, 0], hidden=[]),
]
MASKED = {"dimension": 3, "circular": [1], "layers": [autoregressive([0, 1, 2]), autoregressive([2, 1, 0])]}
TOKENS = {"dimension": 5, "circular": [1, 2], "box": [3], "bins": 6, "bound": 2.0}
TOKENS["layers"] = [
    transformer([0, 1]),
    transformer([3, 4, 2], activation="silu", hidden=[6]),
    transformer([4, 1, 3, 0, 2], type="autoregressive", activation="tanh"),
    transformer([2, 4], type="autoregressive", heads=4, angle_inputs="raw"),
]
CHAIN = InternalCoordinates([(0, 1), (1, 2), (2, 3), (2, 4)])


def molecule(kind=coupling):
    """Five atoms in internal coordinates, with bonds of about 0.15 nm, one torsion circular and one not."""
    coordinates = {**CHAIN.flowSettings(FRAMES), "centres": [None, 1.9]}
    layers = [kind(range(0, 9, 2)), kind(range(1, 9, 2))]
    location = np.array([-2.0] * 4 + [0.2] * 3 + [0.3, 0.1])
    flow = {"dimension": 9, "circular": [7], "layers": layers}
    return anyFlow(flow, "centred", 0.3, coordinates=coordinates, location=location)


EXAMPLES = {
    "couplings": lambda: anyFlow(REAL, strength=0.5),
    "absolute": lambda: anyFlow(REAL, "absolute", 0.5),
    "centred": lambda: anyFlow(REAL, "centred", 0.5),
    "mixed": lambda: anyFlow(MIXED),
    "autoregressive": lambda: anyFlow(MASKED),
    "transformers": lambda: anyFlow(TOKENS, strength=0.5),
    "molecule": molecule,
    "molecule of transformers": lambda: molecule(transformer),
}
CIRCULAR = {"mixed": MIXED["circular"], "autoregressive": MASKED["circular"], "transformers": [1, 2]}


@pytest.fixture(params=EXAMPLES)
def example(request):
    return request.param, EXAMPLES[request.param]()


def test_samplesAreThoseOfSeedAndNumber(example):
    properties.checkSamples(example[1])


def test_filesAndPicklesGiveAnEqualFlow(example, tmp_path):
    properties.checkCopies(example[1], tmp_path / "flow.safetensors")


def test_whatIsNotFiniteHasNoDensity(example):
    properties.checkNotFinite(example[1])


def test_gradientIsThatOfTheDensity(example):
    assert example[1].hasGradient
    properties.checkGradient(example[1])


def test_inverseUndoesForward(example):
    if example[0].startswith("molecule"):
        proposal = example[1]
        x, logDensity = proposal.sample(100, seed=3)
        z, logDet = proposal.toBase(x)
        back, logDetBack = proposal.fromBase(z)
        np.testing.assert_allclose(logDetBack, -logDet, atol=1e-9)
        distances = [np.linalg.norm(each[:, :, None] - each[:, None], axis=-1) for each in (x, back)]
        np.testing.assert_allclose(*distances, atol=1e-9)
    else:
        properties.checkRoundTrip(example[1], CIRCULAR.get(example[0], ()))


@pytest.mark.parametrize("name", ["couplings", "absolute", "mixed", "autoregressive", "transformers"])
def test_logDeterminantIsThatOfTheJacobian(name):
    properties.checkLogDeterminant(EXAMPLES[name](), CIRCULAR.get(name, ()))


@pytest.mark.parametrize("name", ["mixed", "transformers", "molecule"])
def test_damagedFilesAreRefused(name, tmp_path):
    properties.checkDamagedFiles(EXAMPLES[name](), tmp_path)


PI = (-np.pi, np.pi)


@pytest.mark.parametrize(
    "flow, bounds, panels",
    [
        ({"dimension": 1, "layers": [coupling([0])]}, [(-9, 9)], 400),
        ({"dimension": 1, "circular": [0], "layers": [coupling([0]), coupling([0])]}, [PI], 200),
        ({"dimension": 1, "box": [0], "bound": 2.0, "layers": [coupling([0])]}, [(-2, 2)], 200),
        ({"dimension": 2, "layers": [coupling([0]), coupling([1])], "base": "trainable"}, [(-9, 9)] * 2, 150),
        ({"dimension": 2, "circular": [0, 1], "layers": [coupling([0]), coupling([1])]}, [PI] * 2, 80),
        ({**MASKED, "bins": 4}, [(-7, 7), PI, (-7, 7)], 26),
        ({"dimension": 1, "layers": [transformer([0], type="autoregressive")]}, [(-9, 9)], 400),
        (
            {"dimension": 2, "circular": [0], "layers": [transformer([0]), transformer([1])]},
            [PI, (-9, 9)],
            100,
        ),
        (
            {"dimension": 2, "circular": [0], "layers": [transformer([1, 0], type="autoregressive")]},
            [PI, (-9, 9)],
            100,
        ),
        (
            {
                "dimension": 3,
                "bins": 4,
                "circular": [1],
                "layers": [transformer([2, 0, 1], type="autoregressive")],
            },
            [(-7, 7), PI, (-7, 7)],
            26,
        ),
    ],
)
def test_densityIntegratesToOne(flow, bounds, panels):
    three = len(bounds) == 3
    tokens = three and flow["layers"][0].get("network") == "transformer"
    proposal = anyFlow(flow, strength=0.1 if tokens else 0.3 if three else 0.6)
    properties.checkIntegral(
        proposal, bounds, panels, order=3 if three else 6, tolerance=3e-3 if three else 1e-3
    )


def test_withoutTensorsItIsTheIdentity():
    proposal = SplineFlowProposal(REAL)
    x = np.random.default_rng(0).normal(size=(20, 2, 3))
    np.testing.assert_allclose(proposal.logDensity(x), norm.logpdf(x).sum(axis=(1, 2)), atol=1e-12)
    np.testing.assert_allclose(proposal.toBase(x)[0], x.reshape(20, 6), atol=1e-12)


def test_lengthsMayHaveUnits():
    tensors = {"location": np.arange(6.0), "scale": np.full(6, 2.0)}
    plain = SplineFlowProposal(REAL, tensors)
    angstrom = SplineFlowProposal(REAL, {name: 10 * x * unit.angstrom for name, x in tensors.items()})
    np.testing.assert_allclose(angstrom.sample(5)[0], plain.sample(5)[0], rtol=1e-12)
    with pytest.raises(openmm.OpenMMException, match="scale must be in no unit"):
        SplineFlowProposal(REAL, {"scale": np.ones(6) * unit.angstrom}, "vector")


@pytest.mark.parametrize("huge", [1e30, 1e200, 1e300])
@pytest.mark.parametrize("kind", [coupling, transformer])
def test_absurdWeightsAreSeenInTheDensity(huge, kind):
    flow = {"dimension": 3, "circular": [1], "layers": [kind([0, 1]), kind([2])]}
    random = np.random.default_rng(1)
    shapes = SplineFlowProposal.tensorShapes(flow)
    tensors = {
        name: huge * random.normal(size=shapes[name])
        for name in shapes
        if "layers." in name and "shift" not in name
    }
    proposal = SplineFlowProposal(flow, tensors, "vector")
    x, logDensity = proposal.sample(200, seed=1)
    assert np.isnan(logDensity[~np.isfinite(x).all(axis=1)]).all()
    again = proposal.logDensity(x)
    assert not (np.isfinite(again) & ~np.isfinite(x).all(axis=1)).any()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: SplineFlowProposal({}), "flow must have a 'dimension'"),
        (lambda: SplineFlowProposal({"dimension": 3, "bins": 1}), "bins: is 1, expected an integer from 2"),
        (lambda: SplineFlowProposal({"dimension": 3, "bin": 1}), "unknown field 'bin'"),
        (
            lambda: SplineFlowProposal({"dimension": 3, "layers": [transformer([0], heads=3)]}),
            "a hidden width is 8, expected a multiple of 3 heads",
        ),
        (
            lambda: SplineFlowProposal(
                {"dimension": 3, "layers": [transformer([0])]}, {"layers.0.queries": np.ones((2, 8))}
            ),
            r"layers.0.queries.*has shape \[2, 8\], expected \[1, 8\]",
        ),
        (lambda: SplineFlowProposal({"dimension": 4}), "has 4 dimensions, its coordinates have 3"),
        (
            lambda: SplineFlowProposal({"dimension": 3}, {"scale": [1, 0, 1]}),
            "scale 1 is 0.0+, expected a pos",
        ),
        (lambda: SplineFlowProposal({"dimension": 3}, {"scales": [1, 1, 1]}), "'scales': is superfluous"),
        (lambda: SplineFlowProposal({"dimension": 3}, {"scale": [1, 1]}), r"has shape \[2\]"),
        (lambda: SplineFlowProposal({"dimension": 3}, frame="round"), "frame must be one of"),
        (lambda: SplineFlowProposal({"dimension": 9}, coordinates=CHAIN.flowSettings(FRAMES)), "'centred'"),
        (
            lambda: SplineFlowProposal({"dimension": 9}, None, "centred", CHAIN.flowSettings(FRAMES)),
            "circular coordinates are not those of the internal",
        ),
        (lambda: SplineFlowProposal({"dimension": 3}).fromBase(np.zeros((2, 4))), r"shape \[n,3\]"),
        (lambda: SplineFlowProposal({"dimension": 3, "bound": object()}), "must hold numbers, words"),
    ],
)
def test_whatIsWrongIsSaid(call, message):
    with pytest.raises(openmm.OpenMMException, match=message) as error:
        call()
    assert not str(error.value).endswith(".")
