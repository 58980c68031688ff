"""The editor's hand on an edition before it goes: another lead, an article out, words above. Pure.

Each verb returns the edition as it is then. `used` are the subjects of earlier editions, which the new
one differs from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace

from feeds.editions.selecting import claim
from feeds.editions.wording import named
from feeds.model import Brief, Edition, EntryId
from feeds.text import clean

NOTE_LIMIT = 2_000
"""Characters of an editor's note, at most."""


def without(edition: Edition, entry: EntryId, used: Collection[str] = ()) -> Edition | None:
    """Return the edition without one of its articles; None when it was the last.

    Where the lead goes, the article of the largest story that may well lead takes its place, as when an
    edition is made; else the first of its own order that may.
    """
    kept = tuple(brief for brief in edition.briefs if brief.entry != entry)
    if not kept:
        return None
    kept = _regrouped(kept)
    occurring = {slug for brief in kept for slug in (brief.channel, *brief.also)}
    left = replace(
        edition,
        briefs=kept,
        channels=tuple(pair for pair in edition.channels if pair[0] in occurring),
        lead=_lead(kept) if edition.lead == entry else edition.lead,
    )
    return named(left, edition.pattern, used)


def headed(edition: Edition, entry: EntryId, used: Collection[str] = ()) -> Edition:
    """Return the edition led by one of its articles, be it uncertain: the editor knows better."""
    return named(replace(edition, lead=entry), edition.pattern, used)


def annotated(edition: Edition, text: str) -> Edition:
    """Return the edition with the editor's note above the news; an empty one removes it."""
    return replace(edition, note=note(text))


def note(text: str) -> str:
    """Return a text as a note: paragraphs of one line each, parted by blank lines, safe to show."""
    paragraphs: list[list[str]] = [[]]
    for line in text.splitlines():
        if cleaned := clean(line):
            paragraphs[-1].append(cleaned)
        elif paragraphs[-1]:
            paragraphs.append([])
    return "\n\n".join(clean(" ".join(lines)) for lines in paragraphs if lines)


def _regrouped(briefs: Sequence[Brief]) -> tuple[Brief, ...]:
    """Return briefs whose stories have two articles at least, and are named for one of them."""
    size = Counter(brief.story for brief in briefs)
    names: dict[EntryId, EntryId] = {}
    there = {brief.entry for brief in briefs}
    for brief in briefs:
        if brief.story is not None and size[brief.story] > 1:
            names.setdefault(brief.story, brief.story if brief.story in there else brief.entry)
    return tuple(
        replace(brief, story=names.get(brief.story) if brief.story else None) for brief in briefs
    )


def _lead(briefs: Sequence[Brief]) -> EntryId:
    size = Counter(brief.story for brief in briefs if brief.story is not None)
    best = min(map(claim, briefs))
    able = [brief for brief in briefs if claim(brief) == best]
    return min(able, key=lambda brief: -size[brief.story] if brief.story else 0).entry
