"""The digests on record: what was read, what was quarantined, and how each file looked then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from feeds.errors import DigestError
from feeds.model import Digest, Outcome, Reading
from feeds.store.database import Database, chunks, insert, pairs
from feeds.store.entries import Desk, Filing, file_all
from feeds.store.schema import digests, sightings


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A file that can't be read, for status; `sha256` is None when it could not even be opened."""

    file: str
    sha256: str | None
    reason: str
    detail: str
    first_seen: datetime


class Digests:
    """Records digests. `formats` is the version of the readers that read them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def looks(self, formats: str) -> dict[str, str]:
        """Return each name's look when last read, less those to be read again under new formats."""
        retry = (digests.c.outcome == Outcome.QUARANTINE) & (digests.c.formats != formats)
        query = sa.select(sightings.c.name, sightings.c.look).join(digests).where(~retry)
        with self._database.read() as connection:
            return pairs(connection, query)

    def sight(self, digest: Digest, look: str, formats: str, publisher: str | None) -> bool:
        """Note the look of a file whose content is on record for a publisher; return False if not."""
        retry = (digests.c.outcome == Outcome.QUARANTINE) & (digests.c.formats != formats)
        query = sa.select(digests.c.id).where(_content(digest, publisher), ~retry)
        with self._database.write() as connection:
            known = connection.scalar(query)
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
                update = sa.update(digests).where(digests.c.id == known)
                connection.execute(update.values(values))
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
        if not gone:
            return
        with self._database.write() as connection:
            for some in chunks(gone):
                connection.execute(sa.delete(sightings).where(sightings.c.name.in_(some)))

    def count(self) -> dict[str, int]:
        """Return how many contents are on record by outcome."""
        query = sa.select(digests.c.outcome, sa.func.count()).group_by(digests.c.outcome)
        with self._database.read() as connection:
            return pairs(connection, query)


def _content(digest: Digest, publisher: str | None) -> sa.ColumnElement[bool]:
    return sa.and_(digests.c.sha256 == digest.sha256, digests.c.publisher == (publisher or ""))


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
    known = connection.scalar(sa.select(digests.c.id).where(_content(digest, publisher)))
    if known is not None:
        connection.execute(sa.update(digests).where(digests.c.id == known).values(values))
        return int(known)
    first = {
        "sha256": digest.sha256,
        "publisher": publisher or "",
        "first_seen": digest.received,
    }
    return insert(connection, digests, values | first)


def _note(connection: sa.Connection, name: str, look: str, digest_id: int, now: datetime) -> None:
    values = {"look": look, "digest": digest_id, "seen": now}
    update = sa.update(sightings).where(sightings.c.name == name)
    if connection.execute(update.values(values)).rowcount == 0:
        connection.execute(sa.insert(sightings).values(values | {"name": name}))
