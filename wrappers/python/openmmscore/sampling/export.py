"""Weighted samples as trajectories of other programs. Imported when asked for, for MDTraj takes a second."""

from __future__ import annotations

import csv
import os
from typing import TYPE_CHECKING, Any

import mdtraj
import numpy as np
import openmm

if TYPE_CHECKING:
    from .samples import WeightedSamples

# DCD and Amber's NetCDF files are in Angstrom, XTC files in nm.
_UNITS_PER_NM = {".dcd": 10.0, ".nc": 10.0, ".xtc": 1.0}
_CHUNK = 4096


def mdtrajTopology(topology: Any, numParticles: int) -> mdtraj.Topology:
    """Return an OpenMM or MDTraj topology as MDTraj's, checked to have as many atoms as the samples."""
    if isinstance(topology, openmm.app.Topology):
        topology = mdtraj.Topology.from_openmm(topology)
    if not isinstance(topology, mdtraj.Topology):
        raise openmm.OpenMMException(
            f"WeightedSamples: the topology must be OpenMM's or MDTraj's, got a {type(topology).__name__}"
        )
    if topology.n_atoms != numParticles:
        raise openmm.OpenMMException(
            f"WeightedSamples: the topology has {topology.n_atoms} atoms, the samples have {numParticles} "
            "particles"
        )
    return topology


def toMDTraj(samples: WeightedSamples, topology: Any) -> mdtraj.Trajectory:
    """See WeightedSamples.toMDTraj()."""
    topology = mdtrajTopology(topology, samples.positions.shape[1])
    return mdtraj.Trajectory(np.asarray(samples.positions[samples.weighted], np.float32), topology)


def saveTrajectory(samples: WeightedSamples, path: str, topology: Any) -> None:
    """See WeightedSamples.saveTrajectory()."""
    stem, extension = os.path.splitext(path)
    if extension not in _UNITS_PER_NM:
        raise openmm.OpenMMException(f"WeightedSamples: {path!r} should end in .dcd, .xtc or .nc")
    topology = mdtrajTopology(topology, samples.positions.shape[1])
    used = samples.weighted
    if not len(used):
        raise openmm.OpenMMException("WeightedSamples: no sample has a weight, so there is no trajectory")
    try:
        first = np.asarray(samples.positions[used[:1]], np.float32)
        mdtraj.Trajectory(first, topology).save_pdb(f"{stem}.pdb")
        with mdtraj.open(path, "w", force_overwrite=True) as file:
            for begin in range(0, len(used), _CHUNK):
                positions = np.asarray(samples.positions[used[begin : begin + _CHUNK]], np.float64)
                file.write(np.asarray(positions * _UNITS_PER_NM[extension], np.float32))
        _writeWeights(samples, used, f"{stem}.weights.csv")
    except OSError as error:
        raise openmm.OpenMMException(f"WeightedSamples: cannot write {path!r}: {error}") from None


def _writeWeights(samples: WeightedSamples, used: np.ndarray, path: str) -> None:
    columns = (
        samples.weights.normalized,
        samples.logWeight,
        samples.reducedEnergy,
        samples.logDensity,
    )
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sample", "weight", "log_weight", "reduced_energy", "log_density"])
        for index in used:
            writer.writerow([int(index), *(repr(float(column[index])) for column in columns)])
