"""What the loops over items share: how they show how far they have come, and how they report."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from feeds.errors import FeedsError

T = TypeVar("T")


class Progress(Protocol):
    """Takes a label and the items of a loop, gives the items back one by one."""

    def __call__(self, label: str, items: Sequence[T], /) -> Iterable[T]:
        """Yield the items in order."""
        ...


def quiet(_label: str, items: Sequence[T], /) -> Iterable[T]:
    """Show nothing."""
    return items


def report(log: logging.Logger, error: Exception, what: str, where: str) -> None:
    """Log an error raised on purpose in one line, any other, a fault of ours, with its traceback."""
    trace = None if isinstance(error, FeedsError) else error
    log.error("%s at=%s: %s", what, where, error, exc_info=trace)
