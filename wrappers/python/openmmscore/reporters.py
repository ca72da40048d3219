"""Reporters for Systems of many molecules, for `openmm.app.Simulation.reporters`.

OpenMM's own reporters (DCDReporter, XTCReporter, StateDataReporter, ...) work too; they see the whole System.
"""

from __future__ import annotations

import os
from typing import IO, Any

import numpy
import openmm
from openmm import unit

from .plugin import MonteCarloFlowMove, ScoreForce


def _find(kind: type, system: openmm.System, name: str) -> Any:
    for force in system.getForces():
        if kind.isinstance(force):
            return kind.cast(force)
    raise openmm.OpenMMException(f"{name}: the System has no {kind.__name__}")


class _TableReporter:
    """Lines of comma-separated values: step, time (ps), and what a subclass says of a Force.

    Parameters
    ----------
    file : str, os.PathLike or text file
        where to write
    reportInterval : int
        steps between reports
    append : bool
        continue a file that is there instead of starting it anew
    """

    #: the type of the Force that is reported on
    _kind: type

    def __init__(self, file: str | os.PathLike[str] | IO[str], reportInterval: int, append: bool = False):
        self._interval = reportInterval
        self._opened = isinstance(file, (str, os.PathLike))
        self._append = append
        self._out: IO[str] = open(file, "a" if append else "w") if self._opened else file  # type: ignore
        self._force: Any = None

    def describeNextReport(self, simulation: Any) -> dict[str, Any]:
        steps = self._interval - simulation.currentStep % self._interval
        return {"steps": steps, "periodic": None, "include": []}

    def report(self, simulation: Any, state: openmm.State) -> None:
        if self._force is None:
            self._force = _find(self._kind, simulation.system, type(self).__name__)
            if not self._append:
                print("#step,time (ps)", *self._names(), sep=",", file=self._out)
        time = state.getTime().value_in_unit(unit.picosecond)
        values = self._values(simulation.context)
        print(simulation.currentStep, f"{time:.9g}", *values, sep=",", file=self._out)
        self._out.flush()

    def _names(self) -> list[str]:
        raise NotImplementedError

    def _values(self, context: openmm.Context) -> list[str]:
        raise NotImplementedError

    def __del__(self) -> None:
        if getattr(self, "_opened", False) and hasattr(self, "_out"):
            self._out.close()


class MoleculeEnergyReporter(_TableReporter):
    """Writes the energy of every molecule, a line per report: step, time (ps), then kJ/mol for each.

    Parameters
    ----------
    file : str, os.PathLike or text file
        where to write comma-separated values
    reportInterval : int
        steps between reports
    append : bool
        continue a file that is there instead of starting it anew

    Raises
    ------
    openmm.OpenMMException
        at the first report if the System has no ScoreForce, or its model no energy

    Example
    -------
    >>> simulation.reporters.append(MoleculeEnergyReporter("energies.csv", 1000))
    """

    _kind = ScoreForce

    def _names(self) -> list[str]:
        return [f"molecule {m}" for m in range(self._force.getNumMolecules())]

    def _values(self, context: openmm.Context) -> list[str]:
        energies = self._force.getMoleculeEnergies(context).value_in_unit(unit.kilojoules_per_mole)
        return [f"{energy:.9g}" for energy in energies]


class FlowMoveReporter(_TableReporter):
    """Writes how the moves of a System's first MonteCarloFlowMove fared, a line per report.

    A line has the step, the time (ps), then of all molecules together since the Context was created or
    MonteCarloFlowMove.resetStatistics(): moves tried, accepted, invalid, and the mean acceptance probability.

    Parameters
    ----------
    file : str, os.PathLike or text file
        where to write comma-separated values
    reportInterval : int
        steps between reports
    append : bool
        continue a file that is there instead of starting it anew

    Raises
    ------
    openmm.OpenMMException
        at the first report if the System has no MonteCarloFlowMove

    Example
    -------
    >>> simulation.reporters.append(FlowMoveReporter("moves.csv", 10000))
    """

    _kind = MonteCarloFlowMove

    def _names(self) -> list[str]:
        return ["tried", "accepted", "invalid", "expected acceptance"]

    def _values(self, context: openmm.Context) -> list[str]:
        force = self._force
        counts = force.getNumAttempted(context), force.getNumAccepted(context), force.getNumInvalid(context)
        return [*(str(count) for count in counts), f"{force.getExpectedAcceptance(context):.6g}"]


class MoleculeTrajectoryReporter:
    """Writes every molecule as a frame of its own to one trajectory of a single molecule, through MDTraj.

    Frame f of molecule m is frame f * molecules + m of the file, so a hundred molecules of five beads are
    analysed like a hundred frames of five beads each time. The format follows the file's name.

    Parameters
    ----------
    file : str or os.PathLike
        the trajectory to write, .xtc or .dcd
    reportInterval : int
        steps between reports

    Raises
    ------
    openmm.OpenMMException
        if the name ends otherwise; at the first report if the System has no ScoreForce

    Example
    -------
    >>> simulation.reporters.append(MoleculeTrajectoryReporter("molecules.xtc", 500))
    """

    def __init__(self, file: str | os.PathLike[str], reportInterval: int):
        import mdtraj

        self._interval = reportInterval
        self._path = os.fspath(file)
        extension = os.path.splitext(self._path)[1]
        if extension not in (".xtc", ".dcd"):
            raise openmm.OpenMMException(
                f"MoleculeTrajectoryReporter: {self._path!r} should end in .xtc or .dcd, the "
                "formats that can be written frame by frame"
            )
        # DCD files are in Angstrom.
        self._factor = 10.0 if extension == ".dcd" else 1.0
        self._file = mdtraj.open(self._path, "w", force_overwrite=True)
        self._indices: numpy.ndarray | None = None

    def describeNextReport(self, simulation: Any) -> dict[str, Any]:
        steps = self._interval - simulation.currentStep % self._interval
        return {"steps": steps, "periodic": False, "include": ["positions"]}

    def report(self, simulation: Any, state: openmm.State) -> None:
        if self._indices is None:
            force = _find(ScoreForce, simulation.system, "MoleculeTrajectoryReporter")
            self._indices = numpy.array(
                [force.getMoleculeParameters(m)[0] for m in range(force.getNumMolecules())]
            )
        positions = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
        self._file.write(numpy.asarray(positions[self._indices] * self._factor, dtype=numpy.float32))

    def close(self) -> None:
        """Finish the file. It also happens when the reporter is deleted."""
        self._file.close()

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()
