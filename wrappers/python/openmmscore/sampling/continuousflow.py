"""Continuous normalising flows: a velocity that carries normal numbers into data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import openmm
import safetensors.numpy
from numpy.typing import ArrayLike

from .. import modelfile
from ..plugin import _ProposalHandle
from ._proposalparts import buildHandle, checkFrame, countOf, integer, lengthUnit, plain, wrong
from .proposals import FlowProposal, _families

_PREFIX = "network."


class ContinuousFlowProposal(FlowProposal):
    """A continuous normalising flow, as conditional flow matching trains them (arXiv:2302.00482).

    Normal numbers u are carried along du/dt = v(u, t) from t = 0 to t = 1, then y = location + scale u. y are
    the coordinates of the frame (docs/model-format.md): x itself, or Helmert's; or internal coordinates.
    Circular ones are angles, which start from a uniform distribution. The density follows from
    d log q / dt = -div v, so sample() and logDensity() agree to the tolerance of the solver.

    Parameters
    ----------
    network : mapping of names to arrays
        weights of a multilayer perceptron with inputs [u, time features]: "layers.0.weight" [H, d + F],
        "layers.0.bias" [H], and so on; the last layer has d rows. F = 1 + 2 K time features are t,
        cos(pi t), sin(pi t), ..., cos(K pi t), sin(K pi t). A circular coordinate u has in place of its
        column those of cos(u), sin(u), cos(2 u), ..., sin(angleFrequencies u). Or those of an equivariant
        graph network, docs/model-format.md, of which one is "node_features" [N, any]
    location, scale : array or Quantity, shape [d]
        in nm; d is 3N, or 3N - 3 if centred. Of a "vector", any d numbers without units
    frame : {"absolute", "centred", "vector"}
    activation : {"swish", "tanh"}
        after each hidden layer of a perceptron
    coordinateRange : float
        of a graph network
    circular : sequence of int
        of a "vector" and a perceptron: which coordinates are angles in radians; their scale is 1
    angleFrequencies : int
        of the inputs of circular coordinates
    coordinates : mapping, optional
        internal coordinates for y, as InternalCoordinates.flowSettings() gives them, of a perceptron; the
        frame is "centred", and circular are the torsions without a centre
    solver : {"dormand-prince", "runge-kutta-4", "euler"}
        the first chooses each sample's steps by the tolerances, the others make numSteps equal ones and
        know nothing of their error
    absoluteTolerance, relativeTolerance : float
        of each step, for the coordinates u and for the log density
    numSteps : int
    trace : {"exact", "hutchinson"}
        how the divergence is found. "hutchinson" estimates it from random probes, which makes densities
        noisy: sample() and logDensity() then refuse to work unless allowNoisyWeights says that this is
        wanted, for weights made of noisy densities are biased; estimateLogDensity() works in any case
    numProbes : int
    allowNoisyWeights : bool

    Raises
    ------
    openmm.OpenMMException
        if shapes do not fit each other, or a number is out of its range

    Examples
    --------
    >>> flow = openmmscore.loadProposal("flow.safetensors")
    >>> fast = flow.withSolver(absoluteTolerance=1e-4, relativeTolerance=1e-4)
    >>> positions, logDensity = fast.sample(1000, seed=1)
    """

    def __init__(
        self,
        network: Mapping[str, ArrayLike],
        location: ArrayLike,
        scale: ArrayLike,
        frame: str = "absolute",
        *,
        activation: str = "swish",
        coordinateRange: float = 15.0,
        circular: Sequence[int] = (),
        angleFrequencies: int = 3,
        coordinates: Mapping[str, Any] | None = None,
        solver: str = "dormand-prince",
        absoluteTolerance: float = 1e-6,
        relativeTolerance: float = 1e-6,
        numSteps: int = 50,
        trace: str = "exact",
        numProbes: int = 1,
        allowNoisyWeights: bool = False,
    ):
        checkFrame(frame)
        # Internal coordinates are logarithms and angles.
        length = lengthUnit(frame) if coordinates is None else None
        tensors = {
            "location": plain(location, length, "location"),
            "scale": plain(scale, length, "scale"),
        }
        if coordinates is not None:
            circular = _circularTorsions(coordinates)
        for name, values in network.items():
            tensors[_PREFIX + name] = plain(values, None, name)
        d = tensors["location"].size
        settings = {
            **(
                _graphNetwork(tensors, coordinateRange)
                if f"{_PREFIX}node_features" in tensors
                else _perceptron(tensors, d, activation, list(map(int, circular)), angleFrequencies)
            ),
            "solver": _solver(solver, absoluteTolerance, relativeTolerance, numSteps),
            "trace": _trace(trace, numProbes, allowNoisyWeights),
        }
        if coordinates is not None:
            settings["coordinates"] = dict(coordinates)
            count = len(coordinates["rows"])
        else:
            count = countOf(d, frame)
        self._handle = buildHandle("continuous-flow", count, frame, settings, tensors)

    def withSolver(
        self,
        solver: str = "dormand-prince",
        absoluteTolerance: float = 1e-6,
        relativeTolerance: float = 1e-6,
        numSteps: int = 50,
    ) -> ContinuousFlowProposal:
        """The same flow with another solver; parameters are those of the class."""
        return self._with("solver", _solver(solver, absoluteTolerance, relativeTolerance, numSteps))

    def withTrace(
        self, trace: str = "exact", numProbes: int = 1, allowNoisyWeights: bool = False
    ) -> ContinuousFlowProposal:
        """The same flow with another way to find the divergence; parameters are those of the class."""
        return self._with("trace", _trace(trace, numProbes, allowNoisyWeights))

    def estimateLogDensity(self, positions: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Log densities as logDensity() gives them, and the variance of each estimate.

        Parameters
        ----------
        positions : array or Quantity
            as of logDensity()

        Returns
        -------
        logDensity, variance : arrays of float64, shape [n]
            the variance is zero with the exact trace, and else taken from the scatter of the probes

        Raises
        ------
        openmm.OpenMMException
            if there is only one probe
        """
        array = self._positions(positions)
        density, variance = np.empty(len(array)), np.empty(len(array))
        self._handle.estimateLogDensity(
            len(array), array.ctypes.data, density.ctypes.data, variance.ctypes.data
        )
        return density, variance

    def velocity(self, u: ArrayLike, t: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Velocity [n,d] and its exact divergence [n] at normalised coordinates u [n,d] and times t [n].

        Times are 0 at the normal numbers and 1 at the data; one time may serve for all.
        """
        u = np.ascontiguousarray(plain(u, None, "u"))
        d = self._handle.getBaseDimension()
        if u.ndim != 2 or u.shape[1] != d:
            raise wrong(f"u must have the shape [n,{d}], got {list(u.shape)}")
        t = plain(t, None, "t")
        if t.shape not in ((), (len(u),)):
            raise wrong(f"t must be one number or have the shape [{len(u)}], got {list(t.shape)}")
        t = np.ascontiguousarray(np.broadcast_to(t, (len(u),)))
        velocity, divergence = np.empty_like(u), np.empty(len(u))
        self._handle.computeVelocity(
            len(u), u.ctypes.data, t.ctypes.data, velocity.ctypes.data, divergence.ctypes.data
        )
        return velocity, divergence

    def _with(self, name: str, value: dict[str, Any]) -> ContinuousFlowProposal:
        document, tensors = _contents(self.encode())
        settings = {**document["settings"], name: value}
        proposal = ContinuousFlowProposal.__new__(ContinuousFlowProposal)
        proposal._handle = buildHandle(
            "continuous-flow", document["count"], document["frame"], settings, tensors
        )
        return proposal


def optimalPairing(x0: ArrayLike, x1: ArrayLike) -> np.ndarray:
    """Pair two sets of points so that the sum of squared distances is least (exact optimal transport).

    Parameters
    ----------
    x0, x1 : array, shape [n,d]

    Returns
    -------
    array of int32, shape [n]
        the number in x1 of the partner of each point of x0

    Examples
    --------
    >>> x1 = x1[openmmscore.sampling.optimalPairing(x0, x1)]
    """
    arrays = [np.ascontiguousarray(plain(x, None, name)) for name, x in (("x0", x0), ("x1", x1))]
    if arrays[0].ndim != 2 or arrays[0].shape != arrays[1].shape:
        raise openmm.OpenMMException(
            "optimalPairing: x0 and x1 must have the same shape [n,d], got "
            f"{list(arrays[0].shape)} and {list(arrays[1].shape)}"
        )
    partners = np.empty(len(arrays[0]), dtype=np.int32)
    _ProposalHandle.optimalPairing(
        *arrays[0].shape, arrays[0].ctypes.data, arrays[1].ctypes.data, partners.ctypes.data
    )
    return partners


def _contents(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Document and tensors of a file in memory that this package wrote."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return json.loads(header["__metadata__"][modelfile.METADATA_KEY]), safetensors.numpy.load(data)


def _circularTorsions(coordinates: Mapping[str, Any]) -> list[int]:
    """Which of 3 N - 6 internal coordinates are circular: torsions, which come last, without a centre."""
    centres = coordinates["centres"]
    return [2 * len(centres) + 3 + k for k, centre in enumerate(centres) if centre is None]


def _perceptron(
    tensors: Mapping[str, np.ndarray], d: int, activation: str, circular: list[int], angleFrequencies: int
) -> dict[str, Any]:
    """What a file says about the network: widths as its biases have them."""
    first = tensors.get(f"{_PREFIX}layers.0.weight", np.empty((0, 0)))
    angleFrequencies = integer(angleFrequencies, "angleFrequencies", 64)
    d += (2 * angleFrequencies - 1) * len(circular)
    numFeatures = (first.shape[1] if first.ndim == 2 else 0) - d
    if numFeatures < 1 or numFeatures % 2 == 0:
        raise wrong(
            f"network: layers.0.weight must have {d} columns for coordinates and an odd number for the time, "
            f"got the shape {list(first.shape)}"
        )
    numLayers = sum(name.endswith(".bias") for name in tensors)
    hidden = [int(np.size(tensors.get(f"{_PREFIX}layers.{k}.bias", ()))) for k in range(numLayers - 1)]
    network = {"kind": "mlp", "hidden": hidden, "activation": activation}
    if circular:
        network |= {"circular": circular, "angle_frequencies": angleFrequencies}
    return {"network": network, "time_frequencies": numFeatures // 2}


def _graphNetwork(tensors: Mapping[str, np.ndarray], coordinateRange: float) -> dict[str, Any]:
    """What a file says about a graph network: sizes as its embedding has them."""
    features = tensors[f"{_PREFIX}node_features"]
    embedding = tensors.get(f"{_PREFIX}embedding.weight", np.empty(0))
    if features.ndim != 2 or embedding.ndim != 2:
        raise wrong("network: node_features must have the shape [N,any], embedding.weight [H,any]")
    numTimes = embedding.shape[1] - features.shape[1]
    if numTimes < 1 or numTimes % 2 == 0:
        raise wrong(
            f"network: embedding.weight must have {features.shape[1]} columns for node features and an odd "
            f"number for the time, got the shape {list(embedding.shape)}"
        )
    return {
        "network": {
            "kind": "egnn",
            "hidden": len(embedding),
            "layers": sum(name.endswith(".gate.bias") for name in tensors),
            "node_features": features.shape[1],
            "coordinate_range": float(coordinateRange),
        },
        "time_frequencies": numTimes // 2,
    }


def _solver(solver: str, absoluteTolerance: float, relativeTolerance: float, numSteps: int) -> dict[str, Any]:
    if solver != "dormand-prince":
        return {"method": solver, "steps": integer(numSteps, "numSteps", 10**6)}
    return {
        "method": solver,
        "absolute_tolerance": float(absoluteTolerance),
        "relative_tolerance": float(relativeTolerance),
    }


def _trace(trace: str, numProbes: int, allowNoisyWeights: bool) -> dict[str, Any]:
    if trace == "exact":
        return {"method": trace}
    return {
        "method": trace,
        "probes": integer(numProbes, "numProbes", 4096),
        "noisy_weights": bool(allowNoisyWeights),
    }


_families["continuous-flow"] = ContinuousFlowProposal
