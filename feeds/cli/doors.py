"""Commands that stay: watch, serve."""

from __future__ import annotations

import logging
import os
import sys
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import click

from feeds import app as opened
from feeds import logs
from feeds.app import App
from feeds.cli.common import LOOPBACK, application, places, read_settings, settings
from feeds.config import Settings
from feeds.errors import UsageError
from feeds.pipeline import post

if TYPE_CHECKING:
    from starlette.routing import Route

    from feeds.schedule.pulse import Pulse

_host = click.option("--host", metavar="ADDRESS", help="Serve on this address. [127.0.0.1]")
_port = click.option("--port", type=click.IntRange(1, 65535), help="Serve on this port. [8080]")

log = logging.getLogger(__name__)


@click.command()
@places
@click.option("--serve", "served", is_flag=True, help="Serve out/ over HTTP as well.")
@_host
@_port
@click.option("--log-json", "as_json", is_flag=True, help="Log JSON, a line an event.")
@click.pass_context
def watch(
    context: click.Context, served: bool, host: str | None, port: int | None, as_json: bool
) -> None:
    """Stay, and do the work as it falls due.

    Digests are read as they land, editions sent on their schedule. SIGTERM or Ctrl-C ends it, SIGHUP
    has it read its configuration again.

    \b
    Examples:
      feeds watch
      feeds watch --serve --port 9000
    """
    from feeds.schedule import Bell, service  # noqa: PLC0415 -- a door's own parts, 0.3 s
    from feeds.schedule import watch as stay  # noqa: PLC0415 -- the same
    from feeds.schedule.pulse import Pulse  # noqa: PLC0415 -- the same

    bell, pulse = Bell(), Pulse()
    with service.signals(bell.ring) as wanted, application(context, "watch", prove=True) as app:
        post.check(app.settings)  # refused now, not at the first slot
        _log_as_service(as_json=as_json)
        with _servers(app, pulse, (host, port) if served else None):
            _begin(app)
            try:
                stay(app, bell, wanted, pulse, lambda: read_settings(context))
                log.info("stopped")
            except KeyboardInterrupt:
                log.warning("stopped in the middle of an item; the next start goes on from there")


@click.command()
@places
@_host
@_port
@click.pass_context
def serve(context: click.Context, host: str | None, port: int | None) -> None:
    """Serve out/ over HTTP on this machine, until Ctrl-C.

    With web.public_url in the configuration, the subscription pages as well.

    \b
    Examples:
      feeds serve
      feeds serve --port 9000
    """
    from feeds import web  # noqa: PLC0415 -- a door's own server, 0.1 s

    found = settings(context)
    index = found.out_folder / "index.html"
    if not index.exists():
        raise UsageError(f"{found.out_folder} holds nothing to serve yet; `feeds run` fills it")
    host, port = _address(found, host, port)
    with ExitStack() as stack:
        listener = stack.enter_context(web.listener(host, port))
        pages: Sequence[Route] = ()
        if found.web.public_url is not None:  # nothing else needs the record
            pages = web.pages(stack.enter_context(opened.open_app(found, os.environ)))
        click.echo(f"Serving {found.out_folder} on {_url(host, port)} - Ctrl-C ends", err=True)
        web.run(web.application(found.out_folder, index.is_file, pages), listener)


COMMANDS = (watch, serve)


@contextmanager
def _servers(
    app: App, pulse: Pulse, public: tuple[str | None, int | None] | None
) -> Iterator[None]:
    """Serve what is wanted beside the loop: `out/`, and the operator's side."""
    found = app.settings
    with ExitStack() as stack:
        if public is None and found.operator.listen is None:
            yield
            return
        from feeds import web  # noqa: PLC0415 -- a door's own server, 0.1 s

        if public is not None:
            host, port = _address(found, *public)
            listener = stack.enter_context(web.listener(host, port))
            pages = web.pages(app)
            served = web.application(found.out_folder, lambda: not pulse.troubles(), pages)
            stack.enter_context(web.beside(served, listener))
            log.info("serving out=%s at=%s", found.out_folder, _url(host, port))
        if found.operator.listen is not None:
            parts = urllib.parse.urlsplit(f"//{found.operator.listen}")
            host, port = parts.hostname or "", parts.port or 0
            listener = stack.enter_context(web.listener(host, port, "operator.listen"))
            served = web.private(pulse.troubles, pulse.metrics)
            stack.enter_context(web.beside(served, listener))
            log.info("health and metrics at=%s", _url(host, port))
        yield


def _address(found: Settings, host: str | None, port: int | None) -> tuple[str, int]:
    """Return where to serve: as asked, else as configured, else where `base_url` points."""
    base = urllib.parse.urlsplit(found.publication.base_url)
    local = base.hostname in LOOPBACK
    host = host or found.web.host or (base.hostname if local else None) or LOOPBACK[0]
    return host, port or found.web.port or (base.port if local else None) or 8080


def _url(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def _log_as_service(*, as_json: bool) -> None:
    """Log as a process that stays: also what was done, with its time, and nothing twice an hour."""
    form = logs.Json() if as_json else logs.Text(logs.style(os.environ, sys.stderr))
    for handler in logging.getLogger().handlers:
        handler.setFormatter(form)
        handler.addFilter(logs.Repeats())
    logging.getLogger("feeds").setLevel(logging.INFO)


def _begin(app: App) -> None:
    log.info(
        "watching seeds=%s out=%s state=%s process=%d",
        app.settings.seeds_folder,
        app.out,
        app.settings.state_folder,
        os.getpid(),
    )
