"""Bring the record's tables to this version's shape.

Alembic costs 0.3 s to import, so it is met only when the record is behind; whether it is takes one
query.
"""

from __future__ import annotations

import sqlalchemy as sa

from feeds.errors import SchemaError
from feeds.store.schema import REVISIONS


def is_behind(connection: sa.Connection, place: str) -> bool:
    """Whether the record's tables are older than this version's.

    Raises:
        SchemaError: they are newer.
    """
    revision = _current(connection)
    if revision is None or revision in REVISIONS:
        return revision != REVISIONS[-1]
    raise SchemaError(
        place,
        f"its tables are of a newer version ({revision}; this one knows {REVISIONS[-1]});"
        " upgrade feeds, or restore a backup made by this version",
    )


def upgrade(connection: sa.Connection, place: str, to: str = REVISIONS[-1]) -> None:
    """Bring the tables up to date inside the caller's transaction, unless another process just has.

    `to` names an older revision, for tests of what comes after it.
    """
    if not is_behind(connection, place):
        return
    import alembic.command  # noqa: PLC0415 -- see the module's docstring
    import alembic.config  # noqa: PLC0415 -- the same

    config = alembic.config.Config()
    config.set_main_option("script_location", "feeds.store:migrations")
    config.attributes["connection"] = connection
    alembic.command.upgrade(config, to)


def _current(connection: sa.Connection) -> str | None:
    """Return the revision of the record's tables, None when there are none yet."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return found
