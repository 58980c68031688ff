"""The alarm clock: APScheduler, with its jobs in memory, rings when a slot comes. It decides nothing.

The record says what is due. A job store of APScheduler's would lose a run whose process is killed, would
fire in every process that shares it, and twice in a repeated hour (measured on 3.11); so each alarm is
one moment that `slots` found, set anew after each round. Its clock is the wall's: set back an hour, it
sleeps an hour longer, which is why the loop looks every 30 seconds by itself.

The only module that imports `apscheduler.schedulers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from apscheduler.schedulers.background import BackgroundScheduler


class Alarm:
    """Calls `ring`, in a thread of its own, when a moment that was set has come."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._set: tuple[datetime, ...] = ()
        self._scheduler = BackgroundScheduler(timezone=UTC)
        self._scheduler.start()

    def set(self, moments: Iterable[datetime]) -> None:
        """Set the alarm for these moments alone; those in the past ring at once."""
        wanted = tuple(sorted(set(moments)))
        if wanted == self._set:
            return
        self._scheduler.remove_all_jobs()
        for moment in wanted:
            self._scheduler.add_job(
                self._ring, "date", run_date=moment, misfire_grace_time=None, coalesce=True
            )
        self._set = wanted

    def close(self) -> None:
        """Ring no more."""
        self._scheduler.pause()
        self._scheduler.remove_all_jobs()  # waits for its thread, which a shutdown would trip up
        self._scheduler.shutdown(wait=False)
