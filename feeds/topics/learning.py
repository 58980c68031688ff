"""Learning a table, and fitting how the parts add up. Pure and seeded: the same in, the same out.

In: texts as counted features, with the topics that people gave them. Out: a table; the weights of the
parts; the limits of the choice. Multinomial logistic regression by stochastic gradient descent, with
weight decay and a step that falls to zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feeds.topics.choice import MOST_SECONDARY, Limits
from feeds.topics.lexicon import TOPICS
from feeds.topics.table import Table, Values, look_up

Floats = NDArray[np.float64]
Labels = Sequence[tuple[int, ...]]  # a text's topics by index, the primary first

_SECONDARY = 0.4  # what a secondary topic counts beside a primary one
_SEEN = 3  # fewest texts that a feature must occur in
_COMMON = 0.1  # a feature in more than this share of texts tells nothing
_TRUSTED = 0.9  # of the articles that are not uncertain, this many stand on a right topic
_EPOCHS, _RATE, _DECAY, _SEED = 8, 8.0, 1e-5, 13


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """The parts' scores of texts whose source was left out of training, n x 17, and their labels.

    `weight` is a text's weight: sources count alike, however many texts they have.
    """

    lexicon: Floats
    table: Floats
    labels: Labels
    weight: Floats


def learn(texts: Sequence[Mapping[int, int]], labels: Labels, weight: Floats, most: int) -> Table:
    """Return a table of at most `most` rows, the strongest, learned from weighted texts."""
    blank = _vocabulary(texts)
    found = [look_up(blank, counts) for counts in texts]
    learned = _descend(found, targets(labels), weight, len(blank.keys))
    strength = np.ptp(learned, axis=1) * blank.rarity
    kept = np.sort(np.argsort(-strength, kind="stable")[:most])
    scale = np.maximum(np.abs(learned[kept]).max(axis=0), 1e-9) / 127
    weights = np.rint(learned[kept] / scale).astype(np.int8)
    return Table(blank.keys[kept], blank.rarity[kept], weights, scale)


def _vocabulary(texts: Sequence[Mapping[int, int]]) -> Table:
    """Return a table without weights: the features that are neither rare nor everywhere."""
    seen = Counter(key for counts in texts for key in counts)
    ceiling = _COMMON * len(texts)
    keys = np.array(
        sorted(key for key, n in seen.items() if _SEEN <= n <= ceiling), dtype=np.uint32
    )
    often = np.array([seen[key] for key in keys.tolist()], dtype=np.float64)
    rarity = np.rint(16 * (np.log(len(texts) / often) + 1)).astype(np.uint8)
    empty = np.zeros((len(keys), len(TOPICS)), dtype=np.int8)
    return Table(keys, rarity, empty, np.zeros(len(TOPICS)))


def targets(labels: Labels) -> Floats:
    """Return the shares of the topics of each text: those that are secondary count less."""
    shares = np.zeros((len(labels), len(TOPICS)))
    for row, topics in zip(shares, labels, strict=True):
        row[list(topics[1:])] = _SECONDARY
        row[topics[0]] = 1
    even: Floats = shares / shares.sum(axis=1, keepdims=True)
    return even


def evenly(sources: Sequence[str], labels: Labels) -> Floats:
    """Return a weight for each text, 1 on average: large sources and topics count less each."""
    groups = [(source, topics[0]) for source, topics in zip(sources, labels, strict=True)]
    sizes = Counter(groups)
    weight = np.array([sizes[group] ** -0.5 for group in groups])
    even: Floats = weight / weight.mean()
    return even


def _descend(found: Sequence[Values], wanted: Floats, weight: Floats, rows: int) -> Floats:
    weights, shrunk = np.zeros((rows, len(TOPICS))), 1.0  # the true weights are the product
    steps, rng = _EPOCHS * len(found), np.random.default_rng(_SEED)
    values = [text.values / text.length if text.length else None for text in found]
    for step, index in enumerate(
        np.concatenate([rng.permutation(len(found)) for _ in range(_EPOCHS)])
    ):
        value, places = values[index], found[index].rows
        if value is None:
            continue
        rate = _RATE * (1 - step / steps)
        off = softmax(shrunk * (value[:, None] * weights[places]).sum(axis=0)) - wanted[index]
        shrunk *= 1 - rate * _DECAY
        weights[places] -= (rate * weight[index] / shrunk) * value[:, None] * off
    return weights * shrunk


def softmax(scores: Floats) -> Floats:
    """Return shares along the last axis."""
    powers: Floats = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def fit_parts(judged: Judged) -> tuple[float, float]:
    """Return the weights of lexicon and table, to one hundredth.

    They make the share of a topic the chance that it is the label's primary: least cross-entropy.
    """
    best = (1.0, 1.0)
    for step in (0.5, 0.1, 0.02, 0.01):
        spans = [[max(0.0, mid + step * n) for n in range(-6, 7)] for mid in best]
        tried = [(first, second) for first in spans[0] for second in spans[1]]
        best = min(tried, key=lambda parts: _loss(judged, parts))
    return round(best[0], 2), round(best[1], 2)


def combined(judged: Judged, parts: tuple[float, float]) -> Floats:
    """Return the shares of the topics of each text."""
    return softmax(parts[0] * judged.lexicon + parts[1] * judged.table)


def _loss(judged: Judged, parts: tuple[float, float]) -> float:
    primary = [topics[0] for topics in judged.labels]
    hit = combined(judged, parts)[np.arange(len(primary)), primary]
    return float(-(judged.weight @ np.log(hit + 1e-12)))


def fit_limits(judged: Judged, parts: tuple[float, float]) -> Limits:
    """Return the limits of the choice.

    `least` gives the highest F1 over all topics of all texts. `margin` is the least, in hundredths,
    such that `_TRUSTED` of the texts at or above it stand on a right topic.
    """
    shares = combined(judged, parts)
    ranks = np.sort(shares, axis=1)[:, ::-1]
    tried = (hundredths / 100 for hundredths in range(2, 51))
    least = max(tried, key=lambda each: _f1(judged, shares, ranks, each))
    return Limits(least, _margin(judged, shares, ranks[:, 0] - ranks[:, 1]))


def _margin(judged: Judged, shares: Floats, gaps: Floats) -> float:
    pairs = zip(shares.argmax(axis=1), judged.labels, strict=True)
    right = np.array([best in topics for best, topics in pairs])
    for hundredths in range(100):
        above = gaps >= hundredths / 100
        if above.any() and np.average(right[above], weights=judged.weight[above]) >= _TRUSTED:
            return hundredths / 100
    return 1.0


def _f1(judged: Judged, shares: Floats, ranks: Floats, least: float) -> float:
    secondary = (shares >= least) & (shares >= ranks[:, MOST_SECONDARY : MOST_SECONDARY + 1])
    given = secondary | (shares == ranks[:, :1])
    wanted = targets(judged.labels) > 0
    both = judged.weight @ (given & wanted).sum(axis=1)
    return float(2 * both / (judged.weight @ (given.sum(axis=1) + wanted.sum(axis=1))))
