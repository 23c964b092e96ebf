"""Which agent answers a query: by phrases, by examples, in the eyes of a model."""

import asyncio
from typing import Any

import pytest

from assent import workflow
from assent.agents.agent import agent
from assent.agents.messages import ModelRequest
from assent.agents.router import Router
from assent.errors import AgentStopped, NoRouteFound, RouteNotFound, UnknownStrategy, UsageError
from assent.runtime import Runtime
from assent.testing.embedding import WordEmbedder
from assent.testing.scripted import ScriptedModel


def named(name: str) -> Any:
    async def answer(query: str, **options: Any) -> str:
        return f"{name}: {query} {options}".removesuffix(" {}")

    answer.__name__ = name
    return answer


def desk(strategy: Any = "intent", **options: Any) -> Router:
    """A router with several agents, known by phrases, samples and descriptions."""
    router = Router(strategy, **options)
    router.register(
        named("weather"),
        intents=["weather", "will it rain", "temperature outside"],
        samples=["is it cold outside", "do i need an umbrella today"],
        description="Forecasts",
    )
    router.register(named("history"), intents=["weather history"], samples=["how warm was the last summer"])
    router.register(named("painter"), intents=["art", "paint a picture"], samples=["draw a cat", "paint my house"])
    router.register(named("coder"), intents=["C++", "c#", "write code"], samples=["write a function in python"])
    router.register(named("clock"), intents=["what is the time"], samples=["which time is it in tokyo"])
    router.register(named("天気"), intents=["天気"])
    return router


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("What's the weather in Rome?", "weather"),
        ("WEATHER!", "weather"),
        ("weather-history of Rome", "history"),  # more words of it say more
        ("Show me the weather history", "history"),
        ("Is this art?", "painter"),
        ("start the engine", None),  # "art" is not in "start"
        ("a smart party", None),
        ("weathered wood", None),
        ("the wet her", None),
        ("Will it rain tomorrow?", "weather"),
        ("Will there be rain, and where will it be?", "weather"),  # not in a row, but there
        ("the temperature of the sun", "weather"),
        ("paint the wall", "painter"),
        ("write a letter", "coder"),
        ("what is the capital of France", None),  # only words that every question has
        ("What is the time?", "clock"),
        ("What’s the weather’s name?", "weather"),
        ("Help with C++ templates", "coder"),
        ("c is a letter", None),
        ("C# or F#", "coder"),
        ("明日の天気は", "天気"),
        ("\uff37\uff25ather", "weather"),  # wide letters
        ("", None),
        ("?!", None),
    ],
)
async def test_intents_are_found_as_whole_words(query: str, expected: str | None) -> None:
    router = desk()
    match = await router.best(query)
    assert (match.name if match else None) == expected


async def test_scores_say_how_much_of_a_phrase_is_there_and_reasons_why() -> None:
    matches = await desk().match("Is the weather history art, or outside?")
    assert [(each.name, each.score) for each in matches] == [("history", 1.0), ("weather", 1.0), ("painter", 1.0)]
    assert matches[0].reason == "it says 'weather history'"
    (match,) = await desk().match("the temperature")
    assert match.score == pytest.approx(0.3)
    assert match.reason == "of 'temperature outside' it says temperature"


async def test_matches_are_the_best_ones_only() -> None:
    query = "weather history art"
    assert [each.name for each in await desk().match(query, top=2)] == ["history", "weather"]
    assert await desk().match("nothing of all that") == []


async def test_a_query_goes_to_its_agent_with_the_options() -> None:
    assert await desk().route("Will it rain?", units="metric") == "weather: Will it rain? {'units': 'metric'}"


async def test_without_an_agent_that_fits_there_is_the_fallback_or_an_error() -> None:
    assert await desk(fallback=named("anybody")).route("hello", n=1) == "anybody: hello {'n': 1}"
    with pytest.raises(NoRouteFound, match="fallback=") as caught:
        await desk().route("hello")
    assert caught.value.query == "hello"
    with pytest.raises(NoRouteFound):
        await Router().route("hello")


async def test_the_threshold_decides_what_fits() -> None:
    assert await desk(threshold=0.3).best("the temperature") is not None
    assert await desk(threshold=0.31).best("the temperature") is None
    assert await desk(threshold=1).best("paint a picture") is not None


async def test_an_error_of_an_agent_is_raised() -> None:
    router = Router()
    router.register(failing, intents=["fail"])
    with pytest.raises(ValueError, match="on purpose"):
        await router.route("fail")


async def failing(query: str) -> str:
    raise ValueError("on purpose")


async def test_a_router_is_an_agent_of_another() -> None:
    inner = desk(name="studio")
    outer = Router()
    outer.register(inner, intents=["picture", "studio"])
    assert await outer.route("paint a picture") == "painter: paint a picture"
    with pytest.raises(NoRouteFound, match="studio has no agent"):
        await outer.route("studio")


async def test_an_agent_with_a_model_is_an_agent() -> None:
    @agent(model=ScriptedModel("Sunny"), name="forecaster")
    async def forecast(query: str, city: str = "Rome") -> str:
        """{{ query }} in {{ city }}"""
        ...

    router = Router()
    assert router.register(forecast, intents=["weather"]).name == "forecaster"
    assert await router.route("weather", city="Oslo") == "Sunny"


def test_what_is_registered_can_be_looked_at() -> None:
    router = desk()
    assert [route.name for route in router.routes][:2] == ["weather", "history"]
    assert router.info("weather").description == "Forecasts"
    assert router.info("painter").intents == ("art", "paint a picture")
    with pytest.raises(RouteNotFound, match="It has: weather, history"):
        router.info("nobody")


def test_what_cannot_be_registered_is_refused() -> None:
    router = desk()
    with pytest.raises(UsageError, match="already"):
        router.register(named("weather"))
    router.register(named("weather"), name="weather 2")
    with pytest.raises(UsageError, match="lists"):
        router.register(named("x"), intents="weather")
    with pytest.raises(UsageError, match="no name"):
        router.register(Nameless())


class Nameless:
    async def __call__(self, query: str) -> str:
        return query


@pytest.mark.parametrize(
    "options", [{"threshold": 1.5}, {"threshold": -1}, {"strategy": "semantic"}, {"strategy": "model"}]
)
def test_what_makes_no_router_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Router(**options)


def test_an_unknown_strategy_is_refused_with_those_there_are() -> None:
    strategy: Any = "magic"
    with pytest.raises(UnknownStrategy, match="intent, semantic, model"):
        Router(strategy)


# By examples.


async def test_samples_are_compared_by_likeness() -> None:
    router = desk("semantic", embedder=WordEmbedder())
    (first, *_) = await router.match("do i need an umbrella")
    assert first.name == "weather"
    assert first.reason == "it is like 'do i need an umbrella today'"
    assert 0.8 < first.score < 1
    assert (await router.match("draw a cat"))[0].score == pytest.approx(1)
    assert await router.route("paint my car") == "painter: paint my car"
    with pytest.raises(NoRouteFound):
        await router.route("completely different")


async def test_without_samples_intents_and_description_are_compared() -> None:
    router = Router("semantic", embedder=WordEmbedder())
    router.register(named("tax"), intents=["file taxes"], description="questions about money")
    router.register(named("empty"))
    assert [each.name for each in await router.match("a question about money")] == ["tax"]


async def test_samples_are_embedded_once_and_new_ones_when_they_come() -> None:
    embedder = WordEmbedder()
    router = desk("semantic", embedder=embedder)
    await router.match("draw")
    known = len(embedder.embedded)
    await router.match("draw")
    assert len(embedder.embedded) == known + 1
    router.register(named("late"), samples=["a late one"])
    assert (await router.match("a late one"))[0].name == "late"
    assert len(embedder.embedded) == known + 3


EMBEDDER = WordEmbedder()
SEMANTIC = desk("semantic", embedder=EMBEDDER)


@workflow
async def routed(query: str) -> Any:
    first = await SEMANTIC.route(query)
    await asyncio.sleep(60)
    return [first, await desk().route(query)]


async def test_in_a_workflow_a_semantic_decision_is_recorded(runtime: Runtime) -> None:
    handle = await runtime.start(routed, "paint a picture")
    assert await handle.result() == ["painter: paint a picture"] * 2
    steps = [event.name for event in await handle.events() if event.type == "step.completed"]
    assert steps == ["router.match"]  # phrases need none
    assert EMBEDDER.embedded.count("paint a picture") == 1


# In the eyes of a model.

ANSWER = """{"result": [
    {"agent": "painter", "confidence": 0.4, "reason": "maybe"},
    {"agent": "plumber", "confidence": 1.0, "reason": "made up"},
    {"agent": "coder", "confidence": 7, "reason": "surely"},
    {"agent": "painter", "confidence": 0.9, "reason": "on second thoughts"}
]}"""


async def test_a_model_chooses_among_the_agents_there_are() -> None:
    model = ScriptedModel(ANSWER)
    matches = await desk("model", model=model).match("a logo in C")
    assert [(each.name, each.score, each.reason) for each in matches] == [
        ("coder", 1.0, "surely"),
        ("painter", 0.4, "maybe"),
    ]
    (request,) = model.requests
    assert [message.text for message in request.messages] == ["a logo in C"]
    assert '{"agent":"weather","description":"Forecasts","for":["is it cold outside"' in request.system


async def test_a_model_that_is_not_sure_enough_or_names_none_leads_to_the_fallback() -> None:
    model = ScriptedModel('{"result": []}', '[{"agent": "coder", "confidence": 0.2, "reason": "?"}]')
    router = desk("model", model=model, fallback=named("anybody"))
    assert await router.route("hello") == "anybody: hello"
    assert await router.route("hello") == "anybody: hello"


async def test_a_model_that_never_answers_in_form_is_an_error() -> None:
    with pytest.raises(AgentStopped, match="router"):
        await desk("model", model=ScriptedModel(lambda request: "the painter, I guess")).route("hello")


async def test_a_query_cannot_talk_the_model_into_an_agent_that_is_not_there() -> None:
    def obey(request: ModelRequest) -> str:
        return '[{"agent": "admin", "confidence": 1, "reason": "you said so"}]'

    with pytest.raises(NoRouteFound):
        await desk("model", model=ScriptedModel(obey)).route("route this to admin")


ASKED = ScriptedModel(lambda request: ANSWER)


@workflow
async def routed_by_model(query: str) -> Any:
    return await desk("model", model=ASKED).route(query)


async def test_in_a_workflow_the_models_choice_is_a_recorded_run(runtime: Runtime) -> None:
    handle = await runtime.start(routed_by_model, "a logo")
    assert await handle.result() == "coder: a logo"
    events = [(event.type, event.name) for event in await handle.events()]
    assert ("step.completed", "model scripted") in events
    assert [name for kind, name in events if kind == "execution.noted"] == ["agent.started", "agent.ended"]
    assert len(ASKED.requests) == 1
