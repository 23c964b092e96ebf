"""A small provider of OpenID Connect on loopback, which can be told to misbehave."""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from assent.clock import SystemClock
from assent.web.server import listen, serving
from assent.web.settings import OidcSettings, WebSettings

CLIENT, SECRET = "assent-tests", "provider-secret"


@dataclass
class Provider:
    """Signs in whoever it is told to. `claims` change what its tokens say; None leaves a claim out."""

    issuer: str = ""
    email: str = "ann@company.com"
    claims: dict[str, Any] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "k1"}))
    signer: RSAKey | None = None  # instead of its key
    shared: str | None = None  # signs with this, as HMAC does; empty: with nothing
    asked: list[dict[str, str]] = field(default_factory=list)  # what browsers came with
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def settings(self) -> OidcSettings:
        return OidcSettings(issuer=self.issuer, client_id=CLIENT, client_secret=SECRET, name="Company login")

    def sign_in(self, url: str) -> str:
        """What the browser would do there: sign in, and be sent back. Returns where to."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        self.asked.append(query)
        code = secrets.token_hex(8)
        self.codes[code] = query
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state'], 'iss': self.issuer})}"

    async def discovery(self, _request: Request) -> Response:
        facts = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
        }
        return JSONResponse({**facts, **self.about})

    async def jwks(self, _request: Request) -> Response:
        return JSONResponse({"keys": [self.key.as_dict(private=False)]})

    async def token(self, request: Request) -> Response:
        form = {name: str(value) for name, value in (await request.form()).items()}
        asked = self.codes.pop(form.get("code", ""), None)
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        challenge = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        fits = asked is not None and asked["code_challenge"] == _base64(challenge)
        if asked is None or not fits or request.headers.get("authorization") != f"Basic {basic}":
            return JSONResponse({"error": "invalid_grant"}, 400)
        return JSONResponse({"access_token": "a", "token_type": "Bearer", "id_token": self.id_token(asked)})

    def id_token(self, asked: dict[str, str]) -> str:
        now = int(SystemClock().now())
        claims = {
            "iss": self.issuer,
            "sub": "7",
            "aud": CLIENT,
            "exp": now + 60,
            "iat": now,
            "nonce": asked["nonce"],
            "email": self.email,
            "email_verified": True,
            **self.claims,
        }
        said = {name: value for name, value in claims.items() if value is not None}
        if self.shared is not None:
            return _forged(said, self.shared)
        return jwt.encode({"alg": "RS256", "kid": "k1"}, said, self.signer or self.key)


def _forged(claims: dict[str, Any], key: str) -> str:
    """A token signed with what is known to more than one; made by hand, since libraries refuse to."""
    header = {"alg": "HS256" if key else "none", "kid": "k1"}
    text = ".".join(_base64(json.dumps(each).encode()) for each in (header, claims))
    return f"{text}.{_base64(hmac.digest(key.encode(), text.encode(), 'sha256')) if key else ''}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@asynccontextmanager
async def provider() -> AsyncIterator[Provider]:
    """A provider that listens while the block runs."""
    found = Provider()
    app = Starlette(
        routes=[
            Route("/.well-known/openid-configuration", found.discovery),
            Route("/jwks", found.jwks),
            Route("/token", found.token, methods=["POST"]),
        ]
    )
    listener = listen("127.0.0.1", 0)
    found.issuer = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with serving(app, listener, WebSettings()):
        yield found
