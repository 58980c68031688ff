"""The corridor's first verb: a file of seeds/ onto the record."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from zoneinfo import ZoneInfo

from feeds import app as opened
from feeds import channels, digests, inbox
from feeds.app import App
from feeds.errors import DigestError
from feeds.model import ALL, Article, Outcome
from feeds.store.entries import Filing

log = logging.getLogger(__name__)

_QUARANTINED = "digest quarantined file=%s reason=%s: %s"

_SHOWN = 20  # warnings of one digest that are logged: a hostile one has thousands


def formats(app: App) -> str:
    """Return what reading depends on: when it changes, what was quarantined is read again."""
    return f"{digests.VERSION} {app.settings.seeds.max_bytes}"


def ingest(
    app: App, sighting: inbox.Sighting, *, archive: bool = False
) -> tuple[str, Counter[str]]:
    """Read one file of seeds/ onto the record.

    Returns how it went (`read`, `unchanged`, `quarantined`, `failed`), and how many articles were
    `new`, `updated` and `unchanged`.
    """
    nothing: Counter[str] = Counter()
    limit = app.settings.seeds.max_bytes
    try:
        digest = inbox.load(app.settings.seeds_folder, sighting, app.now(), limit)
        publisher = _publisher(app, digest.name)
        if app.store.digests.sight(digest, look(sighting), formats(app), publisher):
            return "unchanged", nothing
        reading = digests.read(digest, ZoneInfo(app.settings.publication.timezone))
        filings = [_filing(app, article) for article in reading.articles]
        done = app.store.digests.record(
            digest,
            look(sighting),
            formats(app),
            reading,
            filings,
            publisher=publisher,
            authority=app.authority,
            all_channel=ALL.slug,
            archive=archive,
        )
    except DigestError as error:
        if error.reason == "failing":
            raise
        if error.reason in inbox.PASSING:
            log.warning("digest not read, tried again at the next pass: %s", error)
            return "failed", nothing
        log.warning(_QUARANTINED, error.name, error.reason, error.detail)
        app.store.digests.refuse(error, look(sighting), formats(app), app.now())
        return "quarantined", nothing
    for warning in reading.warnings[:_SHOWN]:
        log.warning("digest file=%s: %s", digest.name, warning)
    if more := len(reading.warnings[_SHOWN:]):
        log.warning("digest file=%s: %d more warnings; `feeds check` lists them", digest.name, more)
    if reading.outcome is Outcome.QUARANTINE:
        log.warning(_QUARANTINED, digest.name, reading.reason, reading.detail)
        return "quarantined", nothing
    log.info("digest read file=%s new=%d updated=%d", digest.name, done["new"], done["updated"])
    return "read", done


def refuse(app: App, refusal: inbox.Refusal, looks: Mapping[str, str]) -> str:
    """Quarantine what is no regular file, once."""
    if looks.get(refusal.name) == refusal.reason:
        return "unchanged"
    error = DigestError(refusal.name, refusal.reason, refusal.detail)
    log.warning(_QUARANTINED, error.name, error.reason, error.detail)
    app.store.digests.refuse(error, refusal.reason, formats(app), app.now())
    return "quarantined"


def look(sighting: inbox.Sighting) -> str:
    """Return how a file looked, as the record keeps it."""
    return " ".join(map(str, sighting.look))


def _filing(app: App, article: Article) -> Filing:
    from feeds import topics  # noqa: PLC0415 -- numpy and the model, 0.1 s

    found = topics.classify(opened.classifier(), article.title, article.paragraphs, article.lang)
    listed = app.publication.channels
    return Filing(
        article,
        replace(found, distribution=(), evidence=()),  # not on record; 2 kB an article
        channels.place(found.topics, listed),
        channels.secondary(found.topics, listed),
    )


def _publisher(app: App, name: str) -> str | None:
    """Return the first configured source whose glob matches a digest's name."""
    return next((one.name for one in app.publication.sources if one.publishes(name)), None)
