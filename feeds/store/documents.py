"""What was published: which channels are on record since when, and which files below out/ are ours."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
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

    def claim(self, target: str, paths: Iterable[str]) -> None:
        """Record files as ours before they are written, so that a pass cut short leaves no stranger."""
        wanted = sorted(paths)
        with self._database.write() as connection:
            query = sa.select(documents.c.path).where(documents.c.path.in_(wanted))
            ours = set(connection.scalars(query))
            fresh = [{"path": path, "target": target} for path in wanted if path not in ours]
            if fresh:
                connection.execute(sa.insert(documents), fresh)

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

    def forget(self) -> None:
        """Forget what every target was made from: all is made again."""
        with self._database.write() as connection:
            connection.execute(sa.delete(targets))
