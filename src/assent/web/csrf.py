"""No other site may act in the name of whoever is signed in: where a form comes from, and what it must bring back."""

import hashlib
import hmac
from typing import Final

from starlette.requests import Request

from assent.errors import AccessRefused
from assent.web.access import Identity

FIELD: Final = "csrf_token"
HEADER: Final = "x-csrf-token"
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")
MOST_FIELDS: Final = 2000  # of a form: an inbox of a few hundred rows has a box for each
MOST_FILES: Final = 4


def csrf_of(secret: str) -> str:
    """What the forms of a session bring back. Whoever knows it does not know the secret of the session."""
    return hmac.digest(secret.encode(), b"assent csrf", hashlib.sha256).hex()


async def check_form(request: Request, identity: Identity) -> None:
    """Raises AccessRefused unless this unsafe request comes from a page of this session."""
    check_origin(request)
    given = request.headers.get(HEADER) or await _field_of(request)
    if not hmac.compare_digest(given.encode("utf-8", "replace"), identity.csrf.encode()):
        raise AccessRefused("This form is not one of this session. Load the page anew, and send it again.")


def check_origin(request: Request) -> None:
    """Raises AccessRefused if a browser says that another site has sent this.

    What says nothing is no browser of today, and a site can make no other send its requests.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    is_foreign = site is not None and site not in {"same-origin", "none"}
    if origin is not None and origin.partition("://")[2].lower() != request.headers.get("host", "").lower():
        is_foreign = True
    if is_foreign:
        raise AccessRefused("This was sent by a page of another site. Open the page here, and send it from there.")


async def _field_of(request: Request) -> str:
    if not request.headers.get("content-type", "").startswith(FORMS):
        return ""
    # Kept in the request: whoever handles it reads the same form, within the same bounds.
    form = await request.form(max_files=MOST_FILES, max_fields=MOST_FIELDS)
    value = form.get(FIELD)
    return value if isinstance(value, str) else ""
