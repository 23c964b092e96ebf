"""Embedders of providers, each against a server that speaks its wire format."""

import asyncio
import os
import subprocess
import sys
import traceback
from array import array
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

import pytest

from assent.agents.embedding import Embedder
from assent.agents.providers import embedder_of
from assent.agents.semantic import SemanticMemory
from assent.errors import MissingKey, ModelError, ModelRateLimited, ModelRefused, ModelUnavailable, UsageError
from assent.runtime import Runtime
from tests.agents.loopback import Answer, Loopback, Received
from tests.agents.model_suite import KEY
from tests.agents.wires import GoogleWire, OpenAIWire


class VectorWire(Protocol):
    """The wire format of one provider of embeddings."""

    model: str
    variable: str
    address_variable: str
    most: int  # texts in one request

    def address(self, url: str) -> str: ...

    def error(self, status: int, text: str) -> Any: ...

    def asked(self, received: Received) -> tuple[str, list[str]]:
        """The key and the texts of a request."""
        ...

    def vectors(self, vectors: Sequence[Any]) -> Any: ...


class OpenAIVectors(OpenAIWire):
    model = "openai:text-embedding-3-small"
    most = 2048

    def asked(self, received: Received) -> Any:
        assert received.path.endswith("/v1/embeddings")
        assert received.body["model"] == self.model.partition(":")[2]
        return received.headers["authorization"].removeprefix("Bearer "), received.body["input"]

    def vectors(self, vectors: Sequence[Any]) -> Any:
        data = [
            {"object": "embedding", "index": index, "embedding": self.written(vector)}
            for index, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": 2, "total_tokens": 2}
        return {"object": "list", "data": data, "model": "text-embedding-3-small", "usage": usage}

    def written(self, vector: Any) -> Any:
        """As OpenAI does when it is asked for base64."""
        return b64encode(array("f", vector).tobytes()).decode()


class CompatibleVectors(OpenAIVectors):
    model = "openai:nomic"
    variable = "MY_KEY"
    address_variable = "MY_ADDRESS"

    def vectors(self, vectors: Sequence[Any]) -> Any:
        return {"data": [{"embedding": vector} for vector in vectors]}


class GoogleVectors(GoogleWire):
    model = "google:gemini-embedding-001"
    most = 100

    def asked(self, received: Received) -> Any:
        assert received.path.endswith("/models/gemini-embedding-001:batchEmbedContents")
        texts = [part["text"] for each in received.body["requests"] for part in each["content"]["parts"]]
        return received.headers["x-goog-api-key"], texts

    def vectors(self, vectors: Sequence[Any]) -> Any:
        return {"embeddings": [{"values": vector} for vector in vectors]}


class EmbedderSuite:
    """What the embedder of a provider does."""

    wire: VectorWire
    server: Loopback

    @pytest.fixture(autouse=True)
    async def loopback(self, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
        async with Loopback.running() as self.server:
            monkeypatch.setenv(self.wire.variable, KEY)
            monkeypatch.setenv(self.wire.address_variable, self.wire.address(self.server.url))
            yield

    def embedder(self, **options: Any) -> Embedder:
        return embedder_of(self.wire.model, **options)

    def numbers(self, received: Received) -> Answer:
        """To texts that are numbers, vectors in which those stand."""
        _, texts = self.wire.asked(received)
        return Answer(body=self.wire.vectors([[float(text), 1.0] for text in texts]))

    async def failure(self, answer: Answer, **options: Any) -> ModelError:
        """How a request for two vectors fails that gets this answer."""
        self.server.says(answer)
        with pytest.raises(ModelError) as caught:
            await self.embedder(**options).embed(["1", "2"])
        return caught.value

    async def test_texts_become_vectors_in_one_request_and_in_their_order(self) -> None:
        self.server.says(self.numbers)
        vectors = await self.embedder().embed(["3", "1", "2", "1"])
        assert vectors == [[3.0, 1.0], [1.0, 1.0], [2.0, 1.0], [1.0, 1.0]]
        assert [self.wire.asked(each) for each in self.server.received] == [(KEY, ["3", "1", "2", "1"])]

    async def test_more_texts_than_a_request_takes_go_in_several(self) -> None:
        self.server.says(self.numbers, self.numbers)
        texts = [str(number) for number in range(self.wire.most + 1)]
        vectors = await self.embedder().embed(texts)
        assert [vector[0] for vector in vectors] == list(range(self.wire.most + 1))
        assert [len(self.wire.asked(each)[1]) for each in self.server.received] == [self.wire.most, 1]

    async def test_nothing_is_asked_for_no_texts(self) -> None:
        assert await self.embedder().embed([]) == []
        assert self.server.received == []

    async def test_too_many_requests_say_when_to_come_back(self) -> None:
        failure = await self.failure(Answer(429, self.wire.error(429, "slow down"), {"retry-after": "7"}))
        assert isinstance(failure, ModelRateLimited)
        assert (failure.status, failure.retry_after, failure.model) == (429, 7, self.wire.model)
        assert "slow down" in str(failure)

    @pytest.mark.parametrize("status", [500, 503, 408])
    async def test_a_server_in_trouble_is_worth_another_try_of_whoever_asks(self, status: int) -> None:
        failure = await self.failure(Answer(status, self.wire.error(status, "out of order")))
        assert (type(failure), failure.status) == (ModelUnavailable, status)
        assert "out of order" in str(failure)
        assert len(self.server.received) == 1

    async def test_what_the_provider_refuses_is_not_worth_another_try(self) -> None:
        failure = await self.failure(Answer(400, self.wire.error(400, "too long")))
        assert (type(failure), failure.status) == (ModelRefused, 400)

    async def test_silence_ends_with_the_time_given(self) -> None:
        assert isinstance(await self.failure(Answer(ending="silent"), timeout=0.2), ModelUnavailable)

    @pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"[]", b"null", b"7", b'"x"', b"{}", b'{"data": 7}'])
    async def test_a_body_that_makes_no_sense_is_worth_another_try(self, body: bytes) -> None:
        assert type(await self.failure(Answer(body=body))) is ModelUnavailable

    @pytest.mark.parametrize("vectors", [[], [[1.0]], [[1.0]] * 3, [[1.0], [1.0, 2.0]], [[], []]])
    async def test_vectors_that_do_not_fit_the_texts_are_no_answer(self, vectors: list[list[float]]) -> None:
        assert type(await self.failure(Answer(body=self.wire.vectors(vectors)))) is ModelUnavailable

    async def test_a_body_that_is_cut_off_is_worth_another_try(self) -> None:
        assert isinstance(await self.failure(Answer(body=b'{"data": [', ending="cut")), ModelUnavailable)
        assert len(self.server.received) == 1

    async def test_a_wrong_key_is_refused_and_not_shown(self) -> None:
        failure = await self.failure(Answer(401, self.wire.error(401, f"Incorrect API key provided: {KEY}")))
        assert isinstance(failure, ModelRefused)
        assert "Incorrect API key provided: ***" in str(failure)
        assert KEY not in "".join(traceback.format_exception(failure)) + repr(vars(failure))
        assert KEY not in repr(self.embedder(key=KEY))

    async def test_without_a_key_the_error_names_its_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(self.wire.variable)
        embedder = self.embedder()
        with pytest.raises(MissingKey) as caught:
            await embedder.embed(["1"])
        assert caught.value.variable == self.wire.variable
        assert self.server.received == []

    async def test_connections_are_used_again_and_end_with_the_event_loop(self) -> None:
        self.server.says(*[self.numbers] * 4)
        embedder = self.embedder()

        async def twice() -> None:
            await embedder.embed(["1"])
            await embedder.embed(["2"])

        for count in (1, 2):
            self.server.left.clear()
            await asyncio.to_thread(asyncio.run, twice())
            await self.server.left.wait()
            assert self.server.connections == count


class TestOpenAI(EmbedderSuite):
    wire = OpenAIVectors()


class TestCompatible(EmbedderSuite):
    """Any server that speaks like OpenAI, by its address."""

    wire = CompatibleVectors()

    def embedder(self, **options: Any) -> Embedder:
        return embedder_of(self.wire.model, base_url=os.environ["MY_ADDRESS"], key_variable="MY_KEY", **options)

    @pytest.mark.parametrize("value", ["no number", None, float("inf")])
    async def test_a_vector_is_made_of_numbers(self, value: Any) -> None:
        assert type(await self.failure(Answer(body=self.wire.vectors([[1.0], [value]])))) is ModelUnavailable


class TestGoogle(EmbedderSuite):
    wire = GoogleVectors()


async def test_a_memory_finds_by_the_vectors_of_a_provider() -> None:
    directions = {"the cat is called Tom": [3.0, 4.0], "taxes are due": [4.0, -3.0], "what about the cat": [3.0, 5.0]}

    def answer(received: Received) -> Answer:
        return Answer(body=CompatibleVectors().vectors([directions[text] for text in received.body["input"]]))

    async with Loopback.running() as server, Runtime("sqlite://"):
        server.says(*[answer] * 3)
        memory = SemanticMemory("user:ada", embedder=embedder_of(f"{server.url}/v1#nomic"))
        await memory.remember("the cat is called Tom")
        await memory.remember("taxes are due")
        assert [found.text for found in await memory.recall("what about the cat", least=0.5)] == [
            "the cat is called Tom"
        ]


async def test_the_key_of_a_provider_goes_to_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OPENAI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.setenv(variable, KEY)
    async with Loopback.running() as server:
        for name in (f"{server.url}/v1#nomic", "openai:nomic", "google:nomic"):
            server.says(Answer(500))
            with pytest.raises(ModelUnavailable):
                await embedder_of(name, base_url=None if "://" in name else server.url).embed(["1"])
        assert len(server.received) == 3
        assert KEY not in str(server.received)


def test_an_embedder_needs_no_key_and_no_network_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert embedder_of("openai:text-embedding-3-small").name == "openai:text-embedding-3-small"
    assert embedder_of("http://127.0.0.1:1/v1#nomic").name == "http://127.0.0.1:1/v1#nomic"


@pytest.mark.parametrize("name", ["text-embedding-3-small", "gtp:5", "openai:"])
def test_a_name_that_means_nothing_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="openai, anthropic, google"):
        embedder_of(name)


def test_a_provider_without_embeddings_is_refused() -> None:
    with pytest.raises(UsageError, match=r"anthropic offers no embeddings.* openai, google"):
        embedder_of("anthropic:claude-haiku-4-5")


@pytest.mark.parametrize("missing", ["pydantic_ai", "openai"])
async def test_without_the_extra_the_error_says_what_to_install(missing: str) -> None:
    code = f"""
import asyncio, sys
from assent.agents.providers import embedder_of
from assent.errors import UsageError

sys.modules[{missing!r}] = None
try:
    asyncio.run(embedder_of("openai:text-embedding-3-small", key="x").embed(["1"]))
except UsageError as error:
    print(error)
"""
    ended = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'assent[llm]'" in ended.stdout, ended.stderr
