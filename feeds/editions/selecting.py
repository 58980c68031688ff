"""An edition > a subscriber's part of it: what they take, each article once. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from feeds.editions.wording import subject
from feeds.model import Brief, Edition, EntryId, Mix, Section, Subscriber

RELATED = 5
"""Further articles that stand below one of the same story, at most."""


@dataclass(frozen=True, slots=True)
class _Dealt:
    """What a letter shows: entries, and for some of them further briefs of the same story."""

    shown: frozenset[EntryId]
    below: tuple[tuple[EntryId, tuple[Brief, ...]], ...]

    @property
    def all(self) -> frozenset[EntryId]:
        return self.shown | {brief.entry for _, briefs in self.below for brief in briefs}


def selection(
    edition: Edition, subscriber: Subscriber, received: Collection[EntryId] = ()
) -> Mix | None:
    """Return a subscriber's part of an edition, or None when nothing in it is for them.

    `received` are those of the `mentioned` entries that they were sent before, by another edition:
    articles among them are left out, and only of them are corrections told. Corrections alone make no
    letter, but of an edition without articles everyone has a part.

    An article stands under its own channel, or, when the subscriber doesn't take that, under the
    first of its secondary ones that they take. At most `limit` are shown. They are dealt out in rounds,
    one to each channel that has any left, so that many channels share a letter fairly; the lead is dealt
    first, and of a channel the certain articles before the uncertain, the dated before the undated. Of
    the articles of one story one is dealt, and at most `RELATED` stand below it by their titles. What
    isn't shown is counted by its channel: nothing is lost.
    """
    placed: dict[str, list[Brief]] = {slug: [] for slug, _ in edition.channels}
    for brief in edition.briefs:
        slug = _placed(brief, subscriber)
        if slug is not None and brief.entry not in received:
            placed[slug].append(brief)
    placed = {slug: briefs for slug, briefs in placed.items() if briefs}
    corrections = tuple(
        one
        for one in edition.corrections
        if one.entry in received and _takes(subscriber, one.channels, one.lang)
    )
    if not edition.briefs:
        return Mix(edition, edition.subject, None, (), corrections=corrections)
    if not placed:
        return None
    lead = _own_lead(edition, placed)
    dealt = _dealt(placed, lead, edition.limit)
    sections = (
        _section(slug, title, placed[slug], dealt)
        for slug, title in edition.channels
        if slug in placed
    )
    return Mix(
        edition=edition,
        subject=subject(edition, lead.title, sum(map(len, placed.values())) - 1),
        lead=lead,
        sections=tuple(section for section in sections if section.briefs or section.more),
        related=dealt.below,
        corrections=corrections,
    )


def mentioned(edition: Edition) -> tuple[EntryId, ...]:
    """Return the entries of an edition's articles and corrections: `selection` asks who had them."""
    briefs = (brief.entry for brief in edition.briefs)
    return tuple(dict.fromkeys((*briefs, *(one.entry for one in edition.corrections))))


def primary(tag: str | None) -> str:
    """Return the primary subtag of a language tag (RFC 5646), in lower case: `en` of `en-GB`."""
    return (tag or "").partition("-")[0].lower()


def claim(brief: Brief) -> tuple[bool, bool]:
    """Return a key that sorts first what is surely on its channel and surely news."""
    return (brief.uncertain, not brief.dated)


def _placed(brief: Brief, subscriber: Subscriber) -> str | None:
    """Return the channel under which a subscriber sees a brief, None when they don't."""
    return _takes(subscriber, (brief.channel, *brief.also), brief.lang)


def _takes(subscriber: Subscriber, slugs: Sequence[str], lang: str | None) -> str | None:
    """Return the first of some channels that a subscriber takes, in a language that they take."""
    if subscriber.languages and primary(lang) not in map(primary, subscriber.languages):
        return None
    return next(
        (slug for slug in slugs if not subscriber.channels or slug in subscriber.channels), None
    )


def _own_lead(edition: Edition, placed: Mapping[str, Sequence[Brief]]) -> Brief:
    """Return the edition's lead, else the subscriber's first article that may well lead."""
    briefs = [brief for section in placed.values() for brief in section]
    return min(briefs, key=lambda brief: (brief.entry != edition.lead, claim(brief)))


def _dealt(placed: Mapping[str, Sequence[Brief]], lead: Brief, limit: int) -> _Dealt:
    """Return what a letter shows, dealt out in rounds: of a story one article, the others below."""

    def turn(brief: Brief) -> tuple[bool, tuple[bool, bool]]:
        return (brief.entry != lead.entry, claim(brief))

    stories: dict[EntryId, list[Brief]] = {}
    for brief in sorted((one for briefs in placed.values() for one in briefs), key=turn):
        stories.setdefault(brief.story or brief.entry, []).append(brief)
    heads = {briefs[0].entry: briefs[1 : RELATED + 1] for briefs in stories.values()}
    hands = [
        sorted((brief for brief in briefs if brief.entry in heads), key=turn)
        for briefs in placed.values()
    ]
    hands = sorted(filter(None, hands), key=lambda hand: hand[0].entry != lead.entry)
    longest = max(map(len, hands))
    rounds = [hand[at].entry for at in range(longest) for hand in hands if at < len(hand)]
    shown = rounds[: max(limit, 1)]
    below = tuple((entry, tuple(heads[entry])) for entry in shown if heads[entry])
    return _Dealt(frozenset(shown), below)


def _section(slug: str, title: str, briefs: Sequence[Brief], dealt: _Dealt) -> Section:
    shown = tuple(brief for brief in briefs if brief.entry in dealt.shown)
    return Section(slug, title, shown, sum(brief.entry not in dealt.all for brief in briefs))
