"""What every model must do. A model inherits ModelSuite and gives `model`; one behind HTTP inherits ProviderSuite."""

import asyncio
import json
import traceback
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from decimal import Decimal

import pytest

from assent.agents.messages import (
    AssistantMessage,
    ModelRequest,
    ModelResponse,
    ModelSettings,
    OutputSchema,
    ToolCall,
    ToolMessage,
    ToolSchema,
    Usage,
    UserMessage,
)
from assent.agents.models import Model
from assent.agents.providers import model_of
from assent.codec import codec_for
from assent.errors import MissingKey, ModelError, ModelRateLimited, ModelRefused, ModelUnavailable
from tests.agents.loopback import Answer, Loopback
from tests.agents.wires import TOKENS_CACHED, TOKENS_IN, TOKENS_OUT, Asked, Said, Wire, answering, refused

KEY = "sk-very-secret-0123456789"

OBJECT = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = ToolSchema("weather", "The weather of a city.", {**OBJECT, "additionalProperties": False})
CITY = OutputSchema("City[str]", {**OBJECT, "additionalProperties": False}, "Where it is.")

BONN = ToolCall("call_1", "weather", '{"city": "Bonn"}')
KIEL = ToolCall("call_2", "weather", '{"city": "Kiel"}')

QUESTION = ModelRequest(messages=(UserMessage("How is it?"),), system="Be brief.")
WITH_TOOLS = ModelRequest(messages=(UserMessage("How is it?"),), tools=(WEATHER,))
STRUCTURED = ModelRequest(messages=(UserMessage("Where is it?"),), output=CITY)


async def told(model: Model, request: ModelRequest) -> tuple[list[str], ModelResponse]:
    """The pieces of a stream, and its last word."""
    pieces: list[str] = []
    async with aclosing(model.stream(request)) as stream:
        async for piece in stream:
            if isinstance(piece, ModelResponse):
                assert await anext(stream, None) is None, "the whole answer comes last"
                return pieces, piece
            pieces.append(piece)
    raise AssertionError("the stream has no answer")


class ModelSuite:
    """What a model does, wherever it is."""

    def model(self, *said: Said) -> Model:
        """A model that says this, one after another."""
        raise NotImplementedError

    async def test_an_answer_is_its_text(self) -> None:
        response = await self.model(Said(("Fine", ", thanks."))).request(QUESTION)
        assert response.message.text == "Fine, thanks."
        assert response.message.calls == ()
        assert response.finish == "stop"
        assert not response.cached

    async def test_a_stream_is_the_text_in_pieces_and_then_the_answer(self) -> None:
        pieces, response = await told(self.model(Said(("Fine", ", thanks", "."))), QUESTION)
        assert len(pieces) > 1
        assert "".join(pieces) == response.message.text == "Fine, thanks."
        assert response.finish == "stop"

    async def test_calls_come_in_order(self) -> None:
        response = await (self.model(Said(calls=(BONN, KIEL)))).request(WITH_TOOLS)
        assert [(call.id, call.name) for call in response.message.calls] == [
            ("call_1", "weather"),
            ("call_2", "weather"),
        ]
        assert [json.loads(call.arguments) for call in response.message.calls] == [{"city": "Bonn"}, {"city": "Kiel"}]
        assert response.finish == "tool_calls"

    async def test_calls_come_at_the_end_of_a_stream(self) -> None:
        pieces, response = await told(self.model(Said(("Wait",), calls=(BONN, KIEL))), WITH_TOOLS)
        assert pieces == ["Wait"]
        assert [json.loads(call.arguments) for call in response.message.calls] == [{"city": "Bonn"}, {"city": "Kiel"}]

    async def test_an_answer_survives_the_journal(self) -> None:
        response = await (self.model(Said(("Wait",), calls=(BONN,)))).request(WITH_TOOLS)
        codec = codec_for(ModelResponse)
        assert codec.decode(codec.encode(response)) == response


class ProviderSuite(ModelSuite):
    """What the model of a provider does, against a server that speaks its wire format."""

    wire: Wire
    server: Loopback

    @pytest.fixture(autouse=True)
    async def loopback(self, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
        async with Loopback.running() as self.server:
            monkeypatch.setenv(self.wire.variable, KEY)
            monkeypatch.setenv(self.wire.address_variable, self.wire.address(self.server.url))
            yield

    def at(self, name: str) -> Model:
        """A model of this provider, as users would name it."""
        return model_of(name)

    def model(self, *said: Said) -> Model:
        self.server.says(*(answering(self.wire, each) for each in said))
        return self.at(self.wire.model)

    def asked(self) -> Asked:
        """What the server was asked last."""
        return self.wire.asked(self.server.received[-1])

    async def failures(self, *answers: Answer, request: ModelRequest = QUESTION) -> list[ModelError]:
        """How requests fail that get these answers."""
        model = self.at(self.wire.model)
        self.server.says(*answers)
        failures: list[ModelError] = []
        for _ in answers:
            with pytest.raises(ModelError) as caught:
                await model.request(request)
            failures.append(caught.value)
        return failures

    # What is asked

    async def test_the_provider_is_asked_as_the_request_says(self) -> None:
        settings = ModelSettings(temperature=0.5, max_tokens=99)
        await self.model(Said(("Fine.",))).request(replace(WITH_TOOLS, system="Be brief.", settings=settings))
        asked = self.asked()
        assert (asked.key, asked.system, asked.users) == (KEY, "Be brief.", ["How is it?"])
        assert (asked.tools, asked.schema) == (["weather"], None)
        assert (asked.temperature, asked.most_tokens) == (0.5, 99)

    async def test_further_settings_go_by_the_names_of_the_model_layer(self) -> None:
        request = replace(QUESTION, settings=ModelSettings(extra={"extra_headers": {"x-team": "blue"}}))
        await self.model(Said(("Fine.",))).request(request)
        assert self.server.received[-1].headers["x-team"] == "blue"

    async def test_results_go_back_to_their_calls(self) -> None:
        model = self.model(Said(("Wait.",), (BONN, KIEL)), Said(("Rain and sun.",)))
        first = await model.request(WITH_TOOLS)
        results = (
            ToolMessage("call_1", "weather", "rain"),
            ToolMessage("call_2", "weather", "no such city", failed=True),
        )
        said = replace(WITH_TOOLS, messages=(*WITH_TOOLS.messages, first.message, *results))
        assert (await model.request(said)).message.text == "Rain and sun."
        assert self.asked().called == ["call_1", "call_2"]
        assert [call_id for call_id, _ in self.asked().results] == ["call_1", "call_2"]
        assert self.asked().results[0][1] == "rain"
        assert "no such city" in self.asked().results[1][1]

    async def test_a_conversation_that_another_model_began_goes_on(self) -> None:
        said = (
            AssistantMessage("Wait.", (BONN,), raw="<another form>"),
            ToolMessage("call_1", "weather", "rain"),
            AssistantMessage("It rains."),
            UserMessage("And now?"),
        )
        await self.model(Said(("Still.",))).request(replace(WITH_TOOLS, messages=(*WITH_TOOLS.messages, *said)))
        assert self.asked().users == ["How is it?", "And now?"]
        assert (self.asked().called, self.asked().results) == (["call_1"], [("call_1", "rain")])

    async def test_a_message_that_was_changed_goes_back_as_changed(self) -> None:
        model = self.model(Said(calls=(BONN, KIEL)), Said(("Rain.",)))
        first = await model.request(WITH_TOOLS)
        other = replace(first.message, calls=(replace(BONN, arguments='{"city": "Cologne"}'),))
        said = (*WITH_TOOLS.messages, other, ToolMessage("call_1", "weather", "rain"))
        await model.request(replace(WITH_TOOLS, messages=said))
        assert self.asked().called == ["call_1"]
        assert "Cologne" in json.dumps(self.server.received[-1].body)
        assert "Kiel" not in json.dumps(self.server.received[-1].body)

    # What it costs

    async def test_tokens_and_their_price_are_counted(self) -> None:
        model = self.model(Said(("Fine.",)), Said(("Fine.",)))
        for response in (await model.request(QUESTION), (await told(model, QUESTION))[1]):
            assert response.usage == Usage(TOKENS_IN, TOKENS_OUT, TOKENS_CACHED)
            self.is_priced(response)

    def is_priced(self, response: ModelResponse) -> None:
        assert response.cost is not None
        assert Decimal(0) < response.cost < Decimal("0.01")

    # Structured output

    async def test_an_answer_is_held_to_a_schema(self) -> None:
        response = await self.model(Said(('{"city": "Bonn"}',))).request(STRUCTURED)
        assert json.loads(response.message.text) == {"city": "Bonn"}
        assert self.asked().schema["required"] == ["city"]
        assert self.asked().tools == []

    # What goes wrong

    async def test_too_many_requests_say_when_to_come_back(self) -> None:
        [failure] = await self.failures(refused(self.wire, 429, "slow down", retry_after="7"))
        assert isinstance(failure, ModelRateLimited)
        assert (failure.status, failure.retry_after, failure.model) == (429, 7, self.wire.model)
        assert "slow down" in str(failure)

    async def test_a_server_in_trouble_is_worth_another_try(self) -> None:
        statuses = [500, 503, 529, 408]
        failures = await self.failures(*(refused(self.wire, status, "out of order") for status in statuses))
        assert [failure.status for failure in failures] == statuses
        assert {type(failure) for failure in failures} == {ModelUnavailable}
        assert all("out of order" in str(failure) for failure in failures)

    async def test_what_the_provider_refuses_is_not_worth_another_try(self) -> None:
        statuses = [400, 403, 404, 413, 422]
        failures = await self.failures(*(refused(self.wire, status, "that cannot be") for status in statuses))
        assert [failure.status for failure in failures] == statuses
        assert {type(failure) for failure in failures} == {ModelRefused}

    async def test_nothing_is_tried_again_behind_the_back_of_the_one_who_asks(self) -> None:
        troubles = refused(self.wire, 500, "out of order"), refused(self.wire, 429, "slow down")
        await self.failures(*troubles, Answer(body=b"{", ending="cut"))
        assert len(self.server.received) == 3

    async def test_a_wrong_key_is_refused_and_not_shown(self) -> None:
        [failure] = await self.failures(refused(self.wire, 401, f"Incorrect API key provided: {KEY}"))
        assert isinstance(failure, ModelRefused)
        assert "Incorrect API key provided: ***" in str(failure)
        assert KEY not in "".join(traceback.format_exception(failure)) + repr(vars(failure))
        assert KEY not in repr(self.at(self.wire.model))

    async def test_silence_ends_with_the_time_given(self) -> None:
        request = replace(QUESTION, settings=ModelSettings(timeout=0.2))
        [failure] = await self.failures(Answer(ending="silent"), request=request)
        assert isinstance(failure, ModelUnavailable)
        self.server.says(Answer(chunks=tuple(self.wire.events(Said(("Fine", ", thanks.")))[:2]), ending="silent"))
        with pytest.raises(ModelUnavailable):
            await told(self.at(self.wire.model), request)

    async def test_a_body_that_makes_no_sense_is_worth_another_try(self) -> None:
        bodies = (b"", b"<html>", b"{", b"[]", b"null", b"7", b'"x"', b"{}", b'{"choices": 7}')
        failures = await self.failures(*(Answer(body=body) for body in bodies))
        assert {type(failure) for failure in failures} == {ModelUnavailable}

    async def test_a_body_that_is_cut_off_is_worth_another_try(self) -> None:
        half = json.dumps(self.wire.answer(Said(("Fine.",)))).encode()[:40]
        [failure] = await self.failures(Answer(body=half, ending="cut"))
        assert isinstance(failure, ModelUnavailable)

    async def test_a_stream_that_is_cut_off_has_no_answer(self) -> None:
        events = self.wire.events(Said(("Fine", ", thanks", ".")))
        until = next(place for place, event in enumerate(events) if b", thanks" in event)
        begun = tuple(events[: until + 1])
        model = self.at(self.wire.model)
        for answer in (Answer(chunks=begun), Answer(chunks=begun, ending="cut")):
            self.server.says(answer)
            with pytest.raises(ModelUnavailable):
                await told(model, QUESTION)

    async def test_a_stream_that_makes_no_sense_has_no_answer(self) -> None:
        model = self.at(self.wire.model)
        for chunk in (b"data: {\n\n", b"data: [7]\n\n", b"<html>", b"event: x\ndata: {}\n\n"):
            self.server.says(Answer(chunks=(chunk,)))
            with pytest.raises(ModelUnavailable):
                await told(model, QUESTION)

    async def test_a_stream_that_is_refused_says_why(self) -> None:
        self.server.says(refused(self.wire, 429, "slow down", retry_after="7"))
        with pytest.raises(ModelRateLimited, match="slow down") as caught:
            await told(self.at(self.wire.model), QUESTION)
        assert caught.value.retry_after == 7

    async def test_nobody_there_is_worth_another_try(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with Loopback.running() as gone:
            url = gone.url
        monkeypatch.setenv(self.wire.address_variable, self.wire.address(url))
        with pytest.raises(ModelUnavailable):
            await self.at(self.wire.model).request(QUESTION)

    async def test_without_a_key_the_error_names_its_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(self.wire.variable)
        model = self.at(self.wire.model)
        with pytest.raises(MissingKey) as caught:
            await model.request(QUESTION)
        assert caught.value.variable == self.wire.variable
        assert self.wire.variable in str(caught.value)
        assert "\n" not in str(caught.value)
        assert self.server.received == []

    # Connections

    async def test_a_stream_that_is_closed_ends_its_request(self) -> None:
        events = self.wire.events(Said(("Fine", ", thanks", ".")))
        until = next(place for place, event in enumerate(events) if b"Fine" in event)
        self.server.says(Answer(chunks=tuple(events[: until + 1]), ending="silent"))
        stream = self.at(self.wire.model).stream(QUESTION)
        assert await anext(stream) == "Fine"
        await stream.aclose()
        await self.server.left.wait()

    async def test_a_request_that_is_cancelled_ends(self) -> None:
        self.server.says(Answer(ending="silent"))
        task = asyncio.create_task(self.at(self.wire.model).request(QUESTION))
        await self.server.asked.wait()
        task.cancel()
        await self.server.left.wait()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def test_connections_are_used_again_and_end_with_the_event_loop(self) -> None:
        model = self.model(*[Said(("Fine.",))] * 4)

        async def twice() -> None:
            await model.request(QUESTION)
            await told(model, QUESTION)

        for count in (1, 2):
            self.server.left.clear()
            await asyncio.to_thread(asyncio.run, twice())
            await self.server.left.wait()
            assert self.server.connections == count


class AnswerToolSuite(ProviderSuite):
    """For a provider with models that cannot be held to a schema, at least not beside tools."""

    bare: str  # such a model

    request = replace(STRUCTURED, tools=(WEATHER,))

    def answers(self) -> Model:
        answer = ToolCall("call_1", "final_answer", '{"city": "Bonn"}')
        self.server.says(*[answering(self.wire, Said(("It is:",), (answer,)))] * 2)
        return self.at(self.bare)

    async def test_a_call_of_the_answer_tool_is_the_answer(self) -> None:
        response = await self.answers().request(self.request)
        assert json.loads(response.message.text) == {"city": "Bonn"}
        assert (response.message.calls, response.finish) == ((), "stop")
        assert self.asked().tools == ["weather", "final_answer"]

    async def test_the_answer_tool_streams_its_arguments(self) -> None:
        pieces, response = await told(self.answers(), self.request)
        assert "".join(pieces) == response.message.text
        assert json.loads(response.message.text) == {"city": "Bonn"}

    async def test_a_model_that_speaks_instead_is_heard(self) -> None:
        self.server.says(*[answering(self.wire, Said(("In", " Bonn.")))] * 2)
        assert (await self.at(self.bare).request(self.request)).message.text == "In Bonn."
        pieces, response = await told(self.at(self.bare), self.request)
        assert "".join(pieces) == response.message.text == "In Bonn."

    async def test_an_answer_that_will_not_do_can_be_objected_to(self) -> None:
        model = self.answers()
        first = await model.request(self.request)
        again = (*self.request.messages, first.message, UserMessage("There is no such city."))
        assert json.loads((await model.request(replace(self.request, messages=again))).message.text)
        assert self.asked().called == ["call_1"]
        assert [call_id for call_id, _ in self.asked().results] == ["call_1"]
        assert self.asked().users == ["Where is it?", "There is no such city."]

    async def test_a_tool_of_the_same_name_stays_a_tool(self) -> None:
        request = replace(self.request, tools=(replace(WEATHER, name="final_answer"),))
        response = await self.answers().request(request)
        assert [call.name for call in response.message.calls] == ["final_answer"]
        assert self.asked().tools == ["final_answer", "final_answer_"]
