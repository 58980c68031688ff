"""Sends by SMTP, over several connections at once, each step on record before it is taken.

In: parcels, in batches; how to connect; the table that keeps their states. Out: how many ended in which
state, and what is wrong with the server, if it was that.

The caller's thread claims batches and hands parcels out, at the pace that is allowed. Each connection
has a thread that makes the letter, signs it and offers it. Commits are shared: whoever finds nobody at
it commits for all who wait (a group commit), since a commit costs more than a letter. How a letter ended
goes with the next commit, before the thread concludes another: so at most one a connection is in doubt
after a kill.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from queue import Empty, Queue
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from feeds.config.values import Rate
from feeds.errors import DeliveryError, ServerError, StoreError, UncertainError
from feeds.model import DeliveryState, Letter
from feeds.store.outgoing import Ended, Outgoing

if TYPE_CHECKING:
    from feeds.outbox.smtp import Connection

_UNREACHED = 3  # connections in a row that can't be made: the server is down
_UNHEARD = 20  # letters in a row that the server broke off: so it is, though it answers
_REFUSED = 5  # temporary refusals in a row of one domain: the rest of its letters wait
_PATIENCE = 5.0  # seconds that threads have to end


@dataclass(frozen=True, slots=True)
class Parcel:
    """Something to send: `make` returns its letter, signed; it is called in another thread.

    `domain` is the recipient's, in which trouble is shared.
    """

    id: int
    domain: str
    tries: int
    make: Callable[[], Letter]
    subscriber: int | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """How sending goes on: `retry` are the pauses between tries, the last one for all that follow.

    With `resend` what is uncertain is tried again after a pause, else it stays so.
    """

    connections: int
    retry: tuple[timedelta, ...]
    resend: bool

    def next_try(self, tries: int, now: datetime) -> datetime:
        """Return when to try again after `tries` tries."""
        return now + self.retry[min(max(tries, 1), len(self.retry)) - 1]


@dataclass(slots=True)
class Pace:
    """Keeps letters apart in time, so that no more than the rate go out; none is no limit.

    `deadline` is when the caller has other work to do, by `clock`, in seconds; `cut` says that it came.
    """

    rate: Rate | None
    clock: Callable[[], float] = time.monotonic
    free: float = 0.0
    deadline: float | None = None
    cut: bool = False

    def allow(self, seconds: float) -> None:
        """Set the deadline, so many seconds from now."""
        self.deadline, self.cut = self.clock() + seconds, False

    def wait(self, stop: Event) -> bool:
        """Wait until the next letter may go; return False when the deadline comes before."""
        now = self.clock()
        turn = max(self.free, now) if self.rate else now
        if self.deadline is not None and turn > self.deadline:
            self.cut = True
            return False
        if self.rate is not None:
            stop.wait(turn - now)
            self.free = turn + self.rate.span.total_seconds() / self.rate.letters
        return not stop.is_set()


@dataclass(slots=True)
class Outcome:
    """What became of the parcels: counted by state, and the first refusals with their reasons.

    `trouble` is what is wrong with the server; then the rest of the parcels wait.
    """

    done: Counter[DeliveryState] = field(default_factory=Counter)
    refusals: list[tuple[Parcel, DeliveryError]] = field(default_factory=list)
    faults: list[tuple[Parcel, Exception]] = field(default_factory=list)
    trouble: ServerError | None = None


def despatch(  # noqa: PLR0913, PLR0917 -- what is sent, over what, on which record, by which rules
    ledger: Outgoing,
    batches: Iterable[Sequence[Parcel]],
    connect: Callable[[], Connection],
    rules: Rules,
    now: Callable[[], datetime],
    pace: Pace,
) -> Outcome:
    """Send parcels until there are no more, or the server is in trouble.

    Raises:
        StoreError: the record can't be written; what was not committed counts as not done.
    """
    room = _Room(ledger, connect, rules, now)
    room.open()
    try:
        for batch in batches:
            if not _hand_out(room, batch, pace):
                break
    except BaseException:  # Ctrl-C, or what made a batch failed
        room.break_off()
        raise
    room.close()
    if room.fault is not None:
        raise room.fault
    return room.outcome


def _hand_out(room: _Room, batch: Sequence[Parcel], pace: Pace) -> bool:
    """Claim a batch and hand it out; return False when nothing more is to go."""
    granted = room.ledger.claim([parcel.id for parcel in batch], room.now())
    left = [parcel for parcel in batch if parcel.id in granted]
    for parcel in batch:
        if parcel.id not in granted:  # they left since
            room.end(parcel, DeliveryState.SUPPRESSED)
    try:
        while left and pace.wait(room.stop):
            room.jobs.put(left[0])
            del left[0]
    finally:
        for parcel in left:
            room.leave(parcel)
    return not left and not room.stop.is_set()


class _Room:
    """The threads, the commits they share, and what they know of the server."""

    def __init__(
        self,
        ledger: Outgoing,
        connect: Callable[[], Connection],
        rules: Rules,
        now: Callable[[], datetime],
    ) -> None:
        self.ledger, self.rules, self.now = ledger, rules, now
        self.jobs: Queue[Parcel | None] = Queue(rules.connections * 2)
        self.stop, self.outcome = Event(), Outcome()
        self.fault: BaseException | None = None
        self._connect = connect
        self._commits = _Commits(ledger, now)
        self._lock = Lock()
        self._unreached = self._unheard = 0
        self._refused: defaultdict[str, int] = defaultdict(int)
        self._unsent: list[int] = []
        self._threads = [
            Thread(target=self._work, name=f"smtp-{n}", daemon=True)
            for n in range(rules.connections)
        ]

    def open(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Have the threads end what they are at; put back what nobody began."""
        for _ in self._threads:
            self.jobs.put(None)
        for thread in self._threads:
            thread.join()
        if self.fault is None:
            self._settle()

    def break_off(self) -> None:
        """End soon: what nobody began is put back, and a server that is silent is not waited for."""
        self.stop.set()
        with suppress(Empty):
            while (parcel := self.jobs.get_nowait()) is not None:
                self.leave(parcel)
        for _ in self._threads:
            self.jobs.put(None)
        for thread in self._threads:
            thread.join(_PATIENCE / len(self._threads))
        with suppress(StoreError):  # what a kill would leave is settled at the next start
            self._settle()

    def _settle(self) -> None:
        self._commits.flush()
        self.ledger.put_back(self._unsent)

    def leave(self, parcel: Parcel) -> None:
        """Leave a parcel for another time."""
        with self._lock:
            self._unsent.append(parcel.id)

    def end(self, parcel: Parcel, state: DeliveryState, error: DeliveryError | None = None) -> None:
        """Take note of how a parcel ended; it is committed with what comes next."""
        again = None
        if state is DeliveryState.DEFERRED or (
            state is DeliveryState.UNCERTAIN and self.rules.resend
        ):
            again = self.rules.next_try(parcel.tries + 1, self.now())
        self._commits.add(
            Ended(
                parcel.id,
                state,
                code=error.code if error else None,
                error=str(error) if error else None,
                next_try=again,
            )
        )
        with self._lock:
            self.outcome.done[state] += 1
            if error is not None:
                self.outcome.refusals.append((parcel, error))

    def _work(self) -> None:
        connection = self._connect()
        try:
            while (parcel := self.jobs.get()) is not None:
                if self.stop.is_set():
                    self.leave(parcel)
                    continue
                self._send(parcel, connection)
                if self.jobs.empty() or len(self._threads) == 1:  # nobody to share a commit with
                    self._commits.flush()
        except BaseException as error:  # noqa: BLE001 -- raised again where it can be caught
            self.fault = self.fault or error
            self.stop.set()
            while self.jobs.get() is not None:
                pass
        finally:
            connection.close()

    def _send(self, parcel: Parcel, connection: Connection) -> None:
        """Send one parcel over a connection, which opens when it has to."""
        if self._refused.get(parcel.domain, 0) >= _REFUSED:
            reason = "its mail server refuses letters at present"
            error = DeliveryError("", None, reason, permanent=False)
            self.end(parcel, DeliveryState.DEFERRED, error)
            return
        reached = False
        try:
            letter = parcel.make()
            connection.open()
            reached = True
            connection.offer(letter)
            if self._commits.dot(parcel.id):
                connection.conclude()
            else:  # they left while it was sent
                connection.abandon()
                self.end(parcel, DeliveryState.SUPPRESSED)
                return
        except ServerError as error:
            self._broke_off(parcel, error, reached=reached)
        except UncertainError as error:
            self.end(parcel, DeliveryState.UNCERTAIN, error)
        except DeliveryError as error:
            self._turned_away(parcel, error)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 -- one letter never stops the others
            connection.abandon()
            self._spoilt(parcel, error)
        else:
            self._went_well(parcel)

    def _went_well(self, parcel: Parcel) -> None:
        self.end(parcel, DeliveryState.SENT)
        with self._lock:
            self._unreached = self._unheard = 0
            self._refused.pop(parcel.domain, None)

    def _turned_away(self, parcel: Parcel, error: DeliveryError) -> None:
        state = DeliveryState.FAILED if error.permanent else DeliveryState.DEFERRED
        self.end(parcel, state, error)
        with self._lock:
            self._unheard = 0
            if error.permanent:
                self._refused.pop(parcel.domain, None)
            else:
                self._refused[parcel.domain] += 1

    def _broke_off(self, parcel: Parcel, error: ServerError, *, reached: bool) -> None:
        """Put a parcel off that the server had no ear for; after some in a row, all of them."""
        self.end(parcel, DeliveryState.DEFERRED, error)
        with self._lock:
            self._unreached += not reached
            self._unheard += reached
            if error.permanent or self._unreached >= _UNREACHED or self._unheard >= _UNHEARD:
                self.outcome.trouble = self.outcome.trouble or error
                self.stop.set()

    def _spoilt(self, parcel: Parcel, error: Exception) -> None:
        """Put a parcel off whose letter can't be made."""
        self.end(
            parcel, DeliveryState.DEFERRED, DeliveryError("", None, str(error), permanent=False)
        )
        with self._lock:
            self.outcome.faults.append((parcel, error))


@dataclass(slots=True, eq=False)
class _Ticket:
    """One who waits for a commit: for leave to conclude a letter, or merely for what was added.

    `gate` opens when it is done (`granted` says how) or when it is this one's turn to commit.
    """

    number: int | None
    gate: Lock = field(default_factory=Lock)
    done: bool = False
    granted: bool = False


class _Commits:
    """Commits what several threads have to commit, together: one of those who wait does it for all."""

    def __init__(self, ledger: Outgoing, now: Callable[[], datetime]) -> None:
        self._ledger, self._now = ledger, now
        self._lock = Lock()
        self._busy = False
        self._ended: list[Ended] = []
        self._waiting: list[_Ticket] = []
        self._fault: BaseException | None = None

    def add(self, ended: Ended) -> None:
        """Have an end committed with what comes next."""
        with self._lock:
            self._ended.append(ended)

    def dot(self, number: int) -> bool:
        """Commit that a letter is about to be concluded; return whether it may be."""
        return self._await(_Ticket(number))

    def flush(self) -> None:
        """Commit every end that was added."""
        if self._ended:
            self._await(_Ticket(None))

    def _await(self, mine: _Ticket) -> bool:
        mine.gate.acquire()
        with self._lock:
            self._waiting.append(mine)
            first, self._busy = not self._busy, True
        if not first:
            mine.gate.acquire()
        if not mine.done and self._fault is None:
            self._commit()
        if self._fault is not None:
            raise self._fault
        return mine.granted

    def _commit(self) -> None:
        """Commit for all who wait, and give the turn to one of those who came meanwhile."""
        with self._lock:
            tickets, self._waiting = self._waiting, []
            ended, self._ended = self._ended, []
        dotting = [ticket.number for ticket in tickets if ticket.number is not None]
        granted: set[int] = set()
        try:
            granted = self._ledger.mark(ended, dotting, self._now())
        except BaseException as error:  # noqa: BLE001 -- raised in each thread that waits for it
            self._fault = error
        for ticket in tickets:
            ticket.granted, ticket.done = ticket.number in granted, True
            ticket.gate.release()
        with self._lock:
            if self._fault is not None:
                for ticket in self._waiting:
                    ticket.gate.release()
                self._waiting = []
            if self._waiting:
                self._waiting[0].gate.release()
            else:
                self._busy = False
