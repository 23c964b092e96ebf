"""Prompts are strict templates, and values in them are only data."""

from typing import Any

import pytest

from assent.agents.prompt import Prompt
from assent.errors import PromptError


def fill(fn: Any, **arguments: Any) -> str:
    return Prompt(fn, "f").filled(arguments)


def test_a_docstring_is_filled_in() -> None:
    def f(name: str, items: list[str]) -> None:
        """Greet {{ name | upper }}:

        {{ items | list_items }}
        """

    assert fill(f, name="Ada", items=["a", "b"]) == "Greet ADA:\n\n- a\n- b"


def test_a_name_that_is_no_parameter_is_refused_at_once() -> None:
    def f(name: str) -> None:
        """Greet {{ nmae }}."""

    with pytest.raises(PromptError, match="names nmae, and its parameters are name"):
        Prompt(f, "f")


def test_a_broken_template_is_refused_at_once() -> None:
    def f(name: str) -> None:
        """Line one.

        {% if name %} {{ name"""

    with pytest.raises(PromptError, match="line 3"):
        Prompt(f, "f")


def test_an_attribute_that_is_not_there_is_an_error_and_no_blank() -> None:
    def f(user: Any) -> None:
        """Greet {{ user.name }}."""

    with pytest.raises(PromptError, match="has no attribute 'name'"):
        fill(f, user={"nmae": "Ada"})


@pytest.mark.parametrize("text", ["{{ 7 * 7 }}", "{% for x in y %}", "{{ self.__class__ }}", "<b>&amp;</b>", "{#"])
def test_a_value_is_never_template_code(text: str) -> None:
    def f(name: str) -> None:
        """Say {{ name }}!"""

    assert fill(f, name=text) == f"Say {text}!"


def test_a_template_reaches_nothing_but_its_values() -> None:
    def f(name: str) -> None:
        """{{ name.__class__.__mro__ }}"""

    with pytest.raises(PromptError):
        fill(f, name="Ada")


def test_a_block_of_code_cannot_be_ended_by_what_is_in_it() -> None:
    def f(code: str) -> None:
        """{{ code | format_code("python") }}"""

    assert fill(f, code="a\n```\nb") == "````python\na\n```\nb\n````"
