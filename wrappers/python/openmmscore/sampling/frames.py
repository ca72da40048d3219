"""What a force field does not see: where a molecule is, and which of two mirror images it is.

Centre of mass. The energy of a free molecule does not depend on its centroid c, so exp(-u) cannot be
normalised over absolute positions. A proposal of absolute positions draws some centroid; a normal
distribution of centroids, N(c; 0, sigma^2 I) in three dimensions, as a factor of the target makes weights
finite and log Z meaningful:

    log w = -u(x) + centroidLogDensity(x, sigma) - log q(x)

has the mean weight N^(3/2) Z, with Z that of centred configurations (volume measured as in R^3N). The density
of the *norm* |c| instead (a chi distribution with three degrees of freedom, as some programs have it) puts a
factor |c|^2 into each weight, by which even a perfect proposal loses 40 % of its effective samples.

Chirality. Force fields are blind to handedness: the mirror image of a molecule has the same energy, so
proposals that draw both must be checked before weighting. See Chirality.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import openmm
from numpy.typing import ArrayLike

from .._units import checkedLength, lengths
from ._stereocentres import findCentres

if TYPE_CHECKING:
    from openmm import app

#: Sign of the triple product of a standard residue's centre in nature, by its three neighbours: L, which is S
#: for isoleucine's CB (CA > CG1 > CG2) and R for threonine's (OG1 > CA > CG2).
_NATURAL = {
    "CA": (("N", "C", "CB"), 1.0),
    "ILE:CB": (("CA", "CG1", "CG2"), 1.0),
    "THR:CB": (("CA", "OG1", "CG2"), 1.0),
}
_AMINO_ACIDS = frozenset(
    "ALA ARG ASH ASN ASP CYM CYS CYX GLH GLN GLU HID HIE HIP HIS ILE LEU LYN LYS MET PHE PRO SER THR TRP TYR "
    "VAL".split()
)


def centroidLogDensity(positions: ArrayLike, sigma: Any) -> np.ndarray:
    """Log of the normal density N(c; 0, sigma^2 I) of centroids c, in nm^-3.

    Parameters
    ----------
    positions : array or Quantity, shape [n,N,3]
        in nm
    sigma : float or Quantity
        standard deviation of each component of the centroid, nm. Best is the proposal's own: s/sqrt(N) for
        one made of N independent normal particles of standard deviation s

    Returns
    -------
    array of float64, shape [n]
    """
    sigma = checkedLength(sigma, "the width of centroids")
    centroids = _frames(positions).mean(axis=1)
    return -0.5 * (centroids**2).sum(axis=1) / sigma**2 - 3.0 * math.log(sigma * math.sqrt(2.0 * math.pi))


def centroidLogDensityGradient(positions: ArrayLike, sigma: Any) -> np.ndarray:
    """Derivative of centroidLogDensity() with respect to positions, in 1/nm.

    Returns
    -------
    array of float64, shape [n,N,3]
    """
    frames = _frames(positions)
    sigma = checkedLength(sigma, "the width of centroids")
    gradient = -frames.mean(axis=1, keepdims=True) / (sigma**2 * frames.shape[1])
    return np.broadcast_to(gradient, frames.shape).copy()


def centroidWidth(proposal: Any, centreOfMass: Any, who: str) -> float | None:
    """Return the width in nm of the centroids that a sampler's target has, None for none.

    Raises
    ------
    openmm.OpenMMException
        if it is no length, or the proposal does not draw absolute positions; the sentence begins with ``who``
    """
    if centreOfMass is None:
        return None
    frame = getattr(proposal, "frame", "absolute")
    if frame != "absolute":
        raise openmm.OpenMMException(
            f"{who}: centreOfMass is for proposals of absolute positions, this one's frame is {frame!r}; "
            "leave it out"
        )
    return checkedLength(centreOfMass, f"{who}: centreOfMass")


class Chirality:
    """Which configurations of a molecule have the right handedness.

    Centres are the atoms with four neighbours that are all different: two are alike if the molecule, as a
    graph of elements and bonds, looks the same from both. The methyl groups of valine and leucine are alike,
    so that labels may be swapped there; the CB of isoleucine and threonine are centres. Differences in
    handedness alone make no centre, nor do atoms with a lone pair (sulfoxides).

    The handedness of a centre is the sign of (a - x) . ((b - x) x (c - x)) for its position x and three of
    its neighbours in a fixed order. Molecules must be whole, not broken across a periodic boundary.

    Parameters
    ----------
    topology : openmm.app.Topology
        with all bonds and hydrogens
    reference : array or Quantity, shape [N,3], optional
        a configuration of the right handedness, in nm. None for nature's: all amino acids L
    centres : int array, shape [K,4], optional
        centres and three neighbours of each, instead of those found; needs a reference. For models without
        hydrogens, whose centres have three neighbours

    Raises
    ------
    openmm.OpenMMException
        if there is no reference and a centre is none of a standard amino acid, or the reference has a flat
        centre

    Example
    -------
    >>> chirality = Chirality(pdb.topology)
    >>> right = chirality.check(frames)         # bool, shape [n]
    >>> frames[~right] = chirality.mirror(frames[~right])
    """

    def __init__(
        self,
        topology: app.Topology,
        reference: ArrayLike | None = None,
        centres: ArrayLike | None = None,
    ):
        if not callable(getattr(topology, "atoms", None)):
            raise openmm.OpenMMException(f"Chirality: expected an openmm.app.Topology, got {topology!r:.60}")
        atoms = list(topology.atoms())
        self._numParticles = len(atoms)
        if centres is None:
            rows = [_ordered(atoms, *found) for found in findCentres(topology)]
            self._centres = np.array(rows, dtype=np.intp).reshape(-1, 4)
        else:
            self._centres = self._checkedCentres(centres)
        self._names = [_name(atoms[row[0]]) for row in self._centres]
        if reference is not None:
            self._signs = self._referenceSigns(reference)
        elif centres is not None:
            raise openmm.OpenMMException("Chirality: centres that are given need a reference configuration")
        else:
            self._signs = np.array([_naturalSign(atoms, row) for row in self._centres])

    @property
    def centres(self) -> np.ndarray:
        """Centre and three of its neighbours, int array, shape [K,4]."""
        return self._centres.copy()

    @property
    def centreNames(self) -> list[str]:
        """Name of each centre, for example 'ALA2:CA'."""
        return list(self._names)

    @property
    def signs(self) -> np.ndarray:
        """The right sign of each centre's triple product, shape [K]."""
        return self._signs.copy()

    def tripleProducts(self, positions: ArrayLike) -> np.ndarray:
        """Triple products of the vectors from each centre to its three neighbours, in nm^3.

        Returns
        -------
        array of float64, shape [n,K]
        """
        frames = _frames(positions)
        if frames.shape[1] != self._numParticles:
            raise openmm.OpenMMException(
                f"Chirality: positions must have the shape [n,{self._numParticles},3], got "
                f"{list(frames.shape)}"
            )
        centre, a, b, c = (frames[:, column] for column in self._centres.T)
        with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is no right hand
            return np.einsum("nki,nki->nk", a - centre, np.cross(b - centre, c - centre))

    def wrongCentres(self, positions: ArrayLike) -> np.ndarray:
        """Return whether each centre has the wrong handedness, bool, shape [n,K]; true also if not finite."""
        return ~(self.tripleProducts(positions) * self._signs > 0)

    def check(self, positions: ArrayLike) -> np.ndarray:
        """Return whether all centres of a configuration have the right handedness.

        Parameters
        ----------
        positions : array or Quantity, shape [n,N,3]
            in nm; one that is not finite is wrong

        Returns
        -------
        array of bool, shape [n]
        """
        return ~self.wrongCentres(positions).any(axis=1)

    def counts(self, positions: ArrayLike) -> dict[str, int]:
        """Return in how many configurations each centre is wrong, by its name."""
        return dict(zip(self._names, self.wrongCentres(positions).sum(axis=0).tolist(), strict=True))

    @staticmethod
    def mirror(positions: ArrayLike) -> np.ndarray:
        """Return the mirror images -x, of opposite handedness everywhere and equal energy.

        A sample that was mirrored if its handedness was wrong has the density q(x) + q(-x), for it may have
        been drawn as either (``BoltzmannSampler``'s policy "mirror").
        """
        return -_frames(positions)

    def __repr__(self) -> str:
        shown = ", ".join(self._names[:8]) + (", ..." if len(self._names) > 8 else "")
        return f"<Chirality: {len(self._names)} centres{': ' if shown else ''}{shown}>"

    def _checkedCentres(self, centres: ArrayLike) -> np.ndarray:
        array = np.asarray(centres)
        if array.ndim != 2 or array.shape[1] != 4 or array.dtype.kind not in "iu":
            raise openmm.OpenMMException(
                f"Chirality: centres must be integers of the shape [K,4], got {array.dtype} "
                f"{list(array.shape)}"
            )
        if array.size and not (0 <= array.min() and array.max() < self._numParticles):
            raise openmm.OpenMMException(
                f"Chirality: a centre refers to an atom outside 0 ... {self._numParticles - 1}"
            )
        return array.astype(np.intp)

    def _referenceSigns(self, reference: ArrayLike) -> np.ndarray:
        products = self.tripleProducts(reference)
        if len(products) != 1:
            raise openmm.OpenMMException(
                f"Chirality: the reference must be one configuration, got {len(products)}"
            )
        flat = np.flatnonzero(~(np.abs(products[0]) > 0))
        if len(flat):
            raise openmm.OpenMMException(
                f"Chirality: the centre {self._names[flat[0]]} is flat or not finite in the reference"
            )
        return np.sign(products[0])


def _frames(positions: ArrayLike) -> np.ndarray:
    array = lengths(positions, "positions")
    if array.ndim == 2:
        array = array[np.newaxis]
    if array.ndim != 3 or array.shape[2] != 3 or array.shape[1] == 0:
        raise openmm.OpenMMException(
            f"positions must have the shape [n,N,3] or [N,3], got {list(array.shape)}"
        )
    return array


def _name(atom: Any) -> str:
    return f"{atom.residue.name}{atom.residue.id}:{atom.name}"


def _natural(atom: Any) -> tuple[tuple[str, ...], float] | None:
    """Three neighbours and the sign of a centre of a standard amino acid."""
    residue = atom.residue.name
    # The first or last of a chain may have one letter more.
    residue = residue[1:] if len(residue) == 4 and residue[0] in "NC" else residue
    if residue not in _AMINO_ACIDS:
        return None
    return _NATURAL.get(atom.name, _NATURAL.get(f"{residue}:{atom.name}"))


def _ordered(atoms: list[Any], centre: int, neighbours: Iterable[int]) -> list[int]:
    """A centre and three neighbours: by name in amino acids, or else the heaviest first."""
    natural = _natural(atoms[centre])
    if natural is not None:
        byName = {atoms[i].name: i for i in neighbours}
        if all(name in byName for name in natural[0]):
            return [centre, *(byName[name] for name in natural[0])]
    return [centre, *sorted(neighbours, key=lambda i: (-atoms[i].element.atomic_number, i))[:3]]


def _naturalSign(atoms: list[Any], row: np.ndarray) -> float:
    natural = _natural(atoms[row[0]])
    if natural is None or tuple(atoms[i].name for i in row[1:]) != natural[0]:
        raise openmm.OpenMMException(
            f"Chirality: the handedness of {_name(atoms[row[0]])} is not known by its name; give a reference "
            "configuration"
        )
    return natural[1]
