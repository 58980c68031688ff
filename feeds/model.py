"""The words of this field, as frozen values. Imports nothing of ours.

A digest (one file's bytes) holds articles (as found); an article on record is an entry (permanent id,
topics, dates); a channel's entries as of now are a feed (RFC 4287), whose written forms are documents.
The entries of one issue of the newsletter are an edition, which becomes a letter (RFC 5322) a
subscriber; whether it arrived is the delivery's state. The README carries this glossary.

Every datetime is aware. Those of the record are UTC; an article as found keeps its digest's offset.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import NewType

EntryId = NewType("EntryId", str)
"""20 lowercase hexadecimal digits, minted once; see `store.identity`."""

TopicCode = NewType("TopicCode", str)
"""An IPTC Media Topic, as `medtop:11000000`."""

MEDIATOPIC_SCHEME = "http://cv.iptc.org/newscodes/mediatopic/"
"""The vocabulary's address, the `scheme` of an Atom category (IPTC NewsCodes)."""

MEDIATOPICS: dict[TopicCode, str] = {
    TopicCode("medtop:01000000"): "arts, culture, entertainment and media",
    TopicCode("medtop:02000000"): "crime, law and justice",
    TopicCode("medtop:03000000"): "disaster, accident and emergency incident",
    TopicCode("medtop:04000000"): "economy, business and finance",
    TopicCode("medtop:05000000"): "education",
    TopicCode("medtop:06000000"): "environment",
    TopicCode("medtop:07000000"): "health",
    TopicCode("medtop:08000000"): "human interest",
    TopicCode("medtop:09000000"): "labour",
    TopicCode("medtop:10000000"): "lifestyle and leisure",
    TopicCode("medtop:11000000"): "politics",
    TopicCode("medtop:12000000"): "religion",
    TopicCode("medtop:13000000"): "science and technology",
    TopicCode("medtop:14000000"): "society",
    TopicCode("medtop:15000000"): "sport",
    TopicCode("medtop:16000000"): "conflict, war and peace",
    TopicCode("medtop:17000000"): "weather",
}
"""The 17 top-level IPTC Media Topics by code (CC BY 4.0, as of October 2023)."""


def _aware(name: str, moment: datetime | None) -> None:
    if moment is not None and moment.utcoffset() is None:
        raise ValueError(f"{name} must be an aware datetime")


class Precision(StrEnum):
    """How exactly a digest dates an article; a day alone stands at noon in the digest's zone."""

    MINUTE = "minute"
    DAY = "day"


class DateSource(StrEnum):
    """Where an article's date comes from, the best first."""

    EXPLICIT = "explicit"
    EXPLICIT_DATE_ONLY = "explicit_date_only"
    DIGEST_HEADER = "digest_header"
    INFERRED_FROM_TEXT = "inferred_from_text"
    INFERRED_FROM_ORDER = "inferred_from_order"
    FILE_TIME = "file_time"
    FIRST_SEEN = "first_seen"


class Part(StrEnum):
    """What a line of a digest is. Every line is exactly one of these."""

    HEADER = "header"
    STAMP = "stamp"
    TITLE = "title"
    BODY = "body"
    MARKER = "marker"
    SEPARATOR = "separator"
    LEFTOVER = "leftover"


class Outcome(StrEnum):
    """What became of a file in seeds/."""

    ARTICLES = "articles"
    QUARANTINE = "quarantine"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class Digest:
    """One file's bytes. `name` is its path below seeds/ with forward slashes."""

    name: str
    data: bytes
    sha256: str
    received: datetime

    def __post_init__(self) -> None:
        _aware("received", self.received)


@dataclass(frozen=True, slots=True)
class Article:
    """One article as found in a digest. All text is safe for XML 1.0 and holds no line break.

    `published` keeps the digest's offset; `between` bounds an inferred date. `source` is the agency
    cited in the text, not the publisher. `line` is the 1-based line of the digest where it starts.
    """

    title: str
    paragraphs: tuple[str, ...] = ()
    published: datetime | None = None
    precision: Precision | None = None
    date_source: DateSource = DateSource.FIRST_SEEN
    between: tuple[datetime, datetime] | None = None
    views: int | None = None
    photo_credit: str | None = None
    source: str | None = None
    dateline: str | None = None
    author: str | None = None
    url: str | None = None
    lang: str | None = None
    truncated: bool = False
    line: int = 1

    def __post_init__(self) -> None:
        _aware("published", self.published)
        for moment in self.between or ():
            _aware("between", moment)
        if (self.published is None) != (self.precision is None):
            raise ValueError("published and precision go together")


@dataclass(frozen=True, slots=True)
class Leftover:
    """A line that no part of the format explains; `line` is 1-based."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What was made of one digest.

    `parts` holds one part for each line, so that the lines add up. `score` is the share of lines
    explained, 0 to 1, less what is irregular in them, of the format chosen or of the best that
    failed; `scores` holds all of them.
    `reason` is a code and `detail` a sentence, both set when the outcome is quarantine.
    """

    outcome: Outcome
    format: str | None = None
    score: float = 0.0
    scores: tuple[tuple[str, float], ...] = ()
    reason: str | None = None
    detail: str | None = None
    articles: tuple[Article, ...] = ()
    parts: tuple[Part, ...] = ()
    leftovers: tuple[Leftover, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TopicShare:
    """A topic of an entry and its probability; `by` is `model` or `human`."""

    code: TopicCode
    probability: float
    by: str = "model"

    @property
    def name(self) -> str:
        """The topic's IPTC name."""
        return MEDIATOPICS[self.code]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one word or phrase adds to a topic's score, in log-odds, and the part that says so."""

    word: str
    topic: TopicCode
    weight: float
    part: str


@dataclass(frozen=True, slots=True)
class Classification:
    """The topics of an article.

    `topics` holds the primary first, then the secondary ones that earned it, by falling probability;
    it is empty when the article gave no evidence. `distribution` covers all 17 topics and sums to 1.
    """

    topics: tuple[TopicShare, ...]
    uncertain: bool
    distribution: tuple[tuple[TopicCode, float], ...]
    model: str
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """A publisher, known only from configuration.

    `match` is a glob on the digest's name. `search` is an address with `{title}`. `content` says how
    much of an article may be shown, `full` or `summary`; `indexed` whether pages may be indexed.
    """

    name: str
    match: str = "*"
    home: str | None = None
    rights: str | None = None
    search: str | None = None
    content: str = "full"
    indexed: bool = False

    def publishes(self, digest: str) -> bool:
        """Whether a digest of this name is the publisher's."""
        return fnmatchcase(digest, self.match)


@dataclass(frozen=True, slots=True)
class Entry:
    """An article on record (RFC 4287 entry).

    `seq` is the record sequence in which entries came, `position` the 0-based place in the digest.
    `publisher` is the name of a configured source. `views_at` says when the views were counted.
    `channel` is the slug of its one topic channel; `topics` is empty on `general`.
    """

    id: EntryId
    uri: str
    seq: int
    article: Article
    topics: tuple[TopicShare, ...]
    uncertain: bool
    channel: str
    first_seen: datetime
    updated: datetime
    digest: str
    position: int = 0
    publisher: str | None = None
    views_at: datetime | None = None

    def __post_init__(self) -> None:
        _aware("first_seen", self.first_seen)
        _aware("updated", self.updated)

    @property
    def published(self) -> datetime | None:
        """When the digest says the article was published, UTC."""
        moment = self.article.published
        return moment.astimezone(UTC) if moment else None

    @property
    def best_date(self) -> datetime:
        """`published`, else when the article was first seen, UTC."""
        return self.published or self.first_seen

    @property
    def path(self) -> str:
        """The entry's page below `out/`; never changes."""
        return f"articles/{self.id[:2]}/{self.id}.html"


def newest_first(entry: Entry) -> tuple[float, int, str]:
    """Sort key of entries in a document: best date, the newest first; place in the digest; id."""
    return (-entry.best_date.timestamp(), entry.position, entry.id)


@dataclass(frozen=True, slots=True)
class Channel:
    """A standing subject that people follow."""

    slug: str
    title: str
    description: str = ""
    topics: tuple[TopicCode, ...] = ()
    language: str | None = None


ALL = Channel("all", "All news", "Every entry of every channel")
"""A listing of every channel, not a channel: the same ids, outside the default group of the OPML."""


@dataclass(frozen=True, slots=True)
class Feed:
    """A channel's entries as of now, newest first; `updated` is the newest entry's, UTC."""

    channel: Channel
    entries: tuple[Entry, ...]
    updated: datetime

    def __post_init__(self) -> None:
        _aware("updated", self.updated)


@dataclass(frozen=True, slots=True)
class Document:
    """A file below `out/`: a relative path with forward slashes, its media type and bytes."""

    path: str
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Brief:
    """An entry as it stands in an edition, frozen: never more than a summary.

    `channel` is the entry's own channel, or the first secondary one that the edition takes when it
    doesn't take that; `also` holds the slugs of the further channels of its topics, likewise.
    `credit` names the source and `date` is for people ("1 January 2026"). `dated` says that the digest
    gave the date. `story` is the first entry of the same-story group it belongs to, None when alone.
    """

    entry: EntryId
    channel: str
    title: str
    summary: str
    credit: str
    date: str
    path: str
    lang: str | None = None
    also: tuple[str, ...] = ()
    uncertain: bool = False
    dated: bool = True
    story: EntryId | None = None


@dataclass(frozen=True, slots=True)
class Correction:
    """An entry that was `corrected` or `withdrawn` after an edition of the same name carried it.

    `channels` are its slugs, its own first; `date` says for people when that was.
    """

    entry: EntryId
    kind: str
    channels: tuple[str, ...]
    title: str
    date: str
    path: str
    lang: str | None = None


def edition_path(name: str, slot: str) -> str:
    """Return where the page of an edition stands below `out/`."""
    return f"editions/{name}/{slot.replace(':', '')}.html"


@dataclass(frozen=True, slots=True)
class Edition:
    """The entries of one issue of the newsletter, frozen when composed.

    `slot` is the wall-clock time of its schedule in `timezone`, as `2026-01-02T08:00`. `briefs` holds
    every article that is new to this edition's name, by channel in the order of `channels`, newest
    first; `lead` is one of them, or empty where there are none. `channels` pairs slug and title of those
    that occur, be it in `also`.
    `older` counts the new articles past `max_age`, filed but not mailed. `limit` is the most articles
    of a letter, `pattern` what its subject is made from. `note` is the editor's own text above the
    news, paragraphs parted by blank lines.
    """

    name: str
    slot: str
    timezone: str
    composed: datetime
    subject: str
    lead: EntryId
    briefs: tuple[Brief, ...]
    channels: tuple[tuple[str, str], ...]
    older: int = 0
    from_archive: bool = False
    limit: int = 15
    pattern: str = "{lead} + {n} more"
    corrections: tuple[Correction, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        _aware("composed", self.composed)

    @property
    def path(self) -> str:
        """The edition's page below `out/`."""
        return edition_path(self.name, self.slot)


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A person who gets letters. Empty `channels`, `editions` or `languages` mean all of them."""

    id: int
    email: str
    joined: datetime
    state: str = "active"
    channels: tuple[str, ...] = ()
    editions: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    token_version: int = 1


@dataclass(frozen=True, slots=True)
class Section:
    """A channel in a letter: its briefs, in the edition's order, and how many more are on the web."""

    slug: str
    title: str
    briefs: tuple[Brief, ...]
    more: int = 0


@dataclass(frozen=True, slots=True)
class Mix:
    """A subscriber's part of an edition: their channels and languages, each article once.

    `sections` stand in the order of the edition's channels; the lead is in one of them as well. A
    section may be without briefs and still have `more`. `related` holds, for an entry that is shown,
    further briefs of the same story, which stand below it by their titles and nowhere else.
    `corrections` are those of articles that the subscriber was sent. Of an edition without articles the
    lead is None, and there are no sections.
    """

    edition: Edition
    subject: str
    lead: Brief | None
    sections: tuple[Section, ...]
    related: tuple[tuple[EntryId, tuple[Brief, ...]], ...] = ()
    corrections: tuple[Correction, ...] = ()

    @property
    def entries(self) -> tuple[EntryId, ...]:
        """The entries the letter shows, each once; what is only counted as more isn't among them."""
        shown = (brief.entry for section in self.sections for brief in section.briefs)
        below = (brief.entry for _, briefs in self.related for brief in briefs)
        return (*shown, *below)

    @property
    def shown(self) -> int:
        """How many articles the letter shows."""
        return sum(len(section.briefs) for section in self.sections)

    @property
    def more(self) -> int:
        """How many more of the subscriber's articles stand in the web copy only."""
        return sum(section.more for section in self.sections)


class DeliveryState(StrEnum):
    """Where a delivery stands; `written` is the end in a folder, `sent` over SMTP.

    `sending` was surely not taken by the server yet, `dotting` may have been: the final dot is under
    way. A process killed meanwhile leaves `dotting`, which becomes `uncertain`.
    """

    QUEUED = "queued"
    SENDING = "sending"
    DOTTING = "dotting"
    UNCERTAIN = "uncertain"
    DEFERRED = "deferred"
    WRITTEN = "written"
    SENT = "sent"
    FAILED = "failed"
    SUPPRESSED = "suppressed"


@dataclass(frozen=True, slots=True)
class Delivery:
    """Edition x subscriber. `message_id` is fixed when the delivery is recorded; `tries` counts."""

    id: int
    edition: str
    slot: str
    subscriber: int
    state: DeliveryState
    message_id: str
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Letter:
    """A MIME message to one person: the bytes that go out, CRLF line ends.

    `recipient` and `sender` are the addresses of the envelope (RFC 5321, sections 3.3 and 4.4), an
    international domain in its ASCII form; an empty `sender` is that of no bounces.
    """

    recipient: str
    message_id: str
    subject: str
    data: bytes = field(repr=False)
    sender: str = ""
