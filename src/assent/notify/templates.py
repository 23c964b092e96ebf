"""The words of e-mails and Slack messages, each of which a folder can override."""

from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment

from assent.errors import UsageError
from assent.notify.channel import Notification
from assent.notify.safety import failed

OWN: Final = Path(__file__).parent / "texts"
FILES: Final = MappingProxyType(
    {"subject": "subject.txt", "text": "text.txt", "html": "html.html", "slack": "slack.txt"}
)
FIELDS: Final = frozenset({
    "approval_id", "execution_id", "facts", "headline", "id", "is_question", "link", "preview", "recipient", "rows",
    "text", "title", "topic",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Templates:
    """Jinja templates in a sandbox. `folder` may hold subject.txt, text.txt, html.html and slack.txt.

    Files that it lacks are as usual. Values are escaped for HTML in html.html, and for Slack's mrkdwn in slack.txt.
    Raises UsageError for a file that cannot be used, before anything is sent.
    """

    folder: InitVar[str | Path | None] = None
    _texts: Mapping[str, Template] = field(init=False, repr=False)

    def __post_init__(self, folder: str | Path | None) -> None:
        own = {} if folder is None else _files_in(Path(folder))
        texts = {name: _compiled(name, own.get(file, OWN / file)) for name, file in FILES.items()}
        object.__setattr__(self, "_texts", texts)

    def render(self, name: str, notification: Notification) -> str:
        """One of the texts: "subject", "text", "html" or "slack"."""
        try:
            return self._texts[name].render({each: getattr(notification, each) for each in FIELDS})
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise failed(f"the template {FILES[name]} cannot be filled in: {type(error).__name__}") from error


def _files_in(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise UsageError(f"There is no folder {str(folder)!r} for templates. Make it, with any of: {_known()}.")
    found = {each.name: each for each in folder.iterdir() if each.is_file() and not each.name.startswith(".")}
    unknown = sorted(set(found) - set(FILES.values()))
    if unknown:
        raise UsageError(f"{', '.join(unknown)} in {str(folder)!r} would never be used. Templates are: {_known()}.")
    return found


def _known() -> str:
    return ", ".join(FILES.values())


def _compiled(name: str, path: Path) -> Template:
    environment = ImmutableSandboxedEnvironment(
        autoescape=name == "html",
        finalize=_in_mrkdwn if name == "slack" else None,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    try:
        source = path.read_text(encoding="utf-8")
        unknown = find_undeclared_variables(environment.parse(source)) - FIELDS
        template = environment.from_string(source)
    except TemplateSyntaxError as error:
        raise UsageError(f"{path} line {error.lineno}: {error.message}. Mend the template.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The template {path} cannot be read: {error}. Give a readable text in UTF-8.") from error
    if unknown:
        known = ", ".join(sorted(FIELDS))
        raise UsageError(f"{path} uses {', '.join(sorted(unknown))}, which no notification has. There are: {known}.")
    return template


def _in_mrkdwn(value: Any) -> Any:
    """A value in Slack's mrkdwn: mentions, links and entities begin with these, and a backtick ends a code span."""
    text = str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("`", "\N{MODIFIER LETTER GRAVE ACCENT}")
