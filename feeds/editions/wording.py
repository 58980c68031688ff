"""The subject of an edition, and of a subscriber's part of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from feeds.model import Edition
from feeds.publication import MONTHS
from feeds.text import shorten

SUBJECT_LIMIT = 60
"""Characters of a subject, at most: about what a telephone shows."""

_FIELD = re.compile(r"\{(lead|n|date|time)\}")
# "{lead} + {n} more · {date}": what one article alone does without, as nobody writes "+ 0 more".
_OTHERS = re.compile(r"\{lead\}[^·|]*\{n\}[^·|]*?(?=\s*(?:[·|]|$))")


def named(edition: Edition, pattern: str, used: Collection[str]) -> Edition:
    """Return the edition with its subject, unlike any of those `used`.

    Mail programs thread equal subjects of one sender, which hides the second letter; so the slot's
    day joins the pattern, and its time when that isn't enough.
    """
    title = next(brief.title for brief in edition.briefs if brief.entry == edition.lead)
    others = len(edition.briefs) - 1
    for suffix in ("", " · {date}", " · {date}, {time}"):
        edition = replace(edition, pattern=pattern + suffix)
        edition = replace(edition, subject=subject(edition, title, others))
        if edition.subject not in used:
            break
    return edition


def unled(slot: str, title: str, used: Collection[str]) -> str:
    """Return the subject of an edition without articles: the publication and the slot's day.

    Its time joins them when that day is among those `used`.
    """
    moment = datetime.fromisoformat(slot)
    day = f" · {moment.day} {MONTHS[moment.month - 1]}"
    for end in (day, f"{day}, {moment:%H:%M}"):
        made = shorten(title, SUBJECT_LIMIT - len(end)) + end
        if made not in used:
            break
    return made


def subject(edition: Edition, lead: str, others: int) -> str:
    """Fill the pattern: the lead is cut at a word so that the rest of it still fits."""
    slot = datetime.fromisoformat(edition.slot)
    values = {
        "lead": "",
        "n": str(others),
        "date": f"{slot.day} {MONTHS[slot.month - 1]}",
        "time": f"{slot:%H:%M}",
    }
    pattern = edition.pattern if others else _OTHERS.sub("{lead}", edition.pattern)
    fixed = _FIELD.sub(lambda field: values[field[1]], pattern)
    values["lead"] = shorten(lead, max(SUBJECT_LIMIT - len(fixed), SUBJECT_LIMIT // 3))
    return shorten(_FIELD.sub(lambda field: values[field[1]], pattern), SUBJECT_LIMIT)
