"""Counts what clients do, so that none does too much. In memory, of bounded size."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

Clock = Callable[[], float]
"""Gives seconds, from any start."""

_KEYS = 20_000
_HOUR, _MINUTE = 3600.0, 60.0


class Limit:
    """At most `most` times in any `span` of seconds for each key.

    Only what was allowed counts. Of more than 20,000 keys at once, those that did nothing for the
    longest time are forgotten.
    """

    def __init__(self, most: int, span: float, clock: Clock) -> None:
        self._most, self._span, self._clock = most, span, clock
        self._times: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._times)

    def allows(self, key: str) -> bool:
        """Return whether `key` may do it once more, and count it if so."""
        with self._lock:
            now = self._clock()
            self._forget(now - self._span)
            times = self._times.setdefault(key, deque())
            while times and times[0] <= now - self._span:
                times.popleft()
            allowed = len(times) < self._most
            if allowed:
                times.append(now)
                self._times.move_to_end(key)
            return allowed

    def _forget(self, before: float) -> None:
        """Drop the keys whose last time is long ago, and the oldest when there are too many."""
        while self._times:
            oldest = next(iter(self._times.values()))
            if oldest and oldest[-1] > before and len(self._times) < _KEYS:
                return
            self._times.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Limits:
    """What is limited: sign-ups of a client and for an address, forms and clicks of a client."""

    sign_ups: Limit
    addresses: Limit
    forms: Limit
    clicks: Limit


def limits(clock: Clock) -> Limits:
    """Return the limits of the subscription pages, with nothing counted yet.

    Mail providers click for all their customers, from few addresses, and no click may be lost: many
    more clicks are allowed than forms.
    """
    return Limits(
        sign_ups=Limit(5, _HOUR, clock),
        addresses=Limit(5, _HOUR, clock),
        forms=Limit(60, _MINUTE, clock),
        clicks=Limit(600, _MINUTE, clock),
    )
