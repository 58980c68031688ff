"""The log: one line an event, its fields to be had, nothing forged, nothing repeated."""

from __future__ import annotations

import io
import json
import logging
import os
import sys

import pytest

from feeds import logs


def record(message: str, *args: object, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord("feeds", level, "", 0, message, args, None)


def test_a_line_as_json_has_the_fields_that_its_message_names() -> None:
    line = logs.Json().format(record("digest quarantined file=%s: %s took=%.1f", "a.txt", "no", 2))
    said = json.loads(line)
    assert said["event"] == "digest quarantined"
    assert said["message"] == "digest quarantined file=a.txt: no took=2.0"
    assert (said["level"], said["file"], said["took"]) == ("warning", "a.txt", 2)


@pytest.mark.parametrize("form", [logs.Text("plain"), logs.Text("stamped"), logs.Json()])
def test_no_name_can_forge_a_line(form: logging.Formatter) -> None:
    line = form.format(record("digest read file=%s", "a\nERROR forged\x1b[31m\u202e"))
    assert "\n" not in line
    assert "\x1b" not in line
    assert "\u202e" not in line


def test_the_journal_gets_a_priority_and_no_time() -> None:
    assert logs.Text("journal").format(record("seeds are missing")) == "<4>seeds are missing"
    assert logs.Text("plain").format(record("seeds are missing")) == "WARNING seeds are missing"
    stamped = logs.Text("stamped").format(record("seeds are missing"))
    assert stamped.endswith("Z WARNING seeds are missing")


def test_the_journal_is_known_by_its_stream() -> None:
    with open(os.devnull, "w", encoding="utf-8") as stream:  # noqa: PTH123 -- no file
        status = os.fstat(stream.fileno())
        ours = f"{status.st_dev}:{status.st_ino}"
        assert logs.style({"JOURNAL_STREAM": ours}, stream) == "journal"
        assert logs.style({"JOURNAL_STREAM": "1:2"}, stream) == "stamped"
    assert logs.style({}, io.StringIO()) == "stamped"


def test_a_traceback_follows_its_line() -> None:
    try:
        int("why")
    except ValueError:
        failed = logging.LogRecord("feeds", logging.ERROR, "", 0, "failed", None, sys.exc_info())
    lines = logs.Text("plain").format(failed).splitlines()
    assert lines[0] == "ERROR failed"
    assert all(line.startswith("ERROR   ") for line in lines[1:])
    assert "ValueError: invalid" in logs.Text("plain").format(failed)
    assert "ValueError: invalid" in json.loads(logs.Json().format(failed))["traceback"]


def test_a_line_is_not_said_again_within_an_hour() -> None:
    time = [0.0]
    new = logs.Repeats(lambda: time[0]).filter
    assert new(record("out/ can't be written to"))
    assert not new(record("out/ can't be written to"))
    assert new(record("something else"))
    time[0] = 3599.0
    assert not new(record("out/ can't be written to"))
    time[0] = 3600.0
    assert new(record("out/ can't be written to"))


def test_what_is_news_by_itself_is_always_said() -> None:
    new = logs.Repeats(lambda: 0.0).filter
    assert new(record("done digests.read=1", level=logging.INFO))
    assert new(record("done digests.read=1", level=logging.INFO))
    loop = logging.LogRecord("feeds.schedule", logging.ERROR, "", 0, "trouble part=a", (), None)
    assert new(loop)
    assert new(loop)


def test_what_was_said_takes_no_more_memory_the_longer_it_runs() -> None:
    repeats = logs.Repeats(lambda: 0.0)
    for number in range(5000):
        assert repeats.filter(record("line %d", number))
    assert len(repeats._said) == 1000


def test_a_traceback_forges_no_line_either() -> None:
    try:
        int("a\n<2>CRITICAL forged\x1b\u2028")
    except ValueError as error:
        quoted = ValueError(f"no number: a\n<2>CRITICAL forged\x1b {error}")
        info = (ValueError, quoted, None)
    failed = logging.LogRecord("feeds", logging.ERROR, "", 0, "failed", None, info)
    lines = logs.Text("journal").format(failed).splitlines()
    assert all(line.startswith("<3>") for line in lines)
    assert "\x1b" not in "".join(lines)
    assert "\x1b" not in logs.Json().format(failed)
