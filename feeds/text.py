"""Text tools: XML-safe text, folding for comparison, words, summaries. Pure.

Text is made safe once, when a digest is read (`clean`); everything after may rely on it.
"""

# ruff: noqa: RUF001 -- quote marks and dashes are the matter here
from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence

# XML 1.0, section 2.2, Char: everything outside these ranges may not stand in a document, not even
# escaped. Lone surrogates cannot be encoded at all. The 66 noncharacters are legal but discouraged,
# and lxml refuses U+FFFE and U+FFFF. VT, FF and FS to US are forbidden, too, but they part words:
# they are left to be spaces.
_PLANES = "".join(f"{chr(n << 16)}-{chr((n << 16) + 0xFFFD)}" for n in range(1, 17))
_SAFE = f"\t-\r\x1c-\x7e\x85\xa0-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd{_PLANES}"
# Bidirectional controls reorder what a reader sees (Unicode TR 36); zero-width marks and the soft
# hyphen hide in words. ZWJ and ZWNJ stay: emoji and several scripts need them.
_HIDDEN = "\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff"
_INVISIBLE = re.compile(f"[{_HIDDEN}]+")
_DROPPED = re.compile(f"(?:[^{_SAFE}]|[{_HIDDEN}])+")
# Sorting a run of combining marks takes `unicodedata.normalize` quadratic time (200,000 of them: a
# minute), so a run is cut as in the Stream-Safe Text Format (UAX 15, section 13). `_MARKS` holds
# every combining mark and much else; those of `_LATENT` become marks only when decomposed.
# `_EXCESS` works on combining classes, a byte for each character, 0 for what is no mark.
_LATENT = "\uff9e\uff9f\u0f73\u0f75\u0f81"
_AS_MARKS = str.maketrans(dict.fromkeys(_LATENT, "\u0300"))
_MARKS = re.compile(f"(?:[^\\w\\s\x00-\x7f]|[{_LATENT}]){{31,}}")
_EXCESS = re.compile(rb"(?<=[^\0]{30})[^\0]+")
_UNEVEN = re.compile(r"\s{2,}|[^\S \xa0]")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_ALIKE = str.maketrans(
    dict.fromkeys("‘’‚‛`´ʼ′", "'") | dict.fromkeys("“”„‟«»″", '"') | dict.fromkeys("‐‑‒–—―−", "-")
)


def clean(text: str) -> str:
    """Return `text` as one line that is safe in XML 1.0, HTML, mail headers and terminals.

    Characters that XML forbids, noncharacters, invisible and bidirectional controls go, and so do
    combining marks after 30 in a row; any run of white space, VT and FF included, becomes one space,
    but a single no-break space stays. The result is NFC; cleaning it again changes nothing.
    """
    text = _cut_marks(_UNEVEN.sub(" ", _DROPPED.sub("", text)))
    return _cut_marks(unicodedata.normalize("NFC", text)).strip()


def dropped(text: str) -> int:
    """Return how many characters of `text` `clean` drops as unsafe; spaces and marks don't count."""
    return len(text) - len(_DROPPED.sub("", text))


def _cut_marks(text: str) -> str:
    return _MARKS.sub(_cut_run, text)


def _cut_run(run: re.Match[str]) -> str:
    text = run.group()
    classes = bytes(map(unicodedata.combining, text.translate(_AS_MARKS)))
    ends = [0, *(end for excess in _EXCESS.finditer(classes) for end in excess.span()), len(text)]
    return "".join(text[start:end] for start, end in zip(ends[::2], ends[1::2], strict=True))


def printable(text: str) -> str:
    r"""Return text, such as the name of a file, that is safe to store and to show.

    Control characters, line breaks, invisible characters and all spaces but the common one become
    escapes as in `\n` or `\u202e`; bytes that aren't UTF-8 become `\xff`.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escape(one) for one in text)


def _escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte that isn't UTF-8 (PEP 383, surrogateescape)
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def fold(text: str) -> str:
    """Return `text` as it is compared: NFKC, lower case, one kind of quote, dash and space.

    Two captures of one title that differ in quote marks, dashes, no-break spaces or case fold alike.
    """
    if text.isascii():  # most titles: the same, in a tenth of the time
        return " ".join(text.lower().replace("`", "'").split())
    # Quotes first: NFKC takes the acute accent apart and the double prime into two. NFKC again after
    # lower case, which may leave what is not normalised (Unicode 3.13, D146).
    text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text).translate(_ALIKE))
    text = unicodedata.normalize("NFKC", text.casefold()).translate(_ALIKE)
    return " ".join(text.split())


def words(text: str) -> list[str]:
    """Return the words of `text`, folded, in order, without punctuation."""
    return _WORD.findall(fold(text))


def fingerprint(paragraphs: Iterable[str]) -> str:
    """Return 32 hexadecimal digits that are equal for bodies with equal words in equal order."""
    body = " ".join(word for paragraph in paragraphs for word in words(paragraph))
    return hashlib.blake2b(body.encode(), digest_size=16).hexdigest()


def shorten(text: str, limit: int) -> str:
    """Return `text` cut at a word to at most `limit` characters, an ellipsis included when cut."""
    if len(text) <= limit:
        return text
    cut = text[: limit - 1]
    if not text[limit - 1].isspace() and " " in cut:
        cut = cut.rsplit(" ", 1)[0]
    return cut.rstrip(" \xa0,;:–—-") + "…"


def summarise(paragraphs: Sequence[str], limit: int = 40) -> str:
    """Return the first `limit` words of a body, at most, an ellipsis at the end when more follows.

    A cut falls at the end of a sentence when one ends in the second half. A truncation mark of the
    digest ("...") becomes the same ellipsis.
    """
    tokens: list[str] = []
    for paragraph in paragraphs:
        tokens += paragraph.split()
        if len(tokens) > limit:
            break
    taken = tokens[:limit]
    if len(tokens) > limit:
        ends = [n for n, token in enumerate(taken, 1) if _ends_sentence(token) and n * 2 >= limit]
        if ends:
            return " ".join(taken[: ends[-1]])
    text = " ".join(taken)
    marked = text.endswith(("...", "…"))
    if len(tokens) > limit or marked:
        return text.rstrip(".…,;:–—- ") + "…"
    return text


def _ends_sentence(token: str) -> bool:
    """Whether a sentence ends here; a single letter or a short month before a stop is no end."""
    bare = token.rstrip("\"'”’»)")
    return bare.endswith((".", "!", "?")) and len(bare) > 4 and not bare.endswith("...")  # noqa: PLR2004 -- "Nov." and "Dr."
