"""The programs of decorated functions, and of modules full of them."""

from collections.abc import Iterable
from types import ModuleType
from typing import Protocol

from assent.engine import Program


class Startable(Protocol):
    """A decorated workflow or governed function."""

    @property
    def program(self) -> Program: ...


def programs_of(*things: object) -> Iterable[Program]:
    """The programs of functions, and of what stands in modules; things that have none are passed over."""
    for thing in things:
        if isinstance(thing, ModuleType):
            for value in list(vars(thing).values()):
                yield from _program_of(value)
        else:
            yield from _program_of(thing)


def _program_of(value: object) -> Iterable[Program]:
    program = getattr(type(value), "program", None) and getattr(value, "program", None)
    if isinstance(program, Program):
        yield program
        yield from (variant.program for variant in getattr(value, "variants", ()))
