"""What every proposal promises, whatever its family; a family's tests call these with examples of it."""

import itertools
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import openmm
import openmmscore
import pytest
from openmmscore import modelfile
from scipy.special import roots_legendre


def checkSamples(proposal, tolerance=1e-9):
    """Sample i is a function of (seed, i): not of pieces, threads or what lies beside it."""
    n = 75
    x, logDensity = proposal.sample(n, seed=2**63 + 5, first=7)
    shape = (n, proposal.numCoordinates) if proposal.frame == "vector" else (n, proposal.numParticles, 3)
    assert x.shape == shape and x.dtype == logDensity.dtype == np.float64
    assert np.isfinite(x).all() and np.isfinite(logDensity).all()
    np.testing.assert_allclose(proposal.logDensity(x), logDensity, rtol=0, atol=tolerance)
    pieces = [(0, 1), (1, 33), (34, 2), (36, 39)]
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda piece: proposal.sample(piece[1], 2**63 + 5, 7 + piece[0]), pieces))
    np.testing.assert_array_equal(np.concatenate([part[0] for part in parts]), x)
    np.testing.assert_array_equal(np.concatenate([part[1] for part in parts]), logDensity)
    whole = proposal.logDensity(x)
    for first, count in pieces:
        np.testing.assert_array_equal(
            proposal.logDensity(x[first : first + count]), whole[first : first + count]
        )
    assert not np.array_equal(proposal.sample(1, seed=1)[0], proposal.sample(1, seed=2)[0])
    assert proposal.sample(0)[0].shape == (0, *shape[1:])


def checkCopies(proposal, path):
    """Files and pickles give an equal proposal, bit by bit."""
    proposal.save(path)
    assert proposal.family in repr(proposal)
    for again in (openmmscore.loadProposal(path), pickle.loads(pickle.dumps(proposal))):
        assert type(again) is type(proposal) and repr(again) == repr(proposal)
        assert again.encode() == proposal.encode() == path.read_bytes()
        x, logDensity = proposal.sample(5, 1, 2)
        same, sameDensity = again.sample(5, 1, 2)
        np.testing.assert_array_equal(same, x)
        np.testing.assert_array_equal(sameDensity, logDensity)
        np.testing.assert_array_equal(again.logDensity(x), proposal.logDensity(x))


def checkNotFinite(proposal, tolerance=1e-9):
    """A position that is not finite makes its own density NaN, and no other."""
    x, logDensity = proposal.sample(3)
    for bad, index in itertools.product((np.nan, np.inf, -np.inf), range(x[0].size)):
        spoilt = x.copy()
        spoilt[1].flat[index] = bad
        found = proposal.logDensity(spoilt)
        assert np.isnan(found[1])
        np.testing.assert_allclose(found[[0, 2]], logDensity[[0, 2]], rtol=0, atol=tolerance)


def checkRoundTrip(proposal, circular=(), tolerance=1e-9):
    """toBase() undoes fromBase() and the reverse; circular are coordinates that count up to whole turns."""
    x, logDensity = proposal.sample(200, seed=3)
    z, logDet = proposal.toBase(x)
    back, logDetBack = proposal.fromBase(z)
    difference = (back - x).reshape(len(x), -1)
    for index in circular:
        difference[:, index] = np.remainder(difference[:, index] + np.pi, 2 * np.pi) - np.pi
    np.testing.assert_allclose(difference, 0, atol=tolerance)
    np.testing.assert_allclose(logDetBack, -logDet, atol=tolerance)


def checkLogDeterminant(proposal, circular=(), samples=5, tolerance=5e-4):
    """logDet of toBase() against a Jacobian by differences, in the frames "absolute" and "vector"."""
    x, _ = proposal.sample(samples, seed=4)
    flat = x.reshape(samples, -1)
    d, h = flat.shape[1], 1e-6
    for row, expected in zip(flat, proposal.toBase(x)[1], strict=True):
        steps = h * np.eye(d)
        above, below = (proposal.toBase((row + sign * steps).reshape(d, *x.shape[1:]))[0] for sign in (1, -1))
        difference = above - below
        for index in circular:
            difference[:, index] = np.remainder(difference[:, index] + np.pi, 2 * np.pi) - np.pi
        # Across a knot the error of differences is of the first order.
        assert np.linalg.slogdet(difference / (2 * h))[1] == pytest.approx(expected, abs=tolerance)


def checkIntegral(proposal, bounds, panels=40, order=6, tolerance=1e-3):
    """The density of vectors integrates to one over a box with these bounds, [(low, high), ...]."""
    nodes, weights = roots_legendre(order)
    axes = []
    for low, high in bounds:
        edges = np.linspace(low, high, panels + 1)
        half = np.diff(edges)[:, None] / 2
        axes.append(((edges[:-1, None] + half + half * nodes).ravel(), (half * weights).ravel()))
    grid = np.stack(np.meshgrid(*[axis[0] for axis in axes], indexing="ij"), axis=-1).reshape(-1, len(bounds))
    volume = np.ones(1)
    for _, weight in axes:
        volume = (volume[:, None] * weight).ravel()
    total = np.exp(proposal.logDensity(grid)) @ volume
    assert total == pytest.approx(1, abs=tolerance)


def checkGradient(proposal, tolerance=1e-4):
    """The gradient, where there is one, is that of the density."""
    x, _ = proposal.sample(4, seed=5)
    if not proposal.hasGradient:
        with pytest.raises(openmm.OpenMMException, match="gradient"):
            proposal.logDensityGradient(x)
        return
    gradient = proposal.logDensityGradient(x)
    h = 1e-6
    for row, expected in zip(x, gradient, strict=True):
        steps = h * np.eye(row.size).reshape(row.size, *row.shape)
        difference = (proposal.logDensity(row + steps) - proposal.logDensity(row - steps)) / (2 * h)
        np.testing.assert_allclose(
            expected.ravel(), difference, rtol=tolerance, atol=tolerance * (1 + np.abs(difference).max())
        )


def checkDamagedFiles(proposal, path):
    """Damaged and hostile files end in one sentence, never in a proposal of other numbers."""

    def refused(data, match="hostile.safetensors"):
        path.write_bytes(data)
        with pytest.raises(openmm.OpenMMException, match=match) as error:
            openmmscore.loadProposal(path)
        assert not str(error.value).endswith(".") and len(str(error.value)) < 1000

    path = path / "hostile.safetensors"
    good = proposal.encode()
    for length in {0, 7, 8, 100, len(good) // 2, len(good) - 1}:
        refused(good[:length])
    refused(good + b"\0")
    refused((2**62).to_bytes(8, "little") + good[8:])
    path.write_bytes(good)
    document, tensors = modelfile.read(path)
    for name, values in tensors.items():
        rest = {other: each for other, each in tensors.items() if other != name}
        refused(modelfile.encode(document, rest), f"{name}.*missing")
        refused(modelfile.encode(document, {**rest, name: np.concatenate([values, values])}), name)
        data = bytearray(good)
        start = good.index(values.tobytes()) if values.size > 1 else None
        if start is not None:
            data[start : start + values.itemsize] = np.array(np.nan, values.dtype).tobytes()
            refused(bytes(data), f"{name}.*not (a number|finite)")
    refused(modelfile.encode(document, {**tensors, "extra": np.ones(1)}), "extra.*superfluous")
    for field, value in {"count": 10**9, "frame": "round", "settings": {}, "format_version": 9}.items():
        refused(modelfile.encode({**document, field: value}, tensors), field)
