"""What long-running commands tell: lines for people, or one JSON object a line for programs that gather logs."""

import json
import logging
import re
import traceback
from typing import Any, Final

from assent.cli.output import Screen, iso, local
from assent.engine import current, step_scope

# What the commands themselves tell of; the only one of Assent's loggers of which people are told more than trouble.
TELLER: Final = logging.getLogger("assent.work")

# Whatever lets somebody in: tokens, what stands in headers, links, passwords in URLs. The rest of the line stays.
SECRETS: Final = (
    re.compile(r"\bassent_[A-Za-z0-9-]+_[A-Za-z0-9_-]{8,}"),
    re.compile(r"(?i)\b(?:bearer|basic)\s+[A-Za-z0-9+/=._~-]{8,}"),
    re.compile(r"(?<=/sign-in/)[^/\s\"']{8,}"),
    re.compile(r"(?<=/decide/)[^/\s\"']{8,}"),
    re.compile(r"(?i)(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"),
)
BLANK: Final = "[redacted]"
# What a record has of itself; all else was given with `extra`.
OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


def without_secrets(text: str) -> str:
    """The text with tokens and passwords blanked out, wherever they come from."""
    for secret in SECRETS:
        text = secret.sub(BLANK, text)
    return text


def tell(text: str, **facts: Any) -> None:
    """Tell of something that is no trouble. The facts are shown only in JSON."""
    TELLER.info("%s", text, extra=facts)


def log_to(screen: Screen, *, as_json: bool) -> None:
    """From now on show what is told and logged on this screen, which is for lines alone then."""
    handler = _Json(screen) if as_json else _Text(screen)
    TELLER.setLevel(logging.INFO)
    if as_json:
        # Of others only trouble: a library's INFO may hold addresses that let somebody in.
        logging.getLogger("assent").setLevel(logging.INFO)
        logging.getLogger().addHandler(handler)
    else:
        for name in ("assent", "uvicorn"):
            logging.getLogger(name).addHandler(handler)


class _Text(logging.Handler):
    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self._screen = screen

    def filter(self, record: logging.LogRecord) -> bool:
        return record.name == TELLER.name or record.levelno >= logging.WARNING

    def emit(self, record: logging.LogRecord) -> None:
        level = "" if record.name == TELLER.name else f"{record.levelname} "
        self._screen.say(f"{local(record.created):%H:%M:%S} {level}{without_secrets(record.getMessage())}")


class _Json(logging.Handler):
    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self._screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        text = json.dumps(_facts(record), ensure_ascii=True, default=str)
        self._screen.say(without_secrets(text))


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "at": iso(record.created),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": record.getMessage(),
    }
    execution_id = _ambient_execution()
    if execution_id is not None:
        facts["execution_id"] = execution_id
    facts |= {name: value for name, value in vars(record).items() if name not in OWN and value is not None}
    if record.exc_info and record.exc_info[1] is not None:
        facts["error"] = "".join(traceback.format_exception(record.exc_info[1]))
    return facts


def _ambient_execution() -> str | None:
    """The execution in whose step or workflow code something is logged."""
    scope, live = step_scope.get(), current()
    return scope.info.id if scope else live.info.id if live else None
