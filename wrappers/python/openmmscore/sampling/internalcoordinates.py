"""Bonds, angles and torsions of a molecule, and the volume that goes with them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import openmm
from numpy.typing import ArrayLike

from .._arrays import checkedCount, checkedSeed, numbers
from .._units import lengths, withoutUnits
from ..plugin import _InternalCoordinatesHandle

if TYPE_CHECKING:
    from openmm import app

#: Backbone torsions by the names of their atoms, along the chain.
_BACKBONE = {
    ("C", "N", "CA", "C"): "phi",
    ("N", "CA", "C", "N"): "psi",
    ("CA", "C", "N", "CA"): "omega",
    ("CH3", "C", "N", "CA"): "omega",
    ("CA", "C", "N", "C"): "omega",
}


class Placement(IntEnum):
    """What became of one configuration."""

    Ok = 0
    #: a number is not finite
    NotFinite = 1
    #: a bond is not between 1e-6 and 1e6 nm
    Bond = 2
    #: an angle is not between 0 and pi, or within 1e-6 of these
    Angle = 3


class TorsionKind(IntEnum):
    """What a torsion is."""

    #: a dihedral angle along a chain of bonds, which turns everything behind the bond
    Rotation = 0
    #: a dihedral angle whose first and last atom hang on the same one
    Improper = 1
    #: the difference from the dihedral angle of an earlier atom with the same references
    Sibling = 2


class InternalFrames(NamedTuple):
    """Configurations in internal coordinates."""

    #: [n, 3N-6]; NaN unless the status is Ok
    coordinates: np.ndarray
    #: [n], NaN unless the status is Ok
    logJacobian: np.ndarray
    #: [n], ``InternalCoordinates.Status``
    status: np.ndarray


class CartesianFrames(NamedTuple):
    """Configurations made from internal coordinates."""

    #: [n,N,3] in nm; NaN unless the status is Ok
    positions: np.ndarray
    #: [n], NaN unless the status is Ok
    logJacobian: np.ndarray
    #: [n], ``InternalCoordinates.Status``
    status: np.ndarray


class InternalCoordinates:
    """Bond lengths, angles and torsions in place of a molecule's positions (docs/proposals.md).

    The coordinates u are N - 1 bonds (nm), N - 2 angles (radians, between 0 and pi) and N - 3 torsions
    (radians, from -pi to below pi), in the order of the Z-matrix's rows. Where several atoms hang on one
    bond, the first one's torsion is the dihedral angle, which turns them all, and those of the others are
    counted from it.

    With q(u) a normalised density and all orientations equally likely, the density of the positions relative
    to their centroid, as proposals have it in the frame "centred", is log q(u) - logJacobian.

    Parameters
    ----------
    bonds : openmm.app.Topology, or pairs of atoms, shape [bonds,2]
        one molecule; rings may be there, their closing bond is none of the coordinates
    numAtoms : int, optional
        with pairs: how many atoms there are; the highest number in bonds plus one by default
    masses : array or Quantity, shape [N], optional
        with pairs: in amu, to tell hydrogens. Without them an atom with a single bond is one
    positions : array or Quantity, shape [N,3], optional
        a configuration in nm for which the coordinates must exist
    zmatrix : int array, shape [N,4], optional
        atom, bond, angle, torsion of each row, -1 where there are none, instead of rows made automatically

    Raises
    ------
    openmm.OpenMMException
        if the molecule has fewer than 3 atoms or is in several pieces, or reference atoms lie on a line in
        the configuration that is given

    Example
    -------
    >>> coordinates = openmmscore.InternalCoordinates(pdb.topology)
    >>> u, logJacobian, status = coordinates.toInternal(frames)
    >>> phi = u[:, coordinates.names.index("phi ALA2")]
    """

    Status = Placement
    Kind = TorsionKind

    def __init__(
        self,
        bonds: app.Topology | ArrayLike,
        numAtoms: int | None = None,
        masses: ArrayLike | None = None,
        positions: ArrayLike | None = None,
        zmatrix: ArrayLike | None = None,
    ):
        self._labels: list[tuple[str, str]] | None = None
        if callable(getattr(bonds, "atoms", None)):
            bonds, numAtoms, masses = self._read(bonds)
        bonds = _integers(bonds, "bonds", 2)
        if zmatrix is None:
            n = int(bonds.max(initial=-1)) + 1 if numAtoms is None else checkedCount(numAtoms, "numAtoms", 0)
            weights = [] if masses is None else numbers(withoutUnits(masses), "masses").tolist()
            rows = _InternalCoordinatesHandle.makeRows(n, bonds.ravel().tolist(), weights)
        else:
            rows = _integers(zmatrix, "zmatrix", 4).ravel().tolist()
        self._handle = _InternalCoordinatesHandle(rows)
        self._rows = np.array(rows, dtype=np.int64).reshape(-1, 4)
        if positions is not None:
            self._requireUsable(positions)

    def __reduce__(self):
        return (_restore, (self._rows, self._labels))

    def __repr__(self) -> str:
        return f"<openmmscore.InternalCoordinates: {self.numParticles} particles>"

    @property
    def numParticles(self) -> int:
        """N."""
        return len(self._rows)

    @property
    def numCoordinates(self) -> int:
        """3N - 6."""
        return 3 * self.numParticles - 6

    @property
    def zmatrix(self) -> np.ndarray:
        """Atom, bond, angle and torsion of each row, -1 where there are none, int array, shape [N,4]."""
        return self._rows.copy()

    @property
    def kinds(self) -> np.ndarray:
        """``InternalCoordinates.Kind`` of each torsion, int array, shape [N-3]."""
        return np.array(self._handle.getKinds(), dtype=np.int64)

    @property
    def siblings(self) -> np.ndarray:
        """The torsion that each is counted from, itself if it is none of Kind.Sibling, shape [N-3]."""
        return np.array(self._handle.getFirstSiblings(), dtype=np.int64)

    @property
    def rotations(self) -> np.ndarray:
        """Indices into u of the torsions that turn a bond: those that may have several minima."""
        return 2 * self.numParticles - 3 + np.flatnonzero(self.kinds == TorsionKind.Rotation)

    @property
    def names(self) -> list[str]:
        """A name for each coordinate.

        "bond CA-C ALA2", "angle N-CA-C ALA2", "torsion ...", "improper ..." and "sibling ..." with the atoms
        of the row and the first one's residue; "phi", "psi" and "omega" for the backbone's. Without a
        Topology atoms are numbers.
        """
        names = [self._name("bond", row[:2]) for row in self._rows[1:]]
        names += [self._name("angle", row[:3]) for row in self._rows[2:]]
        words = {TorsionKind.Rotation: "torsion", TorsionKind.Improper: "improper"}
        for kind, row in zip(self.kinds, self._rows[3:], strict=True):
            names.append(self._backbone(kind, row) or self._name(words.get(kind, "sibling"), row))
        return names

    def toInternal(self, positions: ArrayLike) -> InternalFrames:
        """Return coordinates, logJacobian and status of positions [n,N,3] in nm, or of one, [N,3]."""
        array = self._positions(positions)
        n = len(array)
        result = InternalFrames(np.empty((n, self.numCoordinates)), np.empty(n), np.empty(n, np.int32))
        self._handle.toInternal(n, array.ctypes.data, *(each.ctypes.data for each in result))
        return result

    def toCartesian(self, coordinates: ArrayLike) -> CartesianFrames:
        """Return positions, logJacobian and status of coordinates [n,3N-6], or of one, [3N-6].

        The first row's atom is at the origin, the second one's on the z axis, the third one's in the plane
        of x and z.
        """
        array = numbers(coordinates, "InternalCoordinates: coordinates")
        array = array[np.newaxis] if array.ndim == 1 else array
        if array.ndim != 2 or array.shape[1] != self.numCoordinates:
            raise _wrong(
                f"coordinates must have the shape [n,{self.numCoordinates}], got {list(array.shape)}"
            )
        n = len(array)
        result = CartesianFrames(np.empty((n, self.numParticles, 3)), np.empty(n), np.empty(n, np.int32))
        self._handle.toCartesian(n, array.ctypes.data, *(each.ctypes.data for each in result))
        return result

    def orient(self, positions: ArrayLike, seed: int = 0, first: int = 0) -> np.ndarray:
        """Return configurations centred and turned at random, all rotations being equally likely.

        Parameters
        ----------
        positions : array or Quantity, shape [n,N,3]
            in nm
        seed, first : int
            configuration i is turned by the rotation that seed and first + i name
        """
        array = self._positions(positions).copy()
        first = checkedCount(first, "InternalCoordinates: first", 0)
        self._handle.orient(checkedSeed(seed), first, len(array), array.ctypes.data)
        return array

    def flowSettings(self, positions: ArrayLike) -> dict[str, Any]:
        """Return the settings of a flow's coordinates, with torsions centred for positions [n,N,3] in nm.

        They are what ``settings.coordinates`` of a proposal's file holds (docs/model-format.md).
        """
        array = self._positions(positions)
        return json.loads(self._handle.fitFlow(len(array), array.ctypes.data))

    def _read(self, topology: app.Topology) -> tuple[np.ndarray, int, np.ndarray]:
        atoms = list(topology.atoms())
        self._labels = [(atom.name, f"{atom.residue.name}{atom.residue.id}") for atom in atoms]
        masses = [0.0 if atom.element is None else atom.element.mass._value for atom in atoms]
        bonds = [(first.index, second.index) for first, second in topology.bonds()]
        if len(atoms) > 1 and not bonds:
            raise _wrong(
                "the Topology has no bonds; add them, for example with Topology.createStandardBonds()"
            )
        return np.array(bonds, dtype=np.int64).reshape(-1, 2), len(atoms), np.array(masses)

    def _positions(self, positions: ArrayLike) -> np.ndarray:
        array = lengths(positions, "InternalCoordinates: positions")
        array = array[np.newaxis] if array.ndim == 2 else array
        if array.ndim != 3 or array.shape[1:] != (self.numParticles, 3):
            raise _wrong(f"positions must have the shape [n,{self.numParticles},3], got {list(array.shape)}")
        return array

    def _requireUsable(self, positions: ArrayLike) -> None:
        array = self._positions(positions)
        status = int(self.toInternal(array).status[0])
        if status == Placement.NotFinite:
            raise _wrong("positions hold a number that is not finite")
        row = self._rows[self._handle.findBadRow(array[:1].ctypes.data)]
        if status == Placement.Bond:
            raise _wrong(f"in this configuration atoms {self._atoms(row[:2])} are in one place")
        if status == Placement.Angle:
            # The angle of the row, or that of its references.
            raise _wrong(
                f"in this configuration atoms {self._atoms(row[:3])} lie on a line, so what hangs on them "
                "has no torsion; give a zmatrix that refers to others"
            )

    def _atoms(self, atoms: Sequence[int]) -> str:
        atoms = [int(atom) for atom in atoms if atom >= 0]
        if self._labels is None:
            return "-".join(map(str, atoms))
        return "-".join(self._labels[atom][0] for atom in atoms) + f" {self._labels[atoms[0]][1]}"

    def _name(self, word: str, atoms: Sequence[int]) -> str:
        return f"{word} {self._atoms(atoms)}"

    def _backbone(self, kind: int, row: np.ndarray) -> str | None:
        if self._labels is None or kind != TorsionKind.Rotation:
            return None
        names, residues = zip(*(self._labels[atom] for atom in row), strict=True)
        for order in (1, -1):
            word = _BACKBONE.get(names[::order])
            # The residue is that of CA, or for omega that of the following N.
            if word:
                place = names[::order].index("N" if word == "omega" else "CA")
                return f"{word} {residues[::order][place]}"
        return None


def _restore(rows: np.ndarray, labels: list[tuple[str, str]] | None) -> InternalCoordinates:
    coordinates = InternalCoordinates([], zmatrix=rows)
    coordinates._labels = labels
    return coordinates


def _integers(values: ArrayLike, name: str, width: int) -> np.ndarray:
    array = np.asarray(values)
    if array.size == 0:
        array = np.empty((0, width), dtype=np.int64)
    if array.dtype.kind not in "iu" or array.ndim != 2 or array.shape[1] != width:
        raise _wrong(f"{name} must be integers of the shape [n,{width}], got {values!r:.60}")
    return array


def _wrong(sentence: str) -> openmm.OpenMMException:
    return openmm.OpenMMException(f"InternalCoordinates: {sentence}")
