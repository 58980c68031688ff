"""The classifier: weighted lexicon and learned table, added up in log-odds. Pure.

In: the model and an article's text. Out: its topics, with what each word adds. Nothing is rounded on
the way but scores to shares (`choice.softmax`), so the same text gives the same answer anywhere.

To add a part: a module that gives scores a topic and what each word adds to them, its weight in
`shipped.Fit`, and its lines in `scores` and `contributions`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from feeds.model import Classification, Evidence, TopicShare
from feeds.topics import choice, features, lexicon, table
from feeds.topics.features import Words
from feeds.topics.lexicon import TOPICS, Hit
from feeds.topics.shipped import Model, Script
from feeds.topics.table import Values

NAME = "additive"

MOST_EVIDENCE = 40
"""Most words of evidence that `classify` gives."""

_ENGLISH = "en"  # the lexicon of a text whose language has none of its own, or is unknown
_IN_TITLE, _IN_BODY = 8, 5  # what an entry of the lexicon counts, once, by where it stands


@dataclass(frozen=True, slots=True)
class _Found:
    """What the parts know of a text. `hits` pairs each entry found with what its place counts."""

    words: Words
    script: str
    hits: tuple[tuple[Hit, int], ...]
    length: float
    values: Values

    @property
    def anything(self) -> bool:
        return bool(self.hits or self.values.length)


def classify(
    model: Model,
    title: str,
    paragraphs: Iterable[str],
    lang: str | None = None,
    *,
    evidence: bool = False,
) -> Classification:
    """Return the topics of an article; never raises, whatever the text.

    `lang` is a language tag (RFC 5646); of it the first part counts. Evidence is given for the topics
    chosen and the best one that was not, the largest first, at most `MOST_EVIDENCE` words.
    """
    found = _find(model, title, paragraphs, lang)
    script = model.scripts[found.script]
    totals = _totals(found, script)
    shares, order = choice.softmax(totals), choice.ranked(totals)
    limits = script.fit.limits
    picked = choice.chosen(shares, order, limits) if found.anything else []
    return Classification(
        tuple(TopicShare(TOPICS[index], shares[index]) for index in picked),
        found.anything and choice.uncertain(shares, order, limits),
        tuple(zip(TOPICS, shares, strict=True)),
        model.version,
        _told(found, script, order[: len(picked) + 1]) if evidence else (),
    )


def scores(
    model: Model, title: str, paragraphs: Iterable[str], lang: str | None = None
) -> tuple[float, ...]:
    """Return the score of each topic, in log-odds, in the order of `lexicon.TOPICS`."""
    found = _find(model, title, paragraphs, lang)
    return tuple(_totals(found, model.scripts[found.script]))


def contributions(
    model: Model, title: str, paragraphs: Iterable[str], lang: str | None = None
) -> Iterator[Evidence]:
    """Yield all evidence for all topics, zeros left out.

    For each topic the weights add up to its score, but for what floating point loses (less than 1e-9).
    """
    found = _find(model, title, paragraphs, lang)
    return _contributions(found, model.scripts[found.script])


def _find(model: Model, title: str, paragraphs: Iterable[str], lang: str | None) -> _Found:
    words = features.read(title, paragraphs)
    script = features.script(words)
    hits = _hits(model, words, lang)
    counted = features.counts(words, script)
    return _Found(
        words,
        script,
        hits,
        lexicon_length(hits),
        table.look_up(model.scripts[script].table, counted),
    )


def _hits(model: Model, words: Words, lang: str | None) -> tuple[tuple[Hit, int], ...]:
    tag = (lang or _ENGLISH).replace("_", "-").partition("-")[0].lower()
    entries = model.lexicons.get(tag) or model.lexicons.get(_ENGLISH)
    return found_in(entries, words) if entries else ()


def found_in(entries: lexicon.Lexicon, words: Words) -> tuple[tuple[Hit, int], ...]:
    """Return each entry found, once, with what it counts: 8 in the title, 5 elsewhere."""
    found: dict[str, tuple[Hit, int]] = {}
    for number, segment in enumerate(words.segments):
        place = _IN_BODY if number else _IN_TITLE
        for hit in lexicon.hits(entries, segment):
            found.setdefault(hit.words, (hit, place))
    return tuple(found.values())


def lexicon_length(hits: Iterable[tuple[Hit, int]]) -> float:
    """Return the Euclidean length of what was found: what agrees adds up by the root of its number."""
    squares = sum(
        (place * max(abs(weight) for _, weight in hit.weights)) ** 2 for hit, place in hits
    )
    return math.sqrt(squares)


def lexicon_scores(hits: Iterable[tuple[Hit, int]], length: float) -> list[float]:
    """Return the lexicon's score for each topic."""
    totals = [0] * len(TOPICS)
    for hit, place in hits:
        for topic, weight in hit.weights:
            totals[topic] += weight * place
    return [total / length for total in totals] if length else [0.0] * len(TOPICS)


def _totals(found: _Found, script: Script) -> list[float]:
    fit = script.fit
    by_lexicon = lexicon_scores(found.hits, found.length)
    by_table = table.scores(script.table, found.values)
    return [
        fit.lexicon * first + fit.table * second
        for first, second in zip(by_lexicon, by_table, strict=True)
    ]


def _told(found: _Found, script: Script, topics: Iterable[int]) -> tuple[Evidence, ...]:
    codes = {TOPICS[topic] for topic in topics}
    told = [one for one in _contributions(found, script) if one.topic in codes]
    told.sort(key=lambda one: (-abs(one.weight), one.topic, one.word, one.part))
    return tuple(told[:MOST_EVIDENCE])


def _contributions(found: _Found, script: Script) -> Iterator[Evidence]:
    for hit, place in found.hits:
        for topic, weight in hit.weights:
            share = script.fit.lexicon * weight * place / found.length
            yield Evidence(hit.words, TOPICS[topic], share, "lexicon")
    for word, parts in _by_word(found, script).items():
        for code, part in zip(TOPICS, parts, strict=True):
            if part:
                yield Evidence(word, code, script.fit.table * part, "table")


def _by_word(found: _Found, script: Script) -> Mapping[str, list[float]]:
    """Return the table's shares by word; words that share a feature part it evenly."""
    names = features.names(found.words, found.script)
    parts: dict[str, list[float]] = defaultdict(lambda: [0.0] * len(TOPICS))
    for key, share in table.shares(script.table, found.values).items():
        for word in names[key]:
            for topic, part in enumerate(share):
                parts[word][topic] += part / len(names[key])
    return parts
