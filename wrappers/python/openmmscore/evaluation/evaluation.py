"""The evaluation of a model: sample it, simulate it, compare both with a reference."""

from __future__ import annotations

import json
import math
import os
import time as clock
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from numpy.typing import ArrayLike

from ..diffusion import DiffusionSampler
from ..model import Model
from .consistency import consistency
from .measures import compare
from .reference import checkFrames, doubtUnit
from .simulate import Trajectory, simulate
from .systems import Protocol, SystemKind, describeSystem


@dataclass(frozen=True)
class Options:
    """What to do; None means as in the publications on the system (docs/evaluation.md)."""

    #: Whether to draw independent samples and to simulate.
    iid: bool = True
    simulation: bool = True
    #: Independent samples (None: as many as the reference has frames), and the sampler's steps and method.
    samples: int | None = None
    steps: int = 1000
    method: str | None = None
    #: Of the simulation; scale multiplies the frames.
    molecules: int | None = None
    frames: int | None = None
    stepsPerFrame: int | None = None
    timeStep: float | None = None
    friction: float | None = None
    scheme: str | None = None
    scale: float = 1.0
    #: Diffusion time at which the model serves as a potential.
    time: float | None = None
    #: Samples for the consistency (None: 2000 for vector models, none for molecules).
    consistency: int | None = None
    torsions: Sequence[Sequence[int]] | None = None
    ticaLag: int = 10
    features: ArrayLike | None = None
    seed: int = 1
    platform: str | None = None
    threads: int | None = None
    progress: bool = False

    def protocol(self, published: Protocol) -> Protocol:
        """The publications' protocol with what was given instead."""
        names = ("molecules", "frames", "stepsPerFrame", "timeStep", "friction", "scheme")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        result = replace(published, **given)
        if not 0 < self.scale < math.inf:
            raise ValueError(f"the scale must be a positive number, got {self.scale}")
        if result.frames < 1:
            raise ValueError(f"a simulation needs at least 1 of frames, got {result.frames}")
        if not 0 < result.timeStep < math.inf:
            raise ValueError(f"the time step must be a positive number of ps, got {result.timeStep}")
        return replace(result, frames=max(1, round(result.frames * self.scale)))


@dataclass
class Evaluation:
    """What evaluate() found."""

    model: Model
    kind: SystemKind
    #: Everything that goes into evaluation.json.
    results: dict[str, Any]
    #: Configurations, [n,N,3] in nm or [n,d]; samples: 'iid' and 'simulation', as far as there are.
    reference: np.ndarray
    samples: dict[str, np.ndarray] = field(default_factory=dict)

    def table(self) -> str:
        """The numbers for people, in lines of text."""
        from .report import table

        return table(self.results)

    def relateTo(self, other: dict[str, Any]) -> None:
        """Add each bond's distance over that of another evaluation, given as its evaluation.json."""
        for source in self.samples:
            bonds = other.get("comparison", {}).get(source, {}).get("bonds", [])
            theirs = {tuple(bond["particles"]): bond["value"] for bond in bonds}
            for bond in self.results["comparison"][source]["bonds"]:
                if theirs.get(tuple(bond["particles"]), 0) > 0:
                    bond["relative"] = bond["value"] / theirs[tuple(bond["particles"])]

    def write(self, directory: str | os.PathLike[str], samples: bool = False) -> list[Path]:
        """Write evaluation.json, table.txt and pictures into a folder; return their paths.

        Parameters
        ----------
        directory : str or os.PathLike
            made if it is not there; files of the same names are replaced
        samples : bool
            whether to save the configurations, too: iid.npy and simulation.npy, float32
        """
        from .pictures import drawAll

        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        paths = [directory / "evaluation.json", directory / "table.txt"]
        paths[0].write_text(json.dumps(self.results, indent=2) + "\n")
        paths[1].write_text(self.table() + "\n")
        for name, values in self.samples.items() if samples else ():
            paths.append(directory / f"{name}.npy")
            np.save(paths[-1], np.asarray(values, dtype=np.float32))
        return paths + drawAll(self, directory)


def evaluate(
    model: Model | str | os.PathLike[str], reference: np.ndarray, options: Options | None = None
) -> Evaluation:
    """Sample and simulate a model and compare both with a reference.

    Parameters
    ----------
    model : Model, str or os.PathLike
    reference : array, shape [frames,N,3] in nm, or [frames,d] for a vector model
        independent of each other at best, and not so few: the floor of every number depends on them
    options : Options, optional

    Raises
    ------
    ValueError, openmm.OpenMMException
        if the reference does not fit the model, or nothing could be sampled
    """
    options = options or Options()
    for name, least in (("samples", 1), ("consistency", 0), ("ticaLag", 1)):
        number = getattr(options, name)
        if number is not None and number < least:
            raise ValueError(f"{name} must be an integer of at least {least}, got {number}")
    if not 0 <= options.seed < 2**31:
        raise ValueError(f"the seed must be an integer from 0 to {2**31 - 1}, got {options.seed}")
    model = model if isinstance(model, Model) else Model(model)
    reference = checkFrames(model, reference)
    kind = describeSystem(model, reference, options.torsions, options.ticaLag)
    results: dict[str, Any] = {
        "model": {"title": model.title, "path": model.path, "sha256": model.sha256},
        "system": kind.name,
        "reference_frames": len(reference),
        "diffusion_time": model.defaultDiffusionTime if options.time is None else options.time,
        "seed": options.seed,
        "comparison": {},
        "notes": [],
    }
    evaluation = Evaluation(model, kind, results, reference)
    if options.iid:
        _sample(evaluation, options)
    if options.simulation:
        _simulate(evaluation, options)
    if not evaluation.samples:
        reason = f": {results['notes'][0]}" if results["notes"] else "; it was told to do neither"
        raise ValueError(f"the model was neither sampled nor simulated{reason}")
    if doubt := doubtUnit(model, reference):
        results["notes"].append(doubt)
    for source, samples in evaluation.samples.items():
        results["comparison"][source] = compare(kind, samples, reference, options.seed)
    _reweight(evaluation, options)
    return evaluation


def _sample(evaluation: Evaluation, options: Options) -> None:
    model, results = evaluation.model, evaluation.results
    try:
        sampler = DiffusionSampler(model, options.steps, options.method, options.features, options.threads)
    except openmm.OpenMMException as error:
        if "can be simulated, not sampled" not in str(error):
            raise
        results["notes"].append(str(error))
        return
    count = len(evaluation.reference) if options.samples is None else options.samples
    begin = clock.perf_counter()
    found = sampler.sample(count, options.seed, progress=options.progress)
    positions = found.positions._value
    if model.space == "vector":
        positions = positions.reshape(len(positions), -1)[:, : model.numCoordinates]
    far = (np.abs(positions) > evaluation.kind.largestCoordinate).reshape(len(positions), -1).any(axis=1)
    results["iid"] = {
        "samples": count,
        "method": sampler.method,
        "steps": options.steps,
        "not_finite": found.dropped,
        "too_far": int(far.sum()),
        "seconds": round(clock.perf_counter() - begin, 2),
    }
    if found.dropped or far.any():
        results["notes"].append(
            f"of {count:,} independent samples {found.dropped:,} were not finite and {int(far.sum()):,} "
            f"farther out than {evaluation.kind.largestCoordinate:g}; they do not count"
        )
    if len(positions) - far.sum() < 4:
        results["notes"].append("hardly any independent sample is left, so none was compared")
        return
    evaluation.samples["iid"] = positions[~far]


def _simulate(evaluation: Evaluation, options: Options) -> None:
    model, results, kind = evaluation.model, evaluation.results, evaluation.kind
    protocol = options.protocol(kind.protocol)
    begin = clock.perf_counter()
    trajectory = simulate(
        model,
        kind,
        protocol,
        evaluation.reference,
        options.time,
        options.features,
        options.seed,
        options.platform,
        options.progress,
    )
    results["simulation"] = {
        **{_snake(name): value for name, value in asdict(protocol).items()},
        "nanoseconds_per_molecule": protocol.nanoseconds,
        "published": asdict(kind.protocol) == asdict(protocol),
        "kept_every": trajectory.keptEvery,
        "failed_molecules": {str(m): frame for m, frame in sorted(trajectory.failed.items())},
        "ended": trajectory.ended,
        "seconds": round(clock.perf_counter() - begin, 2),
    }
    _noteSimulation(results["notes"], trajectory, protocol)
    if len(trajectory.samples) < 4:
        results["notes"].append("the simulation has hardly a frame, so none was compared")
        return
    evaluation.samples["simulation"] = trajectory.samples


def _noteSimulation(notes: list[str], trajectory: Trajectory, protocol: Protocol) -> None:
    if trajectory.ended:
        notes.append(f"the simulation was {trajectory.ended}")
    if trajectory.failed:
        notes.append(
            f"{len(trajectory.failed)} of {protocol.molecules} molecules ran into numbers that are not "
            "finite and are left out whole"
        )


def _reweight(evaluation: Evaluation, options: Options) -> None:
    model = evaluation.model
    count = options.consistency
    if count is None:
        possible = (
            model.description["schedule"]["kind"] == "variance-preserving" and "iid" in evaluation.samples
        )
        count = 2000 if possible and model.space == "vector" and model.hasEnergy(options.time) else 0
    if count > 0:
        evaluation.results["consistency"] = consistency(
            model,
            count,
            options.time,
            options.features,
            options.seed,
            options.threads,
            progress=options.progress,
        )


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
