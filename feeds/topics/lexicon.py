"""The weighted lexicon: words and phrases that people can read and edit. Pure.

In: the text of a lexicon; the words of an article. Out: what is found in them, and what it says.

The format: `[medtop:15000000]` opens the section of a topic; a line in it is a weight from -9 to 9 and
entries parted by commas; an entry is a word or a phrase of up to five words, `*` at its end standing
for any ending; `#` opens a comment. The longest entry that fits counts, and takes its words; at equal
length the one without `*`. An entry may stand in several sections, once in each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from feeds.errors import ModelError
from feeds.model import MEDIATOPICS, TopicCode
from feeds.topics import features

TOPICS: tuple[TopicCode, ...] = tuple(MEDIATOPICS)
"""The topics in the order of every row of weights."""

LONGEST = 5
"""Most words of a phrase."""

_SECTION = re.compile(r"\[(\S+)\]")
_LINE = re.compile(r"([+-]?[1-9])\s+(\S.*)")

Weights = tuple[tuple[int, int], ...]  # pairs of a topic's index and a weight


@dataclass(frozen=True, slots=True)
class Lexicon:
    """A lexicon made ready: `exact` entries and those that end in `*`, by their words joined by a space.

    `firsts` and `first_stems` say how many words the longest phrase has that begins with a word or stem.
    """

    exact: Mapping[str, Weights]
    stems: Mapping[str, Weights]
    firsts: Mapping[str, int]
    shortest_stem: int
    longest_stem: int


@dataclass(frozen=True, slots=True)
class Hit:
    """An entry found: the words of the article that it fits, and its weights."""

    words: str
    weights: Weights


def read(name: str, content: str) -> Lexicon:
    """Return the lexicon that `content` spells; `name` is its file, for errors.

    Raises:
        ModelError: a line can't be read, or says something twice; names file and line.
    """
    found: dict[str, dict[int, int]] = {}
    topic: int | None = None
    for number, raw in enumerate(content.splitlines(), 1):
        line = raw.partition("#")[0].strip()
        try:
            if section := _SECTION.fullmatch(line):
                topic = _topic(section[1])
            elif line:
                _add(found, topic, line)
        except ValueError as error:
            raise ModelError(name, str(error), number) from error
    return _ready(found)


def _topic(code: str) -> int:
    if code not in TOPICS:
        raise ValueError(f"{code!r} is no topic")
    return TOPICS.index(TopicCode(code))


def _add(found: dict[str, dict[int, int]], topic: int | None, line: str) -> None:
    if topic is None:
        raise ValueError("an entry stands before the first topic")
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError(f"neither a topic nor a weight and its entries: {line!r}")
    for entry in match[2].split(","):
        key = _key(entry)
        if topic in found.setdefault(key, {}):
            raise ValueError(f"{entry.strip()!r} stands twice in its topic")
        found[key][topic] = int(match[1])


def _key(entry: str) -> str:
    """Return the words of an entry as an article's words are read, `*` kept at the end."""
    bare = entry.strip()
    words = features.words_of(bare.removesuffix("*"), LONGEST + 1)
    if not words or "*" in bare.removesuffix("*"):
        raise ValueError(f"no word or phrase: {bare!r}")
    if len(words) > LONGEST:
        raise ValueError(f"more than {LONGEST} words: {bare!r}")
    return " ".join(words) + ("*" if bare.endswith("*") else "")


def _ready(found: Mapping[str, Mapping[int, int]]) -> Lexicon:
    exact: dict[str, Weights] = {}
    stems: dict[str, Weights] = {}
    firsts: dict[str, int] = {}
    for key, weights in found.items():
        (stems if key.endswith("*") else exact)[key.removesuffix("*")] = tuple(weights.items())
        first, *rest = key.split()
        if rest:
            firsts[first] = max(firsts.get(first, 0), len(rest) + 1)
    lengths = sorted(map(len, stems)) or [0]
    return Lexicon(exact, stems, firsts, lengths[0], lengths[-1])


def hits(lexicon: Lexicon, words: Sequence[str]) -> Iterator[Hit]:
    """Yield what is found in a run of words, from left to right; no word is used twice."""
    start = 0
    while start < len(words):
        hit, size = _longest(lexicon, words, start)
        if hit:
            yield hit
        start += size


def _longest(lexicon: Lexicon, words: Sequence[str], start: int) -> tuple[Hit | None, int]:
    """Return the longest entry that begins at a word, and how many words it takes, at least one."""
    most = min(lexicon.firsts.get(words[start], 1), len(words) - start)
    for size in range(most, 0, -1):
        if hit := _fitting(lexicon, " ".join(words[start : start + size])):
            return hit, size
    return None, 1


def _fitting(lexicon: Lexicon, words: str) -> Hit | None:
    if found := lexicon.exact.get(words):
        return Hit(words, found)
    spaces = words.count(" ")
    for end in range(min(len(words), lexicon.longest_stem), lexicon.shortest_stem - 1, -1):
        if (found := lexicon.stems.get(words[:end])) and words.count(" ", 0, end) == spaces:
            return Hit(words, found)
    return None
