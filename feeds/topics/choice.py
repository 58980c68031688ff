"""From scores to shares, and from shares to topics. Pure.

In: a score for each topic, in log-odds. Out: shares that sum to 1; the topics chosen; whether the
choice is uncertain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

_STEPS = 256  # a score is read to this part of a log-odd: 0.4 % of a share
_LEAST = 16  # log-odds below the best at which a share stays
_STEP = 0.99610136947011747  # exp(-1 / 256)

MOST_SECONDARY = 2
"""Most secondary topics of an article."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is fitted on sources left out of training.

    A topic after the first is secondary when its share is at least `least`; to ask for a share of the
    best, too, gained nothing. An article is uncertain when the shares of best and second best are less
    than `margin` apart.
    """

    least: float
    margin: float


@cache
def _powers() -> tuple[float, ...]:
    # Products, since math.exp may differ in its last bit from one C library to the next.
    powers = [1.0]
    for _ in range(_LEAST * _STEPS):
        powers.append(powers[-1] * _STEP)
    return tuple(powers)


def softmax(scores: Sequence[float]) -> list[float]:
    """Return shares in proportion to the exponents of `scores`; they sum to 1."""
    powers, best = _powers(), max(scores)
    parts = [powers[min(int((best - score) * _STEPS), _LEAST * _STEPS)] for score in scores]
    total = sum(parts)
    return [part / total for part in parts]


def ranked(scores: Sequence[float]) -> list[int]:
    """Return the indexes of `scores`, the highest score first, ties in their order."""
    return sorted(range(len(scores)), key=lambda index: (-scores[index], index))


def chosen(shares: Sequence[float], order: Sequence[int], limits: Limits) -> list[int]:
    """Return the indexes of the topics of an article: the primary, then those that earned it."""
    later = order[1 : MOST_SECONDARY + 1]
    return [order[0], *(index for index in later if shares[index] >= limits.least)]


def uncertain(shares: Sequence[float], order: Sequence[int], limits: Limits) -> bool:
    """Whether best and second best are too close to call."""
    return shares[order[0]] - shares[order[1]] < limits.margin
