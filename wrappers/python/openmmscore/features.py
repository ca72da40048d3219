"""The integers that a transferable network is told about its particles, from a molecule's sequence."""

from __future__ import annotations

from typing import Any

import numpy as np
import openmm
from numpy.typing import ArrayLike

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


def featureArray(description: dict[str, Any], features: ArrayLike | None, batch: int) -> np.ndarray:
    """Return features as a model takes them.

    Parameters
    ----------
    description : dict
        the model's
    features : int array, shape [N,k] or [batch,N,k], or without the last axis if k is 1
        None for a model that takes none

    Returns
    -------
    array of int32, shape [batch,N,k]; [0] for a model that takes none

    Raises
    ------
    openmm.OpenMMException
        if there are none but must be, or they have another shape or values that the model does not know
    """

    def fail(sentence: str) -> openmm.OpenMMException:
        return openmm.OpenMMException(f"Model {description['title']!r}: {sentence}")

    names, count = [feature["name"] for feature in description["features"]], description["count"]
    if not names:
        if features is not None and np.size(features):
            raise fail("it takes no features, but some were given")
        return np.zeros(0, dtype=np.int32)
    if features is None:
        raise fail(
            f"it must be told {', '.join(names)} of each of {count} particles; give features of "
            f"the shape [{count},{len(names)}]"
        )
    try:
        array = np.asarray(features)
    except ValueError:
        array = np.zeros(0)
    if array.dtype.kind not in "iu":
        raise fail(f"features must be integers, got {features!r:.60}")
    each = (count, len(names))
    if len(names) == 1 and array.shape in (each[:1], (batch, count)):
        array = array[..., np.newaxis]
    if array.shape not in (each, (batch, *each)):
        raise fail(
            f"features must have the shape {list(each)}, or {[batch, *each]} for one set each, got "
            f"{list(array.shape)}"
        )
    array = np.broadcast_to(array, (batch, *each))
    for k, feature in enumerate(description["features"]):
        bad = np.argwhere((array[..., k] < 0) | (array[..., k] >= feature["num_values"]))
        if len(bad):
            sample, particle = bad[0]
            raise fail(
                f"feature {feature['name']!r} of sample {sample}, particle {particle} is "
                f"{array[sample, particle, k]}, outside 0 ... {feature['num_values'] - 1}"
            )
    return np.ascontiguousarray(array, dtype=np.int32)


def renamedResidues(sequence: str, particles: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the particles with the residue names of a sequence."""
    places = sorted({particle["residue_index"] for particle in particles})
    return [
        {**particle, "residue": RESIDUES[sequence[places.index(particle["residue_index"])]]}
        for particle in particles
    ]


def _index(values: list[str], value: str) -> int | None:
    return values.index(value) if value in values else None
