"""A door: stays, and does the work as it falls due, digests as they land and editions on their schedule.

One thread does all work, in rounds: look at seeds/, read what is complete, compose, publish, send, look
after the record. Events of the folder and the alarm clock only wake it; every 30 seconds it looks by
itself. What is due is what the record says, so a round that is late, lost or repeated does no harm.

In: an open application whose lock is held. Out: what the corridor does, word of it in the log, and a
`Pulse` for whoever asks.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue

from feeds import app as opened
from feeds import inbox, pipeline
from feeds.app import App
from feeds.config import Settings
from feeds.errors import ConfigError, FeedsError, StoreError
from feeds.inbox import Sighting
from feeds.inbox.settle import Hint, Pending, observe, ready_at, told
from feeds.inbox.watch import Watcher
from feeds.pipeline import Summary, notices, returns
from feeds.pipeline.despatch import Pace
from feeds.pipeline.progress import T, report
from feeds.schedule import service
from feeds.schedule.alarm import Alarm
from feeds.schedule.pulse import Pulse
from feeds.store.notes import Note
from feeds.text import printable

log = logging.getLogger(__name__)

BATCH = 1000
"""Files that are read in one round: an edition whose slot has come is not kept waiting by thousands."""

JUMP = timedelta(minutes=10)
"""After the clock moved by so much more than time did, slots wait until it was steady for two looks."""

ENDLESS = 600.0
"""Seconds after which a file that is still being written is worth a word."""

_TRIED = frozenset({"record", "seeds", "out"})  # checks of what each round uses anyway
_DISTRUST = 2
_BURST = 200  # hints of a round after which a scan follows soon: the kernel may have lost others
_SOON = 1.0  # seconds
_STATUS = 500  # characters
_RETURNS = timedelta(hours=1)  # between looks at mail that came back
_SLICE = 15.0  # seconds of sending after which the other work has its turn


class Bell:
    """Wakes the loop; may be rung from any thread and from a signal handler."""

    def __init__(self) -> None:
        self._rung: SimpleQueue[None] = SimpleQueue()

    def ring(self) -> None:
        """Wake the loop, or have it go round once more."""
        self._rung.put(None)

    def wait(self, seconds: float) -> None:
        """Wait until it is rung, at most so long."""
        try:
            self._rung.get(timeout=max(seconds, 0.0))
            while True:
                self._rung.get_nowait()
        except Empty:
            return


def watch(
    app: App,
    bell: Bell,
    wanted: service.Wanted,
    pulse: Pulse,
    settings: Callable[[], Settings],
) -> None:
    """Stay until asked to stop. `settings` reads the configuration anew, when asked to reload.

    Raises:
        StoreError: the record's file was taken away or replaced; nothing more can be kept.
    """
    loop = Watch(app, bell.ring, wanted, pulse)
    try:
        service.notify(app.environ, "READY=1", "STATUS=looking at what came meanwhile")
        opened.classifier()  # 0.2 s, which the first digest needn't wait for
        while not wanted.stop:
            if wanted.reload:
                wanted.reload = False
                loop.reload(settings)
            pause = loop.round()
            service.notify(app.environ, "READY=1", f"STATUS={loop.status()}", "WATCHDOG=1")
            if not wanted.stop:
                bell.wait(pause)
    finally:
        service.notify(app.environ, "STOPPING=1")
        loop.close()


class Watch:
    """The loop, and what it remembers between rounds, none of which is missed after a restart."""

    def __init__(
        self,
        app: App,
        ring: Callable[[], None],
        wanted: service.Wanted,
        pulse: Pulse,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.app = app
        self._wanted, self._pulse, self._clock = wanted, pulse, clock
        self._watcher, self._alarm = Watcher(ring), Alarm(ring)
        self._pending: dict[str, Pending] = {}
        self._next_scan = self._signed = clock()
        self._last = (app.now(), clock())
        self._distrust = 0
        self._pace = Pace(app.settings.mail.rate, clock)
        self._coming: list[pipeline.Coming] = []

    def close(self) -> None:
        """End what runs beside the loop."""
        self._watcher.close()
        self._alarm.close()

    def round(self) -> float:
        """Do what is due; return after how many seconds there is something to look at again."""
        began, now = self._clock(), self.app.now()
        if not self.app.store.is_in_place():
            raise StoreError(str(self.app.settings.state_folder), "the record was taken away")
        full, done = began >= self._next_scan, Summary()
        self._try("inbox", lambda: self._look(done, began, full=full), proves=full)
        ready = self._ready(began)
        if ready or (full and not self._pending):
            self._try("intake", lambda: self._take_in(ready, done))
        if full or ready or self._pace.cut or any(one.at <= now for one in self._coming):
            self._carry_on(done, now, full=full)
            self._coming = pipeline.coming(self.app, now)
            self._alarm.set(one.at for one in self._coming)
            self._pulse.expect((one.what, one.at) for one in self._coming)
            self._pulse.beat(done, self.app.now(), self._clock() - began)
            _say(done, self._clock() - began)
        return self._until()

    def reload(self, settings: Callable[[], Settings]) -> None:
        """Take on a changed configuration; one that can't be read changes nothing."""
        service.notify(
            self.app.environ, "RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}"
        )
        try:
            found = settings()
            if found.state_folder != self.app.settings.state_folder:
                raise ConfigError("state", "configuration", "it can't move while feeds watch runs")
        except FeedsError as error:
            log.error("configuration not taken on, the old one stays: %s", error)
            self._pulse.trouble("configuration", str(error))
            return
        self._pulse.trouble("configuration", None)
        for warning in found.warnings:
            log.warning("configuration: %s", warning)
        old = self.app.settings
        if (old.web, old.operator, old.out_folder) != (found.web, found.operator, found.out_folder):
            log.warning("configuration: where to serve changes at the next start")
        self.app = opened.reconfigured(self.app, found)
        if old.mail.rate != found.mail.rate:
            self._pace = Pace(found.mail.rate, self._clock)
        self._next_scan = self._clock()
        log.info("configuration read anew")

    def status(self) -> str:
        """Return how things are, in one line for `systemctl status`."""
        troubles = [f"{part}: {reason}" for part, reason in self._pulse.troubles().items()]
        coming = [f"next: {one.what} at {one.slot}" for one in self._coming[:1]]
        return printable("; ".join(troubles or coming) or "watching")[:_STATUS]

    def _look(self, done: Summary, time: float, *, full: bool) -> None:
        """See which files are new, and since when they look as they do."""
        seeds = self.app.settings.seeds
        if full:
            self._watcher.follow(self.app.settings.seeds_folder)
            self._next_scan = time + self._watcher.pace
            hints = self._watcher.take()
            fresh = pipeline.survey(self.app, done)
            before, self._pending = self._pending, {}
        else:
            hints = self._watcher.take()
            paths = hints.keys() | self._due(time)
            glances = {
                path: inbox.glance(self.app.settings.seeds_folder, path, seeds.ignore)
                for path in paths
            }
            fresh = pipeline.unread(self.app, [one for one in glances.values() if one])
            before = {path: self._pending.pop(path) for path in paths if path in self._pending}
        crowd = len(hints) >= _BURST
        for one in fresh:
            hint = told(hints, one.path)
            if crowd and hint is Hint.WRITING:
                hint = Hint.LOOK  # that it was closed may be among what was lost
            self._pending[one.path] = seen = observe(before.get(one.path), one, hint, time)
            # One that is ready merely waits for its turn in a crowd, or the machine slept.
            if time - seen.first > ENDLESS and ready_at(seen, seeds.settle.total_seconds()) > time:
                log.warning("digest still being written, not read yet file=%s", one.name)
        if crowd:
            self._next_scan = min(self._next_scan, time + _SOON)

    def _due(self, time: float) -> list[str]:
        """Return the files that have looked the same for long enough, a batch at most, by path."""
        settle = self.app.settings.seeds.settle.total_seconds()
        due = [path for path, one in self._pending.items() if ready_at(one, settle) <= time]
        return sorted(due)[:BATCH]

    def _ready(self, time: float) -> list[Sighting]:
        return [self._pending[path].sighting for path in self._due(time)]

    def _take_in(self, ready: Sequence[Sighting], done: Summary) -> None:
        for one in ready:
            del self._pending[one.path]  # what fails is found again by the next scan
        pipeline.take_in(self.app, ready, done, progress=self._until_stopped)
        _complain(done.failures)

    def _carry_on(self, done: Summary, now: datetime, *, full: bool) -> None:
        """Compose, publish and send what is due, and look after the record."""
        trusted = self._trusts(now, full=full)
        if trusted:
            self._try("editions", lambda: self._compose(done, now))
        self._try("publishing", lambda: self._publish(done, now))
        self._try("letters", lambda: self._deliver(done, now))
        self._try("figures", lambda: self._pulse.count(pipeline.figures(self.app)))
        if full and trusted and not self._wanted.stop:
            self._try("upkeep", lambda: self._look_after(now))

    def _compose(self, done: Summary, now: datetime) -> None:
        done.editions.update(pipeline.compose(self.app, now))
        if failed := done.editions["failed"]:
            raise FeedsError(f"{failed} not composed, as said before")

    def _deliver(self, done: Summary, now: datetime) -> None:
        self._pace.allow(_SLICE)
        done.deliveries.update(
            pipeline.deliver(self.app, now, progress=self._until_stopped, pace=self._pace)
        )
        if failed := sum(done.deliveries[state] for state in ("failed", "deferred", "uncertain")):
            raise FeedsError(f"{failed} not delivered, as said before")

    def _publish(self, done: Summary, now: datetime) -> None:
        before = len(done.failures)
        wanted = pipeline.due_targets(self.app, now)
        pipeline.publish_all(self.app, wanted, done, progress=self._until_stopped)
        _complain(done.failures[before:])
        if not self._wanted.stop:
            pipeline.note_feeds(self.app, now)

    def _look_after(self, now: datetime) -> None:
        for check in pipeline.look_after(self.app, now):
            if check.name not in _TRIED:
                self._note(check.name, None if check.ok else f"{check.detail}; {check.advice}")
        self._try("notices", lambda: notices.tell(self.app, now))
        if self._may_read_returns(now):
            self._try("bounces", lambda: returns.read_returns(self.app, now))

    def _may_read_returns(self, now: datetime) -> bool:
        """Whether what came back is to be read, once an hour; notes that it is, whatever comes of it."""
        if self.app.settings.mail.bounces is None:
            return False
        last = self.app.store.notes.moment(Note.RETURNS)
        if last is not None and last <= now < last + _RETURNS:
            return False
        self.app.store.notes.mark(Note.RETURNS, now)
        return True

    def _trusts(self, now: datetime, *, full: bool) -> bool:
        """Whether the clock went on as time did; after a jump it is trusted again two looks later."""
        (wall, past), present = self._last, self._clock()
        self._last = (now, present)
        jump = now - wall - timedelta(seconds=present - past)
        if abs(jump) > JUMP:
            log.warning(
                "clock moved seconds=%.0f: editions wait until it was steady for a minute",
                jump.total_seconds(),
            )
            self._distrust = _DISTRUST
        elif full and self._distrust:
            self._distrust -= 1
        return not self._distrust

    def _until(self) -> float:
        settle = self.app.settings.seeds.settle.total_seconds()
        looks = (ready_at(one, settle) for one in self._pending.values())
        goes_on = [max(self._pace.free, self._clock())] if self._pace.cut else []
        return min((self._next_scan, *looks, *goes_on)) - self._clock()

    def _until_stopped(self, _label: str, items: Sequence[T], /) -> Iterable[T]:
        """Go through items until asked to stop, with signs of life for systemd in between."""
        for item in items:
            if self._wanted.stop:
                return
            yield item
            if self._clock() - self._signed > _SOON:
                self._signed = self._clock()
                service.notify(self.app.environ, "WATCHDOG=1")

    def _try(self, part: str, step: Callable[[], object], *, proves: bool = True) -> None:
        """Do one part of the work; one that fails is noted, and said when that is news.

        `proves` says whether going well shows that what was wrong is over.
        """
        reason = None
        try:
            step()
        except FeedsError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 -- a fault of ours in one part never stops the others
            report(log, error, "failed", part)
            reason = f"{type(error).__name__}: {error}"
        if reason or proves:
            self._note(part, reason)

    def _note(self, part: str, reason: str | None) -> None:
        """Keep what is wrong with a part, None when nothing is; say it when that is news."""
        if self._pulse.trouble(part, reason):
            if reason:
                log.error("trouble part=%s: %s", part, reason)
            else:
                log.info("well again part=%s", part)


def _complain(failures: Sequence[str]) -> None:
    """Make trouble of what failed item by item."""
    if failures:
        more = len(failures) - 1
        raise FeedsError(failures[0] + (f"; and {more} more, as said before" if more else ""))


def _say(done: Summary, seconds: float) -> None:
    """Say what a round did, if anything."""
    groups = {
        "digests": done.digests,
        "articles": done.articles,
        "documents": done.documents,
        "editions": done.editions,
        "letters": done.deliveries,
    }
    parts = {
        f"{name}.{outcome}": number
        for name, counted in groups.items()
        for outcome, number in counted.items()
        if number and outcome not in {"unchanged", "failed", "deferred"}  # those are trouble
    }
    if parts:
        template = " ".join(f"{name}=%d" for name in parts)
        log.info(f"done {template} seconds=%.2f", *parts.values(), seconds)  # noqa: G004 -- our names
