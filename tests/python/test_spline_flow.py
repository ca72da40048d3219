"""Spline flows as Python sees them: the properties of every proposal, published numbers, reweighting."""

from pathlib import Path

import numpy as np
import openmm
import proposal_properties as properties
import pytest
from openmmscore.sampling import InternalCoordinates, SplineFlowProposal
from safetensors.numpy import load_file
from scipy.special import logsumexp
from scipy.stats import norm

DATA = Path(__file__).parents[1] / "data" / "spline"
# What softplus needs to give a slope of one, with a minimum slope of 1e-3.
OFFSET = np.log(np.expm1(1 - 1e-3))


def coupling(transformed, **more):
    return {"transformed": list(transformed), "hidden": [6, 5], **more}


def autoregressive(order, **more):
    return {"type": "autoregressive", "transformed": list(order), "hidden": [8], **more}


def masked(flow, name, values):
    """Zeros where an autoregressive layer of all coordinates, with one hidden width, must not look."""
    layer = flow["layers"][int(name.split(".")[1])]
    if layer.get("type") != "autoregressive":
        return values
    order, circular = layer["transformed"], set(flow.get("circular", ()))
    inputs = [i for i in range(flow["dimension"]) for _ in range(2 if i in circular else 1)]
    bins, box = flow.get("bins", 8), set(flow.get("box", ()))
    counts = {i: 3 * bins - 1 + (i in circular) + 2 * (i in box) for i in order}
    degrees = np.arange(layer["hidden"][0]) % max(1, len(order) - 1)
    if ".linear.0." in name:
        return values * (np.array([order.index(i) for i in inputs]) <= degrees[:, None])
    outputs = np.repeat(np.arange(len(order)), [counts[i] for i in order])
    return values * (degrees < outputs[:, None])


def anyFlow(flow, frame="vector", strength=1.0, seed=1, coordinates=None, **fixed):
    """A flow of random numbers."""
    random = np.random.default_rng(seed)
    tensors = {}
    for name, shape in SplineFlowProposal.tensorShapes(flow).items():
        if name == "scale":
            tensors[name] = random.uniform(0.5, 0.8, shape)
            tensors[name][list(flow.get("circular", ()))] = 1
        elif name.endswith(".weight"):
            tensors[name] = masked(flow, name, random.normal(size=shape) * 2 * strength / np.sqrt(shape[1]))
        else:
            tensors[name] = random.normal(size=shape) * (2 if name.endswith("shift") else 0.4 * strength)
        if name.startswith("base."):
            tensors[name][[*flow.get("circular", ()), *flow.get("box", ())]] = 0
    return SplineFlowProposal(flow, {**tensors, **fixed}, frame, coordinates)


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
CHAIN = InternalCoordinates([(0, 1), (1, 2), (2, 3), (2, 4)])
FRAMES = np.random.default_rng(3).normal(size=(50, 5, 3)) * 0.1


def molecule():
    """Five atoms in internal coordinates, with bonds of about 0.15 nm, one torsion circular and one not."""
    coordinates = {**CHAIN.flowSettings(FRAMES), "centres": [None, 1.9]}
    layers = [coupling(range(0, 9, 2)), coupling(range(1, 9, 2))]
    location = np.array([-2.0] * 4 + [0.2] * 3 + [0.3, 0.1])
    flow = {"dimension": 9, "circular": [7], "layers": layers}
    return anyFlow(flow, "centred", 0.3, coordinates=coordinates, location=location)


EXAMPLES = {
    "couplings": lambda: anyFlow(REAL, strength=0.5),
    "absolute": lambda: anyFlow(REAL, "absolute", 0.5),
    "centred": lambda: anyFlow(REAL, "centred", 0.5),
    "mixed": lambda: anyFlow(MIXED),
    "autoregressive": lambda: anyFlow(MASKED),
    "molecule": molecule,
}
CIRCULAR = {"mixed": MIXED["circular"], "autoregressive": MASKED["circular"]}


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
    if example[0] == "molecule":
        proposal = example[1]
        x, logDensity = proposal.sample(100, seed=3)
        z, logDet = proposal.toBase(x)
        back, logDetBack = proposal.fromBase(z)
        np.testing.assert_allclose(logDetBack, -logDet, atol=1e-9)
        distances = [np.linalg.norm(each[:, :, None] - each[:, None], axis=-1) for each in (x, back)]
        np.testing.assert_allclose(*distances, atol=1e-9)
    else:
        properties.checkRoundTrip(example[1], CIRCULAR.get(example[0], ()))


@pytest.mark.parametrize("name", ["couplings", "absolute", "mixed", "autoregressive"])
def test_logDeterminantIsThatOfTheJacobian(name):
    properties.checkLogDeterminant(EXAMPLES[name](), CIRCULAR.get(name, ()))


@pytest.mark.parametrize("name", ["mixed", "molecule"])
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
    ],
)
def test_densityIntegratesToOne(flow, bounds, panels):
    three = len(bounds) == 3
    proposal = anyFlow(flow, strength=0.3 if three else 0.6)
    properties.checkIntegral(
        proposal, bounds, panels, order=3 if three else 6, tolerance=3e-3 if three else 1e-3
    )


def test_withoutTensorsItIsTheIdentity():
    proposal = SplineFlowProposal(REAL)
    x = np.random.default_rng(0).normal(size=(20, 2, 3))
    np.testing.assert_allclose(proposal.logDensity(x), norm.logpdf(x).sum(axis=(1, 2)), atol=1e-12)
    np.testing.assert_allclose(proposal.toBase(x)[0], x.reshape(20, 6), atol=1e-12)


def singleSpline(case, row, kind, bound, knots="softplus"):
    numbers = np.concatenate([case[name][row] for name in ("uw", "uh", "ud")])
    bins = case["uw"].shape[1]
    if knots == "softplus":
        numbers[2 * bins :] -= OFFSET
    flow = {"dimension": 1, "bins": bins, "bound": bound, "knots": knots, "layers": [coupling([0])]}
    tensors = {"layers.0.linear.0.bias": numbers}
    if kind == "circular":
        flow["circular"] = [0]
        tensors["layers.0.shift"] = [np.pi if knots == "soft-clip" else 0.0]
    return SplineFlowProposal(flow, tensors, "vector")


@pytest.mark.parametrize("name, bound", [("linear_K5", 1.5), ("circular_K8", 3.0)])
def test_splinesAreThoseOfNormflows(name, bound):
    case = load_file(DATA / f"rqs_normflows_{name}.safetensors")
    for row, x in enumerate(case["x"]):
        if name.startswith("circular") and abs(x) >= np.pi:
            continue
        proposal = singleSpline(case, row, name.split("_")[0], bound)
        z, logDet = proposal.toBase([[x]])
        assert z[0, 0] == pytest.approx(case["forward.y.f64"][row], abs=1e-12)
        assert logDet[0] == pytest.approx(case["forward.logdet.f64"][row], abs=1e-11)
        y, logDet = proposal.fromBase([[x]])
        assert y[0, 0] == pytest.approx(case["inverse.x_of_input.f64"][row], abs=1e-11)
        assert logDet[0] == pytest.approx(case["inverse.logdet.f64"][row], abs=1e-10)


@pytest.mark.parametrize("name", ["linear", "circular"])
def test_splinesAreThoseOfZuko(name):
    case = load_file(DATA / f"rqs_zuko_{name}_K8.safetensors")
    for row, x in enumerate(case["x"]):
        proposal = singleSpline(case, row, name, 5.0, "soft-clip")
        z, logDet = proposal.toBase([[x]])
        assert z[0, 0] == pytest.approx(case["forward.y.f64"][row], abs=1e-12)
        assert logDet[0] == pytest.approx(case["forward.logdet.f64"][row], abs=1e-11)


def normflowsFlow():
    """The survey's flow: residual masked networks, applied last to first from the data on."""
    case = load_file(DATA / "normflows_nsf.safetensors")
    flow = {"dimension": 5, "bound": 3.0, "base": "trainable", "layers": []}
    tensors = {"base.location": case["base.location"], "base.log_scale": case["base.log_scale"]}
    for index in range(4):
        source = f"layers.{3 - index}"
        order = case[f"{source}.order"].tolist()
        flow["layers"].append(autoregressive(order, network="residual", hidden=[32, 32, 32]))
        for j in range(4):
            for kind in ("weight", "bias"):
                values = case[f"{source}.linear.{j}.{kind}"].astype(float)
                if j == 3:
                    values = values.reshape(5, 23, -1)
                    if kind == "bias":
                        values[:, 16:] -= OFFSET
                    values = values[order].reshape(case[f"{source}.linear.{j}.{kind}"].shape)
                tensors[f"layers.{index}.linear.{j}.{kind}"] = values
    return case, SplineFlowProposal(flow, tensors, "vector")


def zukoFlow(name, dimension, circular):
    """Masked networks with raw angles; outputs as zuko has them, for coordinates in ascending order."""
    case = load_file(DATA / f"{name}.safetensors")
    flow = {"dimension": dimension, "bound": 5.0, "knots": "soft-clip", "layers": []}
    flow["circular"] = list(range(dimension)) if circular else []
    tensors = {}
    for index in range(3):
        order = np.argsort(case[f"layers.{index}.order"]).tolist()
        flow["layers"].append(autoregressive(order, hidden=[32, 32], angle_inputs="raw"))
        if circular:
            tensors[f"layers.{index}.shift"] = np.full(dimension, np.pi)
        for j in range(3):
            for kind in ("weight", "bias"):
                values = case[f"layers.{index}.linear.{j}.{kind}"].astype(float)
                if j == 2:
                    values = values.reshape(dimension, 23, -1)[order].reshape(values.shape)
                tensors[f"layers.{index}.linear.{j}.{kind}"] = values
    return case, SplineFlowProposal(flow, tensors, "vector")


def test_flowIsThatOfNormflows():
    case, proposal = normflowsFlow()
    x = case["x"].astype(float)
    z, logDet = proposal.toBase(x)
    np.testing.assert_allclose(proposal.logDensity(x), case["log_prob.f64"], rtol=0, atol=1e-10)
    # Here the base's own location and scale belong to the map.
    scale = np.exp(case["base.log_scale"].astype(float))
    np.testing.assert_allclose(case["base.location"] + scale * z, case["inverse.z.f64"], rtol=0, atol=1e-10)
    shift = case["base.log_scale"].astype(float).sum()
    np.testing.assert_allclose(logDet + shift, case["inverse.logdet.f64"], rtol=0, atol=1e-10)
    y, logDet = proposal.fromBase((case["z_in"].astype(float) - case["base.location"]) / scale)
    np.testing.assert_allclose(y, case["forward.x.f64"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(logDet - shift, case["forward.logdet.f64"], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name, dimension, circular", [("zuko_nsf", 5, False), ("zuko_ncsf", 3, True)])
def test_flowsAreThoseOfZuko(name, dimension, circular):
    case, proposal = zukoFlow(name, dimension, circular)
    x = case["x"].astype(float)
    # Its circular base is a little wider than the circle.
    wider = dimension * np.log1p(1e-5 / np.pi) if circular else 0
    z, logDet = proposal.toBase(x)
    np.testing.assert_allclose(z, case["forward.z.f64"], rtol=0, atol=1e-10)
    np.testing.assert_allclose(logDet, case["forward.logdet.f64"], rtol=0, atol=1e-10)
    np.testing.assert_allclose(proposal.logDensity(x) - wider, case["log_prob.f64"], rtol=0, atol=1e-7)
    y, _ = proposal.fromBase(case["sample.z_in"])
    difference = y - case["sample.x.f64"]
    if circular:
        difference = np.remainder(difference + np.pi, 2 * np.pi) - np.pi
    np.testing.assert_allclose(difference, 0, atol=1e-9)
    np.testing.assert_allclose(proposal.logDensity(y) - wider, case["sample.log_prob.f64"], rtol=0, atol=1e-7)


def splineThrough(x, z, slopes, minimum=1e-3):
    """The numbers of a real coordinate's spline through knots (x, z) with slopes at the inner ones."""
    bins, length = len(x) - 1, x[-1] - x[0]
    shares = [np.log((np.diff(knots) / length - minimum) / (1 - minimum * bins)) for knots in (x, z)]
    return np.concatenate([*shares, np.log(np.expm1(slopes - minimum)) - OFFSET])


def test_aDoubleWellIsReweightedExactly():
    """A spline through the quantiles of a double well, with a coupling that disturbs it."""
    energy = lambda x: (x[:, 0] ** 2 - 1) ** 2 / 0.4 + x[:, 0] / 2 + 2 * (x[:, 1] - x[:, 0] / 2) ** 2  # noqa: E731
    grid = np.linspace(-3, 3, 6001)
    density = np.exp(-((grid**2 - 1) ** 2 / 0.4 + grid / 2))
    weights = density / density.sum()
    quantiles = np.cumsum(weights) - 0.5 * weights
    inner = np.linspace(-1.7, 1.6, 23)
    z = norm.ppf(np.interp(inner, grid, quantiles))
    slopes = np.interp(inner, grid, weights / 0.001) / norm.pdf(z)
    numbers = splineThrough(np.r_[-5, inner, 5], np.r_[-5, z, 5], slopes)
    flow = {"dimension": 2, "bins": 24, "layers": [coupling([1], hidden=[8]), coupling([0, 1])]}
    random = np.random.default_rng(4)
    tensors = {
        name: 0.15 * random.normal(size=shape)
        for name, shape in SplineFlowProposal.tensorShapes(flow).items()
        if ".0.linear" in name
    }
    tensors["layers.1.linear.0.bias"] = np.r_[numbers, np.zeros(71)]
    tensors["scale"] = [1.0, 0.8]
    proposal = SplineFlowProposal(flow, tensors, "vector")
    n = 20000
    x, logDensity = proposal.sample(n, seed=9)
    logWeights = -energy(x) - logDensity
    w = np.exp(logWeights - logsumexp(logWeights))
    assert 1 / (w**2).sum() > 0.3 * n
    right = x[:, 0] > 0
    share = w[right].sum()
    error = np.sqrt((w**2 * (right - share) ** 2).sum())
    exact = weights[grid > 0].sum()
    assert abs(share - exact) < 5 * error < 0.05
    logZ = logsumexp(logWeights) - np.log(n)
    errorZ = np.exp(logWeights - logZ).std() / np.sqrt(n)
    assert abs(logZ - np.log(density.sum() * 0.001 * np.sqrt(np.pi / 2))) < 5 * errorZ < 0.05


def test_fourModesOnATorusAreReweightedExactly():
    flow = {"dimension": 2, "circular": [0, 1], "layers": [coupling([0]), coupling([1])] * 2}
    proposal = anyFlow(flow, strength=0.4, location=np.zeros(2))
    energy = lambda x: -1.5 * np.cos(2 * x[:, 0]) - np.cos(2 * x[:, 1]) - 0.5 * np.cos(x[:, 0] - 1)  # noqa: E731
    axis = np.linspace(-np.pi, np.pi, 400, endpoint=False)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    exact = np.exp(-energy(grid))
    n = 20000
    x, logDensity = proposal.sample(n, seed=2)
    logWeights = -energy(x) - logDensity
    w = np.exp(logWeights - logsumexp(logWeights))
    for mode in range(4):
        centre = np.array([(mode % 2) * np.pi, (mode // 2) * np.pi])
        inside, gridInside = ((np.cos(each - centre) > 0).all(axis=1) for each in (x, grid))
        share = w[inside].sum()
        error = np.sqrt((w**2 * (inside - share) ** 2).sum())
        assert abs(share - exact[gridInside].sum() / exact.sum()) < 5 * error < 0.05


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: SplineFlowProposal({}), "flow must have a 'dimension'"),
        (lambda: SplineFlowProposal({"dimension": 3, "bins": 1}), "bins: is 1, expected an integer from 2"),
        (lambda: SplineFlowProposal({"dimension": 3, "bin": 1}), "unknown field 'bin'"),
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


def test_aMoleculeHasTheLogZOfItsInternalCoordinates():
    """Bonds, angles and a torsion that are independent, so that integrals in one dimension give log Z."""
    chain = InternalCoordinates([(0, 1), (1, 2), (2, 3)])
    settings = chain.flowSettings(FRAMES[:, :4])
    flow = {"dimension": 6, "circular": [5], "layers": [coupling([0, 2, 5]), coupling([1, 3, 4])]}
    location = [*[np.log(0.15)] * 3, 0.3, 0.3, 0.0]
    scale = [0.12] * 3 + [0.25] * 2 + [1.0]
    proposal = anyFlow(flow, "centred", 0.1, coordinates=settings, location=location, scale=scale)

    terms = {
        "bond": (lambda d: 0.5 * ((d - 0.15) / 0.015) ** 2, lambda d: d**2, np.linspace(0.05, 0.3, 4000)),
        "angle": (lambda a: 0.5 * ((a - 1.9) / 0.2) ** 2, np.sin, np.linspace(0, np.pi, 4000)),
        "torsion": (lambda t: 1 + np.cos(3 * t), np.ones_like, np.linspace(-np.pi, np.pi, 4000)),
    }
    exact = np.log(8 * np.pi**2) - 1.5 * np.log(4)
    for count, (u, jacobian, axis) in zip((3, 2, 1), terms.values(), strict=True):
        exact += count * np.log(np.trapezoid(jacobian(axis) * np.exp(-u(axis)), axis))

    n = 20000
    x, logDensity = proposal.sample(n, seed=5)
    bonds = np.diff(x, axis=1)
    lengths = np.linalg.norm(bonds, axis=-1)
    cosines = -(bonds[:, 1:] * bonds[:, :-1]).sum(axis=-1) / (lengths[:, 1:] * lengths[:, :-1])
    normals = np.cross(bonds[:, :-1], bonds[:, 1:])
    torsion = np.arctan2(
        lengths[:, 1] * (bonds[:, 0] * normals[:, 1]).sum(axis=-1),
        (normals[:, 0] * normals[:, 1]).sum(axis=-1),
    )
    energy = terms["bond"][0](lengths).sum(axis=1) + terms["angle"][0](np.arccos(cosines)).sum(axis=1)
    logWeights = -energy - terms["torsion"][0](torsion) - logDensity
    logZ = logsumexp(logWeights) - np.log(n)
    error = np.exp(logWeights - logZ).std() / np.sqrt(n)
    assert abs(logZ - exact) < 5 * error < 0.1
    # All orientations are alike, whatever the flow draws: neither its numbers nor their squares tell.
    direction = bonds[:, 0] / lengths[:, :1]
    assert np.abs(direction.mean(axis=0)).max() < 5 / np.sqrt(3 * n)
    z, _ = proposal.toBase(x)
    correlation = np.corrcoef(np.hstack([z, z**2, direction, direction**2]).T)[: 2 * z.shape[1], -6:]
    assert np.abs(correlation).max() < 5 / np.sqrt(n)
    assert np.abs(x.mean(axis=1)).max() < 1e-14
