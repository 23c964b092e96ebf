"""How values look on pages: moments, statuses, data, and texts of which nobody knows who wrote them."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from markupsafe import Markup

from assent.clock import LAST_MOMENT
from assent.governance.previews import harmless
from assent.observe import dollars
from assent.web.access import Access

TONES: Final = MappingProxyType(
    {
        # of approvals
        "granted": "ok",
        "rejected": "bad",
        "expired": "bad",
        "amended": "info",
        "revoked": "bad",
        # of executions
        "running": "accent",
        "suspended": "info",
        "in_doubt": "warn",
        "completed": "ok",
        "failed": "bad",
        # of notices
        "sent": "ok",
        "dead": "bad",
        # of people, mandates and credentials
        "active": "ok",
        "in_force": "ok",
        "disabled": "bad",
        "overdue": "warn",
    }
)
WORDS: Final = MappingProxyType({"in_doubt": "in doubt", "in_force": "in force", "dead": "given up"})
ROLES: Final = MappingProxyType(
    {
        Access.VIEWER: "Viewer",
        Access.APPROVER: "Approver",
        Access.OPERATOR: "Operator",
        Access.ADMIN: "Administrator",
    }
)
UNITS: Final = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


def safe(value: Any) -> Any:
    """What a template puts out: nothing for None, and of texts only what is seen for what it is.

    Control characters and marks that reorder text are written out; line breaks and tabs stay.
    """
    if value is None:
        return ""
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return "\n".join(harmless(line.expandtabs(4)) for line in value.replace("\r\n", "\n").split("\n"))


def tone(status: str) -> str:
    """The tone of a status: ok, bad, warn, info, accent, or none."""
    return TONES.get(str(status), "warn" if str(status) == "pending" else "")


def words(status: str) -> str:
    """A status as people say it."""
    return WORDS.get(str(status), str(status))


def role(access: Access) -> str:
    """What somebody with that access is called."""
    return ROLES.get(access, "")


def iso(at: float) -> str:
    """A moment for machines."""
    return _date(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc(at: float) -> str:
    """A moment for people, to the second."""
    return f"{_date(at):%Y-%m-%d %H:%M:%S} UTC"


def _date(at: float) -> datetime:
    """The moment in UTC; the last one that a calendar knows for all that come after it."""
    return datetime.fromtimestamp(min(at, LAST_MOMENT), UTC)


def span(seconds: float) -> str:
    """How long something takes, in its two largest units: 45 s, 3 min, 2 h 5 min, 4 d."""
    left = abs(seconds)
    if left < 1:
        return f"{left * 1000:.0f} ms" if left else "0 s"
    for index, (size, unit) in enumerate(UNITS):
        if left >= size:
            whole, rest = divmod(left, size)
            smaller = UNITS[index + 1] if unit == "h" else None
            more = int(rest // smaller[0]) if smaller else 0
            return f"{whole:.0f} {unit}" + (f" {more} {smaller[1]}" if smaller and more else "")
    return ""


def ago(at: float, now: float) -> str:
    """How far a moment is from now: "just now", "3 min ago", "in 2 h 5 min"."""
    distance = at - now
    if abs(distance) < 5:
        return "just now" if distance <= 0 else "now"
    return f"in {span(distance)}" if distance > 0 else f"{span(distance)} ago"


def initials(name: str) -> str:
    """One or two letters that stand for a person."""
    parts = [part for part in name.split("@")[0].replace(".", " ").replace("-", " ").replace(":", " ").split() if part]
    return "".join(part[0] for part in parts[:2]) or "?"


def data(value: Any) -> str:
    """JSON data for reading: a text as it is, anything else as JSON over several lines."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2, default=str)


def gist(values: Any, longest: int = 140) -> str:
    """Named values on one line: "amount 50000 · recipient Acme"."""
    if not isinstance(values, dict):
        return ""
    text = " · ".join(f"{name} {one if isinstance(one, str) else _flat(one)}" for name, one in values.items())
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def amount(value: Decimal) -> str:
    """An amount with its thousands apart and without zeros that say nothing: 12,500 or 0.5."""
    text = f"{value:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def bounds(terms: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The bounds of a mandate, as its request states them."""
    found = []
    if "until" in terms:
        found.append(("Good until", utc(terms["until"])))
    if "count" in terms:
        found.append(("At most", f"{terms['count']} times"))
    if "total" in terms:
        found.append(("In all", f"{terms['total']} of {terms.get('amount', 'amount')}"))
    if "only" in terms:
        found.append(("Only if", " and ".join(map(str, terms["only"]))))
    return found


def _flat(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


FILTERS: Final = MappingProxyType(
    {
        "ago": ago,
        "amount": amount,
        "bounds": bounds,
        "dollars": dollars,
        "gist": gist,
        "initials": initials,
        "iso": iso,
        "json": data,
        "role": role,
        "span": span,
        "tone": tone,
        "utc": utc,
        "words": words,
    }
)
