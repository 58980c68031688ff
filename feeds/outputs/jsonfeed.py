"""Room 6: a feed > JSON Feed 1.1 (https://www.jsonfeed.org/version/1.1/). Pure.

Every item needs content: where a summary must do, `content_html` is the summary and the source.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime

from feeds.model import Document, Entry, Feed
from feeds.outputs import entries
from feeds.outputs.forms import ICON_PATH, JSON, Terms, feed_title, language, page_url
from feeds.publication import Publication


def render(feed: Feed, publication: Publication, terms: Terms) -> Iterator[Document]:
    """Yield a feed as JSON, entries in its order; what isn't known is left out."""
    channel = feed.channel
    values = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": feed_title(channel, publication),
        "home_page_url": page_url(channel, publication),
        "feed_url": publication.url(JSON.path(channel)),
        "description": channel.description,
        "icon": publication.url(ICON_PATH),
        "authors": [{"name": publication.author or publication.title}],
        "language": language(channel, publication),
    }
    items = [_item(entry, publication, terms.content) for entry in feed.entries]
    text = json.dumps(_known(values) | {"items": items}, ensure_ascii=False, indent=1)
    yield Document(JSON.path(channel), JSON.media_type, f"{text}\n".encode())


def _item(entry: Entry, publication: Publication, content: str) -> dict[str, object]:
    author = entries.author(entry, publication)
    return _known(
        {
            "id": entry.uri,
            "url": publication.url(entry.path),
            "external_url": entries.address(entry.article.url),
            "title": entries.title(entry),
            "content_html": entries.content_html(entry, publication, content)
            or entries.summary_html(entry, publication, alone=True),
            "summary": entries.summary(entry),
            "date_published": _date(entry.published),
            "date_modified": _date(entry.updated),
            "authors": [{"name": author}] if author else [],
            "tags": [name for _, name in entries.topics(entry)],
            "language": entry.article.lang,
        }
    )


def _known(values: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in values.items() if value}


def _date(moment: datetime | None) -> str | None:
    return entries.utc(moment).isoformat() if moment else None
