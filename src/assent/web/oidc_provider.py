"""A provider of OpenID Connect, as authlib talks to it: the authorization code flow with state, nonce and PKCE."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
from authlib.common.errors import AuthlibBaseError  # type: ignore[import-untyped]  # authlib has no types
from authlib.integrations.httpx_client import AsyncOAuth2Client  # type: ignore[import-untyped]  # as above
from authlib.oidc.core import CodeIDToken  # type: ignore[import-untyped]  # as above
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from assent.errors import AccessRefused
from assent.web.guards import is_loopback
from assent.web.oidc_flow import Flow
from assent.web.problems import Problem
from assent.web.settings import OidcSettings

Client = Any  # AsyncOAuth2Client, of which type checkers know too little
DISCOVERY: Final = "/.well-known/openid-configuration"
ANSWER_SECONDS: Final = 10.0
LEEWAY: Final = 60  # seconds by which the clocks may differ
# None that are symmetric: a client secret that leaks would then make identities.
ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "Ed25519",
    "EdDSA",
)
ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A provider. What it says of itself is asked each time, so that new keys and places are known at once.

    Where it cannot be used, Problem is raised; where what it says of somebody is not valid, AccessRefused.
    """

    settings: OidcSettings
    redirect_uri: str

    async def address(self, flow: Flow) -> str:
        """Where the browser goes to sign in."""
        async with self._client() as client:
            place = (await self._about(client))["authorization_endpoint"]
            url, _ = client.create_authorization_url(
                place, state=flow.state, nonce=flow.nonce, code_verifier=flow.verifier
            )
        return str(url)

    async def claims(self, flow: Flow, code: str, now: float) -> Mapping[str, Any]:
        """What it says of whoever has signed in, in exchange for the code that the browser brought."""
        try:
            async with self._client() as client:
                about = await self._about(client)
                token = await client.fetch_token(
                    about["token_endpoint"], code=code, code_verifier=flow.verifier, grant_type="authorization_code"
                )
                keys: Any = await _json(client, about["jwks_uri"])
            return self._verified(flow, token, KeySet.import_key_set(keys), now)
        except (AuthlibBaseError, JoseError, ValueError) as error:
            # Which of the checks it was is not told: whoever tries to forge a token learns nothing.
            detail = "What the provider says of you is not valid. Begin again on the page to sign in."
            raise AccessRefused(detail) from error
        except httpx2.HTTPError as error:
            raise _unusable(f"it does not answer ({type(error).__name__})") from error

    def _client(self) -> Client:
        return AsyncOAuth2Client(
            self.settings.client_id,
            self.settings.client_secret,
            scope=" ".join(self.settings.scopes),
            redirect_uri=self.redirect_uri,
            code_challenge_method="S256",
            timeout=ANSWER_SECONDS,
        )

    async def _about(self, client: Client) -> Mapping[str, Any]:
        issuer = self.settings.issuer
        _check_place(issuer)
        about = await _json(client, issuer.rstrip("/") + DISCOVERY)
        if about.get("issuer") != issuer:
            raise _unusable(f"it calls itself {about.get('issuer')!r} and not {issuer!r}")
        for endpoint in ENDPOINTS:
            _check_place(str(about.get(endpoint, "")))
        return about

    def _verified(self, flow: Flow, token: Mapping[str, Any], keys: KeySet, now: float) -> Mapping[str, Any]:
        decoded = jwt.decode(str(token.get("id_token", "")), keys, algorithms=list(ALGORITHMS))
        claims = CodeIDToken(
            decoded.claims,
            decoded.header,
            options={
                "iss": {"essential": True, "value": self.settings.issuer},
                "aud": {"essential": True, "value": self.settings.client_id},
                "nonce": {"essential": True, "value": flow.nonce},
            },
            params={
                "nonce": flow.nonce,
                "client_id": self.settings.client_id,
                "access_token": token.get("access_token"),
            },
        )
        claims.validate(now=int(now), leeway=LEEWAY)
        return dict(claims)


def _check_place(url: str) -> None:
    place = urlsplit(url)
    if not (place.scheme == "https" or (place.scheme == "http" and is_loopback(place.hostname or ""))):
        raise _unusable(f"{url!r} is not reached by https")


async def _json(client: Client, url: str) -> Mapping[str, Any]:
    try:
        answer = await client.request("GET", url, withhold_token=True)
        answer.raise_for_status()
        found = answer.json()
    except (httpx2.HTTPError, ValueError) as error:
        raise _unusable(f"{url!r} does not answer as it should ({type(error).__name__})") from error
    if not isinstance(found, dict):
        raise _unusable(f"{url!r} gives no object")
    return found


def _unusable(why: str) -> Problem:
    return Problem(502, "sign-on-failed", f"The provider of single sign-on cannot be used: {why}.")
