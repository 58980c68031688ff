"""The learned table: a row of weights for each feature that training knew. Pure.

In: the features of an article, counted by hash. Out: a score a topic, and what each feature adds.

A row is found by its 32-bit hash, so that no vocabulary is shipped and a word that training never saw
says nothing. Values and weights are whole numbers, summed as such and scaled once at the end: the
scores are equal on any processor. A text is scaled to unit length (Euclidean), a feature by its
inverse document frequency and the root of its count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ROOTS = np.array([round(8 * math.sqrt(count)) for count in range(17)], dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Rows by ascending hash: `rarity` is the inverse document frequency in sixteenths.

    A weight times the `scale` of its topic is in log-odds.
    """

    keys: NDArray[np.uint32]
    rarity: NDArray[np.uint8]
    weights: NDArray[np.int8]
    scale: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """The features of one text that the table knows: their rows, their values, and its length."""

    rows: NDArray[np.int64]
    values: NDArray[np.int64]
    length: float


def look_up(table: Table, counts: Mapping[int, int]) -> Values:
    """Return the values of a text's features; a count above 16 counts as 16."""
    asked = np.fromiter(counts.keys(), dtype=np.uint32, count=len(counts))
    found = np.searchsorted(table.keys, asked)
    known = found < len(table.keys)
    known[known] = table.keys[found[known]] == asked[known]
    rows = found[known]
    occurring = np.fromiter(counts.values(), dtype=np.int64, count=len(counts))[known]
    values = table.rarity[rows] * _ROOTS[np.minimum(occurring, len(_ROOTS) - 1)]
    return Values(rows, values, math.sqrt(int(values @ values)))


def scores(table: Table, found: Values) -> list[float]:
    """Return a score for each topic, in log-odds; zeros when nothing is known."""
    if not found.length:
        return [0.0] * len(table.scale)
    total = found.values @ table.weights[found.rows].astype(np.int64)
    return [
        int(whole) * scale / found.length
        for whole, scale in zip(total, table.scale.tolist(), strict=True)
    ]


def shares(table: Table, found: Values) -> dict[int, list[float]]:
    """Return what each feature, by hash, adds to each topic's score."""
    if not found.length:
        return {}
    each = found.values[:, None] * table.weights[found.rows].astype(np.int64)
    parts = each * table.scale / found.length
    return dict(zip(table.keys[found.rows].tolist(), parts.tolist(), strict=True))
