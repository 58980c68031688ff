"""Values for tests: each maker fills what a test doesn't care about."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

from feeds import channels
from feeds.model import (
    Article,
    DateSource,
    Digest,
    Entry,
    EntryId,
    Precision,
    TopicCode,
    TopicShare,
)
from feeds.publication import Publication

ROOT = Path(__file__).parent.parent
SEEDS = ROOT / "seeds"
GOLDEN = ROOT / "tests" / "golden"
NOW = datetime(2026, 1, 2, 6, 30, tzinfo=UTC)
POLITICS = TopicCode("medtop:11000000")
ECONOMY = TopicCode("medtop:04000000")


def make_publication(**changes: object) -> Publication:
    """Return a publication over the shipped templates and the default channels."""
    values: dict[str, object] = {
        "title": "News digest",
        "description": "News by topic",
        "language": "en",
        "timezone": "Asia/Almaty",
        "author": None,
        "base_url": "https://news.example.org/",
        "templates": (str(ROOT / "templates"),),
        "channels": channels.DEFAULTS,
    }
    return Publication(**values | changes)  # type: ignore[arg-type]  # the keys are fields


def make_digest(data: bytes | str, name: str = "digest.txt", received: datetime = NOW) -> Digest:
    """Return a digest of these bytes."""
    raw = data.encode() if isinstance(data, str) else data
    return Digest(name, raw, hashlib.sha256(raw).hexdigest(), received)


def make_article(title: str = "A title", *paragraphs: str, **changes: object) -> Article:
    """Return an article, dated 1 January 2026 10:00 UTC unless `published=None`."""
    values: dict[str, object] = {
        "published": datetime(2026, 1, 1, 10, 0, tzinfo=UTC),
        "precision": Precision.MINUTE,
        "date_source": DateSource.EXPLICIT,
    } | changes
    if values["published"] is None:
        values |= {"precision": None, "date_source": DateSource.FIRST_SEEN}
    return Article(title, paragraphs or ("A paragraph.",), **values)  # type: ignore[arg-type]  # the keys are fields


def make_entry(article: Article | None = None, seq: int = 1, **changes: object) -> Entry:
    """Return an entry on `politics`, seen at NOW."""
    article = article or make_article()
    entry_id = EntryId(hashlib.sha256(f"{seq} {article.title}".encode()).hexdigest()[:20])
    values: dict[str, object] = {
        "id": entry_id,
        "uri": f"tag:news.example.org,2026-01-02:{entry_id}",
        "seq": seq,
        "article": article,
        "topics": (TopicShare(POLITICS, 0.8),),
        "uncertain": False,
        "channel": "politics",
        "first_seen": NOW,
        "updated": article.published or NOW,
        "digest": "digest.txt",
    }
    return Entry(**values | changes)  # type: ignore[arg-type]  # the keys are fields
