"""What the newsletter needs: drafts, retries, approval, bounces, and mail that is no letter."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the tables and columns, and turn the terms of each delivery into a draft they share."""
    _add_tables()
    op.add_column("editions", sa.Column("change", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("editions", sa.Column("approval", sa.Text(), nullable=True))
    # What was corrected before is no news.
    op.execute("UPDATE editions SET change = COALESCE((SELECT MAX(seq) FROM changes), 0)")
    op.add_column("subscribers", sa.Column("asked", sa.DateTime(timezone=True), nullable=True))
    _renew_deliveries()


def _add_tables() -> None:
    op.create_table(
        "bounces",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("subscriber", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("edition", sa.Integer(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["subscriber"], ["subscribers.id"], name=op.f("fk_bounces_subscriber")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bounces")),
    )
    op.create_index(op.f("ix_bounces_subscriber"), "bounces", ["subscriber", "at"])
    op.create_table(
        "blocks",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_blocks")),
    )
    op.create_table(
        "drafts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("edition", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("terms", sa.JSON(), nullable=False),
        sa.Column("rendered", sa.Boolean(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["edition"], ["editions.id"], name=op.f("fk_drafts_edition")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drafts")),
        sa.UniqueConstraint("edition", "key", name=op.f("uq_drafts_edition")),
    )
    op.create_table(
        "carried",
        sa.Column("draft", sa.Integer(), nullable=False),
        sa.Column("entry", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["draft"], ["drafts.id"], name=op.f("fk_carried_draft")),
        sa.ForeignKeyConstraint(["entry"], ["entries.seq"], name=op.f("fk_carried_entry")),
        sa.PrimaryKeyConstraint("draft", "entry", name=op.f("pk_carried")),
    )
    op.create_index(op.f("ix_carried_entry"), "carried", ["entry"])
    op.create_table(
        "messages",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("subscriber", sa.Integer(), nullable=True),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("code", sa.Integer(), nullable=True),
        sa.Column("tried", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_try", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["subscriber"], ["subscribers.id"], name=op.f("fk_messages_subscriber")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
        sa.UniqueConstraint("key", name=op.f("uq_messages_key")),
    )
    op.create_index(op.f("ix_messages_state"), "messages", ["state", "next_try"])
    op.create_index(op.f("ix_messages_subscriber"), "messages", ["subscriber"])


def _renew_deliveries() -> None:
    """Make the deliveries anew, since SQLite before 3.35 drops no column.

    What each subscriber received becomes what the draft of the delivery carries.
    """
    connection = op.get_bind()
    old = sa.Table("deliveries", sa.MetaData(), autoload_with=connection)
    rows = [dict(row) for row in connection.execute(sa.select(old)).mappings()]
    had = connection.execute(sa.text("SELECT delivery, entry FROM received")).all()
    op.drop_table("received")
    op.drop_table("deliveries")
    _create_deliveries()
    fresh = sa.Table("deliveries", sa.MetaData(), autoload_with=connection)
    shared = _share_terms(connection, rows, {delivery for delivery, _ in had})
    for row in rows:
        row.pop("terms")
        row["draft"] = shared.get(row["id"])
    _insert(connection, fresh, rows)
    carried = sa.Table("carried", sa.MetaData(), autoload_with=connection)
    pairs = sorted({(shared[delivery], entry) for delivery, entry in had})
    _insert(connection, carried, [{"draft": draft, "entry": entry} for draft, entry in pairs])


def _insert(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    for start in range(0, len(rows), _BATCH):
        connection.execute(sa.insert(table), rows[start : start + _BATCH])


_BATCH = 500


def _create_deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("edition", sa.Integer(), nullable=False),
        sa.Column("subscriber", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("draft", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("code", sa.Integer(), nullable=True),
        sa.Column("tried", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_try", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["draft"], ["drafts.id"], name=op.f("fk_deliveries_draft")),
        sa.ForeignKeyConstraint(["edition"], ["editions.id"], name=op.f("fk_deliveries_edition")),
        sa.ForeignKeyConstraint(
            ["subscriber"], ["subscribers.id"], name=op.f("fk_deliveries_subscriber")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("edition", "subscriber", name=op.f("uq_deliveries_edition")),
        sa.UniqueConstraint("message_id", name=op.f("uq_deliveries_message_id")),
    )
    op.create_index(op.f("ix_deliveries_state"), "deliveries", ["state", "next_try"])
    op.create_index(op.f("ix_deliveries_subscriber"), "deliveries", ["subscriber"])
    op.create_index(op.f("ix_deliveries_draft"), "deliveries", ["draft"])


def _share_terms(
    connection: sa.Connection, rows: Sequence[Mapping[str, Any]], carry: Collection[int]
) -> dict[int, int]:
    """Turn equal terms of one edition into one draft; return the draft of each delivery.

    Those that `carry` something have one in any case.
    """
    drafts = sa.Table("drafts", sa.MetaData(), autoload_with=connection)
    known: dict[tuple[int, str], int] = {}
    shared: dict[int, int] = {}
    for row in rows:
        terms = row["terms"]
        if terms is None and row["id"] in carry:
            terms = {"channels": [], "languages": [], "received": []}
        if terms is None:
            continue
        terms = json.loads(terms) if isinstance(terms, str) else terms
        text = json.dumps(terms, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        key = hashlib.sha256(text.encode()).hexdigest()
        if (row["edition"], key) not in known:
            number = known[row["edition"], key] = len(known) + 1
            values = {"id": number, "edition": row["edition"], "key": key, "terms": terms}
            connection.execute(sa.insert(drafts).values(values | {"rendered": False}))
        shared[row["id"]] = known[row["edition"], key]
    return shared
