"""The corridor's second verb: what the record holds onto the shelf `out/`."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from feeds import app as opened
from feeds import channels, slots
from feeds import publish as files
from feeds.app import App
from feeds.config.values import ON_ARRIVAL
from feeds.model import ALL, Document
from feeds.pipeline.composing import thaw
from feeds.pipeline.progress import Progress, quiet
from feeds.store.documents import Made
from feeds.store.notes import Note

log = logging.getLogger(__name__)

ARTICLES, EDITIONS, SITE = "articles", "editions", "site"
"""The targets of publishing that are no channel: pages of entries, of editions, and the index."""

_LISTED = 5  # editions that the index names
_BATCH, _BATCH_BYTES = 200, 8_000_000  # pages that are rendered before they are written


def targets(app: App) -> list[str]:
    """Return what is to be published, files that others link to first.

    When a document of the index or of a channel is missing, everything is made again.
    """
    known = app.store.documents.made()
    wanted = [channel.slug for channel in (*app.publication.channels, ALL)]
    for target in (SITE, *wanted):
        if target in known and files.missing(app.out, app.store.documents.paths(target)):
            log.info("documents are missing target=%s; everything is published again", target)
            app.store.documents.forget()
            break
    gone = sorted(
        set(app.store.documents.targets(but=ARTICLES)) - {ARTICLES, EDITIONS, SITE, *wanted}
    )
    return [ARTICLES, *gone, *wanted, EDITIONS, SITE]


def due_targets(app: App, now: datetime) -> list[str]:
    """Return what is to be published at `now`: all, unless `feeds.schedule` has channels wait.

    Pages of articles and editions never wait: letters link to them. Neither does what was never made,
    or is missing.
    """
    every = targets(app)
    slot = _latest_slot(app, now)
    if slot is None or app.store.notes.read(Note.FEEDS_SLOT) != slot.text:
        return every
    known = app.store.documents.made()
    return [target for target in every if target in {ARTICLES, EDITIONS} or target not in known]


def note_feeds(app: App, now: datetime) -> None:
    """Put on record that channels were published for their latest slot."""
    slot = _latest_slot(app, now)
    if slot is not None and app.store.notes.read(Note.FEEDS_SLOT) != slot.text:
        app.store.notes.write(Note.FEEDS_SLOT, slot.text)


def feeds_schedule(app: App) -> slots.Schedule | None:
    """Return when channels are published, None when that is on arrival."""
    if app.settings.feeds.schedule == ON_ARRIVAL:
        return None
    return slots.parse(app.settings.feeds.schedule, app.publication.timezone)


def _latest_slot(app: App, now: datetime) -> slots.Slot | None:
    schedule = feeds_schedule(app)
    return slots.latest(schedule, now) if schedule else None


def publish(app: App, target: str, *, progress: Progress = quiet) -> Counter[str]:
    """Bring a target's documents up to date: a channel's slug, `articles`, `editions` or `site`.

    Returns how many were `written`, `unchanged` and `removed`. A channel that is configured no more
    loses its documents.
    """
    state = opened.look(app)
    known = app.store.documents.made().get(target)
    since = known.change if known is not None and known.state == state else None
    if target == ARTICLES:
        return _publish_articles(app, state, since or 0, progress)
    if target == EDITIONS:
        return _publish_editions(app, state, since or 0)
    if target == SITE:
        return _publish_site(app, state)
    return _publish_channel(app, target, state, since)


def _publish_articles(app: App, state: str, since: int, progress: Progress) -> Counter[str]:
    change = app.store.entries.last_change()
    done: Counter[str] = Counter()
    if change == since:
        return done
    from feeds import outputs  # noqa: PLC0415 -- feedgen and Jinja2, 0.1 s

    pages = (outputs.article(entry, app.publication) for entry in app.store.entries.changed(since))
    for batch in _batches(pages):
        written = [_shelve(app, ARTICLES, one) for one in progress("Publishing pages", [batch])]
        if not written:  # asked to stop
            return done
        done.update(written[0])
    app.store.documents.settle(ARTICLES, Made(state, change))
    return done


def _publish_editions(app: App, state: str, since: int) -> Counter[str]:
    revised = app.store.editions.revised()
    composed = app.store.editions.composed_after(since, revised)
    if not composed:
        return Counter()
    from feeds import outputs  # noqa: PLC0415 -- feedgen and Jinja2, 0.1 s
    from feeds.letters import words  # noqa: PLC0415 -- the same

    say = words.say(app.publication.language)
    pages = (outputs.edition(thaw(slotted), app.publication, say) for slotted in composed)
    done: Counter[str] = Counter()
    for batch in _batches(pages):
        done.update(_shelve(app, EDITIONS, batch))
    newest = max(since, *(slotted.id for slotted in composed))
    app.store.documents.settle(EDITIONS, Made(state, newest))
    app.store.editions.made_again(revised)
    return done


def _publish_channel(app: App, slug: str, state: str, since: int | None) -> Counter[str]:
    change = app.store.entries.last_change(slug)
    paths = app.store.documents.paths(slug)
    if change == since:
        return Counter(unchanged=len(paths))
    channel = ALL if slug == ALL.slug else app.publication.channel(slug)
    documents: list[Document] = []
    if channel is not None:
        from feeds import outputs  # noqa: PLC0415 -- feedgen and Jinja2, 0.1 s

        limits = app.settings.feeds
        recent = app.store.entries.window(slug, limits.entries, limits.days)
        came = app.store.documents.channels_since([slug], app.now())[slug]
        made = channels.feed(channel, recent, came, limits.max_bytes)
        also = app.store.entries.also(slug, limits.entries)
        documents = list(outputs.render(made, app.publication, app.authority, limits.content, also))
    done = _shelve(app, slug, documents)
    stale = set(paths) - {document.path for document in documents}
    done["removed"] += files.remove(app.out, sorted(stale))
    app.store.documents.release(stale)
    app.store.documents.settle(slug, Made(state, change))
    return done


def _publish_site(app: App, state: str) -> Counter[str]:
    change = app.store.entries.last_change()
    state = f"{state} {app.store.editions.newest_id()} {app.store.editions.revisions()}"
    known = app.store.documents.made().get(SITE)
    if known == Made(state, change):
        return Counter(unchanged=len(app.store.documents.paths(SITE)))
    latest = app.store.editions.newest(composed=True, limit=_LISTED)
    from feeds import outputs  # noqa: PLC0415 -- feedgen and Jinja2, 0.1 s

    listed = (*app.publication.channels, ALL)
    came = app.store.documents.channels_since([channel.slug for channel in listed], app.now())
    overview = [
        channels.feed(
            channel,
            app.store.entries.newest(outputs.HEADLINES, None if channel == ALL else channel.slug),
            came[channel.slug],
            app.settings.feeds.max_bytes,
        )
        for channel in listed
    ]
    documents = outputs.catalogues(overview, app.publication, [thaw(one) for one in latest])
    done = _shelve(app, SITE, list(documents))
    app.store.documents.settle(SITE, Made(state, change))
    return done


def _shelve(app: App, target: str, documents: Sequence[Document]) -> Counter[str]:
    """Record files as ours, then write them: a pass that is cut short leaves no stranger."""
    app.store.documents.claim(
        target,
        {document.path: hashlib.sha256(document.data).hexdigest() for document in documents},
    )
    written = files.write(app.out, documents)
    return Counter(written=written.written, unchanged=written.unchanged)


def _batches(pages: Iterable[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    size = 0
    for page in pages:
        batch.append(page)
        size += len(page.data)
        if len(batch) == _BATCH or size > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
