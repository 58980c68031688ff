"""The real command `feeds watch` under a simulated clock, at the end of a socket of `house`.

Where the loop would wait, it says so and is told what time it is next. Five names are exchanged before
the command begins: the clock of the application, the bell on which the loop waits, and the clocks of
the loop, of its pulse and of its log. Everything else is the product as it stands. During a round the
clock stands still.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from unittest.mock import patch

from feeds import app as opened
from feeds import logs, schedule
from feeds.__main__ import main
from feeds.schedule import pulse


class Clock:
    """Wall and monotonic time, as the parent says."""

    def __init__(self, descriptor: int) -> None:
        self._lines = socket.socket(fileno=descriptor).makefile("rw", encoding="ascii")
        self.wall, self.steady = datetime.now().astimezone(), 0.0
        self.wait(0.0)

    def wait(self, seconds: float) -> None:
        """Say that there is nothing to do for so long; go on when the parent says so."""
        self._lines.write(f"{seconds:.3f}\n")
        self._lines.flush()
        answer = self._lines.readline()
        if not answer:
            os._exit(0)  # nobody is there any more
        told = json.loads(answer)
        self.wall, self.steady = datetime.fromisoformat(told["wall"]), told["steady"]

    def of(self, _environ: Mapping[str, str]) -> Callable[[], datetime]:
        """Return the wall clock, in place of `feeds.app.clock`."""
        return lambda: self.wall

    def monotonic(self) -> float:
        """Return what stands in for `time.monotonic`."""
        return self.steady


class Bell(schedule.Bell):
    """Waits by the simulated clock; being rung ends no wait early, for the next look is soon."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def wait(self, seconds: float) -> None:
        """Let the parent say what time it is; then take what was rung meanwhile for heard."""
        self._clock.wait(seconds)
        super().wait(0.0)


def watch(clock: Clock) -> None:
    """Run the command that the arguments name, under the clock."""
    steady = clock.monotonic
    with ExitStack() as stack:
        for place, name, made in (
            (opened, "clock", clock.of),
            (schedule, "Bell", partial(Bell, clock)),
            (schedule, "Watch", partial(schedule.Watch, clock=steady)),
            (pulse, "Pulse", partial(pulse.Pulse, steady)),
            (logs, "Repeats", partial(logs.Repeats, steady)),
        ):
            stack.enter_context(patch.object(place, name, made))
        main()


if __name__ == "__main__":
    watch(Clock(int(sys.argv.pop(1))))
