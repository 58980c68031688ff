"""How the log reads: one line an event, on stderr, safe to act on by eye or by program.

A message names its fields in its template, `digest quarantined file=%s`; as JSON they are keys of their
own. Control characters are escaped, so that no title or file name can forge a line. A warning is not
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
from threading import Lock
from typing import TextIO

from feeds.text import printable

_AGAIN = 3600.0  # seconds
_MOST = 1000  # lines that are remembered
_PLACE = re.compile(r"(?:([\w.]+)=)?%(?!%)[-#0-9.]*[a-z]")
_PRIORITIES = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}  # sd-daemon(3)


class Repeats(logging.Filter):
    """Drops a warning or an error that was said within the last hour.

    Not what the loop of `feeds watch` says, which knows by itself what is news.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._said: dict[str, float] = {}
        self._lock = Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is new, or was not said for an hour."""
        if record.levelno < logging.WARNING or record.name.startswith("feeds.schedule"):
            return True
        line, now = record.getMessage(), self._clock()
        with self._lock:
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
        """Return the line; a traceback follows on lines of its own, which begin alike."""
        begins = f"{record.levelname} "
        if self._form == "stamped":
            begins = f"{_moment(record)} {begins}"
        elif self._form == "journal":
            begins = f"<{_PRIORITIES.get(record.levelname, 6)}>"
        trace = _trace(self, record)
        lines = [printable(record.getMessage()), *(f"  {line}" for line in trace)]
        return "\n".join(f"{begins}{line}" for line in lines)


class Json(logging.Formatter):
    """One JSON object a line: `time`, `level`, `event`, `message`, and the fields that it names.

    The event is what the message begins with, the same each time.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, a traceback in it."""
        said: dict[str, object] = {"time": _moment(record), "level": record.levelname.lower()}
        said |= {"event": _event(record), "message": printable(record.getMessage())}
        said |= _fields(record)
        if trace := _trace(self, record):
            said["traceback"] = "\n".join(trace)
        return json.dumps(said, ensure_ascii=False)


def style(environ: Mapping[str, str], stream: TextIO) -> str:
    """Return how a process that stays should log: `journal` when systemd reads it, else `stamped`."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return "stamped"
    ours = f"{status.st_dev}:{status.st_ino}"
    return "journal" if environ.get("JOURNAL_STREAM") == ours else "stamped"


def _trace(form: logging.Formatter, record: logging.LogRecord) -> list[str]:
    """Return the lines of a traceback, which may quote a title; none when there is none."""
    text = form.formatException(record.exc_info) if record.exc_info else ""
    return [printable(line) for line in text.split("\n") if line]


def _event(record: logging.LogRecord) -> str:
    return re.split(r" [\w.]+=|[:%]", str(record.msg), maxsplit=1)[0].strip()


def _fields(record: logging.LogRecord) -> dict[str, object]:
    if not isinstance(record.args, tuple):
        return {}
    names = [match[1] for match in _PLACE.finditer(str(record.msg))]
    return {
        name: value if isinstance(value, int | float) else printable(str(value))
        for name, value in zip(names, record.args, strict=False)
        if name
    }


def _moment(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
