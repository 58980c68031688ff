"""What a process that stays owes its system: signals, and word to systemd. I/O.

SIGTERM and SIGINT ask it to stop: work ends after the item in hand, or, when that takes longer than
`GRACE`, in its middle, which the record survives as it survives a kill. A second one ends it at once,
but for one that comes with the first: timeout(1) and terminals signal a process and its group.
SIGHUP asks it to read its configuration again. systemd is told by sd_notify(3), a datagram.
"""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

GRACE = 8.0
"""Seconds after which a stop no longer waits for the item in hand."""

_TOGETHER = 1.0  # seconds


@dataclass(slots=True)
class Wanted:
    """What signals asked for since this was last looked at."""

    stop: bool = False
    reload: bool = False


@contextmanager
def signals(ring: Callable[[], None]) -> Iterator[Wanted]:
    """Note what signals ask for, and call `ring`, which must be safe in a handler. Main thread only."""
    wanted, asked = Wanted(), 0.0

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if wanted.stop and time.monotonic() - asked > _TOGETHER:
            raise KeyboardInterrupt
        if wanted.stop:
            return
        wanted.stop, asked = True, time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, GRACE)
        ring()

    def reload(_number: int, _frame: FrameType | None) -> None:
        wanted.reload = True
        ring()

    handlers = {
        signal.SIGTERM: stop,
        signal.SIGINT: stop,
        signal.SIGHUP: reload,
        signal.SIGALRM: stop,
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield wanted
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def notify(environ: Mapping[str, str], *states: str) -> None:
    """Tell systemd how things are, as `READY=1`; without systemd, nobody."""
    address = environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # abstract: unix(7)
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect(address)
        channel.sendall("\n".join(states).encode())
