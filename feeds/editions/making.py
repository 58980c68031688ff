"""What is new > an edition: what it carries, in which order, under which lead. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from feeds import related
from feeds.editions.selecting import primary
from feeds.editions.wording import named, unled
from feeds.model import Brief, Correction, Edition, Entry, EntryId, newest_first
from feeds.publication import Publication, credit
from feeds.text import clean, shorten, summarise

SUMMARY_WORDS = 40

_COMPARED = 1_000  # articles that are looked through for stories, the newest: a second's work

# A digest may hold words without end; a letter has 80 kB for all of them.
_TITLE_LIMIT = 250
_SUMMARY_LIMIT = 500


class Reason(StrEnum):
    """Why a slot has no edition: it is still open and waits, or it ends with nothing new."""

    WAITING = "waiting"
    NOTHING_NEW = "nothing_new"


@dataclass(frozen=True, slots=True)
class Terms:
    """What the configuration says of an edition's name. Empty `channels` or `languages` mean all.

    `subject` may hold `{lead}`, `{n}` (the other articles), `{date}` and `{time}` (of the slot). With
    `empty` a slot with nothing new makes an edition without articles, which says so.
    """

    name: str
    timezone: str
    channels: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    wait: timedelta = timedelta(hours=3)
    max_age: timedelta = timedelta(days=7)
    limit: int = 15
    subject: str = "{lead} + {n} more"
    empty: bool = False


@dataclass(frozen=True, slots=True)
class Occasion:
    """The slot that has come: its wall-clock text, the instant it fired, and now.

    `first` says that no edition of this name stands on record yet; `subjects` are those of its last
    editions; `corrections` are for articles that it carried. A `missed` slot is made up for: ages are
    those when it fired, and it waits for nothing.
    """

    slot: str
    fires: datetime
    now: datetime
    first: bool = False
    subjects: frozenset[str] = frozenset()
    corrections: tuple[Correction, ...] = ()
    missed: bool = False


def compose(
    new: Sequence[Entry],
    occasion: Occasion,
    terms: Terms,
    publication: Publication,
    also: Mapping[EntryId, tuple[str, ...]],
) -> Edition | Reason:
    """Return the edition of an occasion, or why there is none.

    `new` are the entries that no edition of this name has carried, by record sequence; `also` gives
    the channels of their secondary topics. Those older than `max_age` by their best date are counted,
    not carried, but for a first edition, which takes everything. With nothing to carry the slot waits
    for `wait` from the instant it fired. Corrections alone make no edition, but stand in an empty one;
    neither a first edition nor that of a missed slot is empty.
    """
    carried = [entry for entry in new if _taken(entry, terms, publication, also)]
    oldest = (occasion.fires if occasion.missed else occasion.now) - terms.max_age
    recent = [entry for entry in carried if entry.best_date >= oldest]
    chosen = carried if occasion.first else recent
    if not chosen:
        open_until = occasion.fires + terms.wait
        waits = occasion.now < open_until and not occasion.missed
        if waits:
            return Reason.WAITING
        if occasion.first or occasion.missed or not terms.empty:
            return Reason.NOTHING_NEW
        return _empty(occasion, terms, publication, older=len(carried))
    stories = _stories(chosen, publication)
    briefs = [
        _brief(entry, _slugs(entry, terms, also), publication, stories.get(entry.id))
        for entry in sorted(chosen, key=newest_first)
    ]
    channels = _channels(briefs, publication)
    edition = Edition(
        name=terms.name,
        slot=occasion.slot,
        timezone=terms.timezone,
        composed=occasion.now,
        subject="",
        lead=_lead(chosen, stories).id,
        briefs=_grouped(briefs, channels),
        channels=channels,
        older=len(carried) - len(chosen),
        from_archive=len(recent) < len(chosen),
        limit=terms.limit,
        corrections=occasion.corrections,
    )
    return named(edition, clean(terms.subject), occasion.subjects)


def _empty(occasion: Occasion, terms: Terms, publication: Publication, *, older: int) -> Edition:
    """Return an edition without articles: it says that there is nothing new, and what was corrected."""
    return Edition(
        name=terms.name,
        slot=occasion.slot,
        timezone=terms.timezone,
        composed=occasion.now,
        subject=unled(occasion.slot, publication.title, occasion.subjects),
        lead=EntryId(""),
        briefs=(),
        channels=(),
        older=older,
        limit=terms.limit,
        corrections=occasion.corrections,
    )


def correction(  # noqa: PLR0913, PLR0917 -- what a line of corrections is made of
    entry: Entry,
    kind: str,
    at: datetime,
    carried: Brief,
    also: Sequence[str],
    publication: Publication,
) -> Correction:
    """Return what an edition says of an entry that was `corrected` or `withdrawn` at a moment.

    Its channels are those of today and those under which it was `carried`: whoever was sent it is told,
    also when it was moved since.
    """
    slugs = dict.fromkeys((entry.channel, *also, carried.channel, *carried.also))
    return Correction(
        entry=entry.id,
        kind=kind,
        channels=tuple(slugs),
        title=shorten(entry.article.title, _TITLE_LIMIT),
        date=publication.day(at),
        path=entry.path,
        lang=entry.article.lang or publication.language,
    )


def _taken(
    entry: Entry,
    terms: Terms,
    publication: Publication,
    also: Mapping[EntryId, tuple[str, ...]],
) -> bool:
    """Whether an edition of this name carries such an entry."""
    spoken = not terms.languages or _language(entry, publication) in map(primary, terms.languages)
    return spoken and bool(_slugs(entry, terms, also))


def _slugs(entry: Entry, terms: Terms, also: Mapping[EntryId, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the channels of an entry that the edition takes, its own first."""
    slugs = dict.fromkeys((entry.channel, *also.get(entry.id, ())))
    return tuple(slug for slug in slugs if not terms.channels or slug in terms.channels)


def _brief(
    entry: Entry, slugs: Sequence[str], publication: Publication, story: EntryId | None
) -> Brief:
    source = credit(publication, entry)
    return Brief(
        entry=entry.id,
        channel=slugs[0],
        title=shorten(entry.article.title, _TITLE_LIMIT),
        summary=shorten(summarise(entry.article.paragraphs, SUMMARY_WORDS), _SUMMARY_LIMIT),
        credit=source.names,
        date=source.date,
        path=entry.path,
        lang=entry.article.lang or publication.language,
        also=tuple(slugs[1:]),
        uncertain=entry.uncertain,
        dated=entry.published is not None,
        story=story,
    )


def _grouped(briefs: Sequence[Brief], channels: Sequence[tuple[str, str]]) -> tuple[Brief, ...]:
    """Return the briefs by channel, in the order of `channels`, otherwise as they stand."""
    order = {slug: place for place, (slug, _) in enumerate(channels)}
    return tuple(sorted(briefs, key=lambda brief: order[brief.channel]))


def _channels(briefs: Sequence[Brief], publication: Publication) -> tuple[tuple[str, str], ...]:
    """Return slug and title of the channels that occur, as the publication orders them."""
    occurring = {slug for brief in briefs for slug in (brief.channel, *brief.also)}
    known = [(channel.slug, channel.title) for channel in publication.channels]
    listed = [pair for pair in known if pair[0] in occurring]
    unknown = sorted(occurring - {slug for slug, _ in listed})
    return (*listed, *((slug, slug) for slug in unknown))


def _stories(entries: Sequence[Entry], publication: Publication) -> dict[EntryId, EntryId]:
    """Return, for the entries that tell of one event with others, the first of them on record."""
    entries = sorted(entries, key=newest_first)[:_COMPARED]
    texts = [
        related.Text(
            entry.article.title,
            entry.article.paragraphs,
            entry.published,
            publication.publisher(entry),
        )
        for entry in entries
    ]
    found: dict[EntryId, EntryId] = {}
    for group in related.groups(texts):
        members = [entries[place] for place in group]
        first = min(members, key=lambda entry: entry.seq).id
        found |= {entry.id: first for entry in members}
    return found


def _lead(entries: Sequence[Entry], stories: Mapping[EntryId, EntryId]) -> Entry:
    """Return the lead: of the story that most articles tell, the newest; else as a digest has it.

    An uncertain article, perhaps on the wrong channel, leads only when all are uncertain, and an undated
    one only when no other is dated; so a story of such articles alone does not count. Of stories of one
    size, that which the digest's own order puts first wins.
    """
    best = min(map(_claim, entries))
    able = [entry for entry in entries if _claim(entry) == best]
    order = {entry.id: place for place, entry in enumerate(_as_digests_have_it(entries))}
    size = Counter(stories.values())
    places: dict[EntryId, int] = {}
    for entry in able:
        if story := stories.get(entry.id):
            places[story] = min(places.get(story, len(order)), order[entry.id])
    if not places:
        return min(able, key=lambda entry: order[entry.id])
    largest = min(places, key=lambda story: (-size[story], places[story]))
    told = [entry for entry in able if stories.get(entry.id) == largest]
    return min(told, key=newest_first)


def _claim(entry: Entry) -> tuple[bool, bool]:
    """Return a key that sorts first what is surely on its channel and surely news."""
    return (entry.uncertain, entry.published is None)


def _as_digests_have_it(entries: Sequence[Entry]) -> list[Entry]:
    """Return entries in the order of their digests, that with the latest news first.

    Editors put first what matters most.
    """
    latest: dict[str, datetime] = {}
    for entry in entries:
        if entry.published is not None:
            known = latest.get(entry.digest, entry.published)
            latest[entry.digest] = max(known, entry.published)

    def rank(entry: Entry) -> tuple[float, int, str]:
        newest = latest.get(entry.digest, entry.first_seen).timestamp()
        return (-newest, entry.position, entry.id)

    return sorted(entries, key=rank)


def _language(entry: Entry, publication: Publication) -> str:
    return primary(entry.article.lang or publication.language)
