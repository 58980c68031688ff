"""What is on record and what comes next: for people, for the alarm clock, for figures."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from feeds import slots
from feeds.app import App
from feeds.pipeline.composing import upcoming
from feeds.pipeline.shelf import feeds_schedule


@dataclass(frozen=True, slots=True)
class Coming:
    """Something that falls due: `what` is a word for people, `edition` its name if it is one."""

    what: str
    at: datetime
    slot: str
    edition: str | None = None


def figures(app: App) -> dict[str, int]:
    """Return how many articles, quarantined files, and deliveries by state are on record."""
    deliveries = app.store.deliveries.count()
    return {
        "articles": app.store.entries.last_seq(),
        "quarantined": len(app.store.digests.quarantined()),
        **{f"deliveries {state}": number for state, number in deliveries.items()},
    }


def coming(app: App, now: datetime) -> list[Coming]:
    """Return the next slot of each edition and of the feeds' schedule, the soonest first."""
    found = [
        Coming(f"edition {name}", slot.fires, slot.text, name) for name, slot in upcoming(app, now)
    ]
    if (schedule := feeds_schedule(app)) is not None:
        found += [Coming("feeds", one.fires, one.text) for one in slots.upcoming(schedule, now, 1)]
    return sorted(found, key=lambda one: one.at)
