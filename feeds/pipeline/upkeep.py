"""What a night is for: losses below out/ and changes in seeds/ that no look shows, and what is old.

A pass looks at nothing that did not change (promise 8), so what others lost or changed is found here, by
reading every document and every seed once.
"""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from feeds import inbox, outbox, slots
from feeds import publish as files
from feeds.app import App
from feeds.errors import DigestError, PublishError, StoreError, UsageError
from feeds.pipeline import backups
from feeds.pipeline.intake import look
from feeds.pipeline.progress import report
from feeds.store.digests import Sighted
from feeds.store.notes import Note

log = logging.getLogger(__name__)

_NIGHT = "every day at 03:30"
_SILENT = timedelta(days=30)  # who doesn't answer a question for longer never asked for it
_RETURNS = timedelta(days=90)  # as far back as bounces count
_STALE = timedelta(hours=1)  # a temporary file that is older belongs to nobody any more


@dataclass(frozen=True, slots=True)
class Found:
    """What a sweep found, before it changes anything.

    `documents` and `digests` are how many were read; `lost` are the documents that are missing or
    changed, by target; `strays` what killed passes left behind; `changed` the seeds whose bytes
    changed although they look as before; `gone` the names on record that are in seeds/ no more.
    """

    documents: int = 0
    lost: Mapping[str, Sequence[str]] = field(default_factory=dict)
    strays: Sequence[str] = ()
    digests: int = 0
    changed: Sequence[str] = ()
    gone: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did: how many documents and digests it read, and what it put right."""

    documents: int = 0
    lost: int = 0
    strays: int = 0
    digests: int = 0
    changed: int = 0
    gone: int = 0


def survey(app: App) -> Found:
    """Hold out/ and seeds/ against the record; changes nothing."""
    before = (app.now() - _STALE).timestamp()
    strays = {files.document_of(path): path for path in files.strays(app.out, before)}
    count, ours = 0, []
    lost: dict[str, list[str]] = {}
    for one in app.store.documents.all():
        count += 1
        if one.path in strays:  # only what is on record as ours is ever removed
            ours.append(strays[one.path])
        if files.differs(app.out, one.path, one.sha256):
            lost.setdefault(one.target, []).append(one.path)
    digests, changed, gone = _seeds(app)
    return Found(count, lost, ours, digests, changed, gone)


def sweep(app: App) -> Swept:
    """Have what is lost or changed made again at the next pass, and clear what is left over.

    The caller holds the lock. Harmless when repeated.
    """
    found = survey(app)
    for target, paths in found.lost.items():
        log.warning(
            "documents lost or changed target=%s count=%d first=%s", target, len(paths), paths[0]
        )
        app.store.documents.forget(target)
    _clear(app, found.strays)
    if found.changed:
        log.warning(
            "digests changed unseen count=%d first=%s", len(found.changed), found.changed[0]
        )
    app.store.digests.unsee([*found.changed, *found.gone])
    app.store.notes.mark(Note.SWEPT, app.now())
    lost = sum(map(len, found.lost.values()))
    return Swept(
        found.documents, lost, len(found.strays), found.digests, len(found.changed), len(found.gone)
    )


def nightly(app: App, now: datetime) -> None:
    """Do the work of the night that has come, if it was not done yet: prune, and sweep."""
    schedule = slots.parse(_NIGHT, app.publication.timezone)
    last, slot = app.store.notes.moment(Note.SWEPT), slots.latest(schedule, now)
    if last is None:
        app.store.notes.mark(Note.SWEPT, now)  # a fresh record has nothing to sweep
    elif slot is not None and (slot.fires > last or last > now):  # or the clock was wrong then
        prune(app, now)
        sweep(app)


def prune(app: App, now: datetime) -> Counter[str]:
    """Remove what is older than `[retention]` says; count `deliveries`, `letters`, and so on.

    No delivery goes that is younger than the longest `max_age` of an edition, or whose letter is still
    kept. Bounces go after 90 days; after 30, who was asked whether they subscribed and never answered.
    The caller holds the lock. Harmless when repeated.
    """
    keep, upkeep = app.settings.retention, app.store.upkeep
    done: Counter[str] = Counter(letters=_discard(app, now - keep.outbox, now))
    longest = max((one.max_age for one in app.settings.editions), default=timedelta())
    ended = max(keep.deliveries, keep.outbox, longest)
    done["deliveries"] = upkeep.prune_deliveries(now - ended)
    done["messages"] = upkeep.prune_messages(now - ended)
    done["bounces"] = upkeep.prune_bounces(now - _RETURNS)
    done["pending"] = upkeep.prune_pending(now - _SILENT)
    if keep.quarantine is not None:
        done["quarantine"] = upkeep.prune_quarantine(now - keep.quarantine)
    if keep.consent is not None:
        done["consents"] = upkeep.prune_consents(now - keep.consent)
    app.store.notes.mark(Note.PRUNED, now)
    done = +done
    if done:
        log.info("pruned %s", ", ".join(f"{name}={number}" for name, number in done.items()))
    return done


def _seeds(app: App) -> tuple[int, list[str], list[str]]:
    """Return how many seeds were read, which changed unseen, and which are gone."""
    folder, limit = app.settings.seeds_folder, app.settings.seeds.max_bytes
    try:
        scan = inbox.scan(folder, app.settings.seeds.ignore)
    except UsageError as error:
        log.warning("seeds not swept: %s", error)
        return 0, [], []
    known = {one.name: one for one in app.store.digests.sighted()}
    there = {one.name for one in scan.sightings} | {one.name for one in scan.refusals}
    same = [one for one in scan.sightings if _is_settled(known.get(one.name), look(one))]
    changed = []
    for sighting in same:
        with suppress(DigestError):  # it changed or vanished just now: the next pass sees that
            digest = inbox.load(folder, sighting, app.now(), limit)
            if digest.sha256 != known[sighting.name].sha256:
                changed.append(sighting.name)
    # An empty folder is rather a mount that failed than a clean-up.
    gone = sorted(known.keys() - there) if there else []
    return len(same), changed, gone


def _is_settled(known: Sighted | None, now: str) -> bool:
    return known is not None and known.sha256 is not None and known.look == now


def _clear(app: App, strays: Sequence[str]) -> None:
    """Remove what killed processes left behind; one that can't be removed stops nothing."""
    try:
        files.remove(app.out, strays)
    except PublishError as error:
        report(log, error, "leftover not removed", error.path)
    for path in backups.leftovers(app.settings, (app.now() - _STALE).timestamp()):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


def _discard(app: App, before: datetime, now: datetime) -> int:
    """Remove the letters that were written as files before a moment; return how many."""
    try:
        if not app.outbox.is_dir():
            return 0
        names = {outbox.file_name(*letter) for letter in app.store.upkeep.written(before)}
        names |= {f"message-{number}.eml" for number in app.store.upkeep.written_mail(before)}
        return outbox.discard(app.outbox, names, (now - _STALE).timestamp())
    except OSError as error:
        raise StoreError(str(app.outbox), error.strerror or str(error)) from error
