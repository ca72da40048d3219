"""A trained model without a simulation: NumPy arrays in, energies, scores and forces out."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import openmm
from numpy.typing import ArrayLike
from openmm import unit

from ._units import GAS_CONSTANT
from .features import featureArray, sequenceFeatures
from .plugin import _ModelHandle


class Model:
    """A trained energy-diffusion model, evaluated in float64.

    For noised data z and a diffusion time t it gives a reduced energy e(z, t) with p_t(z) ~ exp(-e(z, t)),
    and the score -grad e. Everything is a property of the model file and cannot be changed. Evaluations
    release the GIL, and one object may be used by several threads at once.

    Two kinds of calls:

    - ``networkEnergy`` and ``networkScore`` speak the network's language: coordinates z = x / lengthScale
      and numbers without units.
    - ``potentialEnergy`` and ``forces`` speak OpenMM's: positions in nm, U = kT e(x / lengthScale, t) in
      kJ/mol with T the temperature of the training data, exactly what a ScoreForce adds to a System.

    A batch comes first in every shape; leave it out and it is left out of the answer. N is the number of
    particles, or for a model of a plain vector d the number of coordinates.

    Parameters
    ----------
    path : str or os.PathLike
        a model file, see docs/model-format.md

    Raises
    ------
    openmm.OpenMMException
        if the file is missing, damaged, or of a newer format version; so does every method for an argument of
        the wrong shape, outside its range or not finite, and for a result that is not finite

    Examples
    --------
    >>> model = openmmscore.Model("alanine.safetensors")
    >>> model.numParticles, model.temperature
    (5, Quantity(value=300.0, unit=kelvin))
    >>> model.potentialEnergy(positions)          # [frames, 5, 3] in nm
    array([-103.2, ...
    """

    def __init__(self, path: str | os.PathLike[str]):
        try:
            name = os.fspath(path)
        except TypeError:
            raise openmm.OpenMMException(
                f"Model: expected the path of a model file or an openmmscore.Model, got {path!r:.60}"
            ) from None
        self._setHandle(_ModelHandle(os.path.abspath(os.fsdecode(name))))

    @classmethod
    def fromBytes(cls, data: bytes, origin: str = "model in memory") -> Model:
        """Create a Model from a model file that is in memory.

        Parameters
        ----------
        data : bytes
            the whole file
        origin : str
            what to call it in messages
        """
        return cls._fromHandle(_ModelHandle.fromBytes(bytes(data), origin))

    @classmethod
    def _fromHandle(cls, handle: _ModelHandle) -> Model:
        model = cls.__new__(cls)
        model._setHandle(handle)
        return model

    def _setHandle(self, handle: _ModelHandle) -> None:
        self._handle = handle
        self._description: dict[str, Any] = json.loads(handle.getDocument())
        self._sha256: str = handle.getSha256()

    def __reduce__(self):
        return (_restore, (self.path, self.sha256, b"" if self.path else self._handle.getBytes()))

    def __repr__(self) -> str:
        kind = f"{self.numParticles} particles" if self.space == "particles" else f"{self._count} coordinates"
        return f"<openmmscore.Model {self.title!r}: {kind}, {self.numParameters} parameters>"

    @property
    def path(self) -> str:
        """Absolute path of the model file; empty for a model that came from memory."""
        return self._handle.getPath()

    @property
    def sha256(self) -> str:
        """SHA-256 of the model file: 64 lower-case hexadecimal digits."""
        return self._sha256

    @property
    def description(self) -> dict[str, Any]:
        """A copy of the file's JSON document with every default filled in (docs/model-format.md)."""
        return json.loads(self._handle.getDocument())

    @property
    def title(self) -> str:
        """One line for people."""
        return self._description["title"]

    @property
    def space(self) -> str:
        """'particles' if coordinates are [N,3], 'vector' if they are a plain vector of d numbers."""
        return self._description["space"]

    @property
    def _count(self) -> int:
        return self._description["count"]

    @property
    def numParticles(self) -> int:
        """N; for a vector of d numbers the number of particles whose coordinates it sees, ceil(d/3)."""
        return self._handle.getNumParticles()

    @property
    def numCoordinates(self) -> int:
        """How many numbers describe one configuration: 3N or d."""
        return 3 * self._count if self.space == "particles" else self._count

    @property
    def featureNames(self) -> list[str]:
        """Names of the integers that the network must be told about each particle; mostly none."""
        return [feature["name"] for feature in self._description["features"]]

    def sequenceFeatures(self, sequence: str) -> np.ndarray:
        """Return the features of a peptide's particles, for addMolecule(), forces(), potentialEnergy(), ...

        Parameters
        ----------
        sequence : str
            one letter for each residue, for example "AV"

        Returns
        -------
        array of int32, shape [N,k]

        Raises
        ------
        openmm.OpenMMException
            if the sequence does not fit the model's particles, or the model's features are not those of a
            sequence: amino_acid, atom, element, residue (see docs/training.md)
        """
        return sequenceFeatures(sequence, self._description["particles"], self._description["features"])

    @property
    def numParameters(self) -> int:
        """How many numbers all tensors of the file hold together."""
        return self._handle.getNumParameters()

    @property
    def temperature(self) -> unit.Quantity:
        """Temperature of the training data, in kelvin."""
        return self._description["temperature"] * unit.kelvin

    @property
    def lengthScale(self) -> unit.Quantity:
        """Length of one unit of the network's coordinates, in nm."""
        return self._description["length_scale"] * unit.nanometer

    @property
    def defaultDiffusionTime(self) -> float:
        """The diffusion time at which the model serves as a potential unless told otherwise."""
        return self._description["default_diffusion_time"]

    @property
    def interval(self) -> tuple[float, float]:
        """The closed interval of diffusion times that the model answers for."""
        return (self._handle.getLowerTime(), self._handle.getUpperTime())

    def hasEnergy(self, t: float | None = None) -> bool:
        """Return whether the model has an energy at diffusion time t (default: defaultDiffusionTime).

        Without one there is a score, but it need not be the gradient of anything.
        """
        return self._handle.hasEnergy(self._times(t, 1)[0])

    def networkEnergy(self, z: ArrayLike, t: ArrayLike, features: ArrayLike | None = None) -> np.ndarray:
        """Reduced energies e(z, t) in the network's own coordinates, with score = -grad e.

        An energy head that predicts noise (Two-for-One) gives E with noise = grad E; here e = -E / sigma(t).

        Parameters
        ----------
        z : array, shape [B,N,3] or [B,d]; [N,3] or [d] for one configuration
            coordinates, x / lengthScale
        t : float or array of shape [B]
            diffusion time; one outside ``interval`` counts as its nearest end, as in the programs that train
            such networks
        features : int array, shape [N,k] or [B,N,k] (the k may be left out if it is 1), optional
            what a transferable network is told about each particle

        Returns
        -------
        array of float64, shape [B]; a float for one configuration
        """
        array, single = self._coordinates(z, "z")
        energies, _ = self._evaluate(array, self._clamped(t), features, True, False)
        return energies[0] if single else energies

    def networkScore(self, z: ArrayLike, t: ArrayLike, features: ArrayLike | None = None) -> np.ndarray:
        """Scores grad log p_t(z) in the network's own coordinates; arguments are networkEnergy()'s.

        Returns
        -------
        array of float64, the shape of z
        """
        array, single = self._coordinates(z, "z")
        _, scores = self._evaluate(array, self._clamped(t), features, False, True)
        scores = scores.reshape(array.shape)
        return scores[0] if single else scores

    def potentialEnergy(
        self, positions: ArrayLike, t: ArrayLike | None = None, features: ArrayLike | None = None
    ) -> np.ndarray:
        """Potential energies U = kT e(x / lengthScale, t) in kJ/mol, up to the model's own constant.

        Parameters
        ----------
        positions : array or Quantity, shape [B,N,3], or [N,3] for one configuration
            in nm; of molecules that are whole. A vector of d numbers is the first d of x0, y0, z0, x1, ...
        t : float or array of shape [B], optional
            diffusion time, within ``interval`` (default: defaultDiffusionTime)
        features : int array, optional
            as for networkEnergy()

        Returns
        -------
        array of float64 in kJ/mol, shape [B]; a float for one configuration

        Raises
        ------
        openmm.OpenMMException
            also if the model has no energy at this diffusion time, only a score
        """
        z, single = self._scaled(positions)
        energies, _ = self._evaluate(z, t, features, True, False)
        energies *= self._kT
        return energies[0] if single else energies

    def forces(
        self, positions: ArrayLike, t: ArrayLike | None = None, features: ArrayLike | None = None
    ) -> np.ndarray:
        """Forces kT / lengthScale score(x / lengthScale, t) in kJ/mol/nm; arguments are potentialEnergy()'s.

        Returns
        -------
        array of float64 in kJ/mol/nm, the shape of positions
        """
        z, single = self._scaled(positions)
        _, scores = self._evaluate(z, t, features, False, True)
        forces = np.zeros((len(z), self.numParticles * 3))
        forces[:, : self.numCoordinates] = scores * (self._kT / self._description["length_scale"])
        forces = forces.reshape(len(z), self.numParticles, 3)
        return forces[0] if single else forces

    @property
    def _kT(self) -> float:
        return GAS_CONSTANT * self._description["temperature"]

    def _fail(self, sentence: str) -> openmm.OpenMMException:
        return openmm.OpenMMException(f"Model {self.title!r}: {sentence}")

    def _scaled(self, positions: ArrayLike) -> tuple[np.ndarray, bool]:
        """Positions in nm as a batch of network coordinates, and whether it was one configuration."""
        if unit.is_quantity(positions):
            if not positions.unit.is_compatible(unit.nanometer):
                raise self._fail(f"positions must be lengths, their unit is {positions.unit}")
            positions = positions.value_in_unit(unit.nanometer)
        array, single = self._batch(positions, (self.numParticles, 3), "positions")
        if self.space == "particles":
            # The network sees differences only; near the origin they lose no digits.
            array = array - array.mean(axis=1, keepdims=True)
        flat = array.reshape(len(array), 3 * self.numParticles)[:, : self.numCoordinates]
        return flat / self._description["length_scale"], single

    def _coordinates(self, z: ArrayLike, name: str) -> tuple[np.ndarray, bool]:
        if unit.is_quantity(z):
            raise self._fail(
                f"{name} are the network's coordinates, which have no unit; for lengths use "
                "potentialEnergy() and forces()"
            )
        shape = (self._count, 3) if self.space == "particles" else (self._count,)
        return self._batch(z, shape, name)

    def _batch(self, values: ArrayLike, shape: tuple[int, ...], name: str) -> tuple[np.ndarray, bool]:
        try:
            array = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError):
            raise self._fail(f"{name} must be an array of numbers, got {values!r:.60}") from None
        single = array.shape == shape
        if single:
            array = array[np.newaxis]
        if array.ndim != len(shape) + 1 or array.shape[1:] != shape:
            wanted = ",".join(str(n) for n in shape)
            raise self._fail(
                f"{name} must have the shape [batch,{wanted}] or [{wanted}], got "
                f"{list(array.shape)}; many molecules in one array: reshape(-1, {wanted.replace(',', ', ')})"
            )
        if not np.isfinite(array).all():
            bad = np.argwhere(~np.isfinite(array))[0]
            what = "particle" if len(shape) == 2 else "coordinate"
            raise self._fail(f"{name} of sample {bad[0]}, {what} {bad[1]} is {array[tuple(bad)]}")
        return array, single

    def _clamped(self, t: ArrayLike) -> ArrayLike:
        try:
            return t if unit.is_quantity(t) else np.clip(np.asarray(t, dtype=np.float64), *self.interval)
        except (TypeError, ValueError):
            return t  # _times() says what is wrong with it

    def _times(self, t: ArrayLike | None, batch: int) -> np.ndarray:
        if unit.is_quantity(t):
            raise self._fail(f"the diffusion time is a number without a unit, got one in {t.unit}")
        try:
            times = np.asarray(self.defaultDiffusionTime if t is None else t, dtype=np.float64)
        except (TypeError, ValueError):
            raise self._fail(f"the diffusion time must be a number or an array, got {t!r:.60}") from None
        if times.ndim > 1 or (times.ndim == 1 and len(times) != batch):
            raise self._fail(
                f"the diffusion time must be one number or one for each of {batch} samples, got the shape "
                f"{list(times.shape)}"
            )
        lower, upper = self.interval
        times = np.ascontiguousarray(times.reshape(-1))
        outside = ~((times >= lower) & (times <= upper))
        if outside.any():
            raise self._fail(
                f"diffusion time {times[outside][0]} lies outside the interval [{lower}, {upper}] that "
                "the model answers for"
            )
        return times

    def _featureArray(self, features: ArrayLike | None, batch: int) -> np.ndarray:
        return featureArray(self._description, features, batch)

    def _evaluate(
        self,
        z: np.ndarray,
        t: ArrayLike | None,
        features: ArrayLike | None,
        wantEnergies: bool,
        wantScores: bool,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Energies [B] and scores [B, numCoordinates] of a checked batch; what is not wanted is empty."""
        batch = len(z)
        flat = np.ascontiguousarray(z, dtype=np.float64).reshape(batch, self.numCoordinates)
        times = self._times(t, batch)
        integers = self._featureArray(features, batch)
        energies = np.empty(batch if wantEnergies else 0)
        scores = np.empty((batch if wantScores else 0, self.numCoordinates))
        if batch == 0:
            return energies, scores
        # The arrays live until the call returns, and nobody else has a reference to the results.
        self._handle.evaluate(
            batch,
            flat.ctypes.data,
            len(times),
            times.ctypes.data,
            integers.size,
            integers.ctypes.data,
            energies.ctypes.data if wantEnergies else 0,
            scores.ctypes.data if wantScores else 0,
        )
        for name, result in (("energy", energies), ("score", scores)):
            if not np.isfinite(result).all():
                sample = np.argwhere(~np.isfinite(result))[0][0]
                raise self._fail(
                    f"the {name} of sample {sample} is not finite; are its coordinates in the right unit?"
                )
        return energies, scores


def _restore(path: str, sha256: str, data: bytes) -> Model:
    """Unpickle a Model: from its file, which must not have changed, or from its bytes."""
    if not path:
        return Model.fromBytes(data)
    model = Model(path)
    if model.sha256 != sha256:
        raise openmm.OpenMMException(f"Model: {path} has changed since the pickled model was read from it")
    return model
