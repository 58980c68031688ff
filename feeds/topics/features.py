"""Words and their features, the same for learning and for classifying. Pure.

In: a title and paragraphs. Out: words, and the 32-bit hashes (CRC-32, ISO 3309, of UTF-8) that stand
for a text in the learned table: words and pairs of words for Latin script; words and their character
n-grams for Cyrillic, whose languages inflect by suffixes (`law` gives `<la`, `law`, `aw>`, ...).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from zlib import crc32

from feeds import text

LATIN, CYRILLIC = "latin", "cyrillic"
"""The scripts that have a table of their own; text in any other script is read as Latin."""

MOST_WORDS = 800
"""Words read of a body: news tells its topic in the first of them."""

_TITLE_WORDS = 80
_TITLE_COUNT = 2  # a word of the title counts as often as this in the table
_GRAMS = (3, 4, 5)
_LONGEST = 40  # characters; longer words are addresses or noise


@dataclass(frozen=True, slots=True)
class Words:
    """The words of an article, folded, without numbers: the title's and each paragraph's apart."""

    title: tuple[str, ...]
    body: tuple[tuple[str, ...], ...]

    @property
    def segments(self) -> tuple[tuple[str, ...], ...]:
        """The title, then the paragraphs."""
        return (self.title, *self.body)


def read(title: str, paragraphs: Iterable[str]) -> Words:
    """Return the words of a title and of the first `MOST_WORDS` words of a body."""
    left = MOST_WORDS
    body = []
    for paragraph in paragraphs:
        words = words_of(paragraph, left)
        left -= len(words)
        body.append(words)
        if left <= 0:
            break
    return Words(words_of(title, _TITLE_WORDS), tuple(body))


def words_of(line: str, most: int) -> tuple[str, ...]:
    """Return the first `most` words of a line as they are counted, 40 characters of each.

    What is remembered of words between articles therefore stays small.
    """
    # "Kazakhstan's" is Kazakhstan. Numbers tell the source and the year rather than the topic.
    found = text.words(line[: most * _LONGEST])[:most]
    return tuple(word.removesuffix("'s")[:_LONGEST] for word in found if not word.isdecimal())


def script(words: Words) -> str:
    """Return the script that most words begin with, `LATIN` when even."""
    letters = [word[0] for segment in words.segments for word in segment]
    cyrillic = sum("\u0400" <= letter <= "\u052f" for letter in letters)
    return CYRILLIC if cyrillic * 2 > len(letters) else LATIN


def counts(words: Words, script: str) -> Counter[int]:
    """Return how often each feature of a text occurs, by hash; those of the title count twice."""
    hashes = _HASHES[script]
    found: Counter[int] = Counter()
    for segment in words.segments:
        found.update(hashes(segment))
    for _ in range(_TITLE_COUNT - 1):
        found.update(hashes(words.title))
    return found


def names(words: Words, script: str) -> dict[int, tuple[str, ...]]:
    """Return the words or pairs of words that each hash of a text stands for."""
    found: dict[int, dict[str, None]] = {}
    for segment in words.segments:
        for name, key in _NAMED[script](segment):
            found.setdefault(key, {})[name] = None
    return {key: tuple(group) for key, group in found.items()}


def _word_pairs(segment: Sequence[str]) -> list[int]:
    words = [word for word in segment if len(word) > 1]
    keys = [_crc(word) for word in words]
    keys += [crc32(_joined(second), first) for first, second in zip(keys, words[1:], strict=False)]
    return keys


def _named_pairs(segment: Sequence[str]) -> Iterator[tuple[str, int]]:
    words = [word for word in segment if len(word) > 1]
    for word in words:
        yield word, _crc(word)
    for first, second in pairwise(words):
        yield f"{first} {second}", crc32(_joined(second), _crc(first))


def _grams(segment: Sequence[str]) -> list[int]:
    return [key for word in segment for key in _word_grams(word)]


def _named_grams(segment: Sequence[str]) -> Iterator[tuple[str, int]]:
    for word in segment:
        for key in _word_grams(word):
            yield word, key


# Words repeat from article to article: remembering their hashes saves a third of the time.


@lru_cache(maxsize=1 << 16)
def _crc(word: str) -> int:
    return crc32(word.encode("utf-8", "replace"))


@lru_cache(maxsize=1 << 16)
def _joined(word: str) -> bytes:
    return b" " + word.encode("utf-8", "replace")


@lru_cache(maxsize=1 << 15)
def _word_grams(word: str) -> tuple[int, ...]:
    marked = f"<{word[:_LONGEST]}>"
    grams = {
        marked[start : start + size] for size in _GRAMS for start in range(len(marked) - size + 1)
    }
    return tuple(crc32(gram.encode("utf-8", "replace")) for gram in sorted(grams | {marked}))


_HASHES = {LATIN: _word_pairs, CYRILLIC: _grams}
_NAMED = {LATIN: _named_pairs, CYRILLIC: _named_grams}
