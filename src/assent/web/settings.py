"""How the web room is set up: read once where the server is started, and handed to `create_app`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcSettings:
    """A provider of OpenID Connect, through which people sign in.

    `person_claim` names the claim whose value is a person's id here; only people whom the store knows come in.
    """

    issuer: str  # its discovery document is at {issuer}/.well-known/openid-configuration
    client_id: str
    client_secret: str = field(repr=False)
    name: str = "single sign-on"  # what the button says
    scopes: Sequence[str] = ("openid", "email", "profile")
    person_claim: str = "email"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """What a server may be told. Without any it serves this machine alone."""

    base_url: str = "http://127.0.0.1:8400"  # what people and their mails see; https makes cookies secure
    allowed_hosts: Sequence[str] = ()  # values of the Host header beside that of `base_url`
    session_hours: float = 12.0  # since it was last used
    ticket_minutes: float = 15.0  # how long a one-time sign-in link is good
    sign_in_attempts: int = 10  # at once, by address; refilled over `sign_in_window_seconds`
    sign_in_window_seconds: float = 300.0
    body_limit: int = 1_048_576  # bytes
    request_seconds: float = 30.0  # until a request must have come in whole
    heartbeat_seconds: float = 15.0  # between signs of life on a stream of events
    poll_seconds: float = 0.25  # how often a stream of events asks whether other processes have written
    admit_seconds: float = 3.0  # how often a stream of events asks whether its listener may still hear it
    streams: int = 200  # streams of events that are open at once
    slack_signing_secret: str | None = field(default=None, repr=False)
    slack_workspace: str | None = None  # "T...", whose people may decide; None: those of any that the secret is for
    oidc: OidcSettings | None = None

    @property
    def is_secure(self) -> bool:
        """Whether browsers come by https."""
        return urlsplit(self.base_url).scheme == "https"

    @property
    def host(self) -> str:
        """The host and port of `base_url`, as browsers write them in the Host header."""
        return urlsplit(self.base_url).netloc.lower()

    @property
    def origin(self) -> str:
        """The scheme, host and port of `base_url`, as browsers write them in the Origin header."""
        return f"{urlsplit(self.base_url).scheme}://{self.host}"
