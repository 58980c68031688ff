"""Room 7: whole files, only when their bytes differ, never outside out/."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds import publish
from feeds.errors import PublishError
from feeds.model import Document


def document(path: str, data: bytes = b"text") -> Document:
    return Document(path, "text/plain", data)


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    documents = [document("index.html", b"1"), document("articles/ab/x.html", b"2")]
    assert publish.write(tmp_path / "out", documents) == publish.Written(2, 0)
    assert (tmp_path / "out/index.html").read_bytes() == b"1"
    assert (tmp_path / "out/articles/ab/x.html").read_bytes() == b"2"
    assert (tmp_path / "out/index.html").stat().st_mode & 0o777 == 0o644


def test_equal_bytes_are_not_written_again(tmp_path: Path) -> None:
    publish.write(tmp_path, [document("a/b.html")])
    before = (tmp_path / "a/b.html").stat()
    assert publish.write(tmp_path, [document("a/b.html")]) == publish.Written(0, 1)
    after = (tmp_path / "a/b.html").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_what_is_written_is_safe_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    publish.write(tmp_path / "out", [document("a/b/c.html")])
    assert synced[0] == ".c.html.tmp"
    assert set(synced[1:]) == {"out", "a", "b"}


def test_no_temporary_file_stays(tmp_path: Path) -> None:
    (tmp_path / ".a.html.tmp").write_bytes(b"left by a killed process")
    publish.write(tmp_path, [document("a.html")])
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]


def test_a_reader_never_sees_a_torn_file(tmp_path: Path) -> None:
    versions = [bytes([65 + n]) * 50_000 for n in range(4)]
    publish.write(tmp_path, [document("a.html", versions[0])])
    seen: set[bytes] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add((tmp_path / "a.html").read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for n in range(200):
        publish.write(tmp_path, [document("a.html", versions[n % 4])])
    done.set()
    reader.join()
    assert seen <= set(versions)


@pytest.mark.parametrize(
    "path", ["../x", "a/../../x", "/etc/x", "a//b", "", ".", "..", "a/.", "a/./b"]
)
def test_a_path_never_leads_out(tmp_path: Path, path: str) -> None:
    with pytest.raises(PublishError):
        publish.write(tmp_path / "out", [document(path)])
    assert not (tmp_path / "x").exists()


@given(st.text(max_size=30))
def test_any_path_stays_below_out_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, path: str
) -> None:
    top = tmp_path_factory.mktemp("any")
    with suppress(PublishError, ValueError):  # ValueError: a NUL, which no file system takes
        publish.write(top / "out", [document(path)])
    assert {child.name for child in top.iterdir()} <= {"out"}


def test_a_link_planted_as_a_folder_is_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/politics").symlink_to(outside)
    with pytest.raises(PublishError, match="a link or a file stands where a folder belongs"):
        publish.write(tmp_path / "out", [document("politics/atom.xml")])
    assert list(outside.iterdir()) == []


def test_a_link_planted_as_a_file_is_replaced(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/index.html").symlink_to(victim)
    publish.write(tmp_path / "out", [document("index.html", b"new")])
    assert victim.read_text() == "precious"
    assert (tmp_path / "out/index.html").read_bytes() == b"new"
    assert not (tmp_path / "out/index.html").is_symlink()


def test_out_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "real")
    publish.write(tmp_path / "out", [document("a.html")])
    assert (tmp_path / "real/a.html").exists()


def test_a_folder_where_a_file_belongs_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.html").mkdir()
    with pytest.raises(PublishError, match=r"a\.html: "):
        publish.write(tmp_path, [document("a.html")])


def test_missing_tells_whether_a_document_is_gone(tmp_path: Path) -> None:
    publish.write(tmp_path, [document("a.html"), document("b/c.html")])
    assert not publish.missing(tmp_path, ["a.html", "b/c.html"])
    assert publish.missing(tmp_path, ["a.html", "b/d.html"])


def test_only_what_is_named_is_removed(tmp_path: Path) -> None:
    publish.write(tmp_path, [document("a/b/c.html"), document("a/d.html")])
    (tmp_path / "a/theirs.txt").write_text("not ours")
    assert publish.remove(tmp_path, ["a/b/c.html", "a/d.html", "a/never.html"]) == 2
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "theirs.txt"]


def test_the_rest_is_written_again_after_a_failure(tmp_path: Path) -> None:
    blocked = tmp_path / "b.html"
    blocked.mkdir()
    documents = [document("a.html"), document("b.html"), document("c.html")]
    with pytest.raises(PublishError):
        publish.write(tmp_path, documents)
    blocked.rmdir()
    assert publish.write(tmp_path, documents) == publish.Written(2, 1)
