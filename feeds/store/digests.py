"""The digests on record: what was read, what was quarantined, and how each file looked then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from feeds.errors import DigestError
from feeds.model import Digest, Outcome, Reading
from feeds.store.database import Database, chunks, insert, into, pairs
from feeds.store.entries import Desk, Filing, file_all
from feeds.store.schema import digests, sightings

# What is asked of each digest. A statement is made once, since that takes longer than to run it.
_RETRY = (digests.c.outcome == Outcome.QUARANTINE) & (digests.c.formats != sa.bindparam("formats"))
_KEPT = sa.select(digests.c.id).where(
    digests.c.sha256 == sa.bindparam("sha256"), digests.c.publisher == sa.bindparam("publisher")
)
_SIGHTED = _KEPT.where(~_RETRY)
_KEEP_AGAIN = sa.update(digests).where(digests.c.id == sa.bindparam("known"))
_NOTE_AGAIN = sa.update(sightings).where(sightings.c.name == sa.bindparam("known"))


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A file that can't be read, for status; `sha256` is None when it could not even be opened."""

    file: str
    sha256: str | None
    reason: str
    detail: str
    first_seen: datetime


@dataclass(frozen=True, slots=True)
class Sighted:
    """A file as it was when last read; `sha256` is None when it could not even be opened."""

    name: str
    look: str
    sha256: str | None


class Digests:
    """Records digests. `formats` is the version of the readers that read them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def looks(self, formats: str, names: Collection[str] | None = None) -> dict[str, str]:
        """Return each name's look when last read, less those to be read again under new formats.

        Of all names, or of these.
        """
        query = sa.select(sightings.c.name, sightings.c.look).join(digests).where(~_RETRY)
        query = query.params(formats=formats)
        with self._database.read() as connection:
            if names is None:
                return pairs(connection, query)
            found: dict[str, str] = {}
            for some in chunks(names):
                found |= pairs(connection, query.where(sightings.c.name.in_(some)))
            return found

    def sight(self, digest: Digest, look: str, formats: str, publisher: str | None) -> bool:
        """Note the look of a file whose content is on record for a publisher; return False if not."""
        content = _content(digest, publisher) | {"formats": formats}
        with self._database.read() as connection:  # most are new, and a writer would be waited for
            if connection.scalar(_SIGHTED, content) is None:
                return False
        with self._database.write() as connection:
            known = connection.scalar(_SIGHTED, content)  # upkeep may have struck it off meanwhile
            if known is not None:
                _note(connection, digest.name, look, known, digest.received)
        return known is not None

    def record(  # noqa: PLR0913 -- what a digest is recorded with
        self,
        digest: Digest,
        look: str,
        formats: str,
        reading: Reading,
        filings: Sequence[Filing],
        *,
        publisher: str | None,
        authority: str,
        all_channel: str,
        archive: bool,
    ) -> Counter[str]:
        """Record a digest and its articles in one transaction.

        Returns how many articles were `new`, `updated` and `unchanged`.
        """
        with self._database.write() as connection:
            digest_id = _keep(connection, digest, formats, reading, publisher)
            desk = Desk(digest, digest_id, publisher, authority, all_channel, archive)
            done = file_all(connection, desk, filings)
            _note(connection, digest.name, look, digest_id, digest.received)
        return done

    def refuse(self, error: DigestError, look: str, formats: str, now: datetime) -> None:
        """Quarantine a file that can't be opened."""
        values: dict[str, object] = {
            "name": error.name,
            "publisher": "",
            "size": 0,
            "outcome": Outcome.QUARANTINE,
            "score": 0.0,
            "scores": {},
            "reason": error.reason,
            "detail": error.detail,
            "formats": formats,
        }
        unopened = sa.select(digests.c.id).where(
            digests.c.name == error.name, digests.c.sha256.is_(None)
        )
        with self._database.write() as connection:
            known = connection.scalar(unopened)
            if known is None:
                known = insert(connection, digests, values | {"first_seen": now})
            else:
                connection.execute(_KEEP_AGAIN, values | {"known": known})
            _note(connection, error.name, look, known, now)

    def quarantined(self) -> list[Quarantined]:
        """Return the files in quarantine by name: those whose latest look could not be read.

        A file that is gone from seeds/ stays until `forget`.
        """
        query = (
            sa.select(
                sightings.c.name,
                digests.c.sha256,
                digests.c.reason,
                digests.c.detail,
                digests.c.first_seen,
            )
            .join(sightings)
            .where(digests.c.outcome == Outcome.QUARANTINE)
            .order_by(sightings.c.name)
        )
        with self._database.read() as connection:
            return [Quarantined(*row) for row in connection.execute(query)]

    def forget(self, there: Collection[str]) -> None:
        """Forget how quarantined files looked that are not `there` any more; their digests stay."""
        gone = [one.file for one in self.quarantined() if one.file not in there]
        if gone:
            self.unsee(gone)

    def sighted(self) -> list[Sighted]:
        """Return every name whose content is on record, by name, as it was when last read."""
        query = (
            sa.select(sightings.c.name, sightings.c.look, digests.c.sha256)
            .join(digests)
            .order_by(sightings.c.name)
        )
        with self._database.read() as connection:
            return [Sighted(*row) for row in connection.execute(query)]

    def unsee(self, names: Collection[str]) -> None:
        """Forget how files looked: what is there is read again. Their digests stay."""
        with self._database.write() as connection:
            for some in chunks(names):
                connection.execute(sa.delete(sightings).where(sightings.c.name.in_(some)))

    def count(self) -> dict[str, int]:
        """Return how many contents are on record by outcome."""
        query = sa.select(digests.c.outcome, sa.func.count()).group_by(digests.c.outcome)
        with self._database.read() as connection:
            return pairs(connection, query)


def _content(digest: Digest, publisher: str | None) -> dict[str, object]:
    return {"sha256": digest.sha256, "publisher": publisher or ""}


def _keep(
    connection: sa.Connection,
    digest: Digest,
    formats: str,
    reading: Reading,
    publisher: str | None,
) -> int:
    """Insert a content, or update one that is read again; return its id."""
    values: dict[str, object] = {
        "name": digest.name,
        "size": len(digest.data),
        "outcome": reading.outcome,
        "format": reading.format,
        "score": reading.score,
        "scores": dict(reading.scores),
        "reason": reading.reason,
        "detail": reading.detail,
        "formats": formats,
    }
    content = _content(digest, publisher)
    known = connection.scalar(_KEPT, content)
    if known is not None:
        connection.execute(_KEEP_AGAIN, values | {"known": known})
        return int(known)
    return insert(connection, digests, values | content | {"first_seen": digest.received})


def _note(connection: sa.Connection, name: str, look: str, digest_id: int, now: datetime) -> None:
    values = {"look": look, "digest": digest_id, "seen": now}
    if connection.execute(_NOTE_AGAIN, values | {"known": name}).rowcount == 0:
        connection.execute(into(sightings), values | {"name": name})
