"""Serves the files below `out/`, as a reader expects it (RFC 9110, section 13). I/O.

In: a path. Out: a document, and nothing else: no hidden file, nothing that a link leads to. A strong
ETag from the bytes; If-None-Match before If-Modified-Since; HEAD as GET without a body.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

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


def answer(out: Path, request: Request) -> Response:
    """Answer a request for a document below `out`."""
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
