"""Room 2: the language of an article, when letters and common words leave no doubt. Pure.

In: text. Out: `en`, `ru`, `kk` (BCP 47) or None. A rule, no model: the script decides first, then
letters that only one language has, then words that no text of the language can do without.
"""

from __future__ import annotations

from collections.abc import Iterable

from feeds.text import words

_SAMPLE = 2_000
_SHARE = 0.9
_LEAST_WORDS = 5
_RUSSIAN = frozenset("абвгдеёжзийклмнопрстуфхцчшщъыьэюя")
_ENGLISH_WORDS = frozenset(
    ("the", "of", "and", "to", "in", "a", "is", "for", "on", "that", "with", "as", "by", "from")
)
_RUSSIAN_WORDS = frozenset(
    ("и", "в", "на", "с", "по", "что", "не", "из", "для", "от", "как", "это", "к", "о", "за")  # noqa: RUF001 -- Cyrillic
)


def language(texts: Iterable[str]) -> str | None:
    """Return the language of the first 2,000 characters of `texts`, or None when unsure.

    Sure means: nine letters of ten are of one script, and of the text's words one in ten, and three
    different ones, are among the commonest of English or of Russian; or the text is Cyrillic, not
    Russian, and has the letter ұ, which is Kazakh alone.
    """
    found = words(_sample(texts))
    letters = [letter for letter in "".join(found) if letter.isalpha()]
    if len(found) < _LEAST_WORDS or not letters:
        return None
    latin = sum("a" <= letter <= "z" for letter in letters) / len(letters)
    cyrillic = sum("Ѐ" <= letter <= "ӿ" for letter in letters) / len(letters)
    if latin >= _SHARE and _common(found, _ENGLISH_WORDS):
        return "en"
    return _cyrillic(found, set(letters)) if cyrillic >= _SHARE else None


def _cyrillic(found: list[str], letters: set[str]) -> str | None:
    native = sum(set(word) <= _RUSSIAN for word in found) / len(found)
    if native >= _SHARE and letters & {"ы", "э"} and _common(found, _RUSSIAN_WORDS):
        return "ru"
    return "kk" if "ұ" in letters else None


def _common(found: list[str], common: frozenset[str]) -> bool:
    hits = [word for word in found if word in common]
    return len(hits) * 10 >= len(found) and len(set(hits)) >= 3  # noqa: PLR2004 -- see `language`


def _sample(texts: Iterable[str]) -> str:
    sample = ""
    for text in texts:
        sample += text[:_SAMPLE] + "\n"
        if len(sample) >= _SAMPLE:
            break
    return sample[:_SAMPLE]
