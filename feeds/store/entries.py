"""The entries on record: how captures are matched and merged, and how entries are found again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from feeds.errors import NotFoundError
from feeds.model import Article, Classification, Digest, Entry, EntryId
from feeds.store import identity, rows
from feeds.store.database import Database, chunks, insert, into, pairs
from feeds.store.schema import changes, classifications, entries, placements
from feeds.text import words

CORRECTED, WITHDRAWN = "corrected", "withdrawn"
"""Kinds of changes that whoever was sent an article is told: its words are others now, or it is gone."""

_OWN, _ALSO, _LEFT = "own", "also", "left"
_CANDIDATES = 100
_CROWD = timedelta(seconds=100)  # how far an entry gives way to others that share its moment

# What is asked of each article. A statement is made once, since to make one takes longer than to run it.
# Columns to be set are given by their names when it is run: no other parameter may be named so there.
_KNOWN: sa.BindParameter[Any] = sa.bindparam("known")  # the seq of an entry
_CUT = sa.bindparam("truncated", type_=sa.Boolean) | entries.c.truncated
_KINDS = (
    entries.c.published == sa.bindparam("published"),
    entries.c.fingerprint == sa.bindparam("fingerprint"),
    (entries.c.opening == sa.bindparam("opening")) & _CUT,
)
_TITLED = sa.select(entries.c.seq).where(entries.c.folded_title == sa.bindparam("folded_title"))
_LATEST = _TITLED.order_by(entries.c.seq.desc()).limit(_CANDIDATES)
_FOUND = sa.union_all(*(sa.select(_LATEST.where(kind).subquery()) for kind in _KINDS))
_ALIKE = sa.select(entries).where(entries.c.seq.in_(_FOUND)).order_by(entries.c.seq)
_TAKEN = sa.select(entries.c.seq).where(entries.c.id == sa.bindparam("id"))
_CROWDED = sa.select(entries.c.updated).where(
    entries.c.updated.between(sa.bindparam("first"), sa.bindparam("last"))
)
_SET = sa.update(entries).where(entries.c.seq == _KNOWN)
_PLACED = sa.select(placements.c.channel).where(placements.c.entry == _KNOWN)
_LIFT = sa.delete(placements).where(placements.c.entry == _KNOWN)
_BRING_UP = sa.update(placements).where(placements.c.entry == _KNOWN, placements.c.role != _LEFT)
_SAID = (classifications.c.entry == _KNOWN, classifications.c.current == sa.true())
_OUTDATE = sa.update(classifications).where(*_SAID)
_BY_HUMAN = sa.select(classifications.c.id).where(*_SAID, classifications.c.by == "human").limit(1)


@dataclass(frozen=True, slots=True)
class Filing:
    """An article with what was found out about it: its topics, its channel and those it shows on too."""

    article: Article
    classification: Classification
    channel: str
    also: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Desk:
    """What all filings of one digest share. `all_channel` lists every entry; `archive` never mails."""

    digest: Digest
    digest_id: int
    publisher: str | None
    authority: str
    all_channel: str
    archive: bool


@dataclass(frozen=True, slots=True)
class Amendment:
    """An entry as it stands now, and when it was last `corrected` or `withdrawn`."""

    entry: Entry
    kind: str
    at: datetime


class Entries:
    """Finds entries. Whatever returns several gives them in a stated order."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, key: str) -> Entry:
        """Return the entry with this id, or with the only id that begins so.

        Raises:
            NotFoundError: no id begins so, or several do.
        """
        start = key.lower()
        # Every id is hexadecimal, so all that begin so lie before `start` + "g".
        begins = rows.ENTRIES.where(entries.c.id >= start, entries.c.id < start + "g")
        with self._database.read() as connection:
            found = rows.load(connection, begins.order_by(entries.c.id).limit(3)) if start else []
        if len(found) == 1 or (found and found[0].id == start):
            return found[0]
        raise NotFoundError("entry", key, [entry.id for entry in found])

    def newest(self, limit: int | None = None, channel: str | None = None) -> Iterator[Entry]:
        """Yield entries newest first by best date, at most `limit`, of one channel or of all."""
        order = (entries.c.best_date.desc(), entries.c.position, entries.c.id)
        query = rows.ENTRIES.order_by(*order)
        if channel is not None:
            query = query.where(entries.c.channel == channel)
        if limit is not None:
            query = query.limit(limit)
        yield from self._stream(query)

    def changed(self, after: int) -> Iterator[Entry]:
        """Yield the entries whose page changed after this point of the record, in order of change."""
        yield from self._stream(
            rows.ENTRIES.where(entries.c.changed > after).order_by(entries.c.changed)
        )

    def last_seq(self) -> int:
        """Return the seq of the entry that came last; 0 when there is none."""
        with self._database.read() as connection:
            return connection.scalar(sa.select(sa.func.max(entries.c.seq))) or 0

    def arrived(self, after: int, through: int) -> list[Entry]:
        """Return the entries after seq `after` through `through` that may be mailed, in order of seq."""
        query = rows.ENTRIES.where(
            entries.c.seq > after, entries.c.seq <= through, entries.c.archive == sa.false()
        )
        with self._database.read() as connection:
            return rows.load(connection, query.order_by(entries.c.seq))

    def last_change(self, channel: str | None = None) -> int:
        """Return the latest change of the record, or of one channel; 0 when nothing ever changed."""
        query = sa.select(sa.func.max(changes.c.seq))
        if channel is not None:
            query = sa.select(sa.func.max(placements.c.change)).where(
                placements.c.channel == channel
            )
        with self._database.read() as connection:
            return connection.scalar(query) or 0

    def amended(self, after: int, through: int) -> Iterator[Amendment]:
        """Yield the entries corrected or withdrawn after a change through another, the latest first.

        Each once, by its last such change.
        """
        query = (
            sa.select(changes.c.entry, changes.c.kind, changes.c.at)
            .where(changes.c.seq > after, changes.c.seq <= through)
            .where(changes.c.kind.in_((CORRECTED, WITHDRAWN)))
            .order_by(changes.c.seq.desc())
        )
        with self._database.read() as connection:
            last: dict[int, tuple[str, datetime]] = {}
            for seq, kind, at in connection.execute(query):
                last.setdefault(seq, (kind, at))
            for some in chunks(last):
                found = rows.load(connection, rows.ENTRIES.where(entries.c.seq.in_(some)))
                by_seq = {entry.seq: entry for entry in found}
                for seq in some:
                    yield Amendment(by_seq[seq], *last[seq])

    def window(self, channel: str, limit: int, days: timedelta | None) -> list[Entry]:
        """Return what a channel's feed holds: the entries that entered or changed last, latest first.

        At most `limit`; more when `days` is given and more came within it of the newest arrival.
        """
        held = (placements.c.channel == channel, placements.c.role == _OWN)
        joined = rows.ENTRIES.join(placements, placements.c.entry == entries.c.seq).where(*held)
        with self._database.read() as connection:
            if days is not None:
                arrivals = sa.select(entries.c.first_seen).join(placements).where(*held)
                latest = arrivals.with_only_columns(sa.func.max(entries.c.first_seen))
                newest = connection.scalar(latest)
                if newest is not None:
                    recent = arrivals.where(entries.c.first_seen >= newest - days).subquery()
                    came = connection.scalar(sa.select(sa.func.count()).select_from(recent))
                    limit = max(limit, came or 0)
            return rows.load(connection, joined.order_by(placements.c.change.desc()).limit(limit))

    def also(self, channel: str, limit: int) -> list[Entry]:
        """Return the entries that have this channel under a secondary topic, latest first."""
        joined = rows.ENTRIES.join(placements, placements.c.entry == entries.c.seq)
        query = joined.where(placements.c.channel == channel, placements.c.role == _ALSO)
        with self._database.read() as connection:
            return rows.load(connection, query.order_by(placements.c.change.desc()).limit(limit))

    def count(self) -> dict[str, int]:
        """Return how many entries each channel holds; channels without any are left out."""
        query = sa.select(entries.c.channel, sa.func.count()).group_by(entries.c.channel)
        with self._database.read() as connection:
            return pairs(connection, query)

    def _stream(self, query: sa.Select[Any]) -> Iterator[Entry]:
        """Yield the entries of a query, a page at a time, all from one state of the record."""
        with self._database.read() as connection:
            yield from rows.stream(connection, query)


def file_all(connection: sa.Connection, desk: Desk, filings: Sequence[Filing]) -> Counter[str]:
    """Record the articles of one digest; return how many were `new`, `updated` and `unchanged`.

    An article that matches an entry makes it better, or changes nothing.
    """
    shared = Counter(_base(filing.article, desk) for filing in filings)
    done: Counter[str] = Counter()
    for position, filing in enumerate(filings):
        moment = _base(filing.article, desk)
        if shared[moment] > 1:
            moment -= timedelta(seconds=position)
        capture = identity.Capture(filing.article, desk.publisher)
        columns = rows.article_columns(filing.article)
        known = _match(connection, capture, columns)
        if known is None:
            place = {"position": position, "updated": _free(connection, moment)}
            _insert(connection, desk, filing, columns | place)
            done["new"] += 1
        else:
            done[_improve(connection, desk, filing, known, position)] += 1
    return done


def _base(article: Article, desk: Desk) -> datetime:
    """Return where an entry's `updated` starts: as published, never in the future, else as received."""
    received = desk.digest.received.replace(microsecond=0)
    return min(article.published or received, received)


def _match(
    connection: sa.Connection, capture: identity.Capture, columns: Mapping[str, object]
) -> sa.RowMapping | None:
    """Return the row of the entry that a capture belongs to; the earliest when several would do."""
    for row in _candidates(connection, columns):
        if identity.same(identity.Capture(rows.article(row), row["publisher"]), capture):
            return row
    return None


def _candidates(
    connection: sa.Connection, columns: Mapping[str, object]
) -> Sequence[sa.RowMapping]:
    """Return the rows that may be the article of these columns, in order of seq.

    They have its title and its stamp, its words, or, where either is cut, its first words. All entries
    of a title would be too many: a column has thousands. Of each kind the latest 100 are looked at.
    """
    asked = ("folded_title", "published", "fingerprint", "opening", "truncated")
    return connection.execute(_ALIKE, {name: columns[name] for name in asked}).mappings().all()


def _insert(
    connection: sa.Connection, desk: Desk, filing: Filing, columns: Mapping[str, object]
) -> None:
    received = desk.digest.received
    entry_id = _mint(connection, identity.Capture(filing.article, desk.publisher))
    values = {
        **columns,
        "id": entry_id,
        "uri": f"tag:{desk.authority}:{entry_id}",
        "digest": desk.digest_id,
        "publisher": desk.publisher,
        "views_at": received if filing.article.views is not None else None,
        "channel": filing.channel,
        "uncertain": filing.classification.uncertain,
        "first_seen": received,
        "best_date": filing.article.published or received,
        "changed": 0,
        "archive": desk.archive,
    }
    seq = insert(connection, entries, values)
    change = _change(connection, seq, "new", received)
    _classify(connection, seq, filing.classification, received)
    _place(connection, seq, change, filing, desk.all_channel)


def _mint(connection: sa.Connection, capture: identity.Capture) -> EntryId:
    attempt = 0
    while True:
        minted = identity.mint(capture, attempt)
        if connection.scalar(_TAKEN, {"id": minted}) is None:
            return minted
        attempt += 1


def _improve(
    connection: sa.Connection,
    desk: Desk,
    filing: Filing,
    known: sa.RowMapping,
    position: int,
) -> str:
    """Merge a capture into the entry it belongs to; return `updated` or `unchanged`."""
    before, received = rows.article(known), desk.digest.received
    after, text_changed = identity.merge(before, filing.article)
    publisher = known["publisher"] or desk.publisher
    same_publisher = publisher == known["publisher"]
    if after == before and same_publisher:
        return "unchanged"
    seq = known["seq"]
    values = rows.article_columns(after) | {
        "publisher": publisher,
        "best_date": after.published or known["first_seen"],
        "views_at": received if after.views != before.views else known["views_at"],
    }
    if text_changed:
        moment = received.replace(microsecond=0) - timedelta(seconds=position)
        values["updated"] = _free(connection, moment, known["updated"])
    connection.execute(_SET, values | {"known": seq})
    if same_publisher and replace(before, views=after.views) == after:
        _change(connection, seq, "views", received)
        return "updated"
    kind = CORRECTED if text_changed and _reworded(before, after) else "updated"
    change = _change(connection, seq, kind, received)
    if text_changed and connection.scalar(_BY_HUMAN, {"known": seq}) is None:
        _move(connection, desk, filing, seq, change)
    else:
        connection.execute(_BRING_UP, {"known": seq, "change": change})
    return "updated"


def _reworded(before: Article, after: Article) -> bool:
    """Whether something that an article said is said no more, or otherwise, be it by one word.

    It isn't where each paragraph is still there, whole and in its order: the article got fuller. Of a
    text that was cut, all is one paragraph, and its last word may be half of one.
    """
    now = f" {' '.join(words(' '.join(after.paragraphs)))} "
    then = [" ".join(words(paragraph)) for paragraph in before.paragraphs]
    if before.truncated:
        then = [" ".join(then).rpartition(" ")[0]]
    at = 0
    for paragraph in filter(None, then):
        if (found := now.find(f" {paragraph} ", at)) < 0:
            return True
        at = found + len(paragraph) + 1
    return words(before.title) != words(after.title)


def _move(connection: sa.Connection, desk: Desk, filing: Filing, seq: int, change: int) -> None:
    """Give a known entry the topics and channels of a better text; what was said is current no more."""
    known = {"known": seq}
    connection.execute(_OUTDATE, known | {"current": False})
    _classify(connection, seq, filing.classification, desk.digest.received)
    moved = {"channel": filing.channel, "uncertain": filing.classification.uncertain}
    connection.execute(_SET, known | moved)
    before = connection.scalars(_PLACED, known).all()
    connection.execute(_LIFT, known)
    _place(connection, seq, change, filing, desk.all_channel, before=before)


def _free(connection: sa.Connection, moment: datetime, after: datetime | None = None) -> datetime:
    """Return the latest second, at or before `moment`, that no entry has as `updated`.

    Readers sort by it, and the W3C validator warns of entries that share one (DuplicateUpdated). In a
    crowd of more than 100 the moment is shared after all. `after` is the `updated` that a correction
    must raise; should none be free between the two, it is raised by a second.
    """
    taken = set(connection.scalars(_CROWDED, {"first": moment - _CROWD, "last": moment}))
    steps = range(int(_CROWD.total_seconds()) + 1)
    free = (moment - timedelta(seconds=step) for step in steps)
    found = next((second for second in free if second not in taken), moment)
    return found if after is None or found > after else after + timedelta(seconds=1)


def _change(connection: sa.Connection, seq: int, kind: str, at: datetime) -> int:
    """Append a change and mark the entry's page with it; return its number."""
    number = insert(connection, changes, {"entry": seq, "kind": kind, "at": at})
    connection.execute(_SET, {"known": seq, "changed": number})
    return number


def _classify(
    connection: sa.Connection, seq: int, classification: Classification, at: datetime
) -> None:
    """Append the topics of an entry."""
    if found := rows.topic_rows(seq, classification.topics, classification.model, at):
        connection.execute(into(classifications), found)


def _place(  # noqa: PLR0913 -- what a placement is made of
    connection: sa.Connection,
    seq: int,
    change: int,
    filing: Filing,
    all_channel: str,
    *,
    before: Collection[str] = (),
) -> None:
    """Put an entry on its channels; one that it leaves keeps a trace, so that its feed is made anew."""
    roles = dict.fromkeys(filing.also, _ALSO) | {filing.channel: _OWN, all_channel: _OWN}
    roles = dict.fromkeys(before, _LEFT) | roles
    placed = [
        {"channel": slug, "entry": seq, "role": role, "change": change}
        for slug, role in roles.items()
    ]
    connection.execute(into(placements), placed)
