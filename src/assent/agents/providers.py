"""Models of providers: what they are called, where their keys come from, and how long their connections last."""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from assent.agents.messages import ModelRequest, ModelResponse
from assent.agents.models import Model
from assent.agents.places import PROVIDERS, Place, place_of
from assent.errors import MissingKey, UsageError

if TYPE_CHECKING:
    from assent.agents.wire import Line


def model_of(
    name: str, *, base_url: str | None = None, key: str | None = None, key_variable: str | None = None
) -> Model:
    """The model of that name: "openai:gpt-5", "anthropic:claude-sonnet-4-5" or "google:gemini-2.5-pro".

    For any server that speaks OpenAI's chat completions, give its address with the model behind it,
    "http://127.0.0.1:8000/v1#llama", or `model_of("openai:llama", base_url="http://127.0.0.1:8000/v1")`; a `base_url`
    works with the other providers likewise. Nothing is connected to and no key is needed before the first request.

    The key is `key`, or the value of the environment variable `key_variable`. Without either it comes from the
    provider's own variable, such as OPENAI_API_KEY, which is never sent to another address: what is behind a
    `base_url` gets no key unless one is given. (To reach the provider itself through a proxy, set the variable that
    its library reads, such as OPENAI_BASE_URL.)

    Raises UsageError if there is no such provider, or the extra `llm` is not installed.
    """
    place = place_of(name, base_url)
    if find_spec("pydantic_ai") is None:
        raise _missing(name)
    return ProvidedModel(place, key=key, key_variable=key_variable)


class ProvidedModel:
    """A model of a provider. Its connections are kept as long as it and the event loop that it is used in."""

    def __init__(self, place: Place, *, key: str | None = None, key_variable: str | None = None) -> None:
        self._place = place
        self._given = key
        self._variable = key_variable
        self._lines: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Line, AsyncGenerator[None]]] = (
            WeakKeyDictionary()
        )

    def __repr__(self) -> str:
        return f"<model {self.name!r}>"

    @property
    def name(self) -> str:
        return self._place.name

    async def request(self, request: ModelRequest) -> ModelResponse:
        line = await self._line()
        return await line.request(request)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[str | ModelResponse]:
        line = await self._line()
        async with aclosing(line.stream(request)) as pieces:
            async for piece in pieces:
                yield piece

    async def _line(self) -> "Line":
        loop = asyncio.get_running_loop()
        if loop not in self._lines:
            key = self._key()
            # The libraries take a second or two to load, for which the loop must not stand still.
            wire = await asyncio.to_thread(_loaded, self._place)
            if loop not in self._lines:
                line = wire.Line(self._place, key)
                self._lines[loop] = line, _kept(line)
                await anext(self._lines[loop][1])
        return self._lines[loop][0]

    def _key(self) -> str | None:
        """The key, or None where none is needed. Raises MissingKey."""
        if self._given:
            return self._given
        if self._variable is None and self._place.base_url is not None:
            return None
        variables = (self._variable,) if self._variable else PROVIDERS[self._place.provider].variables
        found = [value for variable in variables if (value := os.environ.get(variable))]
        if not found:
            raise MissingKey(
                f"No key for the model {self.name!r}: set the environment variable {variables[0]}.",
                variable=variables[0],
            )
        return found[0]


async def _kept(line: "Line") -> AsyncGenerator[None]:
    """Closes the connections when nobody needs them any more.

    An event loop closes the generators that are still open when it ends, and those that are lost before. Nothing else
    tells a model, which has no end of its own, when that is.
    """
    try:
        yield
    finally:
        await line.close()


def _loaded(place: Place) -> ModuleType:
    """Everything that it takes to speak to a provider, loaded."""
    try:
        import_module(f"pydantic_ai.models.{PROVIDERS[place.provider].module}")
        return import_module("assent.agents.wire")
    except ImportError as error:
        raise _missing(place.name) from error


def _missing(name: str) -> UsageError:
    return UsageError(f"The model {name!r} needs packages that are not installed: pip install 'assent[llm]'")
