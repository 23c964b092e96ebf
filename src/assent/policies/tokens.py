"""The words and marks of a CEL expression."""

import re
from dataclasses import dataclass
from typing import Final

from assent.errors import UsageError
from assent.policies.carrying import LARGEST

MAX_LENGTH: Final = 4_000
MAX_NESTING: Final = 40

TOKEN: Final = re.compile(
    r"""
    (?P<space>(?:\s|//[^\n]*)+)
    |(?P<number>0x[0-9a-fA-F]+u?|(?:\d+\.\d+|\.\d+|\d+(?=[eE]))(?:[eE][+-]?\d+)?|\d+u?)
    |(?P<text>[rR](?:\"{3}.*?\"{3}|'{3}.*?'{3}|"[^"\n]*"|'[^'\n]*')
      |\"{3}(?:\\.|[^\\])*?\"{3}|'{3}(?:\\.|[^\\])*?'{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    |(?P<name>[A-Za-z_]\w*)
    |(?P<mark>&&|\|\||[<>=!]=|[-+*/%!<>?:.,()\[\]{}])
    """,
    re.VERBOSE | re.ASCII | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A word or mark of an expression."""

    kind: str  # number, text, name or mark
    text: str
    at: int  # the character that it begins with


def tokens_of(expression: str) -> list[Token]:
    """Its words and marks. Raises UsageError for what is none, and for what is too long or nested too deeply."""
    if len(expression) > MAX_LENGTH:
        raise UsageError(
            f"The expression has {len(expression)} characters. Give at most {MAX_LENGTH}, or several rules."
        )
    found: list[Token] = []
    at = depth = 0
    while at < len(expression):
        match = TOKEN.match(expression, at)
        if match is None:
            raise UsageError(
                f"{expression[at]!r} at character {at + 1} of {expression!r} is no CEL. {_hint(expression, at)}"
            )
        kind, text = str(match.lastgroup), match.group()
        depth += (text in {"(", "[", "{", "?", "-", "!"}) - (text in {")", "]", "}"})
        if depth > MAX_NESTING:
            raise UsageError(f"The expression is nested more than {MAX_NESTING} deep. Write several rules.")
        if kind != "space":
            found.append(Token(kind, text, at))
        at = match.end()
    return found


def within_bits(expression: str) -> str:
    """The expression as the CEL library can check its syntax: with 0 instead of whole numbers that it cannot hold."""
    shown = list(expression)
    for token in tokens_of(expression):
        digits = token.text.rstrip("u")
        if token.kind == "number" and digits.isdecimal() and int(digits) > LARGEST:
            shown[token.at : token.at + len(token.text)] = "0".rjust(len(token.text))
    return "".join(shown)


def _hint(expression: str, at: int) -> str:
    if expression[at] in "&|=":
        return "Write && for and, || for or, == for equal."
    return "Look at the quotes around texts." if expression[at] in "'\"" else "Write it otherwise."
