from __future__ import annotations

import os
from pathlib import Path

import pytest

from feeds.errors import DeliveryError
from feeds.model import Delivery, DeliveryState, Letter
from feeds.outbox import Folder

LETTER = Letter(
    "you@example.org", "<a@example.org>", "A subject", b"Subject: A subject\r\n\r\nText\r\n"
)
NAME = "daily-2026-01-02T0800-7.eml"


def make_delivery(edition: str = "daily") -> Delivery:
    return Delivery(1, edition, "2026-01-02T08:00", 7, DeliveryState.QUEUED, "<a@example.org>")


def test_a_letter_becomes_one_private_file_named_without_the_address(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "outbox")
    mask = os.umask(0)  # however open the umask is
    try:
        assert folder.deliver(make_delivery(), LETTER) is DeliveryState.WRITTEN
    finally:
        os.umask(mask)
    (file,) = (tmp_path / "outbox").iterdir()
    assert file.name == NAME
    assert file.read_bytes() == LETTER.data
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_a_letter_delivered_again_is_the_same_file(tmp_path: Path) -> None:
    for _ in range(2):
        Folder(tmp_path).deliver(make_delivery(), LETTER)
    assert [file.name for file in tmp_path.iterdir()] == [NAME]
    assert (tmp_path / NAME).read_bytes() == LETTER.data


def test_what_a_crash_left_behind_is_written_over(tmp_path: Path) -> None:
    half = tmp_path / f".{NAME}.tmp"
    half.write_bytes(b"half a letter, and longer than the whole one will ever be" * 9)
    half.chmod(0o644)
    Folder(tmp_path).deliver(make_delivery(), LETTER)
    assert [file.name for file in tmp_path.iterdir()] == [NAME]
    assert (tmp_path / NAME).read_bytes() == LETTER.data
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("call", ["fsync", "fchmod", "replace"])
def test_a_failure_at_any_step_leaves_the_old_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    Folder(tmp_path).deliver(make_delivery(), LETTER)

    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path if call == "replace" else os, call, broken)
    newer = Letter(LETTER.recipient, LETTER.message_id, LETTER.subject, b"newer")
    with pytest.raises(DeliveryError, match="No space left on device") as caught:
        Folder(tmp_path).deliver(make_delivery(), newer)
    assert not caught.value.permanent
    assert "you@example.org" not in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == [NAME]
    assert (tmp_path / NAME).read_bytes() == LETTER.data


def test_the_file_is_on_disk_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, bool]] = []
    sync = os.fsync

    def watched(handle: int) -> None:
        seen.append(
            (Path(f"/proc/self/fd/{handle}").resolve().is_dir(), (tmp_path / NAME).exists())
        )
        sync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    Folder(tmp_path).deliver(make_delivery(), LETTER)
    assert seen == [(False, False), (True, True)]  # the file first, then the folder that names it


def test_a_folder_that_cannot_be_written_to_is_a_passing_failure(tmp_path: Path) -> None:
    (tmp_path / "outbox").write_text("a file where the folder should be")
    with pytest.raises(DeliveryError) as caught:
        Folder(tmp_path / "outbox").deliver(make_delivery(), LETTER)
    assert not caught.value.permanent
    assert caught.value.address == "you@example.org"


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("untouched")
    (tmp_path / "outbox").mkdir()
    (tmp_path / "outbox" / NAME).symlink_to(target)
    Folder(tmp_path / "outbox").deliver(make_delivery(), LETTER)
    assert target.read_text() == "untouched"
    (tmp_path / "outbox" / f".{NAME}.tmp").symlink_to(target)
    with pytest.raises(DeliveryError):
        Folder(tmp_path / "outbox").deliver(make_delivery(), LETTER)
    assert target.read_text() == "untouched"


@pytest.mark.parametrize("edition", ["../daily", ".daily", "a/b", "a\nb", "", "день"])
def test_an_edition_that_cannot_name_a_file_is_refused(tmp_path: Path, edition: str) -> None:
    with pytest.raises(DeliveryError) as caught:
        Folder(tmp_path / "outbox").deliver(make_delivery(edition), LETTER)
    assert caught.value.permanent
    assert not (tmp_path / "outbox").exists()
