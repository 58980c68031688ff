"""A door: serves `out/` over HTTP, and the subscription pages where they have a public address.

In: requests. Out: documents (`shelf`), pages by which people sign up, change what they get and leave
(`subscriptions`). Health and metrics stand at an address of their own, for the operator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from feeds.app import App
from feeds.web import shelf, subscriptions
from feeds.web.server import beside, listener, run

__all__ = ["application", "beside", "listener", "pages", "private", "run"]

_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


def application(out: Path, healthy: Callable[[], bool], pages: Sequence[Route] = ()) -> Starlette:
    """Return the ASGI application over a folder, and over `pages`, which stand before its documents.

    `/healthz` tells the public yes or no, no more.
    """

    async def serve(request: Request) -> Response:
        return await run_in_threadpool(shelf.answer, out, request)

    def health(_request: Request) -> Response:
        well = healthy()
        return _word("ok\n" if well else "degraded\n", 200 if well else 503)

    return Starlette(
        routes=[
            Route("/healthz", health, methods=["GET", "HEAD"]),
            *pages,
            Route("/{path:path}", serve, methods=["GET", "HEAD"]),
        ]
    )


def pages(app: App) -> tuple[Route, ...]:
    """Return the subscription pages over an open record; none where they have no public address."""
    if app.settings.web.public_url is None:
        return ()
    return subscriptions.routes(subscriptions.Desk(app))


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
