"""Energies of many configurations of any OpenMM System, from a pool of Contexts."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import openmm
from numpy.typing import ArrayLike
from openmm import unit

from . import plugin
from ._arrays import address
from ._units import GAS_CONSTANT

FrameStatus = IntEnum(
    "FrameStatus",
    {plugin._TargetHandle.getStatusName(i): i for i in range(plugin._TargetHandle.getNumStatuses())},
)
FrameStatus.__doc__ = """What became of a frame; only ``Ok`` has an energy and a weight.

NonFinitePosition: a coordinate or box vector is NaN or infinite. NonFiniteEnergy: the energy is.
EnergyTooLow, EnergyTooHigh: it is finite and outside BoltzmannTarget.energyLimits. NonFiniteForce: forces
were asked for and one is NaN or infinite. OpenMMError: OpenMM raised an exception, of which
TargetEnergies.firstError holds the first.
"""


@dataclass(frozen=True, repr=False)
class TargetEnergies:
    """Reduced energies of n frames, and what became of each frame.

    Attributes
    ----------
    reducedEnergies : array of float64, shape [n]
        u = U/kT; +inf where the status is not Ok, so that the weight exp(-u) is zero
    status : array of uint8, shape [n]
        a FrameStatus each
    forces : array of float64, shape [n,N,3], or None
        -du/dx in 1/nm; NaN where the status is not Ok
    temperatures : array of float64, shape [n] or []
        in K
    firstError : str or None
        frame and message of the first exception that OpenMM raised
    """

    reducedEnergies: np.ndarray
    status: np.ndarray
    forces: np.ndarray | None
    temperatures: np.ndarray
    firstError: str | None = None

    def __len__(self) -> int:
        return len(self.reducedEnergies)

    @property
    def ok(self) -> np.ndarray:
        """Whether each frame has an energy, array of bool, shape [n]."""
        return self.status == FrameStatus.Ok

    @property
    def counts(self) -> dict[str, int]:
        """How many frames have each status, by name; all of them are there, also with 0."""
        numbers = np.bincount(self.status, minlength=len(FrameStatus))
        return {status.name: int(numbers[status]) for status in FrameStatus}

    @property
    def potentialEnergies(self) -> unit.Quantity:
        """Potential energies in kJ/mol, +inf where the status is not Ok; a Quantity, shape [n]."""
        return unit.Quantity(
            self.reducedEnergies * (GAS_CONSTANT * self.temperatures), unit.kilojoule_per_mole
        )

    def __repr__(self) -> str:
        parts = [f"{count} {name}" for name, count in self.counts.items() if count]
        text = f"<TargetEnergies: {len(self)} frames"
        if parts:
            text += f" ({', '.join(parts)})"
        good = self.reducedEnergies[self.ok]
        if len(good):
            text += f", reduced energies {good.min():.6g} to {good.max():.6g}, median {np.median(good):.6g}"
        return text + (", with forces>" if self.forces is not None else ">")


class BoltzmannTarget:
    """The Boltzmann distribution of a System: reduced energies u = U/kT of many independent frames.

    A pool of Contexts computes them, one thread each, while other Python threads run on. U is the potential
    energy of all force groups at the positions given; constraints, barostats, thermostats and the removal of
    centre-of-mass motion do nothing to them. Virtual sites are put where their parents say.

    A frame without a usable energy never stops the others: it gets a status, the energy +inf (so the weight
    zero) and is counted. On the Reference and CPU platforms a result is a function of its frame alone, bit
    for bit, whatever the number of Contexts and the way frames are divided among calls. The CPU platform
    computes nonbonded interactions in single precision, which is good for about six digits of the energy.

    The System is copied. Targets can be pickled; the copy uses the same platform.

    Parameters
    ----------
    system : openmm.System
        with any forces, ScoreForce included
    temperature : float or Quantity
        in K
    numContexts : int
        how many Contexts; 0 for as many as there are cores (two for each device of a GPU platform)
    platform : str or openmm.Platform, optional
        None for the faster of Reference and CPU, by a short measurement with this System
    properties : dict from str to str, optional
        of the platform. The CPU platform has one thread for each Context unless Threads says otherwise; where
        DeviceIndex names several devices, Contexts are dealt out among them

    Raises
    ------
    openmm.OpenMMException
        if an argument is out of range, or the platform cannot make a Context of the System

    Example
    -------
    >>> target = BoltzmannTarget(system, 300 * unit.kelvin)
    >>> result = target.evaluate(frames)          # [n,N,3] in nm, or a Quantity
    >>> result.reducedEnergies, result.counts
    """

    def __init__(
        self,
        system: openmm.System,
        temperature: Any,
        numContexts: int = 0,
        platform: str | openmm.Platform | None = None,
        properties: Mapping[str, str] | None = None,
    ):
        if not isinstance(system, openmm.System):
            raise openmm.OpenMMException(f"BoltzmannTarget: expected an openmm.System, got {system!r:.60}")
        if isinstance(platform, openmm.Platform):
            platform = platform.getName()
        given = {str(key): str(value) for key, value in (properties or {}).items()}
        self._requestedContexts = int(numContexts)
        kelvins = float(_stripped(temperature, unit.kelvin, "temperature"))
        owned = copy.deepcopy(system)
        owned.thisown = False  # the handle deletes it, also if it throws
        self._handle = plugin._TargetHandle(owned, kelvins, int(numContexts), platform or "", given)

    @property
    def numParticles(self) -> int:
        """Number of particles N of the System, virtual sites included."""
        return self._handle.getNumParticles()

    @property
    def temperature(self) -> unit.Quantity:
        """Temperature of the distribution, a Quantity in kelvin."""
        return self._handle.getTemperature() * unit.kelvin

    @property
    def kT(self) -> float:
        """kT in kJ/mol."""
        return GAS_CONSTANT * self._handle.getTemperature()

    @property
    def numContexts(self) -> int:
        """How many Contexts, and so threads, compute energies."""
        return self._handle.getNumContexts()

    @property
    def system(self) -> openmm.System:
        """A new copy of the System."""
        return openmm.XmlSerializer.deserialize(self._handle.getSystemXml())

    @property
    def parameters(self) -> dict[str, float]:
        """Global parameters of the System and their default values."""
        return self._handle.getParameters()

    @property
    def energyLimits(self) -> tuple[float, float]:
        """Lowest and highest reduced energy that count as Ok (default: -10^4 for each particle, 10^10).

        The lower limit matters: overlapping charges without repulsion may have an energy so low that one
        broken frame takes all the weight. The upper one only makes exploded frames visible in the counts.
        """
        return self._handle.getLowerEnergyLimit(), self._handle.getUpperEnergyLimit()

    @energyLimits.setter
    def energyLimits(self, limits: tuple[float, float]) -> None:
        self._handle.setEnergyLimits(float(limits[0]), float(limits[1]))

    @property
    def platformName(self) -> str:
        """Name of the platform that computes the energies."""
        return self._handle.getPlatformName()

    @property
    def platformProperties(self) -> dict[str, str]:
        """The platform's properties that all Contexts have in common."""
        return self._handle.getPlatformProperties()

    @property
    def platformReason(self) -> str:
        """Why this platform was taken, with the times if they were measured."""
        return self._handle.getPlatformReason()

    def evaluate(
        self,
        positions: ArrayLike,
        forces: bool = False,
        boxVectors: ArrayLike | None = None,
        temperature: ArrayLike | None = None,
        parameters: Mapping[str, ArrayLike] | None = None,
    ) -> TargetEnergies:
        """Compute reduced energies, and forces if wanted.

        Ctrl-C is heeded a few times a second.

        Parameters
        ----------
        positions : array or Quantity, shape [n,N,3], or [N,3] for one frame
            in nm; any floating type. A memory-mapped array is read piece by piece
        forces : bool
            whether to compute forces as well; energies alone are faster
        boxVectors : array or Quantity, shape [n,3,3] or [3,3], optional
            in nm, in OpenMM's reduced form (default: the System's default box)
        temperature : float, array or Quantity, shape [] or [n], optional
            in K (default: the target's)
        parameters : dict from str to float or array of shape [n], optional
            values of global parameters; those not named have their defaults

        Returns
        -------
        TargetEnergies

        Raises
        ------
        openmm.OpenMMException
            if a shape or a name is wrong, or a temperature or parameter is not finite. Never because of a
            configuration: see TargetEnergies.status
        """
        frames = self._frames(positions)
        count = len(frames)
        boxes = self._perFrame(boxVectors, unit.nanometer, count, (3, 3), "boxVectors")
        temperatures = self._perFrame(temperature, unit.kelvin, count, (), "temperature")
        names = list(parameters or {})
        values = np.empty((len(names), count))
        for row, name in zip(values, names, strict=True):
            row[:] = self._perFrame(parameters[name], None, count, (), f"parameter {name!r}")

        energies = np.empty(count)
        statuses = np.empty(count, dtype=np.uint8)
        wanted = np.empty((count, self.numParticles, 3)) if forces else None
        firstError = None
        for begin, end in _pieces(count, 2 * self.numContexts):
            frame, message = self._evaluatePiece(
                frames[begin:end],
                None if boxes is None else boxes[begin:end],
                None if temperatures is None else temperatures[begin:end],
                names,
                np.ascontiguousarray(values[:, begin:end]),
                energies[begin:end],
                statuses[begin:end],
                None if wanted is None else wanted[begin:end],
            )
            if frame >= 0 and firstError is None:
                firstError = f"frame {begin + frame}: {message}"
        if temperatures is None:
            temperatures = np.array(self._handle.getTemperature())
        return TargetEnergies(energies, statuses, wanted, temperatures, firstError)

    def reducedEnergies(self, positions: ArrayLike, **conditions: Any) -> np.ndarray:
        """Return reduced energies alone, +inf for frames without one; arguments are evaluate()'s.

        Returns
        -------
        array of float64, shape [n]
        """
        return self.evaluate(positions, **conditions).reducedEnergies

    def energiesAndForces(
        self, positions: ArrayLike, **conditions: Any
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return reduced energies [n], forces -du/dx [n,N,3] and statuses [n]; arguments are evaluate()'s."""
        result = self.evaluate(positions, forces=True, **conditions)
        return result.reducedEnergies, result.forces, result.status

    def __repr__(self) -> str:
        return (
            f"<BoltzmannTarget: {self.numParticles} particles at {self._handle.getTemperature():g} K, "
            f"{self.numContexts} Contexts on {self.platformName} ({self.platformReason})>"
        )

    def __reduce__(self):
        settings = (
            self._handle.getTemperature(),
            self._requestedContexts,
            self.platformName,
            self.platformProperties,
            self.energyLimits,
        )
        return _restore, (self._handle.getSystemXml(), *settings)

    def _fail(self, sentence: str) -> openmm.OpenMMException:
        return openmm.OpenMMException(f"BoltzmannTarget: {sentence}")

    def _frames(self, positions: ArrayLike) -> np.ndarray:
        array = _stripped(positions, unit.nanometer, "positions")
        if array.ndim == 2:
            array = array[np.newaxis]
        if array.ndim != 3 or array.shape[1:] != (self.numParticles, 3):
            raise self._fail(
                f"positions must have the shape [frames,{self.numParticles},3] or "
                f"[{self.numParticles},3], got {list(array.shape)}"
            )
        return array

    def _perFrame(
        self, value: Any, kind: unit.Unit | None, count: int, shape: tuple[int, ...], name: str
    ) -> np.ndarray | None:
        """An array [count, *shape] of what is given for all frames or for each."""
        if value is None:
            return None
        array = _stripped(value, kind, name)
        if array.shape not in (shape, (count, *shape)):
            raise self._fail(
                f"{name} must have the shape {list(shape)}, or {[count, *shape]} for one each, got "
                f"{list(array.shape)}"
            )
        return np.ascontiguousarray(np.broadcast_to(array, (count, *shape)), dtype=np.float64)

    def _evaluatePiece(self, frames, boxes, temperatures, names, values, energies, statuses, forces):
        # The arrays live until the call returns; results are contiguous parts of arrays made above.
        positions = np.ascontiguousarray(frames, dtype=np.float64)
        return self._handle.evaluate(
            len(positions),
            address(positions),
            address(boxes),
            address(temperatures),
            names,
            address(values),
            address(energies),
            address(statuses),
            address(forces),
        )


def _stripped(value: Any, kind: unit.Unit | None, name: str) -> np.ndarray:
    """The numbers in a value with or without unit, as an array of floats that is no copy where it can be."""
    if unit.is_quantity(value):
        if kind is None or not value.unit.is_compatible(kind):
            wanted = "no unit" if kind is None else f"a unit like {kind.get_name()}"
            raise openmm.OpenMMException(
                f"BoltzmannTarget: {name} must have {wanted}, its unit is {value.unit}"
            )
        value = value.value_in_unit(kind)
    try:
        array = np.asarray(value)
        if array.dtype.kind != "f":
            array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise openmm.OpenMMException(f"BoltzmannTarget: {name} must be numbers, got {value!r:.60}") from None
    return array


def _pieces(count: int, first: int):
    """Divide a range so that each piece but the first takes about a tenth of a second."""
    begin, size = 0, first
    while begin < count:
        start = time.perf_counter()
        yield begin, min(begin + size, count)
        begin += size
        growth = 0.1 / max(time.perf_counter() - start, 1e-6)
        size = max(first, int(size * min(growth, 16.0)))


def _restore(xml, temperature, numContexts, platform, properties, limits) -> BoltzmannTarget:
    system = openmm.XmlSerializer.deserialize(xml)
    target = BoltzmannTarget(system, temperature, numContexts, platform, properties)
    target.energyLimits = limits
    return target
