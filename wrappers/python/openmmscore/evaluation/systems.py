"""What is measured on which kind of system, and how the publications simulated it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..analysis import dihedrals
from ..analysis.metrics import TORSIONS, Limits
from ..model import Model


@dataclass(frozen=True)
class Protocol:
    """Langevin dynamics of some independent copies."""

    molecules: int = 100
    #: Saved, of each molecule.
    frames: int = 10_000
    stepsPerFrame: int = 50
    #: ps
    timeStep: float = 0.002
    #: 1/ps
    friction: float = 1.0
    #: 'legacy', 'middle' or 'metropolized'
    scheme: str = "legacy"

    @property
    def nanoseconds(self) -> float:
        """How long each molecule runs."""
        return self.frames * self.stepsPerFrame * self.timeStep / 1000


@dataclass(frozen=True)
class SystemKind:
    """Two collective variables of a system, how they are histogrammed, and how it is simulated."""

    name: str
    #: Names of the two variables, for people.
    variables: tuple[str, str]
    #: Frames [n,N,3] or [n,d] -> variables [n,2].
    project: Callable[[np.ndarray], np.ndarray]
    protocol: Protocol
    bonds: list[tuple[int, int]] = field(default_factory=list)
    #: Angles in radians, drawn over a full turn.
    periodic: bool = False
    jsBins: int = 64
    #: None: from the smallest to the largest value in both sets together.
    jsLimits: Limits | None = None
    pmfBins: int = 64
    pmfLimits: Limits = TORSIONS
    #: Whether distances of all pairs are compared, too.
    pairDistances: bool = False
    #: Vector models: published evaluations drop samples beyond this.
    largestCoordinate: float = np.inf
    #: Where molecules start: frames of the reference -> candidates; None: at random.
    starts: Callable[[np.ndarray], np.ndarray] | None = None
    #: Which frames make up the first of two groups, for the energy along diffusion time.
    inGroup: Callable[[np.ndarray], np.ndarray] | None = None
    groups: tuple[str, str] = ("", "")


_TEMPERATURE_MUELLER_BROWN = 2766.264  # K, where kT = 23 kJ/mol
_LIMITS_MUELLER_BROWN: Limits = ((-1.8, 1.1), (-0.5, 2.0))
_START_MUELLER_BROWN = np.array([-0.55828035, 1.44169])


def describeSystem(
    model: Model, reference: np.ndarray, torsions: Sequence[Sequence[int]] | None = None, ticaLag: int = 10
) -> SystemKind:
    """Choose collective variables and a protocol by what the model describes.

    Parameters
    ----------
    model : Model
    reference : array, shape [frames,N,3] or [frames,d]
        limits and, for proteins, slow coordinates are taken from it
    torsions : two sequences of four particles, optional
        take these two dihedral angles as variables
    ticaLag : int
        proteins: lag time of TICA in frames of the reference

    Raises
    ------
    ValueError
        if there is no rule for the system
    """
    if model.space == "vector":
        return _vectorSystem(model, reference)
    names = [particle["name"] for particle in model.description["particles"]]
    bonds = [tuple(bond) for bond in model.description["bonds"]]
    if torsions is not None:
        return _torsionSystem("molecule", torsions, bonds, Protocol())
    if model.numParticles == 5:
        kind = _torsionSystem(
            "five-bead dipeptide", [(0, 1, 2, 3), (1, 2, 3, 4)], bonds, Protocol(100, 120_000)
        )
        return replace(kind, starts=_dipeptideStarts(kind.project))
    if model.numParticles == 10 and names != ["CA"] * 10:
        protocol = Protocol(10, 120_000, 50, 5e-4)
        return _torsionSystem("ten-bead dipeptide", [(3, 5, 6, 8), (0, 1, 3, 5)], bonds, protocol)
    if names and set(names) == {"CA"}:
        return _proteinSystem(model, reference, bonds, ticaLag)
    raise ValueError(
        f"the model {model.title!r} has {model.numParticles} particles and is none of the systems "
        "whose torsions are known (dipeptides of five and ten beads, chains of CA); name two torsions"
    )


def _vectorSystem(model: Model, reference: np.ndarray) -> SystemKind:
    temperature = model.description["temperature"]
    if model.numCoordinates == 2 and abs(temperature / _TEMPERATURE_MUELLER_BROWN - 1) < 1e-3:
        return SystemKind(
            name="Mueller-Brown",
            variables=("x", "y"),
            project=lambda z: z,
            protocol=Protocol(1, 100_000, 50, 5e-3),
            jsBins=100,
            pmfLimits=_LIMITS_MUELLER_BROWN,
            largestCoordinate=20.0,
            starts=lambda _: _START_MUELLER_BROWN[np.newaxis],
            inGroup=lambda v: v[:, 1] > 0.75,
            groups=("y > 0.75", "y < 0.75"),
        )
    lone = model.numCoordinates == 1
    limits = [[low, high] for low, high in zip(reference.min(axis=0), reference.max(axis=0), strict=True)]
    middle = float(np.median(reference[:, 0]))
    return SystemKind(
        name=f"vector of {model.numCoordinates}",
        variables=("x0", "" if lone else "x1"),
        project=(lambda z: np.column_stack([z[:, 0], np.zeros(len(z))])) if lone else (lambda z: z[:, :2]),
        protocol=Protocol(100, 1000, 50, 5e-3),
        pmfLimits=(limits + [[-1.0, 1.0]])[:2],
        inGroup=lambda v: v[:, 0] > middle,
        groups=(f"x0 > {middle:.2g}", f"x0 < {middle:.2g}"),
    )


def _torsionSystem(
    name: str, torsions: Sequence[Sequence[int]], bonds: list[tuple[int, int]], protocol: Protocol
) -> SystemKind:
    if len(torsions) != 2 or any(len(torsion) != 4 for torsion in torsions):
        raise ValueError(f"expected two torsions of four particles each, got {torsions!r:.80}")
    for torsion in torsions:
        if len(set(torsion)) < 4:
            raise ValueError(f"a torsion is of four different particles, got {list(torsion)}")
    return SystemKind(
        name=name,
        variables=("φ", "ψ") if "dipeptide" in name else ("torsion 1", "torsion 2"),
        project=lambda x: dihedrals(x, torsions),
        protocol=protocol,
        bonds=bonds,
        periodic=True,
        inGroup=lambda v: (v[:, 0] > 0) & (v[:, 0] < 2.2),
        groups=("0 < φ < 2.2" if "dipeptide" in name else "0 < torsion 1 < 2.2", "elsewhere"),
    )


def _dipeptideStarts(project: Callable) -> Callable[[np.ndarray], np.ndarray]:
    """One molecule starts in the rare basin, the others like the data, as published."""

    def choose(shuffled: np.ndarray) -> np.ndarray:
        phi, psi = project(shuffled).T
        rare = np.flatnonzero((phi > 0) & (phi < 2) & (psi > -2) & (psi < 2))[:1]
        return np.concatenate([shuffled[rare], np.delete(shuffled, rare, axis=0)])

    return choose


def _proteinSystem(
    model: Model, reference: np.ndarray, bonds: list[tuple[int, int]], ticaLag: int
) -> SystemKind:
    from .tica import fitTica

    project = fitTica(reference, ticaLag)
    low, high = project(reference).min(axis=0), project(reference).max(axis=0)
    margin = 0.05 * (high - low)
    limits = [[a, b] for a, b in zip(low - margin, high + margin, strict=True)]
    middle = float(np.median(project(reference)[:, 0]))
    return SystemKind(
        name="chain of CA",
        variables=("TIC 1", "TIC 2"),
        project=project,
        protocol=Protocol(100, 100_000, 10, 2e-3),
        bonds=bonds or [(i, i + 1) for i in range(model.numParticles - 1)],
        jsBins=100,
        jsLimits=limits,
        pmfBins=100,
        pmfLimits=limits,
        pairDistances=True,
        inGroup=lambda v: v[:, 0] > middle,
        groups=("TIC 1 above its median", "below"),
    )
