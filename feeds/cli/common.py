"""What all commands share: the options that say where things are, and how results are printed."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from feeds import app as opened
from feeds import config, logs
from feeds.app import App
from feeds.config import Settings

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

FAILED, USAGE, SOME_FAILED, INTERRUPTED = 1, 2, 3, 130
"""Exit statuses: failed; wrong usage or configuration; some items of the pass failed; Ctrl-C."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Hosts of an address that only this machine reaches."""

_FLAGS = "feeds.flags"
_FEW = 10  # items that need no progress bar


def _remember(context: click.Context, parameter: click.Parameter, value: object) -> None:
    """Keep a flag for `settings`; one given after the command wins over one before it."""
    if value is not None and value is not False:
        context.meta.setdefault(_FLAGS, {})[parameter.name] = value


def _option(*names: str, text: str, **more: Any) -> Callable[[F], F]:  # noqa: ANN401 -- as click.option
    return click.option(*names, help=text, expose_value=False, callback=_remember, **more)


def places(command: F) -> F:
    """Add the options that every command takes: where things are, and how much is said."""
    options = (
        _option("--config", metavar="FILE", text="Configuration, instead of feeds.toml."),
        _option("--seeds", metavar="DIR", text="Digests, only ever read. [seeds]"),
        _option("--out", metavar="DIR", text="What is published. [out]"),
        _option("--state", metavar="DIR", text="The record and its keys. [.feeds]"),
        _option("-v", "--verbose", text="Say what is done.", is_flag=True),
    )
    for option in reversed(options):
        command = option(command)
    return command


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def settings(context: click.Context) -> Settings:
    """Return the effective settings, and set up logging to stderr."""
    verbose = context.meta.get(_FLAGS, {}).get("verbose")
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, stream=sys.stderr, force=True
    )
    for handler in logging.getLogger().handlers:
        handler.setFormatter(logs.Text("plain"))
    for library in ("alembic", "apscheduler", "uvicorn"):
        logging.getLogger(library).setLevel(logging.WARNING)
    found = read_settings(context)
    for warning in found.warnings:
        click.echo(f"warning: {warning}", err=True)
    return found


def read_settings(context: click.Context) -> Settings:
    """Return the effective settings as they stand in flags, variables and the file now."""
    flags: dict[str, Any] = context.meta.get(_FLAGS, {})
    file = flags.get("config")
    return config.load(flags, os.environ, Path(file) if file else None)


@contextmanager
def application(
    context: click.Context, locked_for: str | None = None, *, prove: bool = False
) -> Iterator[App]:
    """Open the record for a command; one that changes `out/` or sends holds the lock meanwhile.

    The record is read through first, to `prove` it, after a kill in any case.
    """
    found = settings(context)
    if locked_for is None:
        with opened.open_app(found, os.environ) as app:
            yield app
        return
    with opened.lock(found, locked_for) as killed:
        if killed or prove:
            opened.prove(found)
        with opened.open_app(found, os.environ) as app:
            yield app


def bar(label: str, items: Sequence[T], /) -> Iterable[T]:
    """Show a progress bar on stderr, on a terminal and when there is more than a moment's work."""
    if len(items) < _FEW or not sys.stderr.isatty():
        yield from items
        return
    with click.progressbar(items, label=label, file=sys.stderr) as shown:
        yield from shown


def emit(value: Mapping[str, object]) -> None:
    """Print a value as one line of JSON."""
    click.echo(json.dumps(value, ensure_ascii=False, default=_plain))


def emit_in_pieces(value: Mapping[str, object]) -> None:
    """Print as `emit` does, without a second copy of a large value in memory; takes twice the time."""
    sys.stdout.writelines(json.JSONEncoder(ensure_ascii=False, default=_plain).iterencode(value))
    click.echo()


def _plain(value: object) -> str:
    return stamp(value) if isinstance(value, datetime) else str(value)


def stamp(moment: datetime) -> str:
    """Return a moment as RFC 3339 in UTC, to the second."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def plural(number: int, word: str) -> str:
    """Return `1 article` or `2 articles`."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"
