"""One line for each request: who, what, how it ended, how long it took. Never what lets somebody in."""

import logging
from time import perf_counter
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assent.web.access import IDENTITY, Identity

LOG: Final = logging.getLogger("assent.web")
# Ids are shorter. Longer parts of a path are tickets and signed links, which are secrets.
LONGEST_PART: Final = 40
HIDDEN: Final = "…"


class AccessLog:
    """Around the whole application, so that it sees refusals too. Queries and headers are left out."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not LOG.isEnabledFor(logging.INFO):
            await self.app(scope, receive, send)
            return
        status, start = 0, perf_counter()

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, note)
        finally:
            _tell(scope, status, perf_counter() - start)


def _tell(scope: Scope, status: int, seconds: float) -> None:
    method, path = scope["method"], shown(scope["path"])
    identity = scope.get(IDENTITY)
    facts: dict[str, Any] = {
        "method": method,
        "path": path,
        "status": status,
        "seconds": round(seconds, 4),
        "client": (scope.get("client") or [None])[0],
        "person": identity.person if isinstance(identity, Identity) else None,
        "execution_id": scope.get("path_params", {}).get("execution_id"),
        "approval_id": scope.get("path_params", {}).get("approval_id"),
    }
    LOG.info("%s %s %s", method, path, status, extra=facts)


def shown(path: str) -> str:
    """A path as it may be logged."""
    return "/".join(part if len(part) <= LONGEST_PART else HIDDEN for part in path.split("/"))
