"""How the log reads: one line an event, on stderr, safe to act on by eye or by program.

A message names its fields in its template, `digest quarantined file=%s`; as JSON they are keys of their
own. Control characters are escaped, so that no title or file name can forge a line. What was said is not
said again within an hour: a fault that lasts is one line, not one a tick.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TextIO

from feeds.text import printable

_AGAIN = 3600.0  # seconds
_MOST = 1000  # lines that are remembered
_PLACE = re.compile(r"(?:(\w+)=)?%(?!%)[-#0-9.]*[a-z]")
_PRIORITIES = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}  # sd-daemon(3)


class Repeats(logging.Filter):
    """Drops a line that was said within the last hour."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is new, or was not said for an hour."""
        line, now = record.getMessage(), self._clock()
        if now - self._said.get(line, -_AGAIN) < _AGAIN:
            return False
        self._said.pop(line, None)  # the latest stand last
        self._said[line] = now
        while len(self._said) > _MOST:
            del self._said[next(iter(self._said))]
        return True


class Text(logging.Formatter):
    """Level and message; with the time, or for the journal, which keeps it, with a priority."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self._form = form

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a traceback follows on lines of its own."""
        line = f"{record.levelname} {printable(record.getMessage())}"
        if self._form == "stamped":
            line = f"{_moment(record)} {line}"
        elif self._form == "journal":
            line = f"<{_PRIORITIES.get(record.levelname, 6)}>{line.partition(' ')[2]}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class Json(logging.Formatter):
    """One JSON object a line: `time`, `level`, `event`, and the fields that the message names."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, a traceback in it."""
        said = {"time": _moment(record), "level": record.levelname.lower()}
        said |= {"event": printable(record.getMessage())} | _fields(record)
        if record.exc_info:
            said["traceback"] = self.formatException(record.exc_info)
        return json.dumps(said, ensure_ascii=False)


def style(environ: Mapping[str, str], stream: TextIO) -> str:
    """Return how a process that stays should log: `journal` when systemd reads it, else `stamped`."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return "stamped"
    ours = f"{status.st_dev}:{status.st_ino}"
    return "journal" if environ.get("JOURNAL_STREAM") == ours else "stamped"


def _fields(record: logging.LogRecord) -> dict[str, str]:
    if not isinstance(record.args, tuple):
        return {}
    names = [match[1] for match in _PLACE.finditer(str(record.msg))]
    return {
        name: printable(str(value)) for name, value in zip(names, record.args, strict=False) if name
    }


def _moment(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
