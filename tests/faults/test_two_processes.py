"""Several processes on one home: one works, the others say who does; readers don't mind."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from faults.harness import FEEDS, Server, State, Told, copy, launch, peopled, surroundings

pytestmark = [pytest.mark.faults, pytest.mark.slow]

READERS = (
    "articles --json",
    "status --json",
    "edition list --json",
    "edition preview --json",
    "subscribers list --json",
    "config --json",
    "send --help",
)


@pytest.fixture
def home(server: Server, tmp_path: Path) -> Path:
    """Return a home with subscribers, before its first pass."""
    return peopled(server, tmp_path)


def start(home: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*FEEDS, *words],
        cwd=home,
        env=surroundings(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> Told:
    out, err = process.communicate(timeout=120)
    return Told(process.returncode, out, err)


@contextmanager
def halted(home: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a pass, and halt it as soon as it holds the lock."""
    holder = start(home, "run")
    lock = home / ".feeds/lock"
    while not (lock.exists() and lock.stat().st_size):
        assert holder.poll() is None
        time.sleep(0.001)
    holder.send_signal(signal.SIGSTOP)
    try:
        yield holder
    finally:
        holder.send_signal(signal.SIGCONT)


def undisturbed(server: Server, home: Path) -> State:
    alone = copy(home, "alone")
    server.run(alone, "run")
    return server.state(alone)


@pytest.mark.parametrize("command", ["run", "send", "send --now"])
def test_a_second_process_says_who_holds_the_lock_at_once(
    server: Server, home: Path, command: str
) -> None:
    """At once is measured in processor time: the machine may be slow, the command may not."""
    wanted = undisturbed(server, home)
    with halted(home) as holder:
        others = [start(home, *command.split()) for _ in range(4)]
        for other in others:
            _, status, used = os.wait4(other.pid, 0)
            other.returncode = os.waitstatus_to_exitcode(status)
            done = end(other)
            assert done.status == 1
            assert f"in use by feeds run (process {holder.pid})" in done.err
            assert used.ru_utime + used.ru_stime < 1.5
    assert end(holder).status == 3  # it has quarantined a digest
    assert server.state(home).unlike(wanted) == []


def test_reading_commands_and_subscriptions_work_beside_a_pass(server: Server, home: Path) -> None:
    with halted(home) as holder:
        for command in READERS:
            done = launch(home, command)
            nothing_yet = "nothing to preview" in done.err or command.startswith("status")
            assert done.status == 0 or nothing_yet, done
            assert "Traceback" not in done.err
        assert launch(home, "subscribers add third@example.org").status == 0
        assert launch(home, "subscribers remove third@example.org").status == 0
    assert end(holder).status == 3
    assert server.run(home, "status").status == 0


def test_of_many_passes_at_once_none_disturbs_another(server: Server, home: Path) -> None:
    wanted = undisturbed(server, home)
    passes = [end(one) for one in [start(home, "run") for _ in range(6)]]
    worked = [done for done in passes if done.status in {0, 3}]
    refused = [done for done in passes if done.status == 1]
    assert worked
    assert len(worked) + len(refused) == len(passes)
    assert all("is in use by" in done.err for done in refused)
    assert all("Traceback" not in done.err for done in passes)
    server.run(home, "run")
    assert server.state(home).unlike(wanted) == []


def test_the_lock_of_a_killed_process_holds_nobody_off(server: Server, home: Path) -> None:
    wanted = undisturbed(server, home)
    with halted(home) as holder:
        holder.kill()
    end(holder)
    assert (home / ".feeds/lock").read_text().startswith("feeds run")
    assert server.run(home, "run").status == 3
    assert (home / ".feeds/lock").read_text() == ""
    assert server.state(home).unlike(wanted) == []
