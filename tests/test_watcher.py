"""Room 1, events: what they tell of a file, and when they can't tell anything."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from feeds.inbox import watch
from feeds.inbox.settle import Hint
from feeds.inbox.watch import PACE, REMOTE_PACE, Watcher

linux = pytest.mark.skipif(sys.platform != "linux", reason="inotify is of Linux")


class Told:
    """A watcher, and the hints it gave so far."""

    def __init__(self) -> None:
        self.rung = Event()
        self.watcher = Watcher(self.rung.set)
        self.hints: dict[str, Hint] = {}

    def until(self, there: Callable[[dict[str, Hint]], bool]) -> None:
        """Collect hints until they hold something; a minute is for ever here."""
        for _ in range(6000):
            self.hints |= self.watcher.take()
            if there(self.hints):
                return
            time.sleep(0.01)
        raise AssertionError(self.hints)


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    folder = tmp_path / "seeds"
    folder.mkdir()
    return folder


@pytest.fixture
def hints(seeds: Path) -> Iterator[Told]:
    made = Told()
    made.watcher.follow(seeds)
    yield made
    made.watcher.close()


@linux
def test_a_rename_into_the_folder_and_a_close_are_told_apart(
    hints: Told, seeds: Path, tmp_path: Path
) -> None:
    (tmp_path / "whole").write_text("text")
    (tmp_path / "whole").rename(seeds / "renamed.txt")
    (seeds / "written.txt").write_text("text")
    hints.until(lambda found: found.get("written.txt") is Hint.CLOSED)
    assert hints.hints["renamed.txt"] is Hint.ARRIVED
    assert hints.rung.is_set()


@linux
def test_a_file_that_is_open_for_writing_is_told_as_such(hints: Told, seeds: Path) -> None:
    with (seeds / "slow.txt").open("w") as file:
        file.write("the first half")
        file.flush()
        hints.until(lambda found: found.get("slow.txt") is Hint.WRITING)
    hints.until(lambda found: found.get("slow.txt") is Hint.CLOSED)


@linux
def test_a_temporary_name_renamed_within_the_folder_has_arrived(hints: Told, seeds: Path) -> None:
    (seeds / ".a.tmp").write_text("text")
    (seeds / ".a.tmp").rename(seeds / "a.txt")
    hints.until(lambda found: found.get("a.txt") is Hint.ARRIVED)


@linux
def test_a_folder_that_is_moved_in_is_told_with_its_files(
    hints: Told, seeds: Path, tmp_path: Path
) -> None:
    (tmp_path / "day").mkdir()
    (tmp_path / "day/a.txt").write_text("text")
    (tmp_path / "day").rename(seeds / "day")
    hints.until(lambda found: "day/a.txt" in found)
    assert hints.hints["day"] is Hint.ARRIVED


@linux
def test_a_folder_that_was_replaced_is_followed_again(
    hints: Told, seeds: Path, tmp_path: Path
) -> None:
    seeds.rename(tmp_path / "old")
    hints.watcher.follow(seeds)  # missing
    seeds.mkdir()
    hints.watcher.follow(seeds)
    (seeds / "a.txt").write_text("text")
    hints.until(lambda found: found.get("a.txt") is Hint.CLOSED)


@linux
def test_events_come_through_a_link_to_the_folder(seeds: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(seeds)
    told = Told()
    told.watcher.follow(tmp_path / "link")
    (seeds / "a.txt").write_text("text")
    told.until(lambda found: found.get("a.txt") is Hint.CLOSED)
    told.watcher.close()


def test_where_no_events_are_to_be_had_scans_come_faster(
    seeds: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Full:
        def schedule(self, *_: Any, **__: Any) -> None:
            raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr(watch, "_observer", Full)
    watcher = Watcher(lambda: None)
    watcher.follow(seeds)
    assert watcher.pace == REMOTE_PACE < PACE
    assert "inotify watch limit reached" in caplog.text
    watcher.follow(seeds)
    assert len(caplog.records) == 1  # said once
    watcher.close()


MOUNTS = """\
22 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw
40 22 0:40 / {point} rw,relatime shared:1 - {kind} server:/export rw
41 22 0:41 / /somewhere/else rw - nfs4 server:/other rw
"""


@pytest.mark.parametrize(
    ("kind", "remote"),
    [("nfs4", True), ("cifs", True), ("9p", True), ("fuse.sshfs", True), ("ext4", False)],
)
def test_a_network_mount_is_known_by_its_kind(tmp_path: Path, kind: str, *, remote: bool) -> None:
    share = tmp_path / "the share"
    (share / "seeds").mkdir(parents=True)
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS.format(point=str(share).replace(" ", "\\040"), kind=kind))
    assert watch.is_remote(share / "seeds", mounts) is remote
    assert not watch.is_remote(tmp_path, mounts)


def test_other_mounts_with_names_of_any_kind_do_no_harm(tmp_path: Path) -> None:
    share = tmp_path / "données"
    share.mkdir()
    mounts = tmp_path / "mountinfo"
    odd = b"23 22 0:41 / /mnt/\xff rw - ext4 /dev/sdb rw\nno mount at all\n"
    mounts.write_bytes(odd + MOUNTS.format(point=share, kind="nfs").encode())
    assert watch.is_remote(share, mounts)


def test_without_a_list_of_mounts_a_folder_counts_as_local(tmp_path: Path) -> None:
    assert not watch.is_remote(tmp_path, tmp_path / "missing")
