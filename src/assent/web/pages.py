"""What all pages share: templates, the frame around them, short messages after an action, and static files."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from assent.codec import digest
from assent.web.access import Access, Identity, identity_if_any
from assent.web.desk import desk_of
from assent.web.forms import field
from assent.web.inbox import waiting_count
from assent.web.problems import Problem
from assent.web.routing import Route
from assent.web.wording import FILTERS, safe

HERE: Final = Path(__file__).parent
STREAM: Final = "/api/v1/events"
THEMES: Final = ("light", "dark")
A_YEAR: Final = 365 * 86400
LONGEST_MESSAGE: Final = 600
FLASH_SECONDS: Final = 60
SHOWN_FACTS: Final = ("execution_id", "approval_id", "policy", "reason", "retry_after")
NO_PAGE: Final = "The address may be mistyped, or what was there is gone."
TITLES: Final = MappingProxyType(
    {
        403: "You may not do this",
        404: "There is no such page",
        405: "That cannot be done here",
        413: "That is too large",
        429: "Too many attempts",
        500: "Something went wrong",
        503: "The store cannot be reached",
    }
)
MEDIA_TYPES: Final = MappingProxyType(
    {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
)


@dataclass(frozen=True, slots=True)
class Place:
    """An entry of the navigation. `key`: the letter that leads there after a g."""

    path: str
    label: str
    icon: str
    key: str
    for_all: bool = False  # also for those who see only what concerns them


PLACES: Final = (
    Place("/inbox", "Inbox", "inbox", "i", for_all=True),
    Place("/executions", "Executions", "activity", "e", for_all=True),
    Place("/policies", "Policies", "shield", "p"),
    Place("/mandates", "Mandates", "key", "m"),
    Place("/people", "People", "people", "u"),
    Place("/notifications", "Notifications", "bell", "n"),
    Place("/dashboard", "Dashboard", "chart", "d"),
)


async def render(request: Request, template: str, /, *, status: int = 200, **context: Any) -> HTMLResponse:
    """A page made of a template that extends base.html, or plain.html for those who are not signed in.

    Beside `context` templates have: me, nav, csrf_token, flashes, theme, now, path, stream_url.
    """
    frame = _frame_of(request)
    frame["stream_url"] = f"{STREAM}?after={await desk_of(request).store.last_seq()}"
    frame["nav"] = await _nav(request, frame["me"], request.url.path) if frame["me"] is not None else ()
    text = environment().get_template(template).render({**frame, **context})
    response = HTMLResponse(text, status)
    if _flash_name(request) in request.cookies:
        response.delete_cookie(_flash_name(request), secure=_is_secure(request), httponly=True, samesite="lax")
    return response


def redirect(request: Request, url: str, message: str = "", tone: str = "ok") -> RedirectResponse:
    """Send the browser on after a form; the next page shows the message. Tones: ok, warn, bad, info."""
    response = RedirectResponse(url, 303)
    if message:
        packed = urlsafe_b64encode(json.dumps([[tone, message[:LONGEST_MESSAGE]]]).encode()).decode()
        secure = _is_secure(request)
        response.set_cookie(
            _flash_name(request), packed, FLASH_SECONDS, path="/", secure=secure, httponly=True, samesite="lax"
        )
    return response


def error_page(request: Request, problem: Problem) -> Response:
    """The page of an error: what happened, and what to do next. Who has not signed in is sent to do so."""
    if problem.status_code == 401:
        back = request.url.path if request.method == "GET" else _referring_path(request)
        query = f"?{request.url.query}" if request.url.query and request.method == "GET" else ""
        return RedirectResponse(f"/sign-in?{urlencode({'next': local_path(back + query)})}", 303)
    facts = {name: str(value) for name, value in problem.facts.items() if name in SHOWN_FACTS}
    title = TITLES.get(problem.status_code) or problem.title or "That did not work"
    detail = NO_PAGE if problem.status_code == 404 and not problem.name else problem.detail
    shown = {"code": problem.status_code, "title": title, "detail": detail, "facts": facts}
    text = environment().get_template("error.html").render({**_frame_of(request), **shown})
    return HTMLResponse(text, problem.status_code, problem.headers)


def _referring_path(request: Request) -> str:
    return urlsplit(request.headers.get("referer", "")).path or "/inbox"


def local_path(url: str, otherwise: str = "/inbox") -> str:
    """The address if it leads to a page here, so that no form can send people elsewhere."""
    is_path = url.startswith("/") and not url.startswith(("//", "/\\"))
    return url if is_path and url.isprintable() and "\\" not in url else otherwise


@cache
def environment() -> Environment:
    """The templates of this room. What they put out is escaped, always."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=safe,
    )
    made.filters.update(FILTERS)
    made.globals["asset"] = asset_url
    return made


def _frame_of(request: HTTPConnection) -> dict[str, Any]:
    identity = identity_if_any(request)
    theme = request.cookies.get("assent-theme", "")
    return {
        "me": identity,
        "nav": (),
        "csrf_token": identity.csrf if identity is not None else "",
        "flashes": _flashes(request.cookies.get(_flash_name(request), "")),
        "theme": theme if theme in THEMES else "",
        "now": desk_of(request).clock.now(),
        "path": _path_of(request),
        "stream_url": STREAM,
    }


def _path_of(request: HTTPConnection) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


async def _nav(request: HTTPConnection, identity: Identity, path: str) -> list[dict[str, Any]]:
    count = await waiting_count(desk_of(request), identity.person)
    return [
        {
            "path": place.path,
            "label": place.label,
            "icon": place.icon,
            "key": place.key,
            "count": count if place.icon == "inbox" else "",
            "is_current": _is_in(path, place.path),
        }
        for place in PLACES
        if place.for_all or identity.sees_all
    ]


def _is_in(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place}/") or (place == "/inbox" and path.startswith("/approvals/"))


def _flash_name(request: HTTPConnection) -> str:
    # With the prefix no other host of the same site can set it.
    return "__Host-assent-flash" if _is_secure(request) else "assent-flash"


def _is_secure(request: HTTPConnection) -> bool:
    return desk_of(request).settings.is_secure


def _flashes(packed: str) -> list[tuple[str, str]]:
    try:
        found = json.loads(urlsafe_b64decode(packed.encode())) if packed else []
        return [(str(tone), str(message)) for tone, message in found]
    except (ValueError, TypeError):  # somebody wrote the cookie by hand
        return []


# Static files: few and small, so they are kept.


@dataclass(frozen=True, slots=True)
class Asset:
    """A static file."""

    body: bytes
    media_type: str
    digest: str


@cache
def assets() -> Mapping[str, Asset]:
    """The static files by name."""
    found = sorted((HERE / "static").iterdir())
    bodies = {each.name: (each.read_bytes(), MEDIA_TYPES.get(each.suffix)) for each in found}
    return MappingProxyType(
        {name: Asset(body, kind, digest(body)[:16]) for name, (body, kind) in bodies.items() if kind is not None}
    )


def asset_url(name: str) -> str:
    """The address of a static file, another one for each content, so that browsers may keep it for good."""
    return f"/static/{name}?v={assets()[name].digest}"


async def static_file(request: Request) -> Response:
    """One static file."""
    asset = assets().get(request.path_params["name"])
    if asset is None:
        raise HTTPException(404)
    tag = f'"{asset.digest}"'
    is_named = request.query_params.get("v") == asset.digest
    headers = {"ETag": tag, "Cache-Control": f"public, max-age={A_YEAR}, immutable" if is_named else "no-cache"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(asset.body, headers=headers, media_type=asset.media_type)


async def home(_request: Request) -> Response:
    """The first page is the inbox."""
    return RedirectResponse("/inbox", 303)


async def choose_theme(request: Request) -> Response:
    """Remember in the browser whether pages are light or dark; anything else follows the system."""
    form = await request.form()
    response = redirect(request, local_path(field(form, "back")))
    theme = field(form, "theme")
    if theme in THEMES:
        secure = _is_secure(request)
        response.set_cookie("assent-theme", theme, A_YEAR, path="/", secure=secure, httponly=True, samesite="lax")
    else:
        response.delete_cookie("assent-theme", path="/")
    return response


ROUTES: Final[tuple[Route, ...]] = (
    Route(method="GET", path="/", access=Access.VIEWER, handler=home, name="home", page=True, own=True),
    Route(method="GET", path="/static/{name}", access=Access.PUBLIC, handler=static_file, name="static", page=True),
    Route(
        method="POST",
        path="/theme",
        access=Access.VIEWER,
        handler=choose_theme,
        name="choose_theme",
        page=True,
        own=True,
    ),
)
