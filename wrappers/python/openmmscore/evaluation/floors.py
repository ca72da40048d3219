"""A distance between samples and a reference, beside what finite numbers of samples do by themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

Measure = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Measured:
    """A distance of `count` samples from as many of the reference."""

    count: int
    value: float
    #: What two sets of that many independent samples of the reference would be apart.
    floor: float
    #: Whether the reference was too small for two such sets, so the floor follows from smaller ones.
    extrapolated: bool
    #: The same at half of the reference (or all samples if fewer), where the floor needs no extrapolation.
    halfCount: int
    halfValue: float
    halfFloor: float

    def asDict(self) -> dict[str, float | int | bool]:
        """The fields by their names in JSON: count, value, floor, extrapolated, half_count, ..."""
        return {name.replace("half", "half_").lower(): value for name, value in asdict(self).items()}


def measure(
    distance: Measure, samples: np.ndarray, reference: np.ndarray, seed: int = 0, splits: int = 3
) -> Measured:
    """Measure a distance at equal counts, with its floor.

    The count is that of the smaller set; the larger one is drawn from at random. Where twice as many frames
    are not in the reference, the floor is extrapolated along the power of the count that it follows between
    a quarter and a half of the reference.

    Arguments
    ---------
    distance : function of samples and reference
    samples, reference : array, first axis samples
    seed : int
        of random choices
    splits : int
        how many random splits of the reference each floor is averaged over
    """
    if len(samples) < 4 or len(reference) < 8:
        raise ValueError(f"cannot compare {len(samples)} samples with {len(reference)} of the reference")
    random = np.random.default_rng(seed)
    count, half = min(len(samples), len(reference)), min(len(samples), len(reference) // 2)

    def draw(values: np.ndarray, n: int) -> np.ndarray:
        return values if n == len(values) else values[random.choice(len(values), n, replace=False)]

    def floorAt(n: int) -> float:
        found = []
        for _ in range(splits):
            order = random.choice(len(reference), 2 * n, replace=False)
            found.append(distance(reference[order[:n]], reference[order[n:]]))
        return float(np.mean(found))

    value = distance(draw(samples, count), draw(reference, count))
    halfFloor = floorAt(half)
    extrapolated = count > half
    floor = halfFloor
    if extrapolated:
        quarterFloor = floorAt(max(2, half // 2))
        power = np.log2(quarterFloor / halfFloor) if halfFloor > 0 and quarterFloor > halfFloor else 0.0
        floor = halfFloor * (half / count) ** power
    halfValue = float(np.mean([distance(draw(samples, half), draw(reference, half)) for _ in range(splits)]))
    return Measured(count, float(value), float(floor), bool(extrapolated), half, halfValue, halfFloor)
