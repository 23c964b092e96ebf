"""A CEL expression, read once: which names it uses, what is surely wrong with it, and how it works on exact numbers.

Its syntax and its evaluation are the CEL library's. What is done here is a translation of text to text: each operator
that could touch a number becomes a call of a function of `assent.policies.exact`, and each path such as
`args.invoice.total` becomes a variable, so that only what is asked for is handed over.
"""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, Final, NoReturn

from assent.errors import UsageError
from assent.policies.carrying import NUMERIC, carried_number
from assent.policies.exact import FUNCTIONS, OPERATORS, zone_of
from assent.policies.tokens import Token, tokens_of

ROOTS: Final = ("action", "args", "environment", "now", "requester")
MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "action": ("arguments", "context", "labels", "name", "risk"),
    "requester": ("id", "permissions", "roles"),
}
KINDS: Final[Mapping[tuple[str, ...], str]] = {
    ("now",): "time",
    ("action", "name"): "text",
    ("action", "risk"): "text",
    ("action", "labels"): "list",
    ("requester", "id"): "text",
    ("requester", "roles"): "list",
    ("requester", "permissions"): "list",
}
MACROS: Final[Mapping[str, str]] = {
    "all": "bool",
    "exists": "bool",
    "exists_one": "bool",
    "filter": "list",
    "map": "list",
}
ORDERED: Final = ({"number", "number or text"}, {"text", "number or text"}, {"time", "text"}, {"span"})
ALIKE: Final = ({"number", "number or text", "text"}, {"time", "text"})
"""Kinds that can be compared with each other."""
OF_TEXTS: Final = ("contains", "endsWith", "matches", "startsWith")
WORDS: Final[Mapping[str, str]] = {"true": "bool", "false": "bool", "null": "null"}


@dataclass(frozen=True, slots=True)
class Translation:
    """What an expression became, and what it needs."""

    text: str
    kind: str  # of its result, as far as that can be told: bool, number, text, time, span, list, map, null or any
    paths: Mapping[tuple[str, ...], str]  # variables that hold a value
    presences: Mapping[tuple[str, ...], str]  # variables that say whether there is one
    functions: Mapping[str, Callable[..., Any]]
    patterns: tuple[str, ...] = ()  # regular expressions in it, as they are written


def translated(expression: str) -> Translation:
    """Translate an expression whose syntax is CEL's. Raises UsageError for names and types that cannot be right."""
    return _Reader(expression, tokens_of(expression)).translation()


@dataclass(frozen=True, slots=True)
class _Piece:
    """A translated part."""

    text: str
    kind: str = "any"
    path: tuple[str, ...] | None = None  # where it is looked up, if it is only that
    literal: Any = None  # the value of a text that stands there


@dataclass(slots=True)
class _Reader:
    """Reads from left to right, one method for each binding strength of operators, the weakest first."""

    source: str
    tokens: list[Token]
    place: int = 0
    bound: list[str] = field(default_factory=list)  # names of macros around this place
    paths: dict[tuple[str, ...], str] = field(default_factory=dict)
    presences: dict[tuple[str, ...], str] = field(default_factory=dict)
    functions: dict[str, Callable[..., Any]] = field(default_factory=dict)
    patterns: list[str] = field(default_factory=list)

    def translation(self) -> Translation:
        whole = self._value(self._choice())
        if self.place < len(self.tokens):
            self._refuse(f"{self._peek()!r} was not expected")
        return Translation(whole.text, whole.kind, self.paths, self.presences, self.functions, tuple(self.patterns))

    def _peek(self, ahead: int = 0) -> str:
        place = self.place + ahead
        return self.tokens[place].text if place < len(self.tokens) else ""

    def _take(self) -> Token:
        if self.place >= len(self.tokens):
            self._refuse("it ends too early")
        self.place += 1
        return self.tokens[self.place - 1]

    def _takes(self, mark: str) -> bool:
        """Whether that mark comes next; then it is taken."""
        if self._peek() != mark or self.tokens[self.place].kind == "text":
            return False
        self.place += 1
        return True

    def _expect(self, mark: str) -> None:
        if not self._takes(mark):
            self._refuse(f"{mark!r} is missing before {self._peek() or 'the end'!r}")

    def _refuse(self, problem: str, remedy: str = "Mend the expression.") -> NoReturn:
        raise UsageError(f"{problem} in {self.source!r}. {remedy}")

    def _value(self, piece: _Piece) -> _Piece:
        """The piece as a value: a path becomes the variable that holds what is there."""
        if piece.path is None:
            return piece
        name = self.paths.setdefault(piece.path, f"_p{len(self.paths)}")
        return _Piece(name, KINDS.get(piece.path, "any"))

    def _call(self, name: str, kind: str, *pieces: _Piece) -> _Piece:
        """A call of a function of ours."""
        return _Piece(f"{name}({', '.join(piece.text for piece in pieces)})", kind)

    # Operators, the weakest first.

    def _choice(self) -> _Piece:
        condition = self._either()
        if not self._takes("?"):
            return condition
        test = self._boolean(condition)
        yes = self._value(self._either())
        self._expect(":")
        no = self._value(self._choice())
        return _Piece(f"({test.text} ? {yes.text} : {no.text})", yes.kind if yes.kind == no.kind else "any")

    def _boolean(self, piece: _Piece) -> _Piece:
        piece = self._value(piece)
        if piece.kind not in {"bool", "any"}:
            self._refuse(
                f"{_with_article(piece.kind)} stands where true or false is needed", "Compare it with something."
            )
        return piece

    def _either(self) -> _Piece:
        return self._logical("||", self._both)

    def _both(self) -> _Piece:
        return self._logical("&&", self._relation)

    def _logical(self, mark: str, operand: Callable[[], _Piece]) -> _Piece:
        first = operand()
        if self._peek() != mark:
            return first
        parts = [self._boolean(first).text]
        while self._takes(mark):
            parts.append(self._boolean(operand()).text)
        return _Piece(f"({f' {mark} '.join(parts)})", "bool")

    def _relation(self) -> _Piece:
        left = self._sum()
        while self._peek() in {"<", "<=", ">", ">=", "==", "!=", "in"} and self.tokens[self.place].kind != "text":
            left = self._compared(self._value(left), self._take().text)
        return left

    def _compared(self, left: _Piece, mark: str) -> _Piece:
        right = self._value(self._sum())
        self._check_kinds(left, mark, right)
        if mark in {"==", "!=", "in"} and _is_only_text(left if mark == "in" or left.literal is not None else right):
            return _Piece(f"({left.text} {mark} {right.text})", "bool")
        return self._operation(mark, "bool", left, right)

    def _operation(self, mark: str, kind: str, *pieces: _Piece) -> _Piece:
        name, work = OPERATORS[mark]
        self.functions[name] = work
        return self._call(name, kind, *pieces)

    def _check_kinds(self, left: _Piece, mark: str, right: _Piece) -> None:
        kinds = {_kind_of(left), _kind_of(right)} - {"any"}
        if mark == "in":
            fits = right.kind in {"list", "map", "any"}
        elif mark in {"==", "!="}:
            fits = len(kinds - {"null"}) < 2 or any(kinds <= each for each in ALIKE)
        else:
            fits = any(kinds <= each for each in ORDERED)
        if not fits:
            self._refuse(f"{_with_article(left.kind)} {mark} {_with_article(right.kind)} can never hold")

    def _sum(self) -> _Piece:
        left = self._product()
        while self._peek() in {"+", "-"} and self.tokens[self.place].kind == "mark":
            mark = self._take().text
            left = self._computed(mark, self._value(left), self._value(self._product()))
        return left

    def _product(self) -> _Piece:
        left = self._signed()
        while self._peek() in {"*", "/", "%"} and self.tokens[self.place].kind == "mark":
            mark = self._take().text
            left = self._computed(mark, self._value(left), self._value(self._signed()))
        return left

    def _computed(self, mark: str, left: _Piece, right: _Piece) -> _Piece:
        kinds = {_kind_of(left), _kind_of(right)}
        amiss = {"bool", "null", "map"} | ({"text", "list", "time"} if "number" in kinds else set())
        if kinds & amiss:
            self._refuse(f"{_with_article(left.kind)} {mark} {_with_article(right.kind)} has no meaning")
        return self._operation(mark, "number" if "number" in kinds or mark in "*/%" else "any", left, right)

    def _signed(self) -> _Piece:
        if self._takes("!"):
            return _Piece(f"!{self._boolean(self._signed()).text}", "bool")
        if self._takes("-"):
            if self.place < len(self.tokens) and self.tokens[self.place].kind == "number":
                return self._members_of(_number(f"-{self._take().text}"))
            return self._operation("neg", "any", self._value(self._signed()))
        return self._members_of(self._primary())

    # What values are made of.

    def _primary(self) -> _Piece:
        token = self._take()
        match token.kind, token.text:
            case "number", text:
                return _number(text)
            case "text", text:
                return _Piece(text, "text", literal=_read_text(text))
            case "name", name:
                return self._named(name)
            case _, "(":
                inner = self._value(self._choice())
                self._expect(")")
                return replace(inner, text=f"({inner.text})")
            case _, "[":
                return _Piece(f"[{', '.join(piece.text for piece in self._listed(']'))}]", "list")
            case _, "{":
                return self._map()
        self.place -= 1
        return self._refuse(f"{token.text!r} was not expected")

    def _named(self, name: str) -> _Piece:
        if name in WORDS:
            return _Piece(name, WORDS[name])
        if self._takes("("):
            return self._has() if name == "has" else self._function(name, self._listed(")"))
        if name in self.bound:
            return _Piece(name)
        if name not in ROOTS:
            self.place -= 1
            self._refuse(f"there is no {name!r} here", _instead(name, ROOTS, "args."))
        return _Piece("", path=(name,))

    def _listed(self, end: str) -> list[_Piece]:
        pieces: list[_Piece] = []
        while not self._takes(end):
            pieces.append(self._value(self._choice()))
            if not self._takes(","):
                self._expect(end)
                break
        return pieces

    def _map(self) -> _Piece:
        entries: list[str] = []
        while not self._takes("}"):
            key = self._value(self._choice())
            self._expect(":")
            entries.append(f"{key.text}: {self._value(self._choice()).text}")
            if not self._takes(","):
                self._expect("}")
                break
        return _Piece(f"{{{', '.join(entries)}}}", "map")

    def _has(self) -> _Piece:
        piece = self._members_of(self._primary())
        self._expect(")")
        if piece.path is not None and len(piece.path) > 1:
            return _Piece(self.presences.setdefault(piece.path, f"_h{len(self.presences)}"), "bool")
        if piece.path is not None or "." not in piece.text:
            self._refuse("has() asks for a member", "Write has(args.name).")
        return _Piece(f"has({piece.text})", "bool")

    def _members_of(self, piece: _Piece) -> _Piece:
        while True:
            if self._takes("."):
                piece = self._member(piece, self._take())
            elif self._takes("["):
                piece = self._indexed(piece)
            else:
                return piece

    def _member(self, piece: _Piece, token: Token) -> _Piece:
        if token.kind != "name":
            self._refuse(f"{token.text!r} is no name")
        if self._takes("("):
            return self._macro(piece, token.text) if token.text in MACROS else self._method(piece, token.text)
        if piece.path is None:
            return _Piece(f"{piece.text}.{token.text}")
        return self._further(piece.path, token.text)

    def _further(self, path: tuple[str, ...], name: str) -> _Piece:
        known = MEMBERS.get(path[0])
        if len(path) == 1 and known is not None and name not in known:
            self._refuse(f"{path[0]} has no {name!r}", _instead(name, known, f"{path[0]}."))
        if path == ("now",):
            self._refuse(f"now has no {name!r}", 'Write now.getHours("Europe/Berlin").')
        further = (*path, name)
        return _Piece("", path=("args", *further[2:]) if further[:2] == ("action", "arguments") else further)

    def _indexed(self, piece: _Piece) -> _Piece:
        index = self._value(self._choice())
        self._expect("]")
        if piece.path is not None and index.literal is not None:
            return self._further(piece.path, index.literal)
        return _Piece(f"{self._value(piece).text}[{index.text}]")

    def _macro(self, piece: _Piece, name: str) -> _Piece:
        target = self._value(piece)
        variable = self._take()
        if variable.kind != "name" or variable.text in {*ROOTS, *WORDS, *self.bound} or variable.text.startswith("_"):
            self._refuse(
                f"{variable.text!r} cannot name each member in {name}()", "Write it as in args.items.all(item, ...)."
            )
        self._expect(",")
        self.bound.append(variable.text)
        parts = [piece.text for piece in self._listed(")")]
        self.bound.pop()
        return _Piece(f"{target.text}.{name}({', '.join((variable.text, *parts))})", MACROS[name])

    def _method(self, piece: _Piece, name: str) -> _Piece:
        target, given = self._value(piece), self._listed(")")
        if name not in OF_TEXTS:
            return self._function(name, [target, *given])
        if len(given) != 1 or target.kind not in {"any", "text"} or given[0].kind not in {"any", "text"}:
            self._refuse(f"{name}() is asked of a text, about one text", f"Write args.name.{name}('...').")
        if name == "matches" and given[0].literal is not None:
            self.patterns.append(given[0].text)
        return _Piece(f"{target.text}.{name}({given[0].text})", "bool")

    def _function(self, name: str, given: list[_Piece]) -> _Piece:
        if name not in FUNCTIONS:
            self._refuse(f"there is no function {name!r}", _instead(name, (*FUNCTIONS, *OF_TEXTS, *MACROS, "has"), ""))
        work, kind = FUNCTIONS[name]
        if name.startswith("get") and len(given) == 2 and given[1].literal is not None:
            zone_of(given[1].literal)
        self.functions[f"_{name}"] = work
        return self._call(f"_{name}", kind, *given)


def _number(text: str) -> _Piece:
    """A literal: what fits into 64 bits as it is, and anything else exactly, as bytes."""
    digits = text.rstrip("u")
    value = int(digits, 16) if "0x" in digits else Decimal(digits)
    if isinstance(value, Decimal) and digits.lstrip("-").isdecimal():
        value = int(value)
    found = carried_number(value)
    return _Piece(str(found) if isinstance(found, int) else f'b"{found.decode()}"', "number")


def _read_text(text: str) -> str | None:
    """The value of a text that stands in an expression; None where its escapes are CEL's own."""
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return None
    return value if isinstance(value, str) else None


def _kind_of(piece: _Piece) -> str:
    """The kind of a piece, where a text may turn out to be a number as well."""
    if piece.kind == "text" and piece.literal is not None and NUMERIC.fullmatch(piece.literal):
        return "number or text"
    return piece.kind


def _is_only_text(piece: _Piece) -> bool:
    """Whether it is a text that no number and no time can be equal to, so that the CEL library may compare it."""
    return bool(piece.literal) and piece.literal[0] not in "0123456789+-."


def _with_article(kind: str) -> str:
    return {"any": "something", "null": "null", "bool": "a boolean", "span": "a duration"}.get(kind, f"a {kind}")


def _instead(name: str, known: tuple[str, ...], before: str) -> str:
    """What to write instead of a name that there is not."""
    close = get_close_matches(name, known, n=1)
    if close:
        return f"Did you mean {close[0]!r}?"
    if known is ROOTS:
        return f"Arguments are args.{name}; beside them there are {', '.join(ROOTS)}."
    return f"There are {', '.join(f'{before}{one}' for one in known)}."
