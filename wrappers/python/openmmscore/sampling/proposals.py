"""Proposals: distributions of configurations that can be drawn from and whose density is known.

Wherever only Python drives (``BoltzmannSampler``, ``AnnealedSampler``), any object will do that has

    sample(n, seed=0, first=0) -> (positions, logDensity)
        samples first ... first+n-1 of the sequence that the seed names, float64: positions [n,N,3] in nm, and
        the log density [n] with which each was drawn. Sample i must be a function of (seed, i) alone,
        so that it does not matter in which pieces a sequence is drawn
    logDensity(positions) -> [n]
        natural logarithm of the normalised density, in nm^-3N (nm^-(3N-3) if centred); -inf where it is zero

and, where they are asked for,

    logDensityGradient(positions) -> [n,N,3]
        its derivative with respect to positions, in 1/nm: for moves that need forces
    numParticles, frame, family
        as in ``Proposal``; frame is "absolute" unless there is one

A proposal whose frame is "vector" draws [n,d] plain numbers instead of positions.

A ``MonteCarloFlowMove`` runs inside a simulation and needs a ``Proposal`` of this package.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike
from openmm import unit

from ..plugin import _ProposalHandle
from ._proposalparts import FRAMES, buildHandle, configurations, countOf, integer, lengthUnit, plain, wrong

# Classes of families that offer more than a Proposal does; each is added where it is defined.
_families: dict[str, type[Proposal]] = {}


class Proposal:
    """A distribution of configurations, computed in C++: see ``loadProposal`` and the subclasses.

    Positions are [n,N,3] in nm. The frame says what the density belongs to: "absolute" means positions as
    they stand (3N dimensions), "centred" means positions relative to their centroid (3N - 3 dimensions).
    "vector" means that there are no particles: samples are d plain numbers, [n,d], such as torsions.
    An object never changes, and several threads may use it at once.
    """

    def __init__(self, handle: _ProposalHandle):
        self._handle = handle

    def __reduce__(self):
        return (_restore, (type(self), self.encode()))

    def __repr__(self) -> str:
        size = (
            f"{self.numCoordinates} dimensions"
            if self.frame == "vector"
            else f"{self.numParticles} particles, {self.frame}"
        )
        return f"<openmmscore.Proposal {self.family}: {size}>"

    @property
    def numParticles(self) -> int:
        """N; 0 if the frame is "vector"."""
        return self._handle.getNumParticles()

    @property
    def numCoordinates(self) -> int:
        """How many numbers make a sample: 3N, or d if the frame is "vector"."""
        return self._handle.getNumCoordinates()

    @property
    def family(self) -> str:
        """The word for its kind, for example "gaussian-mixture"."""
        return self._handle.getFamily()

    @property
    def frame(self) -> str:
        """ "absolute", "centred" or "vector"."""
        return FRAMES[self._handle.getFrame()]

    @property
    def hasDensity(self) -> bool:
        """True: logDensity() works."""
        return True

    @property
    def hasGradient(self) -> bool:
        """Whether logDensityGradient() works."""
        return self._handle.hasGradient()

    def sample(self, n: int, seed: int = 0, first: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Draw samples first ... first+n-1 of the sequence that the seed names.

        Parameters
        ----------
        n : int
            how many
        seed : int
            0 to 2^64 - 1
        first : int
            number of the first one; sample i is the same in whatever pieces a sequence is drawn

        Returns
        -------
        positions : array of float64, shape [n,N,3]
            in nm; [n,d] if the frame is "vector"
        logDensity : array of float64, shape [n]
            natural logarithm of the density with which each was drawn
        """
        n = integer(n, "n", 2**48)
        seed, first = integer(seed, "seed", 2**64 - 1), integer(first, "first", 2**62)
        positions = np.empty((n, *self._shape))
        density = np.empty(n)
        self._handle.sample(seed, first, n, positions.ctypes.data, density.ctypes.data)
        return positions, density

    def logDensity(self, positions: ArrayLike) -> np.ndarray:
        """Natural logarithm of the density, [n], of positions [n,N,3]; NaN where one is not finite."""
        array = self._positions(positions)
        density = np.empty(len(array))
        self._handle.logDensity(len(array), array.ctypes.data, density.ctypes.data)
        return density

    def logDensityGradient(self, positions: ArrayLike) -> np.ndarray:
        """Derivative of logDensity() with respect to positions, 1/nm, [n,N,3].

        Raises
        ------
        openmm.OpenMMException
            if the family has none (see ``hasGradient``)
        """
        array = self._positions(positions)
        gradient = np.empty_like(array)
        self._handle.logDensityGradient(len(array), array.ctypes.data, gradient.ctypes.data)
        return gradient

    def encode(self) -> bytes:
        """Return the bytes of a file that holds this proposal (docs/model-format.md)."""
        return self._handle.encode()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file that loadProposal() reads; one that is there is replaced at once, or not at all."""
        self._handle.save(os.path.abspath(os.fsdecode(os.fspath(path))))

    def _positions(self, positions: ArrayLike) -> np.ndarray:
        expected = None if self.frame == "vector" else unit.nanometer
        array = np.ascontiguousarray(plain(positions, expected, "positions"))
        if array.ndim != 1 + len(self._shape) or array.shape[1:] != self._shape:
            shape = ",".join(map(str, self._shape))
            raise wrong(f"positions must have the shape [n,{shape}], got {list(array.shape)}")
        return array

    @property
    def _shape(self) -> tuple[int, ...]:
        return (self.numCoordinates,) if self.frame == "vector" else (self.numParticles, 3)


class GaussianMixtureProposal(Proposal):
    """A mixture of K normal distributions, sum_k w_k N(x; m_k, C_k); K = 1 is one normal distribution.

    Parameters
    ----------
    weights : array, shape [K], or None
        positive; divided by their sum. None means equal ones
    means : array or Quantity, shape [K,N,3]
        in nm; [K,d], without a unit, if the frame is "vector" (d then takes the place of 3N below)
    covariances : array or Quantity
        in nm^2. One variance for each component, [K], or one number for all; or the diagonals, [K,3N] or
        [K,N,3]; or whole matrices, [K,3N,3N]
    frame : {"absolute", "centred", "vector"}
        with "centred" it is the distribution of x minus its centroid, in 3N - 3 dimensions

    Raises
    ------
    openmm.OpenMMException
        if shapes do not fit each other, or a matrix is not symmetric and positive definite

    Examples
    --------
    >>> proposal = openmmscore.GaussianMixtureProposal([0.3, 0.7], means, [0.01, 0.02])
    >>> positions, logDensity = proposal.sample(1000, seed=1)
    """

    def __init__(
        self, weights: ArrayLike | None, means: ArrayLike, covariances: ArrayLike, frame: str = "absolute"
    ):
        means = configurations(means, frame, "means", "K")
        count, width = len(means), means[0].size
        weights = np.ones(count) if weights is None else plain(weights, None, "weights")
        if weights.shape != (count,):
            raise wrong(
                f"weights must have the shape [{count}], as there are means, got {list(weights.shape)}"
            )
        kind, covariances = _covariances(covariances, count, width, frame)
        self._handle = buildHandle(
            "gaussian-mixture",
            means.shape[1],
            frame,
            {"components": count, "covariance": kind},
            {"weights": weights, "means": means, "covariances": covariances},
        )

    @classmethod
    def fit(
        cls,
        positions: ArrayLike,
        numComponents: int = 1,
        seed: int = 0,
        covariance: str = "isotropic",
        frame: str = "absolute",
        maxIterations: int = 100,
    ) -> GaussianMixtureProposal:
        """Fit a mixture to samples by maximum likelihood (expectation maximisation).

        Parameters
        ----------
        positions : array or Quantity, shape [n,N,3], or [n,d] if the frame is "vector"
            samples in nm, equally weighted. For the frame "centred" their centroids are removed; align
            orientations yourself if the mixture shall not have to cover all of them
        numComponents : int
            K
        seed : int
            of the choice of the samples from which the means start
        covariance : {"isotropic", "diagonal", "full"}
            what is fitted for each component; "diagonal" is not for the frame "centred"
        frame : {"absolute", "centred", "vector"}
        maxIterations : int
            it ends earlier when the mean log density gains less than 1e-6

        Returns
        -------
        GaussianMixtureProposal
        """
        from .mixturefit import fitMixture

        array = configurations(positions, frame, "positions", "n")
        if not np.isfinite(array).all():
            raise wrong("positions to fit must be finite")
        return cls(
            *fitMixture(
                cls,
                array,
                integer(numComponents, "numComponents", 65536),
                seed,
                covariance,
                frame,
                maxIterations,
            ),
            frame=frame,
        )


class AffineCouplingProposal(Proposal):
    """A small normalising flow of affine couplings (real NVP, arXiv:1605.08803).

    A standard normal z passes the layers in order, then y = location + scale z. Layer l keeps coordinates i
    with i mod 2 = l mod 2, called c, and takes the others to v exp(tanh(S h + s)) + T h + t with
    h = tanh(A c + b). y are the coordinates of the frame (docs/model-format.md): x itself, or Helmert's.

    Parameters
    ----------
    layers : sequence of mappings
        each with the arrays "hidden.weight" (A), "hidden.bias" (b), "scale.weight" (S), "scale.bias" (s),
        "shift.weight" (T), "shift.bias" (t); matrices are [out, in]
    location, scale : array or Quantity, shape [d]
        in nm; d is 3N, or 3N - 3 if centred
    frame : {"absolute", "centred", "vector"}
    """

    def __init__(
        self,
        layers: Sequence[Mapping[str, ArrayLike]],
        location: ArrayLike,
        scale: ArrayLike,
        frame: str = "absolute",
    ):
        tensors = {
            "location": plain(location, lengthUnit(frame), "location"),
            "scale": plain(scale, lengthUnit(frame), "scale"),
        }
        for index, layer in enumerate(layers):
            for name, values in layer.items():
                tensors[f"layers.{index}.{name}"] = plain(values, None, name)
        hidden = [np.size(layer.get("hidden.bias", ())) for layer in layers]
        count = countOf(tensors["location"].size, frame)
        self._handle = buildHandle("affine-coupling", count, frame, {"hidden": hidden}, tensors)


class FlowProposal(Proposal):
    """A proposal that is an invertible map between positions and numbers z of a simple base distribution."""

    def toBase(self, positions: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Map positions to the base: z [n,d], and logDet [n] with logDensity = log base(z) + logDet."""
        array = self._positions(positions)
        z, logDet = np.empty((len(array), self._handle.getBaseDimension())), np.empty(len(array))
        self._handle.toBase(len(array), array.ctypes.data, z.ctypes.data, logDet.ctypes.data)
        return z, logDet

    def fromBase(self, z: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Map z [n,d] to positions, and logDet [n] with logDensity = log base(z) - logDet.

        Molecules in internal coordinates all have one orientation; sample() turns them.
        """
        d = self._handle.getBaseDimension()
        array = np.ascontiguousarray(plain(z, None, "z"))
        if array.ndim != 2 or array.shape[1] != d:
            raise wrong(f"z must have the shape [n,{d}], got {list(array.shape)}")
        positions, logDet = np.empty((len(array), *self._shape)), np.empty(len(array))
        self._handle.fromBase(len(array), array.ctypes.data, positions.ctypes.data, logDet.ctypes.data)
        return positions, logDet


_families.update({"gaussian-mixture": GaussianMixtureProposal, "affine-coupling": AffineCouplingProposal})


def loadProposal(path: str | os.PathLike[str]) -> Proposal:
    """Load a proposal of any family from a file.

    Returns
    -------
    Proposal
        of the family's own class

    Raises
    ------
    openmm.OpenMMException
        if the file is missing, damaged, no proposal, or of a newer format version
    """
    handle = _ProposalHandle(os.path.abspath(os.fsdecode(os.fspath(path))))
    cls = _families.get(handle.getFamily(), Proposal)
    proposal = cls.__new__(cls)
    proposal._handle = handle
    return proposal


def _restore(cls: type, data: bytes) -> Proposal:
    proposal = cls.__new__(cls)
    proposal._handle = _ProposalHandle.fromBytes(data, "pickled proposal")
    return proposal


def _covariances(values: ArrayLike, count: int, width: int, frame: str) -> tuple[str, np.ndarray]:
    array = plain(values, None if frame == "vector" else unit.nanometer**2, "covariances")
    if array.shape in ((), (count,)):
        return "isotropic", np.full(count, array) if array.ndim == 0 else array
    if array.shape in ((count, width), (count, width // 3, 3)):
        return "diagonal", array.reshape(count, width)
    if array.shape == (count, width, width):
        return "full", array
    raise wrong(
        f"covariances must have the shape [{count}], [{count},{width}] or [{count},{width},{width}], got "
        f"{list(array.shape)}"
    )
