"""The tables of the record, after SQLAlchemy Core, for SQLite and PostgreSQL.

A change of a table goes together with a migration below `migrations/versions` and its name at the end
of `REVISIONS`; a test compares the two. Moments are UTC. An index is named for what it serves.
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

REVISIONS = ("0001", "0002", "0003")
"""Every released shape of the record, the newest last."""


class Moment(sa.types.TypeDecorator[datetime]):
    """A UTC datetime. SQLite keeps no zone, so it is taken off on the way in and put back after."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Turn any aware datetime into UTC; a naive one is refused."""
        if value is None:
            return None
        if value.utcoffset() is None:
            raise ValueError("the record holds aware datetimes only")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Return UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

meta = sa.Table(
    "meta",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
"""What the record knows of itself: the authority of its ids, and when things were last done."""

digests = sa.Table(
    "digests",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("sha256", sa.Text),
    sa.Column("publisher", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("first_seen", Moment, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("format", sa.Text),
    sa.Column("score", sa.Float, nullable=False),
    sa.Column("scores", sa.JSON, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("detail", sa.Text),
    sa.Column("formats", sa.Text, nullable=False),
    sa.UniqueConstraint("sha256", "publisher"),
    sa.Index("ix_digests_outcome", "outcome"),
)
"""Every content ever read, once a publisher (empty when none is configured). `formats` is what reading
depended on: a quarantined content is read again when it changes. A file that can't be opened has no
hash, and one row a name."""

sightings = sa.Table(
    "sightings",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("look", sa.Text, nullable=False),
    sa.Column("digest", sa.ForeignKey("digests.id"), nullable=False),
    sa.Column("seen", Moment, nullable=False),
)
"""Each name in seeds/ as it looked when it was last read: an equal look is not opened again."""

entries = sa.Table(
    "entries",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("uri", sa.Text, nullable=False, unique=True),
    sa.Column("digest", sa.ForeignKey("digests.id"), nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("publisher", sa.Text),
    sa.Column("folded_title", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("opening", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("paragraphs", sa.JSON, nullable=False),
    sa.Column("published", Moment),
    sa.Column("precision", sa.Text),
    sa.Column("date_source", sa.Text, nullable=False),
    sa.Column("between_from", Moment),
    sa.Column("between_to", Moment),
    sa.Column("views", sa.BigInteger),
    sa.Column("views_at", Moment),
    sa.Column("photo_credit", sa.Text),
    sa.Column("source", sa.Text),
    sa.Column("dateline", sa.Text),
    sa.Column("author", sa.Text),
    sa.Column("url", sa.Text),
    sa.Column("lang", sa.Text),
    sa.Column("truncated", sa.Boolean, nullable=False),
    sa.Column("line", sa.Integer, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("uncertain", sa.Boolean, nullable=False),
    sa.Column("first_seen", Moment, nullable=False),
    sa.Column("updated", Moment, nullable=False, index=True),
    sa.Column("best_date", Moment, nullable=False, index=True),
    sa.Column("changed", sa.Integer, nullable=False, index=True),
    sa.Column("archive", sa.Boolean, nullable=False),
    sa.Index("ix_entries_channel", "channel", "best_date"),
    sa.Index("ix_entries_stamp", "folded_title", "published"),
    sa.Index("ix_entries_body", "folded_title", "fingerprint"),
    sa.Index("ix_entries_opening", "folded_title", "opening"),
    sqlite_autoincrement=True,
)
"""The entries, in the order in which they came. Folded title, `fingerprint` (all words of the body)
and `opening` (its first words) find what another capture may belong to. `changed` is the last change
of the entry's page; `archive` marks what was recorded to be published but never mailed."""

changes = sa.Table(
    "changes",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("entry", sa.ForeignKey("entries.seq"), nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sqlite_autoincrement=True,
)
"""The record sequence: one row whenever an entry is `new`, `updated`, `corrected` (what people read was
changed), `withdrawn`, or had its `views` counted."""

classifications = sa.Table(
    "classifications",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("entry", sa.ForeignKey("entries.seq"), nullable=False),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("rank", sa.Integer, nullable=False),
    sa.Column("probability", sa.Float, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("current", sa.Boolean, nullable=False),
    sa.Index("ix_classifications_entry", "entry", "current"),
)
"""Append only: what was said of an entry's topics, by whom. Rank 0 is the primary topic."""

placements = sa.Table(
    "placements",
    metadata,
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("entry", sa.ForeignKey("entries.seq"), primary_key=True),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("change", sa.Integer, nullable=False),
    sa.Index("ix_placements_window", "channel", "role", "change"),
    sa.Index("ix_placements_change", "channel", "change"),
    sa.Index("ix_placements_entry", "entry"),
)
"""Which entries a channel holds, by the change that last brought them up: `own` in its feed, `also`
on its page alone (a secondary topic), `left` after a move."""

channels = sa.Table(
    "channels",
    metadata,
    sa.Column("slug", sa.Text, primary_key=True),
    sa.Column("since", Moment, nullable=False),
)
"""When each channel came onto the record."""

targets = sa.Table(
    "targets",
    metadata,
    sa.Column("target", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("change", sa.Integer, nullable=False),
)
"""What each target of publishing was last made from."""

documents = sa.Table(
    "documents",
    metadata,
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("sha256", sa.Text),
    sa.Index("ix_documents_target", "target", "path"),
)
"""The files below out/ that are ours, and what each should hold: a sweep finds what was changed."""

editions = sa.Table(
    "editions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("slot", sa.Text, nullable=False),
    sa.Column("fires", Moment, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("through", sa.Integer, nullable=False),
    sa.Column("decided", Moment, nullable=False),
    sa.Column("content", sa.Text),
    sa.Column("change", sa.Integer, nullable=False, server_default="0"),
    sa.Column("approval", sa.Text),
    sa.UniqueConstraint("name", "slot"),
    sa.Index("ix_editions_last", "name", "fires"),
    sa.Index("ix_editions_fires", "fires"),
)
"""One row a slot: `open` (composed while nobody subscribed), `composed`, `skipped`, or `superseded` (not
approved before the next one came). `through` is the last entry considered and `change` the last change
of the record; `content` is the frozen edition.
`approval` is `awaited` or `given` where an editor has to approve before anything goes."""

due = sa.Table(
    "due",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("slot", sa.Text, primary_key=True),
    sa.Column("fires", Moment, nullable=False),
    sa.Column("lease_by", sa.Text),
    sa.Column("lease_until", Moment),
)
"""The slots that have come and are not decided yet. Whoever decides one holds its lease meanwhile; one
that runs out, since its holder was killed, is free again."""

subscribers = sa.Table(
    "subscribers",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("email", sa.Text, nullable=False, unique=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("channels", sa.JSON, nullable=False),
    sa.Column("editions", sa.JSON, nullable=False),
    sa.Column("languages", sa.JSON, nullable=False),
    sa.Column("token_version", sa.Integer, nullable=False),
    sa.Column("joined", Moment, nullable=False),
    sa.Column("asked", Moment),
    sqlite_autoincrement=True,
)
"""Who receives letters. An id is never used again: letters and tokens are derived from it. `asked` is
when a confirmation was last asked for by mail, while the answer is awaited."""

consents = sa.Table(
    "consents",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("subscriber", sa.Integer, nullable=False, index=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
)
"""Append only: how each subscription began and ended, without the address."""

bounces = sa.Table(
    "bounces",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("subscriber", sa.ForeignKey("subscribers.id"), nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("status", sa.Text),
    sa.Column("edition", sa.Integer),
    sa.Column("at", Moment, nullable=False),
    sa.Index("ix_bounces_subscriber", "subscriber", "at"),
)
"""Letters that came back, `hard` or `soft`, and complaints, for the rules of suppression."""

blocks = sa.Table(
    "blocks",
    metadata,
    sa.Column("hash", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
)
"""Keyed hashes of addresses whose owners are erased: no import brings them back."""

drafts = sa.Table(
    "drafts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("edition", sa.ForeignKey("editions.id"), nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("terms", sa.JSON, nullable=False),
    sa.Column("rendered", sa.Boolean, nullable=False),
    sa.Column("content", sa.LargeBinary),
    sa.UniqueConstraint("edition", "key"),
)
"""What letters of an edition are made from, once for all subscribers on equal terms: their wishes, and
what they had been sent before. `content` is the rendered letter with the places for its subscriber left
open, frozen when first needed, so that a repeated letter is the same to the byte. One that is `rendered`
without content has nothing for them."""

carried = sa.Table(
    "carried",
    metadata,
    sa.Column("draft", sa.ForeignKey("drafts.id"), primary_key=True),
    sa.Column("entry", sa.ForeignKey("entries.seq"), primary_key=True),
    sa.Index("ix_carried_entry", "entry"),
)
"""Which entries the letters of a draft show. So what a subscriber was sent, over all editions, is what
the drafts of their deliveries carry: a few rows a mix, not some a letter."""

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("edition", sa.ForeignKey("editions.id"), nullable=False),
    sa.Column("subscriber", sa.ForeignKey("subscribers.id"), nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("message_id", sa.Text, nullable=False, unique=True),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("draft", sa.ForeignKey("drafts.id")),
    sa.Column("error", sa.Text),
    sa.Column("at", Moment, nullable=False),
    sa.Column("code", sa.Integer),
    sa.Column("tried", Moment),
    sa.Column("next_try", Moment),
    sa.UniqueConstraint("edition", "subscriber"),
    sa.Index("ix_deliveries_state", "state", "next_try"),
    sa.Index("ix_deliveries_subscriber", "subscriber"),
    sa.Index("ix_deliveries_draft", "draft"),
)
"""Edition x subscriber, once. `code` is the last SMTP reply, `tried` the first try, `next_try` the
earliest next one of a delivery that waits."""

messages = sa.Table(
    "messages",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", sa.Text, nullable=False, unique=True),
    sa.Column("subscriber", sa.ForeignKey("subscribers.id")),
    sa.Column("recipient", sa.Text, nullable=False),
    sa.Column("message_id", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("data", sa.LargeBinary),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("at", Moment, nullable=False),
    sa.Column("code", sa.Integer),
    sa.Column("tried", Moment),
    sa.Column("next_try", Moment),
    sa.Index("ix_messages_state", "state", "next_try"),
    sa.Index("ix_messages_subscriber", "subscriber"),
)
"""Mail that is no letter: a confirmation asked for, word for the operator. `key` says what for, so that
it is sent once; `data` goes when it was sent."""
