"""How a long loop shows how far it has come; the door decides what that looks like."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")


class Progress(Protocol):
    """Takes a label and the items of a loop, gives the items back one by one."""

    def __call__(self, label: str, items: Sequence[T], /) -> Iterable[T]:
        """Yield the items in order."""
        ...


def quiet(_label: str, items: Sequence[T], /) -> Iterable[T]:
    """Show nothing."""
    return items
