"""The subscription pages: sign up, confirm, change what one gets, leave, have one's data erased.

In: requests to `/subscribe`, `/c/TOKEN` and `/u/TOKEN`. Out: pages without script, cookies, redirects
and anything foreign. GET changes nothing, since programs that look into mail follow every link; POST
does. A token in the address is the whole authority: so nothing is won by forging a request from
another site (no cookie gives it rights), and tokens stand in no log and no Referer.

What is answered to a sign-up tells nobody which addresses are on record: the same page, for the same
time (answers wait for a common beat), after the same work. POST with `List-Unsubscribe=One-Click` is
RFC 8058, section 3.2: no redirect, no question, and the same answer to every token.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from feeds import publication as pages
from feeds.app import App
from feeds.errors import ConfigError, DeliveryError, FeedsError, StoreError
from feeds.letters.words import LANGUAGES, say
from feeds.model import Subscriber
from feeds.pipeline import subscriptions
from feeds.store.subscribers import ACTIVE, PENDING, Wish, normalise
from feeds.web import choices, clients, forms
from feeds.web.choices import Group
from feeds.web.forms import Form
from feeds.web.limits import Limits, limits
from feeds.web.words import WORDS

_AT_ONCE = 4  # threads, and so connections to the record: the loop beside needs some, too
_BEAT = 0.5  # seconds; longer than a sign-up takes
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
_LATER = _HEADERS | {"Retry-After": "60"}  # seconds
_TRAP = "website"  # a field that people don't see and programs fill in
_ONE_CLICK = "Unsubscribed: no more letters come from this subscription.\n"

log = logging.getLogger(__name__)


class Verbs(Protocol):
    """The corridor's verbs on subscriptions. A token that is not valid changes nothing."""

    def sign_up(self, app: App, email: str, wish: Wish, now: datetime) -> None:
        """Ask by mail for a confirmation, where that is called for."""

    def confirm(self, app: App, token: str, now: datetime) -> bool:
        """Begin the letters; return whether the token is valid."""

    def leave(self, app: App, token: str, now: datetime, how: str) -> bool:
        """End the letters; return whether the token is valid."""

    def subscription(self, app: App, token: str) -> Subscriber | None:
        """Return whose token it is."""

    def change(self, app: App, token: str, wish: Wish, now: datetime) -> bool:
        """Change what is wanted; return whether the token is valid."""

    def erase(self, app: App, token: str, now: datetime) -> bool:
        """Erase what is known of the subscriber; return whether the token is valid."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What the pages work with; answers to a sign-up wait for the next `beat`, in seconds."""

    app: App
    verbs: Verbs = subscriptions
    limits: Limits = field(default_factory=lambda: limits(time.monotonic))
    beat: float = _BEAT


@dataclass(frozen=True, slots=True)
class Visit:
    """A request to a page: who asks, in which language, and the form if it is a POST."""

    client: str
    language: str
    token: str
    form: Form | None

    def says(self, name: str, value: str) -> bool:
        """Whether the form has this field with this value, in any case of letters."""
        values = (self.form or {}).get(name, ())
        return any(one.strip().casefold() == value.casefold() for one in values)


Page = Callable[[Desk, Visit], Response]


def routes(desk: Desk) -> tuple[Route, ...]:
    """Return the routes of the pages; methods other than GET, HEAD and POST are answered by 405."""
    turn = asyncio.Semaphore(_AT_ONCE)
    both = ["GET", "POST"]
    return (
        Route("/subscribe", _endpoint(desk, turn, _subscribe, steady=True), methods=both),
        Route("/c/{token}", _endpoint(desk, turn, _confirm), methods=both),
        Route("/u/{token}", _endpoint(desk, turn, _manage), methods=both),
    )


def _endpoint(
    desk: Desk, turn: asyncio.Semaphore, page: Page, *, steady: bool = False
) -> Callable[[Request], object]:
    async def serve(request: Request) -> Response:
        began = asyncio.get_running_loop().time()
        visit = _visit(desk, request)
        if request.method == "POST":
            if not desk.limits.clicks.allows(visit.client):
                return PlainTextResponse("Too many at once.\n", 429, _LATER)
            try:
                form = await forms.received(request)
            except HTTPException as error:
                return PlainTextResponse(f"{error.detail}\n", error.status_code, _HEADERS)
            visit = Visit(visit.client, visit.language, visit.token, form)
        async with turn:
            answer = await run_in_threadpool(_answer, desk, page, visit)
        if steady and visit.form is not None:
            took = asyncio.get_running_loop().time() - began
            await asyncio.sleep(-took % desk.beat)
        return answer

    return serve


def _visit(desk: Desk, request: Request) -> Visit:
    peer = request.client.host if request.client else ""
    default = say(desk.app.publication.language).language
    accepted = request.headers.get("accept-language", "")
    return Visit(
        clients.client(peer, request.headers.getlist("x-forwarded-for")),
        clients.language(accepted, LANGUAGES, default),
        request.path_params.get("token", ""),
        None,
    )


def _answer(desk: Desk, page: Page, visit: Visit) -> Response:
    """Make a page; when that fails, say so without a word of what is on record, nor to the log."""
    try:
        form = visit.form is not None and not _one_click(visit)
        if form and not desk.limits.forms.allows(visit.client):
            return _often(desk, visit)
        _prove_in_place(desk.app)
        return page(desk, visit)
    except (StoreError, ConfigError) as error:
        log.error("a subscription page can't be made: %s", error)
    except Exception as error:  # noqa: BLE001 -- whatever it says may hold an address or a token
        # So its words are left out. Where it came from is lines of code, not values.
        trace = "".join(traceback.format_tb(error.__traceback__))
        log.error("a subscription page can't be made: %s\n%s", type(error).__name__, trace)
    try:
        return _told(desk, visit, "busy", status=503)
    except FeedsError:
        return PlainTextResponse("Not now, please. Try again in a minute.\n", 503, _LATER)


def _prove_in_place(app: App) -> None:
    if not app.store.is_in_place():
        raise StoreError("the record", "its file was taken away or replaced")


def _subscribe(desk: Desk, visit: Visit) -> Response:
    groups = _offered(desk, visit)
    if visit.form is None:
        return _form(desk, visit, groups)
    groups = choices.chosen(groups, visit.form)
    given = (visit.form.get("email") or ("",))[0]
    email = _address(given)
    if email is None or any(group.bad for group in groups):
        return _form(desk, visit, groups, given=given, bad=email is None)
    if not desk.limits.sign_ups.allows(visit.client):
        return _often(desk, visit)
    trapped = any(visit.form.get(_TRAP, ()))
    if desk.limits.addresses.allows(email) and not trapped:
        wish = Wish(email, **choices.wishes(groups))
        try:
            desk.verbs.sign_up(desk.app, email, wish, desk.app.now())
        except DeliveryError as error:
            if not error.permanent:  # no fault of the address
                raise
            return _form(desk, visit, groups, given=given, bad=True)
    return _told(desk, visit, "asked", more=("asked_more",))


def _confirm(desk: Desk, visit: Visit) -> Response:
    if visit.form is None:
        return _told(desk, visit, "confirm", button=("confirm_button", "confirm"))
    done = desk.verbs.confirm(desk.app, visit.token, desk.app.now())
    if done:
        return _told(desk, visit, "confirmed")
    return _told(desk, visit, "gone", text="used_text", again=True, status=404)


def _manage(desk: Desk, visit: Visit) -> Response:
    if _one_click(visit):
        if not desk.verbs.leave(desk.app, visit.token, desk.app.now(), "by one click"):
            return _gone(desk, visit)  # "unsubscribed" would be a lie: letters go on
        return PlainTextResponse(_ONE_CLICK, headers=_HEADERS)
    person = desk.verbs.subscription(desk.app, visit.token)
    if person is None:
        return _gone(desk, visit)
    if visit.form is None:
        return _preferences(desk, visit, person, _offered(desk, visit, person))
    for action, act in _ACTIONS.items():
        if visit.says("action", action):
            return act(desk, visit, person)
    return _told(desk, visit, "unknown", status=400)


def _save(desk: Desk, visit: Visit, person: Subscriber) -> Response:
    groups = choices.chosen(_offered(desk, visit, person), visit.form or {})
    if person.state != ACTIVE or any(group.bad for group in groups):
        return _preferences(desk, visit, person, groups, status=400)
    wish = Wish(person.email, **choices.wishes(groups))
    done = desk.verbs.change(desk.app, visit.token, wish, desk.app.now())
    if not done:
        return _gone(desk, visit)
    return _preferences(desk, visit, person, groups, saved=True)


def _leave(desk: Desk, visit: Visit, _person: Subscriber) -> Response:
    done = desk.verbs.leave(desk.app, visit.token, desk.app.now(), "on the web")
    return _told(desk, visit, "left", again=True) if done else _gone(desk, visit)


def _ask_to_erase(desk: Desk, visit: Visit, _person: Subscriber) -> Response:
    return _told(desk, visit, "erase_sure", text="erase_text", button=("erase_button", "erase-now"))


def _erase(desk: Desk, visit: Visit, _person: Subscriber) -> Response:
    done = desk.verbs.erase(desk.app, visit.token, desk.app.now())
    return _told(desk, visit, "erased", again=True) if done else _gone(desk, visit)


_ACTIONS: Mapping[str, Callable[[Desk, Visit, Subscriber], Response]] = {
    "save": _save,
    "leave": _leave,
    "erase": _ask_to_erase,
    "erase-now": _erase,
}


def _one_click(visit: Visit) -> bool:
    return visit.says("List-Unsubscribe", "One-Click")


def _address(given: str) -> str | None:
    try:
        if "\N{REPLACEMENT CHARACTER}" in given:  # no text was sent
            return None
        return normalise(
            unicodedata.normalize("NFC", given)
        )  # some keyboards part letter and accent
    except ValueError:
        return None


def _offered(desk: Desk, visit: Visit, person: Subscriber | None = None) -> tuple[Group, ...]:
    app = desk.app
    return choices.offered(app.publication, app.settings.editions, visit.language, person)


def _form(
    desk: Desk, visit: Visit, groups: tuple[Group, ...], *, given: str = "", bad: bool = False
) -> Response:
    wrong = bad or any(group.bad for group in groups)
    context = {"groups": groups, "given": given, "bad": bad, "wrong": wrong, "trap": _TRAP}
    return _rendered(desk, visit, "subscribe.html", context, 400 if wrong else 200)


def _preferences(  # noqa: PLR0913 -- what the page shows
    desk: Desk,
    visit: Visit,
    person: Subscriber,
    groups: tuple[Group, ...],
    *,
    saved: bool = False,
    status: int = 200,
) -> Response:
    context = {
        "groups": groups,
        "email": f"{person.email[:1]}…{person.email[person.email.rfind('@') :]}",
        "active": person.state == ACTIVE,
        "pending": person.state == PENDING,
        "saved": saved,
        "wrong": any(group.bad for group in groups),
    }
    return _rendered(desk, visit, "preferences.html", context, status)


def _gone(desk: Desk, visit: Visit) -> Response:
    return _told(desk, visit, "gone", status=404)


def _often(desk: Desk, visit: Visit) -> Response:
    return _told(desk, visit, "often", status=429)


def _told(  # noqa: PLR0913 -- what the page shows
    desk: Desk,
    visit: Visit,
    key: str,
    *,
    text: str | None = None,
    more: tuple[str, ...] = (),
    button: tuple[str, str] | None = None,
    again: bool = False,
    status: int = 200,
) -> Response:
    """Return a page that says one thing; a `button` is its word and what it sends as `action`."""
    context = {
        "heading": key,
        "paragraphs": (text or f"{key}_text", *more),
        "button": button,
        "again": again,
    }
    return _rendered(desk, visit, "answer.html", context, status)


def _rendered(
    desk: Desk, visit: Visit, template: str, context: Mapping[str, object], status: int
) -> Response:
    shown = {
        "words": WORDS[visit.language],
        "lang": visit.language,
        "root": "../" if visit.token else "",
        **context,
    }
    page = pages.render(desk.app.publication, template, shown)
    headers = _LATER if status in {429, 503} else _HEADERS
    return Response(page, status, headers, "text/html; charset=utf-8")
