"""Room 8: what is new for one name of the newsletter > an edition; and each subscriber's part. Pure.

In: entries that came onto the record since the last edition of that name, and what the configuration
says of it. Out: an edition, frozen (it goes on record as JSON, and a restart never selects again), or
the reason why there is none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from feeds.model import Brief, Edition, Entry, EntryId, Mix, Section, Subscriber, newest_first
from feeds.publication import MONTHS, Publication, credit
from feeds.text import clean, shorten, summarise

SUBJECT_LIMIT = 60
"""Characters of a subject, at most: about what a telephone shows."""

PER_CHANNEL = 3
"""Articles of one channel in a letter, at most."""

SUMMARY_WORDS = 40

# A digest may hold words without end; a letter has 80 kB for all of them.
_TITLE_LIMIT = 250
_SUMMARY_LIMIT = 500

_FIELD = re.compile(r"\{(lead|n|date|time)\}")
# "{lead} + {n} more · {date}": what one article alone does without, as nobody writes "+ 0 more".
_OTHERS = re.compile(r"\{lead\}[^·|]*\{n\}[^·|]*?(?=\s*(?:[·|]|$))")


class Reason(StrEnum):
    """Why a slot has no edition: it is still open and waits, or it ends with nothing new."""

    WAITING = "waiting"
    NOTHING_NEW = "nothing_new"


@dataclass(frozen=True, slots=True)
class Terms:
    """What the configuration says of an edition's name. Empty `channels` or `languages` mean all.

    `subject` may hold `{lead}`, `{n}` (the other articles), `{date}` and `{time}` (of the slot).
    """

    name: str
    timezone: str
    channels: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    wait: timedelta = timedelta(hours=3)
    max_age: timedelta = timedelta(days=7)
    limit: int = 15
    subject: str = "{lead} + {n} more"


@dataclass(frozen=True, slots=True)
class Occasion:
    """The slot that has come: its wall-clock text, the instant it fired, and now.

    `first` says that no edition of this name stands on record yet; `subjects` are those of its last
    editions.
    """

    slot: str
    fires: datetime
    now: datetime
    first: bool = False
    subjects: frozenset[str] = frozenset()


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
    for `wait` from the instant it fired.
    """
    carried = [entry for entry in new if _taken(entry, terms, publication, also)]
    oldest = occasion.now - terms.max_age
    recent = [entry for entry in carried if entry.best_date >= oldest]
    chosen = carried if occasion.first else recent
    if not chosen:
        open_until = occasion.fires + terms.wait
        return Reason.WAITING if occasion.now < open_until else Reason.NOTHING_NEW
    briefs = [
        _brief(entry, _slugs(entry, terms, also), publication)
        for entry in sorted(chosen, key=newest_first)
    ]
    channels = _channels(briefs, publication)
    edition = Edition(
        name=terms.name,
        slot=occasion.slot,
        timezone=terms.timezone,
        composed=occasion.now,
        subject="",
        lead=_lead(chosen).id,
        briefs=_grouped(briefs, channels),
        channels=channels,
        older=len(carried) - len(chosen),
        from_archive=len(recent) < len(chosen),
        limit=terms.limit,
    )
    return _named(edition, clean(terms.subject), occasion.subjects)


def selection(
    edition: Edition, subscriber: Subscriber, received: Collection[EntryId] = ()
) -> Mix | None:
    """Return a subscriber's part of an edition, or None when nothing in it is for them.

    `received` are articles that they were sent before, by another edition; they are left out.

    An article stands under its own channel, or, when the subscriber doesn't take that, under the
    first of its secondary ones that they take. At most `PER_CHANNEL` of a channel and `limit` in all
    are shown. They are dealt out in rounds, one to each channel, so that many channels share a
    letter fairly; the lead is dealt first, and of a channel the certain articles before the
    uncertain, the dated before the undated. What isn't shown is counted: nothing is lost.
    """
    placed: dict[str, list[Brief]] = {slug: [] for slug, _ in edition.channels}
    for brief in edition.briefs:
        slug = _placed(brief, subscriber)
        if slug is not None and brief.entry not in received:
            placed[slug].append(brief)
    placed = {slug: briefs for slug, briefs in placed.items() if briefs}
    if not placed:
        return None
    lead = _own_lead(edition, placed)
    dealt = _dealt(placed, lead, edition.limit)
    sections = tuple(
        _section(slug, title, placed[slug], dealt)
        for slug, title in edition.channels
        if slug in placed
    )
    others = sum(map(len, placed.values())) - 1
    return Mix(edition, _subject(edition, lead.title, others), lead, sections)


def as_json(edition: Edition) -> str:
    """Return an edition as JSON, for the record; `from_json` is the inverse."""
    values = asdict(edition) | {"composed": edition.composed.isoformat()}
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def from_json(text: str) -> Edition:
    """Return the edition that `as_json` wrote.

    Raises:
        ValueError: the text is no edition.
    """
    try:
        values = json.loads(text)
        values["composed"] = datetime.fromisoformat(values["composed"])
        values["channels"] = tuple((slug, title) for slug, title in values["channels"])
        values["briefs"] = tuple(
            Brief(**brief | {"also": tuple(brief["also"])}) for brief in values["briefs"]
        )
        return Edition(**values)
    except (KeyError, TypeError) as error:
        raise ValueError(f"no edition: {error}") from error


def _taken(
    entry: Entry,
    terms: Terms,
    publication: Publication,
    also: Mapping[EntryId, tuple[str, ...]],
) -> bool:
    """Whether an edition of this name carries such an entry."""
    spoken = not terms.languages or _language(entry, publication) in map(_primary, terms.languages)
    return spoken and bool(_slugs(entry, terms, also))


def _slugs(entry: Entry, terms: Terms, also: Mapping[EntryId, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the channels of an entry that the edition takes, its own first."""
    slugs = dict.fromkeys((entry.channel, *also.get(entry.id, ())))
    return tuple(slug for slug in slugs if not terms.channels or slug in terms.channels)


def _brief(entry: Entry, slugs: Sequence[str], publication: Publication) -> Brief:
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


def _lead(entries: Sequence[Entry]) -> Entry:
    """Return the lead: the first article, in its own order, of the digest with the latest news.

    Editors put first what matters most. An uncertain article, perhaps on the wrong channel, leads
    only when all are uncertain, and an undated one only when no other is dated.
    """
    latest: dict[str, datetime] = {}
    for entry in entries:
        if entry.published is not None:
            known = latest.get(entry.digest, entry.published)
            latest[entry.digest] = max(known, entry.published)

    def rank(entry: Entry) -> tuple[bool, bool, float, int, str]:
        newest = latest.get(entry.digest, entry.first_seen).timestamp()
        return (entry.uncertain, entry.published is None, -newest, entry.position, entry.id)

    return min(entries, key=rank)


def _named(edition: Edition, pattern: str, used: frozenset[str]) -> Edition:
    """Return the edition with its subject, unlike any of those `used`.

    Mail programs thread equal subjects of one sender, which hides the second letter; so the slot's
    day joins the pattern, and its time when that isn't enough.
    """
    title = next(brief.title for brief in edition.briefs if brief.entry == edition.lead)
    others = len(edition.briefs) - 1
    for suffix in ("", " · {date}", " · {date}, {time}"):
        edition = replace(edition, pattern=pattern + suffix)
        edition = replace(edition, subject=_subject(edition, title, others))
        if edition.subject not in used:
            break
    return edition


def _subject(edition: Edition, lead: str, others: int) -> str:
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


def _placed(brief: Brief, subscriber: Subscriber) -> str | None:
    """Return the channel under which a subscriber sees a brief, None when they don't."""
    if subscriber.languages and _primary(brief.lang) not in map(_primary, subscriber.languages):
        return None
    slugs = (brief.channel, *brief.also)
    return next(
        (slug for slug in slugs if not subscriber.channels or slug in subscriber.channels), None
    )


def _own_lead(edition: Edition, placed: Mapping[str, Sequence[Brief]]) -> Brief:
    """Return the edition's lead, else the subscriber's first article that may well lead."""
    briefs = [brief for section in placed.values() for brief in section]
    return min(briefs, key=lambda brief: (brief.entry != edition.lead, _claim(brief)))


def _dealt(placed: Mapping[str, Sequence[Brief]], lead: Brief, limit: int) -> frozenset[EntryId]:
    """Return the entries that a letter shows, dealt out in rounds."""

    def turn(brief: Brief) -> tuple[bool, tuple[bool, bool]]:
        return (brief.entry != lead.entry, _claim(brief))

    hands = [sorted(briefs, key=turn) for briefs in placed.values()]
    hands.sort(key=lambda hand: hand[0].entry != lead.entry)
    rounds = [hand[at].entry for at in range(PER_CHANNEL) for hand in hands if at < len(hand)]
    return frozenset(rounds[: max(limit, 1)])


def _claim(brief: Brief) -> tuple[bool, bool]:
    """Return a key that sorts first what is surely on its channel and surely news."""
    return (brief.uncertain, not brief.dated)


def _section(slug: str, title: str, briefs: Sequence[Brief], dealt: frozenset[EntryId]) -> Section:
    shown = tuple(brief for brief in briefs if brief.entry in dealt)
    return Section(slug, title, shown, len(briefs) - len(shown))


def _language(entry: Entry, publication: Publication) -> str:
    return _primary(entry.article.lang or publication.language)


def _primary(tag: str | None) -> str:
    """Return the primary subtag of a language tag (RFC 5646), in lower case: `en` of `en-GB`."""
    return (tag or "").partition("-")[0].lower()
