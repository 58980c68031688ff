"""The state of a process that stays, for whoever asks over HTTP: health, and metrics for Prometheus.

Written by the loop, read by threads of a server; nothing here asks the record.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from threading import Lock

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from feeds.pipeline import Summary

STALE = 300.0
"""Seconds without a round after which the process counts as stuck."""

_COUNTED = {
    "digests": ("read", "quarantined", "failed"),
    "articles": ("new", "updated"),
    "documents": ("written", "removed"),
    "editions": ("composed", "skipped", "failed"),
    "deliveries": ("written", "sent", "deferred", "failed", "uncertain", "suppressed"),
}


class Pulse:
    """What the last rounds did and what is wrong now."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no types
        self._clock = clock
        self._lock = Lock()
        self._last = clock()
        self._troubles: dict[str, str] = {}
        self._registry = CollectorRegistry()
        self._totals = {
            name: Counter(
                f"feeds_{name}",
                f"{name.capitalize()} by outcome",
                ["outcome"],
                registry=self._registry,
            )
            for name in _COUNTED
        }
        for name, outcomes in _COUNTED.items():
            for outcome in outcomes:
                self._totals[name].labels(outcome)  # there from the start, at 0
        self._rounds = Histogram(
            "feeds_round_seconds",
            "Duration of a round",
            registry=self._registry,
        )
        self._when = self._gauge("feeds_last_round_timestamp_seconds", "When a round last ended")
        self._healthy = self._gauge("feeds_healthy", "Whether nothing is wrong")
        self._trouble = self._gauge("feeds_trouble", "What is wrong now", "part")
        self._next = self._gauge("feeds_next_timestamp_seconds", "When what comes next", "what")
        self._counts = self._gauge(
            "feeds_on_record", "How many came onto the record, or stand there", "what"
        )

    def beat(self, done: Summary, now: datetime, seconds: float) -> None:
        """Note a round: what it did, when it ended, how long it took."""
        with self._lock:
            self._last = self._clock()
        for name in _COUNTED:
            for outcome, number in getattr(done, name).items():
                if number and outcome != "unchanged":
                    self._totals[name].labels(outcome).inc(number)
        self._rounds.observe(seconds)
        self._when.set(now.timestamp())

    def trouble(self, part: str, reason: str | None) -> bool:
        """Note what is wrong with a part of the work, None when nothing is; return if that is news."""
        with self._lock:
            news = self._troubles.get(part) != reason
            if reason is None:
                self._troubles.pop(part, None)
            else:
                self._troubles[part] = reason
        if news:
            self._trouble.labels(part).set(reason is not None)
        return news

    def expect(self, coming: Iterable[tuple[str, datetime]]) -> None:
        """Note what comes next, and when."""
        self._next.clear()
        for what, moment in coming:
            self._next.labels(what).set(moment.timestamp())

    def count(self, numbers: Mapping[str, int]) -> None:
        """Note how many articles, quarantined files and waiting letters are on record."""
        for what, number in numbers.items():
            self._counts.labels(what).set(number)

    def troubles(self) -> dict[str, str]:
        """Return what is wrong now, by part."""
        with self._lock:
            found = dict(self._troubles)
            silent = self._clock() - self._last
        if silent > STALE:
            found["loop"] = f"no round has ended for {silent:.0f} s"
        return found

    def metrics(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        self._healthy.set(not self.troubles())
        return generate_latest(self._registry)

    def _gauge(self, name: str, about: str, *labels: str) -> Gauge:
        return Gauge(name, about, labels, registry=self._registry)
