"""Atoms with four different neighbours, found in the graph of elements and bonds."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING

import openmm

if TYPE_CHECKING:
    from openmm import app

#: Elements whose atoms with four neighbours are tetrahedral.
_TETRAHEDRAL = frozenset({"B", "C", "N", "Si", "P", "S", "Ge", "As", "Se"})


def findCentres(topology: app.Topology) -> Iterator[tuple[int, list[int]]]:
    """Yield each tetrahedral centre of a Topology and its four neighbours, by index."""
    symbols = [atom.element.symbol if atom.element is not None else "" for atom in topology.atoms()]
    bonds: list[set[int]] = [set() for _ in symbols]
    for first, second in topology.bonds():
        bonds[first.index].add(second.index)
        bonds[second.index].add(first.index)
    if len(symbols) > 1 and not any(bonds):
        raise openmm.OpenMMException(
            "Chirality: the Topology has no bonds, which tell centres from others; add them, for example "
            "with Topology.createStandardBonds()"
        )
    for centre, neighbours in enumerate(bonds):
        if len(neighbours) != 4 or symbols[centre] not in _TETRAHEDRAL:
            continue
        if not any(_alike(a, b, centre, symbols, bonds) for a, b in combinations(sorted(neighbours), 2)):
            yield centre, sorted(neighbours)


def _alike(a: int, b: int, centre: int, symbols: list[str], bonds: list[set[int]]) -> bool:
    """Whether the molecule looks the same from two neighbours of a centre."""
    if (symbols[a], len(bonds[a])) != (symbols[b], len(bonds[b])):
        return False
    if len(bonds[a]) == 1:
        return True
    branchA = _branch(a, centre, bonds)
    branchB = branchA if b in branchA else _branch(b, centre, bonds)
    if len(branchA) != len(branchB):
        return False
    colours = _refine(branchA | branchB, centre, symbols, bonds)
    return colours[a] == colours[b]


def _branch(start: int, centre: int, bonds: list[set[int]]) -> set[int]:
    """All atoms that can be reached from one without passing the centre."""
    found, todo = {start}, [start]
    while todo:
        for other in bonds[todo.pop()]:
            if other != centre and other not in found:
                found.add(other)
                todo.append(other)
    return found


def _refine(atoms: set[int], centre: int, symbols: list[str], bonds: list[set[int]]) -> dict[int, int]:
    """Colour atoms until equal colours mean equal surroundings (Weisfeiler and Leman, 1968)."""
    keys: dict[int, tuple] = {i: (symbols[i], len(bonds[i]), centre in bonds[i]) for i in atoms}
    count = 0
    while True:
        palette = {key: colour for colour, key in enumerate(sorted(set(keys.values())))}
        colours = {i: palette[key] for i, key in keys.items()}
        if len(palette) == count:
            return colours
        count = len(palette)
        keys = {i: (colours[i], tuple(sorted(colours[j] for j in bonds[i] if j != centre))) for i in atoms}
