"""Models and embedders of providers: what they are called, whence they have keys, how long their connections last."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar
from weakref import WeakKeyDictionary

from assent.agents.embedding import Embedder
from assent.agents.messages import ModelRequest, ModelResponse
from assent.agents.models import Model
from assent.agents.places import PROVIDERS, Place, place_of
from assent.clock import Duration, seconds
from assent.errors import MissingKey, UsageError

if TYPE_CHECKING:
    from assent.agents.wire import EmbeddingLine, Line


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


def embedder_of(
    name: str,
    *,
    base_url: str | None = None,
    key: str | None = None,
    key_variable: str | None = None,
    timeout: Duration = "1m",
) -> Embedder:
    """The embedder of that name: "openai:text-embedding-3-small" or "google:gemini-embedding-001".

    Names, addresses and keys are those of `model_of`. A request whose answer is silent for the time of `timeout`
    fails. Texts go to the provider many at a time.
    """
    place = place_of(name, base_url)
    if PROVIDERS[place.provider].embeddings is None:
        known = ", ".join(each for each, provider in PROVIDERS.items() if provider.embeddings)
        raise UsageError(f"{place.provider} offers no embeddings, so there is no {name!r}. Name a model of {known}.")
    if find_spec("pydantic_ai") is None:
        raise _missing(name)
    return ProvidedEmbedder(place, key=key, key_variable=key_variable, timeout=seconds(timeout))


class ProvidedModel:
    """A model of a provider."""

    def __init__(self, place: Place, *, key: str | None = None, key_variable: str | None = None) -> None:
        self._place = place
        self._lines = Lines(place, "models", _line, key=key, key_variable=key_variable)

    def __repr__(self) -> str:
        return f"<model {self.name!r}>"

    @property
    def name(self) -> str:
        return self._place.name

    async def request(self, request: ModelRequest) -> ModelResponse:
        line = await self._lines.here()
        return await line.request(request)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[str | ModelResponse]:
        line = await self._lines.here()
        async with aclosing(line.stream(request)) as pieces:
            async for piece in pieces:
                yield piece


def _line(place: Place, key: str | None) -> "Line":
    line: Line = import_module("assent.agents.wire").Line(place, key)
    return line


class ProvidedEmbedder:
    """An embedder of a provider."""

    def __init__(
        self, place: Place, *, key: str | None = None, key_variable: str | None = None, timeout: float = 60.0
    ) -> None:
        self._place = place
        opened = partial(_embedding_line, timeout=timeout)
        self._lines = Lines(place, "embeddings", opened, key=key, key_variable=key_variable)

    def __repr__(self) -> str:
        return f"<embedder {self.name!r}>"

    @property
    def name(self) -> str:
        return self._place.name

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        most = PROVIDERS[self._place.provider].most_texts
        vectors: list[list[float]] = []
        for start in range(0, len(texts), most):
            line = await self._lines.here()
            vectors += await line.embed(texts[start : start + most])
        return vectors


def _embedding_line(place: Place, key: str | None, timeout: float) -> "EmbeddingLine":
    line: EmbeddingLine = import_module("assent.agents.wire").EmbeddingLine(place, key, timeout)
    return line


class Closable(Protocol):
    """What has connections."""

    async def close(self) -> None:
        """End them."""
        ...


L = TypeVar("L", bound=Closable)


class Lines(Generic[L]):
    """The connections of one model. They are kept as long as it and the event loop that it is used in."""

    def __init__(
        self,
        place: Place,
        layer: Literal["models", "embeddings"],
        opened: Callable[[Place, str | None], L],
        *,
        key: str | None,
        key_variable: str | None,
    ) -> None:
        self._place = place
        self._layer = layer
        self._opened = opened
        self._given = key
        self._variable = key_variable
        self._lines: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[L, AsyncGenerator[None]]] = WeakKeyDictionary()

    async def here(self) -> L:
        """Those for the event loop that runs. Raises MissingKey."""
        loop = asyncio.get_running_loop()
        if loop not in self._lines:
            key = self._key()
            # The libraries take a second or two to load, for which the loop must not stand still.
            await asyncio.to_thread(_load, self._place, self._layer)
            if loop not in self._lines:
                line = self._opened(self._place, key)
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
                f"No key for the model {self._place.name!r}: set the environment variable {variables[0]}.",
                variable=variables[0],
            )
        return found[0]


async def _kept(line: Closable) -> AsyncGenerator[None]:
    """Closes the connections when nobody needs them any more.

    An event loop closes the generators that are still open when it ends, and those that are lost before. Nothing else
    tells a model, which has no end of its own, when that is.
    """
    try:
        yield
    finally:
        await line.close()


def _load(place: Place, layer: str) -> None:
    """Load everything that it takes to speak to a provider."""
    try:
        import_module(f"pydantic_ai.{layer}.{PROVIDERS[place.provider].module}")
        import_module("assent.agents.wire")
    except ImportError as error:
        raise _missing(place.name) from error


def _missing(name: str) -> UsageError:
    return UsageError(f"The model {name!r} needs packages that are not installed: pip install 'assent[llm]'")
