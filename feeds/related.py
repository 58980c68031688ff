"""Same-story groups: which articles tell of one event. A tool, pure.

Articles are held together by what their titles and first words share, rare words counting most
(TF-IDF and the cosine; Salton, McGill: Introduction to Modern Information Retrieval, 1983). Groups grow
by average linkage: two join when their articles are alike on the whole, so that a chain of neighbours,
each a little off, makes no group. Nothing is merged: articles of a group stay articles.

Doubt speaks against a group: two articles that tell of one event and stand apart are only two articles;
two that are wrongly put together hide one.
"""

# ruff: noqa: RUF001 -- words in Cyrillic letters

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import SequenceMatcher
from itertools import islice

from feeds.text import words

OPENING_WORDS = 60
"""Words of a body that are compared: news says first what it is about."""

_ALIKE = 0.26  # least cosine; see tests/test_related.py for what it parts and what it joins
_SPAN = timedelta(days=3)  # between two articles of one event, at most
_STEM = 6  # letters that stand for a word: "elections" and "election", "выборах" and "выборов"
_SHORT = 3  # a shorter word says nothing
_TITLE = 2.0  # a title's word counts as much as two of the body
_SHARED = 2  # words of either title that the other article has, at least
_IN_ALL = 5  # words that two articles share, at least: of a few words, two alike are chance
_COMMON = 5  # of many articles, a word in more than a fifth tells nothing
_MANY = 25
_FEW = 300  # of fewer articles, what two share would not be rare

# Words without a subject, by their first letters; any language's common words are found by counting
# as well, but a letter of ten articles is too little to count.
_EMPTY = """
about above after again against ahead all also amid among and another any are around because been
before being below between both but can could did does during each early ever every first few for
former from further had has have held her here him his how into its itself just last late latest
like made make many may more most much must near new news next not now off once one only other our
out over own part per plan plans said same say says second see seen sees set several she should
since some still such take taken than that the their them then there these they this those three
through time today told too took top two under until upon use very via was way week were what when
where which while who whom why will with within without would year years yet you your
also according agency cites press service reports reported report noted added during announce
announced announces discuss discussed discusses held hold holds host hosts hosted meet meets
meeting meetings place outlines takes country decree government head minister ministry president
prime state
monday tuesday wednesday thursday friday saturday sunday january february march april june july
august september october november december
jan feb mar apr jun jul aug sep sept oct nov dec без более будет будут был была были было вот все
всего время где года году год для его если еще день дней как когда который которые которая
которого может можно между него нет них новый новые ноября октября сентября августа июля июня мая
апреля марта февраля января декабря она они оно однако перед под после при про сегодня сообщает
сообщил сообщила также так там только
тем том тысяч уже чем через что чтобы эта эти это этого этой этом этот және үшін туралы бұл осы
мен бен пен деп деді болды болып бойынша кейін жылы жыл күні қаңтар ақпан наурыз сәуір мамыр
маусым шілде тамыз қыркүйек қазан қараша желтоқсан
"""
_NO_SUBJECT = frozenset(word[:_STEM] for word in _EMPTY.split())


@dataclass(frozen=True, slots=True)
class Text:
    """What is compared of an article: title, body, when it was published, and by whom, if known."""

    title: str
    paragraphs: tuple[str, ...]
    published: datetime | None = None
    publisher: str | None = None


@dataclass(frozen=True, slots=True)
class _Profile:
    """A text as it is compared: the words and stems of its title, and what else it holds.

    `column` is the title without numbers and days, `weights` the weight of each stem (of length 1 as a
    vector), `said` every word of it, numbers included, by its first letters.
    """

    headline: tuple[str, ...]
    column: str
    title: frozenset[str]
    weights: Mapping[str, float]
    said: frozenset[str]


def groups(texts: Sequence[Text]) -> list[tuple[int, ...]]:
    """Return the groups of two articles and more, as places in `texts`, each ascending, the first first.

    Two articles of one group are never further apart than three days, and never have the same title
    by one publisher, nor titles of one form: that is a column ("Exchange rates, 2 January"; "Storm
    warning in X region"), not an event. The most alike are joined first, of equals the first in
    `texts`. 1,000 articles take some tenths of a second, 1.3 s at worst; the time grows with the square.
    """
    profiles = _profiles(texts)
    group: dict[int, tuple[int, ...]] = {at: (at,) for at in range(len(texts))}
    parted: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()
    for _, left, right in sorted(_pairs(profiles)):
        one, other = sorted((group[left], group[right]))
        if one is other or (one, other) in parted:
            continue
        if _belong(one, other, texts, profiles):
            joined = (*one, *other)
            group |= dict.fromkeys(joined, joined)
        else:
            parted.add((one, other))
    return sorted({tuple(sorted(one)) for one in group.values() if len(one) > 1})


def _profiles(texts: Sequence[Text]) -> list[_Profile]:
    counted = [(_stems(text.title), _stems(_opening(text))) for text in texts]
    frequency = Counter(stem for pair in counted for stem in {*pair[0], *pair[1]})
    most = max(len(texts) // _COMMON, _MANY)
    rarity = {
        stem: math.log(1 + max(len(texts), _FEW) / n) for stem, n in frequency.items() if n <= most
    }
    return [
        _Profile(
            headline=tuple(words(text.title)),
            column=_column(text.title),
            title=frozenset(title),
            weights=_weights(title, opening, rarity),
            said=frozenset(word[:_STEM] for word in words(f"{text.title} {_opening(text)}")),
        )
        for text, (title, opening) in zip(texts, counted, strict=True)
    ]


def _weights(
    title: Mapping[str, int], opening: Mapping[str, int], rarity: Mapping[str, float]
) -> dict[str, float]:
    raw = {
        stem: rarity[stem] * (_TITLE if stem in title else 1.0)
        for stem in sorted({*title, *opening})
        if stem in rarity
    }
    length = math.sqrt(math.fsum(weight * weight for weight in raw.values()))
    return {stem: weight / length for stem, weight in raw.items()}


def _opening(text: Text) -> str:
    tokens = (token for paragraph in text.paragraphs for token in paragraph.split())
    return " ".join(islice(tokens, OPENING_WORDS))


def _stems(text: str) -> Counter[str]:
    """Count what stands for the words of a text that have a subject."""
    found = (word[:_STEM] for word in words(text) if len(word) >= _SHORT)
    return Counter(stem for stem in found if stem not in _NO_SUBJECT)


def _column(title: str) -> str:
    """Return a title without its numbers, days and months: what the titles of a column share."""
    kept = (word for word in words(title) if word.isalpha() and word[:_STEM] not in _NO_SUBJECT)
    return " ".join(kept)


def _pairs(profiles: Sequence[_Profile]) -> list[tuple[float, int, int]]:
    """Return the pairs that are alike: the cosine, negative so that the most alike sort first."""
    seen: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    pairs: list[tuple[float, int, int]] = []
    for at, profile in enumerate(profiles):
        shares: defaultdict[int, float] = defaultdict(float)
        for stem, weight in profile.weights.items():
            for before, theirs in seen[stem]:
                shares[before] += weight * theirs
            seen[stem].append((at, weight))
        pairs += [(-round(share, 9), n, at) for n, share in shares.items() if share >= _ALIKE]
    return pairs


def _belong(
    one: Sequence[int], other: Sequence[int], texts: Sequence[Text], profiles: Sequence[_Profile]
) -> bool:
    """Whether two groups are one: alike on average, and no two of their articles apart."""
    total = 0.0
    for left in one:
        for right in other:
            if _apart(texts[left], texts[right], profiles[left], profiles[right]):
                return False
            total += _cosine(profiles[left].weights, profiles[right].weights)
    return total >= _ALIKE * len(one) * len(other)


def _apart(one: Text, other: Text, left: _Profile, right: _Profile) -> bool:
    """Whether two articles can't tell of one event, however alike their words are."""
    if one.published and other.published and abs(one.published - other.published) > _SPAN:
        return True
    same_house = one.publisher == other.publisher or not (one.publisher and other.publisher)
    if left.column == right.column and same_house:
        return True
    if len(left.weights.keys() & right.weights.keys()) < _IN_ALL:
        return True
    if min(_shared(left, right), _shared(right, left)) < _SHARED:
        return True
    return _own(left, right) and _own(right, left) and _same_form(left, right)


def _own(one: _Profile, other: _Profile) -> bool:
    """Whether a title has a name or a number that the other article doesn't."""
    own = {word[:_STEM] for word in one.headline} - other.said
    return any(word in one.weights or word.isdecimal() for word in own)


def _same_form(one: _Profile, other: _Profile) -> bool:
    """Whether half the words of the longer title stand in the other, in the same order.

    Then, with words of its own in either, it is one form filled in twice: "Storm warning in X region".
    """
    left, right = (
        [w[:_STEM] for w in each.headline if w[:_STEM] in each.title] for each in (one, other)
    )
    same = SequenceMatcher(None, left, right, autojunk=False).get_matching_blocks()
    return sum(block.size for block in same) * 2 >= max(len(left), len(right))


def _shared(one: _Profile, other: _Profile) -> int:
    """Return how many words of a title the other article has, in its title or its first words."""
    return sum(stem in other.weights for stem in one.title)


def _cosine(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    if len(other) < len(one):
        one, other = other, one
    return sum(weight * other[stem] for stem, weight in one.items() if stem in other)
