"""Rows to values and back; the only place that knows both."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from feeds.model import (
    Article,
    DateSource,
    Entry,
    EntryId,
    Precision,
    Subscriber,
    TopicCode,
    TopicShare,
)
from feeds.store import identity
from feeds.store.schema import classifications, digests, entries
from feeds.text import fingerprint, fold

_BATCH = 50  # entries in memory at a time: one may hold 200,000 characters

ENTRIES = sa.select(entries, digests.c.name.label("digest_name")).join(digests)
"""What `load` needs of each entry; add conditions and order."""


def article_columns(article: Article) -> dict[str, object]:
    """Return the columns of an entry that hold its article."""
    between = article.between or (None, None)
    return {
        "folded_title": fold(article.title),
        "fingerprint": fingerprint(article.paragraphs),
        "opening": identity.opening(article),
        "title": article.title,
        "paragraphs": list(article.paragraphs),
        "published": article.published,
        "precision": article.precision,
        "date_source": article.date_source,
        "between_from": between[0],
        "between_to": between[1],
        "views": article.views,
        "photo_credit": article.photo_credit,
        "source": article.source,
        "dateline": article.dateline,
        "author": article.author,
        "url": article.url,
        "lang": article.lang,
        "truncated": article.truncated,
        "line": article.line,
    }


def article(row: sa.RowMapping) -> Article:
    """Return the article of an entry's row."""
    between = None
    if row["between_from"] is not None:
        between = (row["between_from"], row["between_to"])
    return Article(
        title=row["title"],
        paragraphs=tuple(row["paragraphs"]),
        published=row["published"],
        precision=Precision(row["precision"]) if row["precision"] else None,
        date_source=DateSource(row["date_source"]),
        between=between,
        views=row["views"],
        photo_credit=row["photo_credit"],
        source=row["source"],
        dateline=row["dateline"],
        author=row["author"],
        url=row["url"],
        lang=row["lang"],
        truncated=row["truncated"],
        line=row["line"],
    )


def load(connection: sa.Connection, query: sa.Select[Any]) -> list[Entry]:
    """Return the entries of a query on `ENTRIES`, in its order."""
    return list(stream(connection, query))


def stream(connection: sa.Connection, query: sa.Select[Any]) -> Iterator[Entry]:
    """Yield the entries of a query on `ENTRIES`, in its order, some in memory at a time."""
    for page in connection.execute(query).mappings().partitions(_BATCH):
        topics = _topics(connection, [row["seq"] for row in page])
        for row in page:
            yield _entry(row, topics.get(row["seq"], ()))


def _entry(row: sa.RowMapping, topics: tuple[TopicShare, ...]) -> Entry:
    return Entry(
        id=EntryId(row["id"]),
        uri=row["uri"],
        seq=row["seq"],
        article=article(row),
        topics=topics,
        uncertain=row["uncertain"],
        channel=row["channel"],
        first_seen=row["first_seen"],
        updated=row["updated"],
        digest=row["digest_name"],
        position=row["position"],
        publisher=row["publisher"],
        views_at=row["views_at"],
    )


def _topics(connection: sa.Connection, seqs: Sequence[int]) -> dict[int, tuple[TopicShare, ...]]:
    found: defaultdict[int, list[TopicShare]] = defaultdict(list)
    table = classifications.c
    query = (
        sa.select(table.entry, table.topic, table.probability, table.by)
        .where(table.entry.in_(seqs), table.current == sa.true())
        .order_by(table.entry, table.rank)
    )
    for seq, topic, probability, by in connection.execute(query):
        found[seq].append(TopicShare(TopicCode(topic), probability, by))
    return {seq: tuple(shares) for seq, shares in found.items()}


def topic_rows(
    seq: int, topics: Iterable[TopicShare], model: str, at: datetime
) -> list[dict[str, object]]:
    """Return the rows of `classifications` for the topics of an entry, the primary first."""
    return [
        {
            "entry": seq,
            "topic": share.code,
            "rank": rank,
            "probability": share.probability,
            "by": share.by,
            "model": model,
            "at": at,
            "current": True,
        }
        for rank, share in enumerate(topics)
    ]


def subscriber(row: sa.RowMapping) -> Subscriber:
    """Return the subscriber of a row."""
    return Subscriber(
        id=row["id"],
        email=row["email"],
        joined=row["joined"],
        state=row["state"],
        channels=tuple(row["channels"]),
        editions=tuple(row["editions"]),
        languages=tuple(row["languages"]),
        token_version=row["token_version"],
    )
