"""Room 1: what lies in the folder of seeds, and a file's bytes."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from factories import NOW
from hypothesis import given
from hypothesis import strategies as st

from feeds import inbox
from feeds.errors import DigestError, UsageError
from feeds.model import Digest
from feeds.text import printable

LIMIT = 1_000


def put(folder: Path, name: str, data: bytes = b"text") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def names(scan: inbox.Scan) -> list[str]:
    return [sighting.name for sighting in scan.sightings]


def load(folder: Path, name: str = "a.txt", max_bytes: int = LIMIT) -> Digest:
    (sighting,) = (one for one in inbox.scan(folder).sightings if one.name == name)
    return inbox.load(folder, sighting, NOW, max_bytes)


def reason(call: Callable[[], object]) -> str:
    with pytest.raises(DigestError) as caught:
        call()
    return caught.value.reason


# What a scan finds


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ESTALE, errno.ENOMEM])
def test_what_the_system_cannot_do_just_now_is_no_quarantine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    (tmp_path / "a.txt").write_text("text")
    [sighting] = inbox.scan(tmp_path).sightings

    def fails(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", fails)
    with pytest.raises(DigestError) as caught:
        inbox.load(tmp_path, sighting, NOW, LIMIT)
    assert caught.value.reason in inbox.PASSING


def test_files_are_found_at_any_depth_sorted_by_name(tmp_path: Path) -> None:
    for name in ("b.txt", "a/z.txt", "a/b/c.txt", "B.txt", "a.txt"):
        put(tmp_path, name)
    assert names(inbox.scan(tmp_path)) == ["B.txt", "a.txt", "a/b/c.txt", "a/z.txt", "b.txt"]


def test_hidden_and_unfinished_names_are_left_out(tmp_path: Path) -> None:
    for name in ("a.txt~", "a.tmp", "a.part", "a.swp", "a.crdownload", "a.filepart", "#a#"):
        put(tmp_path, name)
    put(tmp_path, ".hidden")
    put(tmp_path, ".folder/a.txt")
    put(tmp_path, "a.txt")
    scan = inbox.scan(tmp_path)
    assert (names(scan), scan.refusals) == (["a.txt"], ())


def test_a_glob_leaves_out_names_paths_and_folders(tmp_path: Path) -> None:
    for name in ("a.txt", "a.md", "old/a.txt", "new/a.txt", "new/b.txt"):
        put(tmp_path, name)
    assert names(inbox.scan(tmp_path, ["*.md", "old", "new/b*"])) == ["a.txt", "new/a.txt"]


def test_what_is_no_regular_file_is_refused_with_its_kind(tmp_path: Path) -> None:
    target = put(tmp_path, "a.txt")
    put(tmp_path, "folder/b.txt")
    (tmp_path / "link").symlink_to(target)
    (tmp_path / "link-to-folder").symlink_to(tmp_path / "folder")
    (tmp_path / "broken").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as plug:
        here = Path.cwd()
        os.chdir(tmp_path)  # the path of a socket is limited to about 100 bytes
        try:
            plug.bind("socket")
        finally:
            os.chdir(here)
        scan = inbox.scan(tmp_path)
    assert names(scan) == ["a.txt", "folder/b.txt"]
    assert [(one.name, one.reason, one.detail) for one in scan.refusals] == [
        ("broken", "symlink", "a symbolic link, not a regular file"),
        ("link", "symlink", "a symbolic link, not a regular file"),
        ("link-to-folder", "symlink", "a symbolic link, not a regular file"),
        ("pipe", "special", "a FIFO, not a regular file"),
        ("socket", "special", "a socket, not a regular file"),
    ]


def test_a_folder_that_cannot_be_read_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "closed/a.txt")
    put(tmp_path, "open/a.txt")
    entries = inbox._entries

    def closed(folder: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
        if os.fspath(folder).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return entries(folder)

    monkeypatch.setattr(inbox, "_entries", closed)
    scan = inbox.scan(tmp_path)
    assert names(scan) == ["open/a.txt"]
    assert scan.refusals == (inbox.Refusal("closed", "unreadable", "Permission denied"),)


def test_what_vanishes_during_a_scan_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a.txt")
    gone = put(tmp_path, "gone.txt")
    entries = inbox._entries

    def late(folder: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
        found = entries(folder)
        gone.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(inbox, "_entries", late)
    scan = inbox.scan(tmp_path)
    assert (names(scan), scan.refusals) == (["a.txt"], ())


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    put(tmp_path, "real/a.txt", b"linked")
    (tmp_path / "seeds").symlink_to(tmp_path / "real")
    assert load(tmp_path / "seeds").data == b"linked"


def test_a_missing_folder_is_an_error_that_names_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"No such file or directory; make this folder.*--seeds"):
        inbox.scan(tmp_path / "seeds")


def test_a_file_in_the_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Not a directory"):
        inbox.scan(put(tmp_path, "seeds"))


def test_an_unchanged_file_looks_the_same_and_a_changed_one_does_not(tmp_path: Path) -> None:
    path = put(tmp_path, "a.txt")
    before = inbox.scan(tmp_path)
    assert inbox.scan(tmp_path) == before
    mtime = path.stat().st_mtime_ns
    path.write_bytes(b"TEXT")
    os.utime(path, ns=(mtime, mtime))  # size and time of change put back: ctime still tells
    after = inbox.scan(tmp_path)
    assert after != before
    assert after.sightings[0].look != before.sightings[0].look


def test_a_sighting_from_the_record_equals_that_of_a_scan(tmp_path: Path) -> None:
    put(tmp_path, "a.txt")
    (seen,) = inbox.scan(tmp_path).sightings
    recorded = inbox.Sighting(seen.name, *seen.look)
    assert recorded == seen
    assert inbox.load(tmp_path, recorded, NOW, LIMIT).data == b"text"


# Names


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_name_of_any_bytes_is_shown_and_can_be_loaded(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/\xff\n\xe2\x80\xae\xd0\x9d.txt"
    Path(os.fsdecode(raw)).write_bytes(b"odd")
    (sighting,) = inbox.scan(tmp_path).sightings
    assert sighting.name == r"\xff\n\u202eН.txt"  # noqa: RUF001 -- a Cyrillic letter
    assert inbox.load(tmp_path, sighting, NOW, LIMIT).name == sighting.name


@given(st.text(st.characters(exclude_categories=())) | st.binary().map(os.fsdecode))
def test_a_shown_path_is_printable_and_stays_so(path: str) -> None:
    shown = printable(path)
    assert shown.isprintable()
    assert shown.encode().decode() == shown  # no surrogate is left
    assert printable(shown) == shown


# Loading


def test_a_digest_holds_the_bytes_their_hash_and_the_time(tmp_path: Path) -> None:
    data = b"\xef\xbb\xbfbytes\r\nas they are\0"
    put(tmp_path, "below/a.txt", data)
    assert load(tmp_path, "below/a.txt") == Digest(
        "below/a.txt", data, hashlib.sha256(data).hexdigest(), NOW
    )


def test_an_empty_file_is_a_digest(tmp_path: Path) -> None:
    put(tmp_path, "a.txt", b"")
    assert load(tmp_path).data == b""


def test_a_file_may_be_as_large_as_the_limit_and_no_larger(tmp_path: Path) -> None:
    put(tmp_path, "a.txt", b"x" * LIMIT)
    assert len(load(tmp_path).data) == LIMIT
    put(tmp_path, "a.txt", b"x" * (LIMIT + 1))
    assert reason(lambda: load(tmp_path)) == "too_large"


def test_a_file_of_many_chunks_is_read_whole(tmp_path: Path) -> None:
    data = os.urandom(3 * inbox._CHUNK + 17)
    put(tmp_path, "a.txt", data)
    assert load(tmp_path, max_bytes=len(data)).data == data


def test_a_file_changed_since_it_was_sighted_is_left_for_the_next_pass(tmp_path: Path) -> None:
    path = put(tmp_path, "a.txt")
    (sighting,) = inbox.scan(tmp_path).sightings
    path.write_bytes(b"longer text")
    assert reason(lambda: inbox.load(tmp_path, sighting, NOW, LIMIT)) == "changing"
    assert "changing" in inbox.PASSING


def test_a_file_written_to_while_it_is_read_is_left_for_the_next_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path, "a.txt")
    (sighting,) = inbox.scan(tmp_path).sightings
    read = os.read

    def slow(descriptor: int, size: int) -> bytes:
        data = read(descriptor, size)
        if data:
            os.utime(path, ns=(1, 1))  # as if written to, at the same size
        return data

    monkeypatch.setattr(os, "read", slow)
    assert reason(lambda: inbox.load(tmp_path, sighting, NOW, LIMIT)) == "changing"


def test_a_file_gone_since_it_was_sighted_is_forgotten(tmp_path: Path) -> None:
    path = put(tmp_path, "a.txt")
    (sighting,) = inbox.scan(tmp_path).sightings
    path.unlink()
    assert reason(lambda: inbox.load(tmp_path, sighting, NOW, LIMIT)) == "vanished"
    assert "vanished" in inbox.PASSING


def test_a_link_put_in_the_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    secret = put(tmp_path, "secret", b"s3cret")
    path = put(tmp_path, "seeds/a.txt")
    (sighting,) = inbox.scan(tmp_path / "seeds").sightings
    path.unlink()
    path.symlink_to(secret)
    assert reason(lambda: inbox.load(tmp_path / "seeds", sighting, NOW, LIMIT)) == "symlink"


def test_a_link_put_in_the_place_of_a_folder_is_not_followed(tmp_path: Path) -> None:
    put(tmp_path, "elsewhere/a.txt")
    put(tmp_path, "seeds/below/a.txt")
    (sighting,) = inbox.scan(tmp_path / "seeds").sightings
    (tmp_path / "seeds/below").rename(tmp_path / "moved")
    (tmp_path / "seeds/below").symlink_to(tmp_path / "moved")
    assert reason(lambda: inbox.load(tmp_path / "seeds", sighting, NOW, LIMIT)) == "vanished"


def test_a_fifo_put_in_the_place_of_a_file_does_not_block(tmp_path: Path) -> None:
    path = put(tmp_path, "a.txt")
    (sighting,) = inbox.scan(tmp_path).sightings
    path.unlink()
    os.mkfifo(path)
    assert reason(lambda: inbox.load(tmp_path, sighting, NOW, LIMIT)) == "special"


def test_a_file_that_cannot_be_opened_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a.txt")
    (sighting,) = inbox.scan(tmp_path).sightings

    def closed(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", closed)
    with pytest.raises(DigestError, match=r"a\.txt: unreadable: Permission denied"):
        inbox.load(tmp_path, sighting, NOW, LIMIT)


def test_loading_leaves_no_descriptor_open_and_no_trace(tmp_path: Path) -> None:
    put(tmp_path, "below/a.txt")
    (tmp_path / "below").chmod(0o555)
    status = [
        (path, path.stat().st_mtime_ns, path.stat().st_ctime_ns) for path in tmp_path.rglob("*")
    ]
    with (tmp_path / "below/a.txt").open("rb") as probe:
        lowest = probe.fileno()
    load(tmp_path, "below/a.txt")
    with pytest.raises(DigestError):
        load(tmp_path, "below/a.txt", max_bytes=1)
    with (tmp_path / "below/a.txt").open("rb") as probe:
        assert probe.fileno() == lowest
    assert status == [
        (path, path.stat().st_mtime_ns, path.stat().st_ctime_ns) for path in tmp_path.rglob("*")
    ]
    (tmp_path / "below").chmod(0o755)


# Files that a person names


def test_a_named_file_is_read_through_a_link(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(put(tmp_path, "a.txt", b"named"))
    assert inbox.read(link, NOW, LIMIT) == Digest(
        str(link), b"named", hashlib.sha256(b"named").hexdigest(), NOW
    )


def test_a_named_file_is_held_to_the_limit(tmp_path: Path) -> None:
    (tmp_path / "large.txt").write_bytes(b"x" * (LIMIT + 1))
    assert reason(lambda: inbox.read(tmp_path / "large.txt", NOW, LIMIT)) == "too_large"


def test_a_named_file_that_may_never_end_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert reason(lambda: inbox.read(tmp_path / "fifo", NOW, LIMIT)) == "special"
    assert reason(lambda: inbox.read(Path("/dev/zero"), NOW, LIMIT)) == "special"
    assert len(inbox.read(put(tmp_path, "a", b"x" * LIMIT), NOW, LIMIT).data) == LIMIT


def test_a_named_file_that_is_missing_or_a_folder_says_so(tmp_path: Path) -> None:
    assert reason(lambda: inbox.read(tmp_path / "none", NOW, LIMIT)) == "missing"
    assert reason(lambda: inbox.read(tmp_path, NOW, LIMIT)) == "special"
