"""Each provider path against a server that speaks its wire format, and what the name of a model means."""

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from assent.agents.messages import AssistantMessage, ModelResponse, ModelSettings, ToolMessage
from assent.agents.models import Model
from assent.agents.providers import model_of
from assent.errors import MissingKey, ModelUnavailable, UsageError
from assent.testing.scripted import ScriptedModel
from tests.agents.loopback import Answer, Loopback
from tests.agents.model_suite import (
    BONN,
    KEY,
    QUESTION,
    WITH_TOOLS,
    AnswerToolSuite,
    ModelSuite,
    ProviderSuite,
    told,
)
from tests.agents.wires import AnthropicWire, GoogleWire, OpenAIWire, Said, answering


class TestScripted(ModelSuite):
    def model(self, *said: Said) -> Model:
        return ScriptedModel(*(AssistantMessage("".join(each.pieces), each.calls) for each in said))


class TestOpenAI(ProviderSuite):
    wire = OpenAIWire()


class CompatibleWire(OpenAIWire):
    variable = "MY_KEY"
    address_variable = "MY_ADDRESS"


class TestCompatible(AnswerToolSuite):
    """Any server that speaks like OpenAI, by its address."""

    wire = CompatibleWire()
    bare = "openai:deepseek/r1"

    def at(self, name: str) -> Model:
        return model_of(name, base_url=os.environ["MY_ADDRESS"], key_variable="MY_KEY")

    def is_priced(self, response: ModelResponse) -> None:
        assert response.cost is None, "nobody knows what it costs there"


class TestAnthropic(AnswerToolSuite):
    wire = AnthropicWire()
    bare = "anthropic:claude-of-tomorrow"

    async def test_thinking_goes_back_as_it_came(self) -> None:
        said = self.wire.answer(Said(calls=(BONN,)))
        thought = {"type": "thinking", "thinking": "Hm.", "signature": "c2lnbmVk"}
        self.server.says(Answer(body={**said, "content": [thought, *said["content"]]}))
        await goes_on(self.model(Said(("Rain.",))))
        assert thought in self.server.received[-1].body["messages"][1]["content"]

    async def test_an_error_within_a_stream_is_an_error(self) -> None:
        error = {"type": "error", "error": {"type": "overloaded_error", "message": "too much"}}
        begun = self.wire.events(Said(("Fine",)))[:3]
        self.server.says(Answer(chunks=(*begun, f"event: error\ndata: {json.dumps(error)}\n\n".encode())))
        with pytest.raises(ModelUnavailable, match="too much"):
            await told(self.at(self.wire.model), QUESTION)


class TestGoogle(AnswerToolSuite):
    wire = GoogleWire()
    bare = "google:gemini-2.5-flash"

    async def test_a_prompt_that_is_blocked_has_no_answer_but_a_reason(self) -> None:
        self.server.says(Answer(body={"promptFeedback": {"blockReason": "SAFETY"}, "modelVersion": "gemini-2.5-flash"}))
        response = await self.at(self.wire.model).request(QUESTION)
        assert (response.message.text, response.finish) == ("", "content_filter")

    async def test_thoughts_go_back_as_they_came(self) -> None:
        said = self.wire.answer(Said(calls=(BONN,)))
        said["candidates"][0]["content"]["parts"][0]["thoughtSignature"] = "c2lnbmVk"
        self.server.says(Answer(body=said))
        await goes_on(self.model(Said(("Rain.",))))
        assert self.server.received[-1].body["contents"][1]["parts"][0]["thoughtSignature"] == "c2lnbmVk"


async def goes_on(model: Model) -> None:
    """A call, and its result sent back."""
    # With more tokens, Anthropic's answers come as a stream even if nobody asks for one.
    request = replace(WITH_TOOLS, settings=ModelSettings(max_tokens=99))
    first = await model.request(request)
    result = ToolMessage("call_1", "weather", "rain")
    await model.request(replace(request, messages=(*request.messages, first.message, result)))


@pytest.mark.parametrize("name", ["gpt-5", "gtp:5", "openai:", "", ":x"])
def test_a_name_that_means_nothing_is_answered_with_those_that_do(name: str) -> None:
    with pytest.raises(UsageError, match="openai, anthropic, google"):
        model_of(name)


@pytest.mark.parametrize("name", ["http://127.0.0.1:8000/v1", "http:///v1#llama", "ftp://127.0.0.1/v1#llama"])
def test_an_address_that_leads_nowhere_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        model_of(name)


@pytest.mark.parametrize("address", [f"http://me:{KEY}@127.0.0.1/v1", f"http://127.0.0.1/v1?key={KEY}"])
def test_an_address_with_a_secret_is_refused_and_not_shown(address: str) -> None:
    for name, base_url in ((f"{address}#llama", None), ("openai:llama", address)):
        with pytest.raises(UsageError, match="key_variable") as caught:
            model_of(name, base_url=base_url)
        assert KEY not in str(caught.value)


def test_a_model_needs_no_key_and_no_network_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert model_of("openai:gpt-5").name == "openai:gpt-5"
    assert model_of("http://127.0.0.1:1/v1#llama").name == "http://127.0.0.1:1/v1#llama"


@pytest.mark.parametrize("form", ["{}/v1#llama", "openai:llama", "anthropic:llama", "google:llama"])
async def test_the_key_of_a_provider_goes_to_nobody_else(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "GOOGLE_API_KEY"):
        monkeypatch.setenv(variable, KEY)
    async with Loopback.running() as server:
        server.says(Answer(500))
        name = form.format(server.url)
        model = model_of(name, base_url=None if "://" in name else server.url)
        with pytest.raises(ModelUnavailable):
            await model.request(QUESTION)
        assert KEY not in str(server.received)


async def test_an_address_gets_the_key_that_is_meant_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = OpenAIWire()
    async with Loopback.running() as server:
        server.says(*[answering(wire, Said(("Fine.",)))] * 2)
        await model_of(f"{server.url}/v1#llama", key="one").request(QUESTION)
        monkeypatch.setenv("MY_KEY", "two")
        await model_of(f"{server.url}/v1#llama", key_variable="MY_KEY").request(QUESTION)
        assert [wire.asked(each).key for each in server.received] == ["one", "two"]
        monkeypatch.delenv("MY_KEY")
        with pytest.raises(MissingKey, match="MY_KEY"):
            await model_of(f"{server.url}/v1#llama", key_variable="MY_KEY").request(QUESTION)


@pytest.mark.parametrize("missing", ["pydantic_ai", "anthropic"])
async def test_without_the_extra_the_error_says_what_to_install(missing: str) -> None:
    code = f"""
import asyncio, sys
from assent.agents.messages import ModelRequest
from assent.agents.providers import model_of
from assent.errors import UsageError

sys.modules[{missing!r}] = None
try:
    asyncio.run(model_of("anthropic:claude-haiku-4-5", key="x").request(ModelRequest(messages=())))
except UsageError as error:
    print(error)
"""
    ended = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'assent[llm]'" in ended.stdout, ended.stderr


def test_naming_models_loads_no_library() -> None:
    loaded = "import sys, assent.agents.fallback as f; f.model_of('openai:gpt-5'); print('pydantic_ai' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout == "False\n"
    )
