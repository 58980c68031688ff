"""Room 1, when a file is complete: a rename says so, a written file settles, an open one is awaited."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.inbox import Sighting
from feeds.inbox.settle import PATIENCE, Hint, observe, ready_at, told

SETTLE = 2.0
FILE = Sighting("a.txt", 10, 1, 1, 1, "a.txt")


def test_a_file_that_was_renamed_in_is_complete_at_once() -> None:
    assert ready_at(observe(None, FILE, Hint.ARRIVED, 5.0), SETTLE) == 5.0


@pytest.mark.parametrize("hint", [None, Hint.LOOK, Hint.CLOSED])
def test_a_written_file_is_complete_when_it_looked_the_same_for_long_enough(
    hint: Hint | None,
) -> None:
    first = observe(None, FILE, hint, 5.0)
    again = observe(first, FILE, None, 6.0)
    assert ready_at(again, SETTLE) == 7.0


def test_every_change_starts_the_wait_anew() -> None:
    first = observe(None, FILE, Hint.CLOSED, 5.0)
    grown = observe(first, replace(FILE, size=20), None, 6.5)
    assert ready_at(grown, SETTLE) == 8.5


def test_an_open_file_is_waited_for_until_it_is_closed() -> None:
    opened = observe(None, FILE, Hint.WRITING, 5.0)
    assert ready_at(opened, SETTLE) == 5.0 + PATIENCE
    closed = observe(opened, FILE, Hint.CLOSED, 9.0)
    assert ready_at(closed, SETTLE) == 7.0  # it has looked the same since 5.0


def test_a_file_written_to_after_it_came_settles_like_any_other() -> None:
    came = observe(None, FILE, Hint.ARRIVED, 5.0)
    assert ready_at(observe(came, replace(FILE, size=20), None, 6.0), SETTLE) == 8.0
    assert ready_at(observe(came, FILE, Hint.WRITING, 6.0), SETTLE) == 5.0 + PATIENCE


def test_what_lies_in_a_folder_that_was_moved_in_has_arrived_with_it() -> None:
    hints = {"day": Hint.ARRIVED, "day/a.txt": Hint.LOOK, "other/b.txt": Hint.LOOK}
    assert told(hints, "day/a.txt") is Hint.ARRIVED
    assert told(hints, "day/deep/c.txt") is Hint.ARRIVED
    assert told(hints, "other/b.txt") is Hint.LOOK
    assert told(hints, "c.txt") is None


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3), st.sampled_from([None, Hint.LOOK, Hint.CLOSED]), st.floats(0.1, 5.0)
        ),
        min_size=1,
    )
)
def test_nothing_is_read_before_it_looked_the_same_for_the_whole_wait(
    looks: list[tuple[int, Hint | None, float]],
) -> None:
    time, pending, changed, last = 0.0, None, 0.0, None
    for size, hint, pause in looks:
        time += pause
        if size != last:
            changed, last = time, size
        pending = observe(pending, replace(FILE, size=size), hint, time)
        assert ready_at(pending, SETTLE) == changed + SETTLE
