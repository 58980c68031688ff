"""`out/` can't be written, is somebody else's, or holds planted links: nothing outside is touched."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from test_walk import tree

from faults.harness import (
    ROOT,
    TRIED_AGAIN,
    Server,
    State,
    Walk,
    copy,
    launch,
    mounted,
)

pytestmark = [pytest.mark.faults, pytest.mark.slow]


@pytest.mark.skipif(not ROOT, reason="only root may mount")
def test_a_shelf_that_is_read_only_is_named_and_stays_as_it_was(
    walk: tuple[Walk, State], server: Server
) -> None:
    made, undisturbed = walk
    home = copy(made.home)
    before = tree(home / "out")
    kept = shutil.move(home / "out", home / "kept")
    with mounted(home / "out"):
        shutil.copytree(kept, home / "out", dirs_exist_ok=True)
        shutil.rmtree(kept)
        subprocess.run(["mount", "-o", "remount,ro", home / "out"], check=True)
        done = server.run(home, "run", made.environ)
        assert done.status == 3
        assert "Read-only file system; make out/ writable, or name another folder" in done.err
        assert "Traceback" not in done.err
        assert tree(home / "out") == before
        subprocess.run(["mount", "-o", "remount,rw", home / "out"], check=True)
        assert server.run(home, "run", made.environ).status == 0
        assert server.state(home, made.environ).unlike(undisturbed) == []


@pytest.mark.skipif(not ROOT, reason="only root may give a folder away")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
def test_a_shelf_of_somebody_else_is_named_and_stays_as_it_was(
    walk: tuple[Walk, State], server: Server
) -> None:
    """Root without its power over permissions is like anybody else."""
    made, undisturbed = walk
    home = copy(made.home)
    before = tree(home / "out")
    folders = [home / "out", *(path for path in (home / "out").rglob("*") if path.is_dir())]
    for path in folders:
        os.chown(path, 65534, 65534)
    powerless = ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner,-chown")
    done = launch(home, "run", made.environ, powerless)
    assert done.status == 3
    assert "Permission denied; make out/ writable, or name another folder" in done.err
    assert "Traceback" not in done.err
    assert tree(home / "out") == before
    for path in folders:
        os.chown(path, 0, 0)
    assert server.run(home, "run", made.environ).status == 0
    assert server.state(home, made.environ).unlike(undisturbed) == []


Plant = Callable[[Path, Path], Path]


def a_channel(home: Path, outside: Path) -> Path:
    (home / "out/sport").rename(home / "kept")
    (home / "out/sport").symlink_to(outside)
    return home / "out/sport"


def the_articles(home: Path, outside: Path) -> Path:
    (home / "out/articles").rename(home / "kept")
    (home / "out/articles").symlink_to(outside)
    return home / "out/articles"


def a_document(home: Path, outside: Path) -> Path:
    (home / "out/all/atom.xml").unlink()
    (home / "out/all/atom.xml").symlink_to(outside / "theirs")
    return home / "out/all/atom.xml"


def a_dangling_document(home: Path, outside: Path) -> Path:
    (home / "out/index.html").unlink()
    (home / "out/index.html").symlink_to(outside / "index.html")
    return home / "out/index.html"


def an_unfinished_document(home: Path, outside: Path) -> Path:
    (home / "out/all/.atom.xml.tmp").symlink_to(outside / "theirs")
    return home / "out/all/.atom.xml.tmp"


def an_unfinished_letter(home: Path, outside: Path) -> Path:
    [letter] = (home / ".feeds/outbox").glob("daily-*-1.eml")
    link = letter.with_name(f".{letter.name.replace('01-02', '01-04')}.tmp")
    link.symlink_to(outside / "theirs")
    return link


def the_lock(home: Path, outside: Path) -> Path:
    (home / ".feeds/lock").unlink()
    (home / ".feeds/lock").symlink_to(outside / "theirs")
    return home / ".feeds/lock"


@pytest.mark.parametrize(
    "plants",
    [
        a_channel,
        the_articles,
        a_document,
        a_dangling_document,
        an_unfinished_document,
        an_unfinished_letter,
        the_lock,
    ],
    ids=lambda plants: plants.__name__,
)
def test_a_planted_link_leads_nowhere(
    walk: tuple[Walk, State], server: Server, tmp_path: Path, plants: Plant
) -> None:
    made, undisturbed = walk
    home = copy(made.home)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "theirs").write_text("theirs")
    before = tree(outside)
    link = plants(home, outside)
    done = server.run(home, "run", made.environ)
    assert done.status in {0, 1, 3}
    assert "Traceback" not in done.err
    assert tree(outside) == before
    if link.is_symlink():
        assert done.status
        link.unlink()
    if (home / "kept").exists():
        (home / "kept").rename(link)
    assert server.run(home, "run", made.environ).status == 0
    unlike = server.state(home, made.environ).unlike(undisturbed)
    assert unlike in ([], [TRIED_AGAIN])
    assert tree(outside) == before


def test_a_channel_that_is_gone_takes_nothing_of_others_along(
    walk: tuple[Walk, State], server: Server, tmp_path: Path
) -> None:
    """A folder of ours that was replaced by a link is not walked to remove what lies behind it."""
    made, _ = walk
    home = copy(made.home)
    outside = tmp_path / "outside"
    shutil.move(home / "out/editions", outside)
    (home / "out/editions").symlink_to(outside)
    before = tree(outside)
    server.run(home, "run", made.environ)
    assert tree(outside) == before
