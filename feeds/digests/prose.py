"""Room 2: what one line or paragraph says about its article. Pure.

In: cleaned text. Out: whether it may be a title, whether it is whole, who is credited or cited. All
patterns are general; where they aren't sure they say None.
"""

# ruff: noqa: RUF001 -- quote marks, dashes and Cyrillic letters are the matter here
from __future__ import annotations

import re
from collections.abc import Sequence

from feeds.text import fold

_TITLE_LENGTH, _TITLE_WORDS = 300, 40
_SENTENCE_WORDS = 15
_SHORT_TITLE_WORDS = 20
_CLOSERS = "\"'”’»)]"
# "Inc.", "U.S.", "a.m.": a stop after which a sentence needn't end.
_ABBREVIATION = re.compile(r"(?:\b(?:[^\W\d_]\.)+|\b(?:Inc|Ltd|Corp|Co|Jr|Sr|St|No|etc)\.)$")


def marked(text: str) -> bool:
    """Whether text ends in a mark of truncation: three dots or an ellipsis, perhaps in brackets."""
    return text.rstrip(")]").endswith(("...", "…"))


def finished(text: str) -> bool:
    """Whether text ends as a sentence does: a full stop, `!` or `?`, and then quotes or brackets."""
    return not marked(text) and text.rstrip(_CLOSERS).endswith((".", "!", "?"))


def may_be_title(text: str) -> bool:
    """Whether a line may be a title where one must stand: it isn't long, nor a long sentence."""
    count = len(text.split()) if len(text) <= _TITLE_LENGTH else _TITLE_WORDS + 1
    ends = marked(text) or text.rstrip(_CLOSERS).endswith(".")
    sentence = ends and not _ABBREVIATION.search(text)
    return count <= (_SENTENCE_WORDS if sentence else _TITLE_WORDS)


def looks_like_title(text: str) -> bool:
    """Whether a line may be a title where none must stand: short, a capital first, no mark last.

    A subtitle ends in a colon, a salutation in a comma or `!`, a sentence in a full stop: none is.
    """
    if len(text) > _TITLE_LENGTH or len(text.split()) > _SHORT_TITLE_WORDS:
        return False
    start = text.lstrip("\"'“‘«(")[:1]
    ends_open = text.rstrip(_CLOSERS).endswith((".", "!", ":", ";", ",", "…"))
    return (start.isupper() or start.isdigit()) and not ends_open


# Cyrillic letters that look Latin, in lower case: "Photo credit" is known with a Cyrillic o.
_LOOKALIKES = str.maketrans("аеорсухіѕјкмт", "aeopcyxisjkmt")
_MARKER_LENGTH = 120


def _marker_key(text: str) -> str:
    return fold(text).translate(_LOOKALIKES)


_CREDIT = re.compile(f"(?:images?|photos?|photo credit|{_marker_key('фото')}) ?[|:] ?(?=.)")
_SOURCE = re.compile(f"(?:source|sourse|{_marker_key('источник')}) ?: ?(?=.)")
_BOILERPLATE = {_marker_key(text) for text in ("Tell a friend", "Система Orphus", "Relevant news")}


def photo_credit(text: str) -> str | None:
    """Return whom a marker line credits for the picture: `Images | X`, `Photo: X`; else None."""
    return _after(_CREDIT, "|:", text)


def named_source(text: str) -> str | None:
    """Return the source that a marker line names: `Source: X`; else None."""
    return _after(_SOURCE, ":", text)


def is_boilerplate(text: str) -> bool:
    """Whether the whole line is furniture of a page: a button, a copyright notice."""
    if len(text) > _MARKER_LENGTH:
        return False
    key = _marker_key(text)
    return key in _BOILERPLATE or key.startswith(("©", "copyright ©"))


def closes(text: str) -> bool:
    """Whether nothing of an article can be missing after this line."""
    return finished(text) or is_boilerplate(text) or named_source(text) is not None


def _after(pattern: re.Pattern[str], marks: str, text: str) -> str | None:
    places = [place for mark in marks if (place := text.find(mark)) > 0]
    if not places or len(text) > _MARKER_LENGTH or not pattern.match(_marker_key(text)):
        return None
    return text[min(places) + 1 :].strip() or None


_DATELINE = re.compile(r"(\S[^–—]{1,40}?) ?(?:[–—] | - | -- )")
_DATELINE_LETTERS = 3


def dateline(text: str) -> str | None:
    """Return the place in capitals and a dash that a text begins with, as `ASTANA -`; else None."""
    found = _DATELINE.match(text[:60].replace("\xa0", " "))
    if found is None:
        return None
    place = found[1].rstrip()
    letters = re.sub(r"[ ,./'’-]", "", place)
    capital = letters.isalpha() and letters.isupper() and len(letters) >= _DATELINE_LETTERS
    return place if capital else None


# Who is cited. An agency is known by its name, or says itself that it is one, or is a site.
_KNOWN = (
    r"(?:[KQ]azinform|KazTAG|Tengrinews|Akorda|Xinhua|TASS|Interfax(?:-[A-Z]\w+)?|RIA Novosti|"
    r"Reuters|Bloomberg|Agence France-Presse|AFP|Associated Press|Anadolu|Azertac|AZERTAC|"
    r"AKIpress|Kabar|24\.kg|UzA|Khovar|Turkmenportal|Report\.az|Belta|BelTA|Ukrinform|Yonhap|Kyodo)"
)
_SELF_NAMED = (
    r"(?!(?:On|In|At|As|By|From|After|While|But|And|The)\b)"
    r"(?:[A-Z][\w.-]{0,30} ){1,3}(?:[Nn]ews|[Pp]ress|[Ii]nformation) [Aa]gency"
)
_SITE = r"(?:[a-z0-9-]{1,30}\.){1,3}(?:kz|kg|uz|tj|tm|az|ru|by|ge|cn|eu|int|gov|com|org|net|info)"
_TAIL = r"(?: [Nn]ews [Aa]gency| Agency)?"
_NAME = rf"(?P<name>{_SELF_NAMED}|{_KNOWN}{_TAIL}|{_SITE})"
_SAYS = (
    r"(?: press service| correspondent)?,? (?:has )?"
    r"(?:reports?|reported|cites?|cited|citing|learn(?:s|ed|t)|inform(?:s|ed)|quot(?:es|ed))\b"
)
_ACCORDING = (
    r"\b(?:[Rr]eported(?: by)?|[Rr]eports|[Aa]ccording to|[Cc]iting|[Tt]old|"
    r"[Ww]ith reference to)(?: the)?"
)
_CITED = (
    re.compile(rf"(?:^|[,;:(–—-] ?|\bthe )(?P<all>{_NAME}){_SAYS}"),
    re.compile(rf"{_ACCORDING} (?P<all>{_NAME})(?=[,;.)]|$| (?:in|on|that)\b)"),
    re.compile(rf"(?<!\w)(?P<all>(?P<name>{_KNOWN}{_TAIL})){_SAYS}"),
)
_LEAD, _REACH = 2, 1_000


def cited_source(paragraphs: Sequence[str]) -> str | None:
    """Return the agency that the first two paragraphs cite, as it is printed; the first one wins.

    "Qazinform News Agency reports" gives `Qazinform`. Ministries and people are no agencies.
    """
    for paragraph in paragraphs[:_LEAD]:
        text = paragraph[:_REACH].replace("\xa0", " ")
        found = [match for pattern in _CITED if (match := pattern.search(text))]
        if found:
            name = min(found, key=lambda match: match.start("name"))["name"]
            return re.sub(r" [Nn]ews [Aa]gency$", "", name)
    return None
