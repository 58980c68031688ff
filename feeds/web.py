"""A door: serves `out/` over HTTP, as a reader expects it (RFC 9110, section 13).

In: requests. Out: the files below `out/`, and nothing else: no hidden file, nothing that a link leads
to. A strong ETag from the bytes; If-None-Match before If-Modified-Since; HEAD as GET without a body.
Health and metrics stand at an address of their own, for the operator.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from threading import Thread

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from feeds.errors import UsageError

_MEDIA_TYPES = {
    "atom.xml": "application/atom+xml; charset=utf-8",
    "rss.xml": "application/rss+xml; charset=utf-8",
    "feed.json": "application/feed+json; charset=utf-8",
    ".opml": "text/x-opml; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""Media types by the end of a name; the first that fits."""

_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
_CONNECTIONS = 256
_SILENT = 10.0  # seconds
_CLOSING = 2  # seconds that an open request may take when the server ends
_OPEN = ("atom.xml", "rss.xml", "feed.json", ".opml")  # read by pages of other origins, too
_POLICY = (
    "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class File:
    """A file as it is served; `modified` is in whole seconds since 1970, as HTTP dates are."""

    data: bytes
    etag: str
    modified: int


def application(out: Path, healthy: Callable[[], bool]) -> Starlette:
    """Return the ASGI application over a folder; `/healthz` tells the public yes or no, no more."""

    async def serve(request: Request) -> Response:
        return await run_in_threadpool(_answer, out, request)

    def health(_request: Request) -> Response:
        well = healthy()
        return _word("ok\n" if well else "degraded\n", 200 if well else 503)

    return Starlette(
        routes=[
            Route("/healthz", health, methods=["GET", "HEAD"]),
            Route("/{path:path}", serve, methods=["GET", "HEAD"]),
        ]
    )


def private(troubles: Callable[[], Mapping[str, str]], metrics: Callable[[], bytes]) -> Starlette:
    """Return the ASGI application of the operator's side: what is wrong, and figures for Prometheus."""

    def health(_request: Request) -> Response:
        found = troubles()
        lines = [f"{part}: {reason}\n" for part, reason in found.items()]
        return _word("".join(lines) or "ok\n", 503 if found else 200)

    def figures(_request: Request) -> Response:
        return Response(metrics(), media_type=_PROMETHEUS)

    return Starlette(routes=[Route("/healthz", health), Route("/metrics", figures)])


def _word(text: str, status: int) -> Response:
    return PlainTextResponse(text, status_code=status, headers={"Cache-Control": "no-store"})


def listener(host: str, port: int, setting: str = "--port") -> socket.socket:
    """Return a socket that listens; `setting` is what names another one.

    Raises:
        UsageError: the address can't be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            f"can't listen on {host}:{port}: {reason}; name another by {setting}"
        ) from error


def run(served: Starlette, listener: socket.socket) -> None:
    """Serve on a socket until interrupted."""
    _server(served).run(sockets=[listener])


@contextmanager
def beside(served: Starlette, listener: socket.socket) -> Iterator[None]:
    """Serve on a socket, in a thread, while the caller works."""
    server = _server(served)
    thread = Thread(target=server.run, kwargs={"sockets": [listener]}, name="web", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(_CLOSING)


class _Bounded(H11Protocol):
    """Turns connections away beyond a number, and ends those that ask for nothing.

    They share the process's open files with the work that goes on beside.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, if there is room."""
        super().connection_made(transport)
        if len(self.connections) > _CONNECTIONS:
            transport.abort()
        else:
            self.loop.call_later(_SILENT, self._end_if_silent)

    def _end_if_silent(self) -> None:
        if self.cycle is None and not self.transport.is_closing():  # no request has come
            self.transport.close()


def _server(served: Starlette) -> uvicorn.Server:
    config = uvicorn.Config(
        served,
        http=_Bounded,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_CLOSING,
    )
    return uvicorn.Server(config)


def _answer(out: Path, request: Request) -> Response:
    path: str = request.path_params["path"]
    parts = path.split("/")
    if any(part.startswith(".") or "\0" in part for part in parts) or "" in parts[:-1]:
        return _not_found()
    if not parts[-1]:
        parts[-1] = "index.html"
    found = _read(out, parts)
    if found is None:
        if path and _is_folder(out, parts):
            return RedirectResponse(request.url.path.rsplit("/", 1)[-1] + "/", status_code=301)
        return _not_found()
    name = parts[-1]
    headers = _headers(name, found)
    if _unchanged(request.headers, found):
        return Response(status_code=304, headers=headers)
    return Response(found.data, headers=headers, media_type=_media_type(name))


def _not_found() -> Response:
    return PlainTextResponse("Not found\n", status_code=404)


def _read(out: Path, parts: list[str]) -> File | None:
    path = out.joinpath(*parts)
    try:
        if path.resolve(strict=True) != out.resolve().joinpath(*parts):
            return None  # a link
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            return None
        with open(descriptor, "rb") as file:  # noqa: PTH123 -- a descriptor, opened without following links
            data = file.read()
    except (OSError, ValueError, RuntimeError):  # RuntimeError: links in a circle, on Python 3.11
        return None
    etag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    return File(data, etag, int(status.st_mtime))


def _is_folder(out: Path, parts: list[str]) -> bool:
    return _read(out, [*parts, "index.html"]) is not None


def _media_type(name: str) -> str:
    fits = (kind for end, kind in _MEDIA_TYPES.items() if name.endswith(end))
    fallback = (
        "application/xml; charset=utf-8" if name.endswith(".xml") else "application/octet-stream"
    )
    return next(fits, fallback)


def _headers(name: str, found: File) -> dict[str, str]:
    """Return the headers of a 200; a 304 carries the same (RFC 9110, section 15.4.5)."""
    headers = {
        "ETag": found.etag,
        "Last-Modified": formatdate(found.modified, usegmt=True),
        "Cache-Control": "public, max-age=300",
        "X-Content-Type-Options": "nosniff",
    }
    if name.endswith(_OPEN):
        headers["Access-Control-Allow-Origin"] = "*"
    if name.endswith(".html"):
        headers["Content-Security-Policy"] = _POLICY
        headers["Referrer-Policy"] = "no-referrer"
    return headers


def _unchanged(headers: Mapping[str, str], found: File) -> bool:
    """Whether the reader has this version (RFC 9110, section 13.2.2: the tag decides if sent)."""
    if (tags := headers.get("if-none-match")) is not None:
        known = {tag.strip().removeprefix("W/") for tag in tags.split(",")}
        return "*" in known or found.etag in known
    try:
        since = parsedate_to_datetime(headers.get("if-modified-since", ""))
        return found.modified <= since.timestamp()
    except (ValueError, TypeError, OverflowError):
        return False
