"""The systems of the two programs' publications: what neither program stores beside its weights.

Sources: the data classes of ScoreMD (temperatures, masses) and of Two-for-One (standard deviations of the
training coordinates, temperatures, noise levels used for dynamics).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from ..features import RESIDUES
from .errors import ConversionError

_CARBON, _NITROGEN, _OXYGEN = 12.01078, 14.00672, 15.99943
_MASSES = {"C": _CARBON, "N": _NITROGEN, "O": _OXYGEN}
#: Villin's variant has norleucines.
_RESIDUES = {**RESIDUES, "X": "NLE"}


@dataclass(frozen=True)
class System:
    """What a published system is made of."""

    title: str
    #: K, of the training data.
    temperature: float
    particles: list[dict[str, Any]]
    bonds: list[list[int]] = field(default_factory=list)
    #: nm, or None where the publication does not tell.
    lengthScale: float | None = None
    #: Two-for-One's level for dynamics.
    noiseLevel: int | None = None


def _particle(
    name: str, residue: str = "", residueIndex: int = 0, mass: float | None = None
) -> dict[str, Any]:
    element = name[0]
    return {
        "name": name,
        "element": element,
        "mass": _MASSES[element] if mass is None else mass,
        "residue": residue,
        "residue_index": residueIndex,
    }


def _chain(count: int) -> list[list[int]]:
    return [[i, i + 1] for i in range(count - 1)]


def _protein(sequence: str, mass: float | None = None) -> list[dict[str, Any]]:
    return [_particle("CA", _RESIDUES[letter], i, mass) for i, letter in enumerate(sequence, 1)]


def _alanine(mass: float | None = None) -> list[dict[str, Any]]:
    names, residues = ("C", "N", "CA", "C", "N"), ("ACE", "ALA", "ALA", "ALA", "NME")
    indices = (1, 2, 2, 2, 3)
    return [_particle(*each, mass) for each in zip(names, residues, indices, strict=True)]


def _dipeptide() -> list[dict[str, Any]]:
    names = ("N", "CA", "CB", "C", "O")
    return [_particle(name, "RES", index) for index in (1, 2) for name in names]


def _caSystem(title: str, temperature: float, sequence: str) -> System:
    return System(title, temperature, _protein(sequence), _chain(len(sequence)))


_CHIGNOLIN = "YYDPETGTWY"
_TRP_CAGE = "DAYAQWLADGGPSSGRPPPS"
_BBA = "EQYTAKYKGRTFRNEKELRDFIEKFKGR"
_VILLIN = "LSDEDFKAVFGMTRSAFANLPLWXQQHLXKEKGLF"
_PROTEIN_G = "DTYKLVIVLNGTTFTYTTEAVDAATAEKVFKQYANDAGVDGEWTYDAATKTFTVTE"

SCOREMD = {
    "aldp": System("alanine dipeptide, 5 beads", 300.0, _alanine(), _chain(5)),
    "dipeptide": System(
        "dipeptides, 10 beads",
        310.0,
        _dipeptide(),
        [[0, 1], [1, 2], [1, 3], [3, 4], [3, 5], [5, 6], [6, 7], [6, 8], [8, 9]],
    ),
    "chignolin": _caSystem("chignolin", 340.0, _CHIGNOLIN),
    "trp_cage": _caSystem("Trp-cage", 290.0, _TRP_CAGE),
    "bba": _caSystem("BBA", 325.0, _BBA),
}


def _published(
    title: str, temperature: float, angstroms: float, noiseLevel: int, sequence: str | None
) -> System:
    if sequence is None:
        particles = _alanine(12.8)
    else:
        particles = _protein(sequence, 12.0)
    return System(title, temperature, particles, _chain(len(particles)), angstroms / 10, noiseLevel)


_ALANINE = _published("alanine dipeptide, fold 1", 300.0, 0.9449278712272644, 8, None)
TWO_FOR_ONE = {
    "alanine": _ALANINE,
    "alanine_fold2": replace(_ALANINE, title="alanine dipeptide, fold 2", lengthScale=0.0944965124130249),
    "alanine_fold3": replace(_ALANINE, title="alanine dipeptide, fold 3", lengthScale=0.09452606439590454),
    "alanine_fold4": replace(_ALANINE, title="alanine dipeptide, fold 4", lengthScale=0.09454087018966675),
    "chignolin": _published("chignolin", 340.0, 3.113133430480957, 20, _CHIGNOLIN),
    "trp_cage": _published("Trp-cage", 290.0, 5.08211088180542, 15, _TRP_CAGE),
    "bba": _published("BBA", 325.0, 6.294918537139893, 5, _BBA),
    "villin": _published("villin", 360.0, 6.082900047302246, 5, _VILLIN),
    "protein_g": _published("protein G", 350.0, 6.354289531707764, 5, _PROTEIN_G),
}  # fmt: skip


def find(systems: dict[str, System], name: str | None, count: int | None) -> System | None:
    """Look a system up and check its size.

    Parameters
    ----------
    systems : dict
        SCOREMD or TWO_FOR_ONE
    name : str, optional
        its name; None gives None
    count : int, optional
        how many particles the weights are for
    """
    if name is None:
        return None
    if name not in systems:
        raise ConversionError(f"system {name!r:.60} is unknown, expected one of {', '.join(systems)}")
    system = systems[name]
    if count is not None and count != len(system.particles):
        raise ConversionError(
            f"system {name!r} has {len(system.particles)} particles, but the weights are for {count}"
        )
    return system
