"""The corridor: ingest, publish, compose, send, and the pass that does them in this order.

The only package that knows the order. Each verb is the size of a job, takes small arguments and is
harmless when run twice. One bad digest, channel or subscriber never stops the others: it is logged,
counted, and tried again at the next pass.

A pass with nothing new must start fast, so what only a change needs is imported when it is needed:
numpy and the model 0.1 s, feedgen and Jinja2 0.1 s.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from feeds import inbox
from feeds.app import App
from feeds.errors import ModelError, StoreError
from feeds.inbox import Sighting
from feeds.pipeline import backups, health, upkeep
from feeds.pipeline.agenda import Coming, coming, figures
from feeds.pipeline.composing import (
    compose,
    compose_now,
    fresh,
    preview,
    thaw,
    upcoming,
)
from feeds.pipeline.delivery import (
    awaits_hand,
    begin,
    deliver,
    due,
    held,
    let_go,
    letter,
    queue_for,
    repeatable,
    send,
    waiting,
)
from feeds.pipeline.hand import approve, drop, edition_of, lead, note
from feeds.pipeline.intake import formats, ingest, look, refuse
from feeds.pipeline.progress import Progress, quiet, report
from feeds.pipeline.shelf import (
    ARTICLES,
    EDITIONS,
    SITE,
    due_targets,
    note_feeds,
    publish,
    targets,
)

__all__ = [
    "ARTICLES",
    "EDITIONS",
    "SITE",
    "Coming",
    "Progress",
    "Summary",
    "approve",
    "awaits_hand",
    "begin",
    "coming",
    "compose",
    "compose_at_once",
    "deliver",
    "drop",
    "due",
    "due_targets",
    "edition_of",
    "figures",
    "fresh",
    "held",
    "ingest",
    "lead",
    "let_go",
    "letter",
    "look_after",
    "note",
    "note_feeds",
    "preview",
    "publish",
    "publish_all",
    "queue_for",
    "repeatable",
    "report",
    "run",
    "send",
    "survey",
    "take_in",
    "targets",
    "thaw",
    "unread",
    "upcoming",
    "waiting",
]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Summary:
    """What a pass did, in the words of `feeds run --json`; `seconds` of wall time."""

    digests: Counter[str] = field(default_factory=Counter)
    articles: Counter[str] = field(default_factory=Counter)
    documents: Counter[str] = field(default_factory=Counter)
    editions: Counter[str] = field(default_factory=Counter)
    deliveries: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def clean(self) -> bool:
        """Whether every item of the pass went well."""
        failed = self.digests["quarantined"] + self.digests["failed"] + self.editions["failed"]
        undelivered = sum(self.deliveries[state] for state in ("failed", "deferred", "uncertain"))
        return not (failed or undelivered or self.failures)


def run(
    app: App, *, send_letters: bool = True, archive: bool = False, progress: Progress = quiet
) -> Summary:
    """Do one pass: pick up, compose, publish, send. `archive` publishes what is new, never mails it.

    Raises:
        StoreError: the record can't be read or written: nothing can go on.
        ModelError: the classifier can't be read.
        UsageError: seeds/ is missing.
    """
    began = time.monotonic()
    done = Summary()
    take_in(app, survey(app, done), done, archive=archive, progress=progress)
    now = app.now()
    if not archive:
        done.editions.update(compose(app, now))
    publish_all(app, targets(app), done, progress=progress)
    if send_letters and not archive:
        done.deliveries.update(deliver(app, now, progress=progress))
    return replace(done, seconds=time.monotonic() - began)


def compose_at_once(app: App, now: datetime) -> Counter[str]:
    """Compose every edition that has something new, and publish its page; count as `compose` does."""
    done = compose_now(app, now)
    for target in (EDITIONS, SITE) if done else ():
        publish(app, target)
    return done


def survey(app: App, done: Summary) -> list[Sighting]:
    """Return the files in seeds/ that are not on record as they look now; none is opened.

    Counts those that are, and puts what is no regular file in quarantine.

    Raises:
        UsageError: seeds/ is missing.
    """
    scan = inbox.scan(app.settings.seeds_folder, app.settings.seeds.ignore)
    looks = app.store.digests.looks(formats(app))
    there = {one.name for one in scan.sightings} | {one.name for one in scan.refusals}
    app.store.digests.forget(there)
    for refusal in scan.refusals:
        done.digests[refuse(app, refusal, looks)] += 1
    fresh = [one for one in scan.sightings if looks.get(one.name) != look(one)]
    done.digests["unchanged"] += len(scan.sightings) - len(fresh)
    return fresh


def unread(app: App, sightings: Sequence[Sighting]) -> list[Sighting]:
    """Return those of some files that are not on record as they look now."""
    looks = app.store.digests.looks(formats(app), [one.name for one in sightings])
    return [one for one in sightings if looks.get(one.name) != look(one)]


def take_in(
    app: App,
    sightings: Sequence[Sighting],
    done: Summary,
    *,
    archive: bool = False,
    progress: Progress = quiet,
) -> None:
    """Read files onto the record; one that fails never stops the others."""
    for sighting in progress("Reading digests", sightings):
        _ingest(app, sighting, done, archive=archive)


def publish_all(
    app: App, wanted: Sequence[str], done: Summary, *, progress: Progress = quiet
) -> None:
    """Bring targets up to date; one that fails never stops the others."""
    for target in progress("Publishing", wanted):
        try:
            done.documents.update(publish(app, target, progress=progress))
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 -- one channel never stops the others
            report(log, error, "publishing failed", target)
            done.failures.append(f"{target}: {error}")


def look_after(app: App, now: datetime) -> list[health.Check]:
    """Make the backup that is due, do the work of a night that has come; return how things stand."""
    backups.due_backup(app, now)
    upkeep.nightly(app, now)
    return health.checks(app, now)


def _ingest(app: App, sighting: Sighting, done: Summary, *, archive: bool) -> None:
    try:
        outcome, articles = ingest(app, sighting, archive=archive)
    except (StoreError, ModelError):  # nothing to do with this digest: the next would fail as well
        raise
    except Exception as error:  # noqa: BLE001 -- one digest never stops the others
        report(log, error, "digest failed", sighting.name)
        done.failures.append(f"{sighting.name}: {error}")
        done.digests["failed"] += 1
        return
    done.digests[outcome] += 1
    done.articles.update(articles)
