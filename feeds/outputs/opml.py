"""Room 6: all feeds > one OPML 2.0 file, which a reader imports (http://opml.org/spec2.opml). Pure."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from datetime import UTC
from email.utils import format_datetime

from feeds.model import Channel, Document, Feed
from feeds.outputs.forms import ATOM, OPML, OPML_PATH, Overview, language, page_url
from feeds.publication import Publication


def catalogue(overview: Overview, publication: Publication) -> Iterator[Document]:
    """Yield the channels in a group, in their order, and after it each listing in a group of its own.

    A reader that imports all must not get every article twice; so a listing such as `all` stands
    apart. `dateModified` is that of the newest feed.
    """
    root = ET.Element("opml", version="2.0")
    head = ET.SubElement(root, "head")
    ET.SubElement(head, "title").text = publication.title
    if overview.feeds:
        newest = max(feed.updated for feed in overview.feeds).astimezone(UTC)
        ET.SubElement(head, "dateModified").text = format_datetime(newest, usegmt=True)
    if publication.author:
        ET.SubElement(head, "ownerName").text = publication.author
    body = ET.SubElement(root, "body")
    _group(body, publication.title, overview.channels, publication)
    for feed in overview.listings:
        _group(body, f"{feed.channel.title} ({publication.title})", [feed], publication)
    ET.indent(root)
    text = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    yield Document(OPML_PATH, OPML, text + b"\n")


def _group(body: ET.Element, title: str, feeds: Sequence[Feed], publication: Publication) -> None:
    group = ET.SubElement(body, "outline", text=title, title=title)
    for feed in feeds:
        ET.SubElement(group, "outline", _outline(feed.channel, publication))


def _outline(channel: Channel, publication: Publication) -> dict[str, str]:
    """Return the attributes of a subscription; those without a value are left out."""
    values = {
        "type": "rss",  # also for Atom, says the specification
        "text": channel.title,
        "title": channel.title,
        "description": channel.description,
        "xmlUrl": publication.url(ATOM.path(channel)),
        "htmlUrl": page_url(channel, publication),
        "language": language(channel, publication),
        "category": ",".join(channel.topics),
    }
    return {key: value for key, value in values.items() if value}
