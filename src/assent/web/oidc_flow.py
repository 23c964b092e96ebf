"""A sign-in that has begun at a provider, as its browser keeps it: in a signed cookie, until it comes back."""

import base64
import hmac
import json
from dataclasses import asdict, dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from assent.clock import secret_bytes
from assent.errors import AccessRefused
from assent.web.desk import Desk, desk_of

SIGNER: Final = "oidc"  # the name of the store's secret that signs the cookie
FLOW_SECONDS: Final = 600  # to sign in at the provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """One sign-in that has begun. Only the browser in which it began may know it."""

    state: str
    nonce: str
    verifier: str
    onward: str  # the path to go to once signed in
    expires_at: float  # Unix seconds

    @classmethod
    def begin(cls, onward: str, now: float) -> "Flow":
        """A flow with secrets of its own."""
        state, nonce, verifier = (secret_bytes().hex() for _ in range(3))
        return cls(state=state, nonce=nonce, verifier=verifier, onward=onward, expires_at=now + FLOW_SECONDS)


async def remember(request: Request, response: Response, flow: Flow) -> None:
    """Leave a flow with the browser."""
    desk = desk_of(request)
    text = base64.urlsafe_b64encode(json.dumps(asdict(flow)).encode()).decode()
    response.set_cookie(
        _cookie_name(desk),
        f"{text}.{await _signature(desk, text)}",
        max_age=FLOW_SECONDS,
        path="/",
        secure=desk.settings.is_secure,
        httponly=True,
        samesite="lax",
    )


async def recall(request: Request) -> Flow:
    """The flow that this browser began. Raises AccessRefused if it is none, another one, or too old."""
    desk = desk_of(request)
    text, _, signature = request.cookies.get(_cookie_name(desk), "").rpartition(".")
    expected = await _signature(desk, text)
    if not text or not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
        raise AccessRefused("This sign-in was not begun in this browser. Begin again on the page to sign in.")
    flow = Flow(**json.loads(base64.urlsafe_b64decode(text)))
    given = request.query_params.get("state", "").encode("utf-8", "replace")
    if flow.expires_at <= desk.clock.now() or not hmac.compare_digest(flow.state.encode(), given):
        raise AccessRefused("This sign-in took too long, or is another one. Begin again on the page to sign in.")
    return flow


def forget(request: Request, response: Response) -> None:
    """Take the flow from the browser."""
    desk = desk_of(request)
    response.delete_cookie(_cookie_name(desk), path="/", secure=desk.settings.is_secure, httponly=True, samesite="lax")


def _cookie_name(desk: Desk) -> str:
    return "__Host-assent-oidc" if desk.settings.is_secure else "assent-oidc"


async def _signature(desk: Desk, text: str) -> str:
    key = await desk.store.secret(SIGNER)
    return hmac.digest(key, text.encode("utf-8", "replace"), "sha256").hex()
