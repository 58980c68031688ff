"""The record as first released."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "channels",
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("slug", name=op.f("pk_channels")),
    )
    op.create_table(
        "consents",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("subscriber", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consents")),
    )
    op.create_index(op.f("ix_consents_subscriber"), "consents", ["subscriber"], unique=False)
    op.create_table(
        "digests",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("publisher", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("first_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=True),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("scores", sa.JSON(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("formats", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_digests")),
        sa.UniqueConstraint("sha256", "publisher", name=op.f("uq_digests_sha256")),
    )
    op.create_index("ix_digests_outcome", "digests", ["outcome"], unique=False)
    op.create_table(
        "documents",
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_documents")),
    )
    op.create_index("ix_documents_target", "documents", ["target", "path"], unique=False)
    op.create_table(
        "editions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("slot", sa.Text(), nullable=False),
        sa.Column("fires", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("through", sa.Integer(), nullable=False),
        sa.Column("decided", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_editions")),
        sa.UniqueConstraint("name", "slot", name=op.f("uq_editions_name")),
    )
    op.create_index("ix_editions_fires", "editions", ["fires"], unique=False)
    op.create_index("ix_editions_last", "editions", ["name", "fires"], unique=False)
    op.create_table(
        "meta",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_meta")),
    )
    op.create_table(
        "subscribers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("channels", sa.JSON(), nullable=False),
        sa.Column("editions", sa.JSON(), nullable=False),
        sa.Column("languages", sa.JSON(), nullable=False),
        sa.Column("token_version", sa.Integer(), nullable=False),
        sa.Column("joined", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscribers")),
        sa.UniqueConstraint("email", name=op.f("uq_subscribers_email")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "targets",
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("change", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("target", name=op.f("pk_targets")),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("edition", sa.Integer(), nullable=False),
        sa.Column("subscriber", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("terms", sa.JSON(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["edition"], ["editions.id"], name=op.f("fk_deliveries_edition")),
        sa.ForeignKeyConstraint(
            ["subscriber"], ["subscribers.id"], name=op.f("fk_deliveries_subscriber")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("edition", "subscriber", name=op.f("uq_deliveries_edition")),
        sa.UniqueConstraint("message_id", name=op.f("uq_deliveries_message_id")),
    )
    op.create_index("ix_deliveries_state", "deliveries", ["state"], unique=False)
    op.create_table(
        "entries",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("digest", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("publisher", sa.Text(), nullable=True),
        sa.Column("folded_title", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("opening", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("paragraphs", sa.JSON(), nullable=False),
        sa.Column("published", sa.DateTime(timezone=True), nullable=True),
        sa.Column("precision", sa.Text(), nullable=True),
        sa.Column("date_source", sa.Text(), nullable=False),
        sa.Column("between_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("between_to", sa.DateTime(timezone=True), nullable=True),
        sa.Column("views", sa.BigInteger(), nullable=True),
        sa.Column("views_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("photo_credit", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("dateline", sa.Text(), nullable=True),
        sa.Column("author", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("lang", sa.Text(), nullable=True),
        sa.Column("truncated", sa.Boolean(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("uncertain", sa.Boolean(), nullable=False),
        sa.Column("first_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated", sa.DateTime(timezone=True), nullable=False),
        sa.Column("best_date", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed", sa.Integer(), nullable=False),
        sa.Column("archive", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["digest"], ["digests.id"], name=op.f("fk_entries_digest")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_entries")),
        sa.UniqueConstraint("id", name=op.f("uq_entries_id")),
        sa.UniqueConstraint("uri", name=op.f("uq_entries_uri")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_entries_best_date"), "entries", ["best_date"], unique=False)
    op.create_index("ix_entries_body", "entries", ["folded_title", "fingerprint"], unique=False)
    op.create_index(op.f("ix_entries_changed"), "entries", ["changed"], unique=False)
    op.create_index("ix_entries_channel", "entries", ["channel", "best_date"], unique=False)
    op.create_index("ix_entries_opening", "entries", ["folded_title", "opening"], unique=False)
    op.create_index("ix_entries_stamp", "entries", ["folded_title", "published"], unique=False)
    op.create_index(op.f("ix_entries_updated"), "entries", ["updated"], unique=False)
    op.create_table(
        "sightings",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("look", sa.Text(), nullable=False),
        sa.Column("digest", sa.Integer(), nullable=False),
        sa.Column("seen", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["digest"], ["digests.id"], name=op.f("fk_sightings_digest")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_sightings")),
    )
    op.create_table(
        "changes",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("entry", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["entry"], ["entries.seq"], name=op.f("fk_changes_entry")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_changes")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "classifications",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("entry", sa.Integer(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("probability", sa.Float(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("current", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["entry"], ["entries.seq"], name=op.f("fk_classifications_entry")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_classifications")),
    )
    op.create_index(
        "ix_classifications_entry", "classifications", ["entry", "current"], unique=False
    )
    op.create_table(
        "placements",
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("entry", sa.Integer(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("change", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["entry"], ["entries.seq"], name=op.f("fk_placements_entry")),
        sa.PrimaryKeyConstraint("channel", "entry", name=op.f("pk_placements")),
    )
    op.create_index("ix_placements_change", "placements", ["channel", "change"], unique=False)
    op.create_index("ix_placements_entry", "placements", ["entry"], unique=False)
    op.create_index(
        "ix_placements_window", "placements", ["channel", "role", "change"], unique=False
    )
    op.create_table(
        "received",
        sa.Column("subscriber", sa.Integer(), nullable=False),
        sa.Column("entry", sa.Integer(), nullable=False),
        sa.Column("delivery", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["delivery"], ["deliveries.id"], name=op.f("fk_received_delivery")),
        sa.ForeignKeyConstraint(["entry"], ["entries.seq"], name=op.f("fk_received_entry")),
        sa.ForeignKeyConstraint(
            ["subscriber"], ["subscribers.id"], name=op.f("fk_received_subscriber")
        ),
        sa.PrimaryKeyConstraint("subscriber", "entry", name=op.f("pk_received")),
    )
