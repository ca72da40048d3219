"""The properties of every proposal, for the families that have no tests of their own that ask for them."""

import numpy as np
import proposal_properties as properties
import pytest
from openmmscore.sampling import AffineCouplingProposal, ContinuousFlowProposal, GaussianMixtureProposal

RANDOM = np.random.default_rng(5)


def mixture(frame):
    means = RANDOM.normal(size=(2, 6) if frame == "vector" else (2, 2, 3))
    return GaussianMixtureProposal([1, 3], means, [0.5, 0.2], frame)


def dimension(frame):
    return 3 if frame == "centred" else 6


def couplings(frame):
    d = dimension(frame)
    layers = []
    for index in range(3):
        kept = (d + 1 - index % 2) // 2
        shapes = {"hidden": (4, kept), "scale": (d - kept, 4), "shift": (d - kept, 4)}
        layer = {f"{name}.weight": 0.4 * RANDOM.normal(size=shape) for name, shape in shapes.items()}
        layers.append({**layer, **{f"{name}.bias": RANDOM.normal(size=s[0]) for name, s in shapes.items()}})
    return AffineCouplingProposal(layers, RANDOM.normal(size=d), np.full(d, 0.3), frame)


def continuous(frame):
    d = dimension(frame)
    network = {"layers.0.weight": RANDOM.normal(size=(5, d + 3)) / 3, "layers.0.bias": RANDOM.normal(size=5)}
    network |= {"layers.1.weight": RANDOM.normal(size=(d, 5)) / 2, "layers.1.bias": RANDOM.normal(size=d)}
    tight = {"absoluteTolerance": 1e-11, "relativeTolerance": 1e-11}
    return ContinuousFlowProposal(network, np.full(d, 0.1), np.full(d, 0.3), frame, **tight)


FAMILIES = {"mixture": (mixture, 1e-9), "couplings": (couplings, 1e-9), "continuous": (continuous, 1e-9)}


@pytest.fixture(params=[(name, frame) for name in FAMILIES for frame in ("absolute", "centred", "vector")])
def example(request):
    name, frame = request.param
    make, tolerance = FAMILIES[name]
    return make(frame), tolerance


def test_samplesAreThoseOfSeedAndNumber(example):
    properties.checkSamples(*example)


def test_filesAndPicklesGiveAnEqualProposal(example, tmp_path):
    properties.checkCopies(example[0], tmp_path / "proposal.safetensors")


def test_whatIsNotFiniteHasNoDensity(example):
    properties.checkNotFinite(*example)


def test_gradientIsThatOfTheDensity(example):
    properties.checkGradient(example[0])


def test_damagedFilesAreRefused(example, tmp_path):
    properties.checkDamagedFiles(example[0], tmp_path)


@pytest.mark.parametrize("name", FAMILIES)
def test_densityIntegratesToOne(name):
    make, _ = FAMILIES[name]
    proposal = make("vector")
    # In six dimensions: the mean of ratios to a wide normal distribution instead of a grid.
    x, _ = proposal.sample(500, seed=1)
    wide = GaussianMixtureProposal(None, x.mean(axis=0)[None], 2 * x.var(axis=0)[None], "vector")
    y, logDensity = wide.sample(4000, seed=2)
    ratio = np.exp(proposal.logDensity(y) - logDensity)
    assert abs(ratio.mean() - 1) < 5 * ratio.std() / np.sqrt(len(ratio)) < 0.5
