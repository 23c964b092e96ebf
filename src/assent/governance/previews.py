"""What an action would do, shown to the people who are asked for it before they decide."""

import asyncio
import difflib
import inspect
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Literal, Self

from assent.codec import from_json, to_json
from assent.errors import UsageError
from assent.governance.action import Action
from assent.governance.redaction import REDACTED, Redaction

PATIENCE: Final = 30.0  # seconds for making one: whoever calls waits for it, and so do those who are to be asked
MOST_LINES: Final = 500  # of a text or a difference, and rows of a table: nobody decides well on more
MOST_COLUMNS: Final = 30
MOST_CHARACTERS: Final = 20_000  # of all of it, since it is stored with each request
LONGEST: Final = 400  # characters of one line of a difference, or of one cell
MOST_COMPARED: Final = 1_000  # lines on either side of a difference: the time it takes grows with their square

Kind = Literal["text", "table", "diff", "error"]
Hush = Callable[[str], str]
"""Takes the secrets of a call out of a JSON text."""

MakePreview = Callable[[Action], Any]
"""Makes the preview of an action: a `Preview`, a text, a table as a list of mappings, or other data. May be async."""


def as_it_is(text: str) -> str:
    """Stands in where there are no secrets to take out."""
    return text


@dataclass(frozen=True, slots=True)
class Preview:
    """What an action would do: a text, a table, or the difference between before and after.

    Make it with `Preview.text`, `.table` or `.diff`. Secrets are taken out when it is stored; what could disturb a
    terminal, or look like something else, is written out when it is shown.
    """

    kind: Kind
    body: Mapping[str, Any]

    @classmethod
    def text(cls, text: str) -> Self:
        """A text of one or more lines."""
        return cls("text", {"text": text})

    @classmethod
    def table(cls, rows: Iterable[Any], columns: Sequence[str] | None = None) -> Self:
        """Rows as mappings, or as sequences in the order of `columns`. Without columns: those that the rows name."""
        kept = list(islice(iter(rows), MOST_LINES + 1))
        body = {"columns": columns and list(columns), "rows": kept[:MOST_LINES]}
        if len(kept) <= MOST_LINES:
            return cls("table", body)
        return cls("table", {**body, "cut": _in_all(len(rows), "rows") if isinstance(rows, Sized) else "more rows"})

    @classmethod
    def diff(cls, before: Any, after: Any) -> Self:
        """What would change: two texts, or two values of any kind that can be shown as JSON."""
        return cls("diff", {"before": before, "after": after})

    @classmethod
    def failed(cls, error: BaseException) -> Self:
        """What stands in place of a preview that could not be made."""
        return cls("error", {"text": Redaction().apply(error)})

    @property
    def has_failed(self) -> bool:
        return self.kind == "error"

    def to_facts(self, redaction: Redaction | None = None, hush: Hush = as_it_is) -> dict[str, Any]:
        """As JSON data of limited size, without what the redaction hides and without the secrets that `hush` knows.

        Secrets are taken out before anything is cut or compared, since they would not be found again in pieces.
        """
        redaction = redaction or Redaction()
        return {"kind": self.kind, **_FORMS[self.kind](_Clean(self.body, redaction, hush))}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Self:
        """The preview that `to_facts` wrote."""
        kind: Kind | None = next((known for known in _FORMS if known == facts.get("kind")), None)
        body = {name: value for name, value in facts.items() if name != "kind"}
        return cls.failed(UsageError("it is of no known kind")) if kind is None else cls(kind, body)

    def render(self) -> str:
        """Plain text for terminals and mails."""
        facts = self.to_facts()
        lines = _lines_of(facts)
        shown = [harmless(line) for line in lines]
        return "\n".join([*shown, f"[cut: {harmless(facts['cut'])}]"] if "cut" in facts else shown)


class _Clean:
    """The parts of a preview's body, without secrets."""

    def __init__(self, body: Mapping[str, Any], redaction: Redaction, hush: Hush) -> None:
        self._body = body
        self._redaction = redaction
        self._hush = hush
        self.cut: str | None = body.get("cut")

    def text(self, name: str = "text") -> str:
        """A part as text; data that is none as JSON."""
        value = self._body.get(name, "")
        if not isinstance(value, str):
            return _spread(self.data(value))
        return str(from_json(self._hush(to_json(_encodable(value)))))

    def data(self, value: Any) -> Any:
        return from_json(self._hush(to_json(self._redaction.apply(value))))

    def lines(self) -> list[str] | None:
        """Those of a difference that was worked out before."""
        found = self._body.get("lines")
        return None if found is None else [_cell(line) for line in self.data(found)]

    def rows(self) -> list[Any]:
        found = self.data(self._body.get("rows") or [])
        return found if isinstance(found, list) else [found]

    def columns(self) -> list[str] | None:
        found = self._body.get("columns")
        return [_cell(name) for name in self.data(found)] if isinstance(found, list) else None

    def hides(self, column: str) -> bool:
        return self._redaction.hides(column)

    def with_cut(self, facts: dict[str, Any], cut: str | None) -> dict[str, Any]:
        cut = self.cut or cut
        return facts if cut is None else {**facts, "cut": str(cut)}


# The forms in which previews are stored.


def _text_form(clean: _Clean) -> dict[str, Any]:
    text = clean.text()
    lines = text.split("\n")
    kept = "\n".join(lines[:MOST_LINES])[:MOST_CHARACTERS]
    return clean.with_cut({"text": kept}, None if kept == text else _in_all(len(text), "characters"))


def _table_form(clean: _Clean) -> dict[str, Any]:
    rows = clean.rows()
    columns = clean.columns()
    if columns is None:
        columns = list(dict.fromkeys(str(name) for row in rows if isinstance(row, dict) for name in row))
    hidden = {place for place, name in enumerate(columns) if clean.hides(name)}
    cells = [_cells(row, columns, hidden) for row in rows]
    kept = [row[:MOST_COLUMNS] for row in _fitting(cells, lambda row: sum(map(len, row)))]
    cut = _in_all(len(cells), "rows") if len(kept) < len(cells) else None
    if len(columns) > MOST_COLUMNS:
        cut = _in_all(len(columns), "columns")
    return clean.with_cut({"columns": [_cell(name) for name in columns[:MOST_COLUMNS]], "rows": kept}, cut)


def _diff_form(clean: _Clean) -> dict[str, Any]:
    lines = clean.lines()
    cut = None
    if lines is None:
        before, after = (clean.text(name).split("\n") for name in ("before", "after"))
        longest = max(len(before), len(after))
        cut = f"only {MOST_COMPARED:,} of {longest:,} lines were compared" if longest > MOST_COMPARED else None
        lines = list(
            difflib.unified_diff(before[:MOST_COMPARED], after[:MOST_COMPARED], "before", "after", lineterm="")
        )
    kept = _fitting([_short(line) for line in lines], len)
    if len(kept) < len(lines) and cut is None:
        cut = _in_all(len(lines), "lines")
    return clean.with_cut({"lines": kept}, cut)


_FORMS: Final[Mapping[Kind, Callable[[_Clean], dict[str, Any]]]] = {
    "text": _text_form,
    "table": _table_form,
    "diff": _diff_form,
    "error": _text_form,
}


def _cells(row: Any, columns: Sequence[str], hidden: set[int]) -> list[str]:
    if isinstance(row, dict):
        row = [row.get(name) for name in columns]
    values = row if isinstance(row, list) else [row]
    return [REDACTED if place in hidden else _cell(value) for place, value in enumerate(values)]


def _cell(value: Any) -> str:
    return _short("" if value is None else value if isinstance(value, str) else to_json(value))


def _short(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    marker = f"[cut: {_in_all(len(text), 'characters')}]"
    return text[: LONGEST - len(marker)] + marker


def _spread(data: Any) -> str:
    """Data over several lines, one for each part, so that a difference shows what differs."""
    if isinstance(data, list) and data and all(isinstance(one, str) for one in data):
        return "\n".join(data)
    return "\n".join(_branches(data, 0, ""))


def _branches(data: Any, depth: int, label: str) -> Iterator[str]:
    indent = "  " * depth
    if isinstance(data, dict) and data:
        yield f"{indent}{label}{{"
        for name in sorted(data):
            yield from _branches(data[name], depth + 1, f"{harmless(name)}: ")
        yield f"{indent}}}"
    elif isinstance(data, list) and data:
        yield f"{indent}{label}["
        for one in data:
            yield from _branches(one, depth + 1, "")
        yield f"{indent}]"
    else:
        yield f"{indent}{label}{to_json(data)}"


def _fitting(parts: Sequence[Any], size: Callable[[Any], int]) -> list[Any]:
    """As many of the first parts as people can be shown."""
    left = MOST_CHARACTERS
    kept: list[Any] = []
    for part in parts[:MOST_LINES]:
        left -= size(part)
        if left < 0:
            break
        kept.append(part)
    return kept


def _in_all(count: int, what: str) -> str:
    return f"{count:,} {what} in all"


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


# How they are shown as plain text.


def _lines_of(facts: Mapping[str, Any]) -> list[str]:
    match facts["kind"]:
        case "table":
            return _aligned([facts["columns"], *facts["rows"]]) if facts["rows"] else ["(no rows)"]
        case "diff":
            return facts["lines"] or ["(no difference)"]
        case "error":
            return f"The preview failed: {facts['text']}".split("\n")
        case _:
            return [line.expandtabs(4) for line in facts["text"].split("\n")]


def _aligned(rows: list[list[str]]) -> list[str]:
    rows = [[harmless(cell) for cell in row] for row in rows if row]
    longest = max(map(len, rows), default=0)
    widths = [max(len(row[place]) for row in rows if place < len(row)) for place in range(longest)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows]


UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Control characters, marks that reorder or hide text, and odd ends of lines, as Unicode classes them."""


def harmless(line: str) -> str:
    """The line with whatever is not seen for what it is written out, as in \\x1b."""
    if line.isprintable():
        return line
    return "".join(_written_out(char) if unicodedata.category(char) in UNSEEN else char for char in line)


def _written_out(char: str) -> str:
    return char.encode("ascii", "backslashreplace").decode() if ord(char) > 127 else f"\\x{ord(char):02x}"


# How they are made.


async def preview_of(make: MakePreview, action: Action, redaction: Redaction, hush: Hush = as_it_is) -> dict[str, Any]:
    """The facts of an action's preview; of its failure if it cannot be made, or not in time."""
    limit = asyncio.timeout(PATIENCE)
    try:
        async with limit:
            preview = _shown(await _made(make, action), redaction)
        return preview.to_facts(redaction, hush)
    except (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it raises is shown to those who decide
        late = TimeoutError(f"it took longer than {PATIENCE:g} s") if limit.expired() else None
        return Preview.failed(late or error).to_facts(redaction, hush)


async def _made(make: MakePreview, action: Action) -> Any:
    if inspect.iscoroutinefunction(make) or inspect.iscoroutinefunction(getattr(make, "__call__", None)):  # noqa: B004
        return await make(action)
    # In a thread that is left alone when time is over: it only reads, so nobody needs to know how it ends.
    made = await asyncio.to_thread(_without_stop, make, action)
    return await made if inspect.isawaitable(made) else made


def _without_stop(make: MakePreview, action: Action) -> Any:
    try:
        return make(action)
    except StopIteration as error:
        raise RuntimeError("it raised StopIteration") from error  # which no future can hold


def _shown(made: Any, redaction: Redaction) -> Preview:
    """What a function of the user returned, as a preview."""
    if isinstance(made, Preview):
        return made
    if made is None:
        raise UsageError("it returned None. Return a text, a list of mappings, or a Preview")
    if isinstance(made, str):
        return Preview.text(made)
    data = redaction.apply(made)
    if isinstance(data, dict):
        return Preview.table(list(data.items()), ["field", "value"])
    if isinstance(data, list) and data and all(isinstance(row, dict) for row in data):
        return Preview.table(data)
    return Preview.text(_spread(data))
