"""What was published: which channels are on record since when, and which files below out/ are ours."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from feeds.store.database import Database, pairs
from feeds.store.schema import channels, documents, targets


@dataclass(frozen=True, slots=True)
class Made:
    """What a target was last made from: a state of the configuration, and a change of the record."""

    state: str
    change: int


@dataclass(frozen=True, slots=True)
class Shelved:
    """A document as it should lie below `out/`; `sha256` is None until it is made again."""

    path: str
    target: str
    sha256: str | None


class Documents:
    """Remembers what `out/` holds. A target is a channel's slug, `articles`, `editions` or `site`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def channels_since(self, slugs: Sequence[str], now: datetime) -> dict[str, datetime]:
        """Return when each channel came onto the record; one that is new comes now."""
        query = sa.select(channels.c.slug, channels.c.since)
        with self._database.read() as connection:
            since: dict[str, datetime] = pairs(connection, query)
        fresh = {slug: now for slug in slugs if slug not in since}
        if fresh:
            rows = [{"slug": slug, "since": now} for slug in fresh]
            with self._database.write() as connection:
                connection.execute(sa.insert(channels), rows)
        return since | fresh

    def made(self) -> dict[str, Made]:
        """Return what every target was last made from."""
        with self._database.read() as connection:
            return {
                row.target: Made(row.state, row.change)
                for row in connection.execute(sa.select(targets))
            }

    def paths(self, target: str) -> list[str]:
        """Return the paths of a target's documents, in order."""
        query = sa.select(documents.c.path).where(documents.c.target == target)
        with self._database.read() as connection:
            return list(connection.scalars(query.order_by(documents.c.path)))

    def targets(self, but: str) -> list[str]:
        """Return the targets that have documents, in order, but one that may have very many."""
        few = sa.or_(documents.c.target < but, documents.c.target > but)
        query = sa.select(documents.c.target).where(few).distinct().order_by(documents.c.target)
        with self._database.read() as connection:
            return list(connection.scalars(query))

    def claim(self, target: str, files: Mapping[str, str]) -> None:
        """Record files, by path with the SHA-256 of their bytes, as ours before they are written.

        So a pass that is cut short leaves no stranger, and what it didn't write is found.
        """
        query = sa.select(documents.c.path, documents.c.sha256)
        with self._database.write() as connection:
            ours = pairs(connection, query.where(documents.c.path.in_(sorted(files))))
            fresh = [
                {"path": path, "target": target, "sha256": files[path]}
                for path in sorted(files)
                if path not in ours
            ]
            if fresh:
                connection.execute(sa.insert(documents), fresh)
            changed = [
                {"known": path, "now": files[path]} for path in ours if ours[path] != files[path]
            ]
            if changed:
                connection.execute(_REHASH, changed)

    def release(self, paths: Collection[str]) -> None:
        """Strike files off the record, after they were removed."""
        with self._database.write() as connection:
            connection.execute(sa.delete(documents).where(documents.c.path.in_(list(paths))))

    def settle(self, target: str, made: Made) -> None:
        """Record what a target was made from, after its files were written."""
        values = {"state": made.state, "change": made.change}
        with self._database.write() as connection:
            update = sa.update(targets).where(targets.c.target == target).values(values)
            if connection.execute(update).rowcount == 0:
                connection.execute(sa.insert(targets).values(values | {"target": target}))

    def forget(self, target: str | None = None) -> None:
        """Forget what a target (every one if none is named) was made from: it is made again."""
        gone = sa.delete(targets)
        with self._database.write() as connection:
            connection.execute(gone if target is None else gone.where(targets.c.target == target))

    def all(self) -> Iterator[Shelved]:
        """Yield every document on record, by path, some hundred in memory at a time."""
        query = sa.select(documents.c.path, documents.c.target, documents.c.sha256)
        with self._database.read() as connection:
            for page in connection.execute(query.order_by(documents.c.path)).partitions(_BATCH):
                yield from (Shelved(*row) for row in page)


_BATCH = 500
_REHASH = (
    sa.update(documents)
    .where(documents.c.path == sa.bindparam("known"))
    .values(sha256=sa.bindparam("now"))
)
