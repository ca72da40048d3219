"""Medians and spreads of samples, as numbers and as text."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def spread(values: Sequence[float]) -> dict:
    """Return median, least and greatest value, and how many there are."""
    return {
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
        "samples": len(values),
    }


def ratio(first: Sequence[float], second: Sequence[float]) -> dict:
    """Return the spread of the ratio of two samples that were taken in the same rounds."""
    return spread([a / b for a, b in zip(first, second, strict=True)])


def text(value: dict | None, digits: int = 3) -> str:
    """Return median (least to greatest), or a dash."""
    if value is None:
        return "-"
    return (
        f"{number(value['median'], digits)} ({number(value['min'], digits)}..{number(value['max'], digits)})"
    )


def number(value: float, digits: int = 3) -> str:
    """Return a number with so many significant digits, thousands apart."""
    if value >= 10 ** (digits - 1):
        return f"{round(value, digits - len(str(int(value)))):,.0f}".replace(",", " ")
    return f"{value:.{digits}g}"
