"""Prompts as templates over the arguments of a function: strict, in a sandbox, with values that are only data."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, Final

from assent.errors import PromptError

try:
    from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, nodes
    from jinja2.meta import find_undeclared_variables
    from jinja2.sandbox import ImmutableSandboxedEnvironment
except ImportError as error:
    raise ImportError("Prompts are templates of jinja2, which is missing: pip install 'assent[llm]'.") from error


# What the object of a method is called in a template, in which `self` would be the template.
OBJECT: Final = "self_"


class Prompt:
    """The docstring of a function as a template. Raises PromptError for one that can never be filled in."""

    def __init__(self, fn: Callable[..., Any], name: str) -> None:
        self.name = name
        self.text = inspect.cleandoc(fn.__doc__ or "").strip()
        names = inspect.signature(fn).parameters
        self._parameters = frozenset(OBJECT if name == "self" else name for name in names)
        self._refuse_unknown()

    def refuse_nothing(self) -> None:
        """Raise PromptError if there is no docstring."""
        if not self.text:
            raise PromptError(
                f"{self.name} has no docstring, which is the template of its prompt. Write one, or give the prompt: "
                "`return await answer(prompt)`."
            )

    def filled(self, arguments: Mapping[str, Any]) -> str:
        """The prompt for these arguments."""
        try:
            return self._template.render({OBJECT if name == "self" else name: arguments[name] for name in arguments})
        except TemplateError as error:
            raise PromptError(f"the prompt of {self.name} cannot be filled in: {error}") from error

    @cached_property
    def _template(self) -> Template:
        self.refuse_nothing()
        return environment().from_string(self._tree())

    def _tree(self) -> nodes.Template:
        tree = environment().parse(self.text)
        for each in tree.find_all(nodes.Name):
            each.name = OBJECT if each.name == "self" else each.name
        return tree

    def _refuse_unknown(self) -> None:
        try:
            unknown = find_undeclared_variables(self._tree()) - self._parameters
        except TemplateSyntaxError as error:
            raise PromptError(f"the prompt of {self.name} is no template: line {error.lineno}: {error}") from error
        if unknown:
            raise PromptError(
                f"the prompt of {self.name} names {', '.join(sorted(unknown))}, and its parameters are "
                f"{', '.join(sorted(self._parameters)) or 'none'}. Write what is meant, or add a parameter."
            )


def environment() -> ImmutableSandboxedEnvironment:
    """Jinja as prompts know it, with the filters `list_items` and `format_code` beside its own."""
    found = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)
    found.filters |= {"list_items": list_items, "format_code": format_code}
    found.globals.clear()
    return found


def list_items(values: Iterable[object], bullet: str = "- ") -> str:
    """One line for each value."""
    return "\n".join(f"{bullet}{value}" for value in values)


def format_code(text: object, language: str = "") -> str:
    """A fenced block that ends nowhere within the text."""
    code, fence = str(text), "```"
    while fence in code:
        fence += "`"
    return f"{fence}{language}\n{code}\n{fence}"
