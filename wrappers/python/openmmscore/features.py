"""The integers that a transferable network is told about its particles, from a molecule's sequence."""

from __future__ import annotations

from typing import Any

import numpy as np
import openmm

#: Three-letter codes by their letters, in the order of the feature "amino_acid".
RESIDUES = {
    "A": "ALA", "R": "ARG", "N": "ASN", "D": "ASP", "C": "CYS", "Q": "GLN", "G": "GLY", "E": "GLU",
    "H": "HIS", "I": "ILE", "L": "LEU", "K": "LYS", "M": "MET", "F": "PHE", "P": "PRO", "S": "SER",
    "T": "THR", "W": "TRP", "Y": "TYR", "V": "VAL",
}  # fmt: skip
_ATOMS = ["N", "CA", "CB", "C", "O"]
_ELEMENTS = ["C", "N", "O"]
#: What each feature that is known here counts, and how many values it has.
_NUM_VALUES = {"amino_acid": 20, "atom": 5, "element": 3, "residue": None}


def sequenceFeatures(
    sequence: str, particles: list[dict[str, Any]], features: list[dict[str, Any]]
) -> np.ndarray:
    """Return the features of a peptide's particles.

    Known are the four features of ScoreMD's dipeptides: ``amino_acid`` (of the particle's residue, alphabetic
    by names: ALA 0, ARG 1, ASN 2, ASP 3, CYS 4, GLN 5, GLY 6, GLU 7, ... VAL 19), ``atom`` (N, CA, CB, C, O),
    ``element`` (C, N, O) and ``residue`` (its place in the sequence).

    Parameters
    ----------
    sequence : str
        one letter for each residue of the particles
    particles, features : list of dict
        as in a model's description

    Returns
    -------
    array of int32, shape [particles, features]

    Raises
    ------
    openmm.OpenMMException
        if the sequence does not fit the particles, or a feature is not one of those
    """

    def fail(sentence: str) -> openmm.OpenMMException:
        return openmm.OpenMMException(f"sequence {sequence!r}: {sentence}")

    if not isinstance(sequence, str) or not sequence or not set(sequence) <= set(RESIDUES):
        raise fail(f"it must consist of the letters {''.join(RESIDUES)}")
    places = sorted({particle["residue_index"] for particle in particles})
    if len(places) != len(sequence):
        raise fail(f"it has {len(sequence)} residues, the particles are of {len(places)}")
    letters = list(RESIDUES)
    rows = []
    for i, particle in enumerate(particles):
        place = places.index(particle["residue_index"])
        of = {
            "amino_acid": letters.index(sequence[place]),
            "atom": _index(_ATOMS, particle["name"]),
            "element": _index(_ELEMENTS, particle.get("element", "")),
            "residue": place,
        }
        for feature in features:
            name, count = feature["name"], feature["num_values"]
            if name not in of or _NUM_VALUES[name] not in (None, count):
                raise fail(
                    f"the feature {name!r} with {count} values is none that follows from a sequence "
                    "(amino_acid 20, atom 5, element 3, residue); give the features themselves"
                )
            if of[name] is None or of[name] >= count:
                raise fail(f"particle {i}, {particle['name']!r}, has no value of the feature {name!r}")
        rows.append([of[feature["name"]] for feature in features])
    return np.array(rows, dtype=np.int32).reshape(len(particles), len(features))


def renamedResidues(sequence: str, particles: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the particles with the residue names of a sequence."""
    places = sorted({particle["residue_index"] for particle in particles})
    return [
        {**particle, "residue": RESIDUES[sequence[places.index(particle["residue_index"])]]}
        for particle in particles
    ]


def _index(values: list[str], value: str) -> int | None:
    return values.index(value) if value in values else None
