"""The editor's hand on an edition on record, until the first of its letters is made ready.

The transaction decides, so that all of it works beside `feeds watch`: an edition is changed before its
letters are made, or not at all. Its page is made again by the next pass.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from feeds import editions
from feeds.app import App
from feeds.errors import NotFoundError, UsageError
from feeds.model import Brief, Edition
from feeds.pipeline.composing import thaw
from feeds.store.editions import GIVEN, SUPERSEDED, Slotted

log = logging.getLogger(__name__)

_SUBJECTS = 10  # earlier subjects that a changed one must differ from
_NEAR = 3  # ids that an error names


def edition_of(app: App, slot: str, name: str | None = None) -> Slotted:
    """Return the edition of a slot; `name` says which, when there are several.

    Raises:
        NotFoundError: there is none.
        UsageError: there are several, and no name.
    """
    found = [one for one in app.store.editions.find(slot) if name in {None, one.name}]
    if not found:
        raise NotFoundError("edition", slot if name is None else f"{name} {slot}")
    if len(found) > 1:
        names = ", ".join(one.name for one in found)
        raise UsageError(f"that slot has several editions; say which by --edition: {names}")
    return found[0]


def drop(app: App, slotted: Slotted, key: str) -> Brief:
    """Take an article out of an edition, by its id or the start of it; return it.

    It stays published; no later edition of that name takes it.

    Raises:
        NotFoundError: the edition has no such article.
        UsageError: it is the last one, or the edition can't be changed any more.
    """
    gone: list[Brief] = []
    used = _subjects(app, slotted)

    def edit(content: str) -> str:
        edition = editions.from_json(content)
        gone.append(_find(edition, key))
        left = editions.without(edition, gone[0].entry, used)
        if left is None:
            raise UsageError("that is the edition's last article, and an edition has one at least")
        return editions.as_json(left, editions.dropped(content) | {gone[0].entry})

    _rewrite(app, slotted, edit)
    log.info("article dropped id=%s name=%s slot=%s", gone[0].entry, slotted.name, slotted.slot)
    return gone[0]


def lead(app: App, slotted: Slotted, key: str) -> Brief:
    """Let an article lead an edition, by its id or the start of it; return it.

    Raises:
        NotFoundError: the edition has no such article.
        UsageError: the edition can't be changed any more.
    """
    found: list[Brief] = []
    used = _subjects(app, slotted)

    def edit(content: str) -> str:
        edition = editions.from_json(content)
        found.append(_find(edition, key))
        led = editions.headed(edition, found[0].entry, used)
        return editions.as_json(led, editions.dropped(content))

    _rewrite(app, slotted, edit)
    return found[0]


def note(app: App, slotted: Slotted, text: str) -> str:
    """Put an editor's note above an edition's news; return it cleaned. An empty one removes it.

    Raises:
        UsageError: it is too long, or the edition can't be changed any more.
    """
    cleaned = editions.note(text)
    if len(cleaned) > editions.NOTE_LIMIT:
        raise UsageError(
            f"a note has {editions.NOTE_LIMIT:,} characters at most; this one has {len(cleaned):,}"
        )

    def edit(content: str) -> str:
        noted = editions.annotated(editions.from_json(content), cleaned)
        return editions.as_json(noted, editions.dropped(content))

    _rewrite(app, slotted, edit)
    return cleaned


def approve(app: App, slotted: Slotted) -> None:
    """Let an edition go that waits for its editor; one that was approved already stays so.

    Raises:
        UsageError: it needs no approval, or is superseded.
    """
    if app.store.editions.approve(slotted.id):
        log.info("edition approved name=%s slot=%s", slotted.name, slotted.slot)
        return
    now = app.store.editions.get(slotted.id)
    if now.state == SUPERSEDED:
        raise UsageError(_superseded(now))
    if now.approval != GIVEN:
        raise UsageError(f"{now.name} {now.slot} needs no approval; it goes by itself")


def _rewrite(app: App, slotted: Slotted, edit: Callable[[str], str]) -> None:
    if app.store.editions.rewrite(slotted.id, edit):
        return
    now = app.store.editions.get(slotted.id)
    if now.state == SUPERSEDED:
        raise UsageError(_superseded(now))
    raise UsageError(f"letters of {now.name} {now.slot} have gone: it can't be changed any more")


def _superseded(slotted: Slotted) -> str:
    return (
        f"{slotted.name} {slotted.slot} was not approved before the next slot had come;"
        " `feeds edition list` shows the edition in its place"
    )


def _subjects(app: App, slotted: Slotted) -> frozenset[str]:
    """Return the subjects of the last other editions of a name."""
    latest = app.store.editions.newest(slotted.name, composed=True, limit=_SUBJECTS)
    return frozenset(thaw(one).subject for one in latest if one.id != slotted.id)


def _find(edition: Edition, key: str) -> Brief:
    """Return the article of an edition whose id is or begins with a key, if no other does."""
    start = key.lower()
    found = [brief for brief in edition.briefs if brief.entry.startswith(start)] if start else []
    if len(found) == 1:
        return found[0]
    kind = f"article of {edition.name} {edition.slot}"
    raise NotFoundError(kind, key, [brief.entry for brief in found[:_NEAR]])
