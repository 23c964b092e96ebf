"""A model that stands for several."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from assent.agents.fallback import FallbackModel
from assent.agents.messages import AssistantMessage, ModelRequest, ModelResponse
from assent.errors import AssentError, ModelError, ModelRateLimited, ModelRefused, ModelUnavailable, UsageError
from assent.testing.scripted import ScriptedModel
from tests.agents.model_suite import QUESTION, ModelSuite, told
from tests.agents.wires import Said


class TestFallback(ModelSuite):
    """The second does whatever a model does, once the first has failed."""

    def model(self, *said: Said) -> FallbackModel:
        second = ScriptedModel(*(AssistantMessage("".join(each.pieces), each.calls) for each in said))
        return FallbackModel(failing(), second)


def failing(error: BaseException | None = None) -> ScriptedModel:
    """A model that never answers."""
    failure = error or ModelUnavailable("Gone.", model="first")
    return ScriptedModel(lambda _: failure, name="first")


async def test_the_first_that_answers_is_the_last_to_be_asked() -> None:
    first, second, third = failing(), ScriptedModel("Fine.", name="second"), ScriptedModel("Never.", name="third")
    model = FallbackModel(first, second, third)
    response = await model.request(QUESTION)
    assert (response.message.text, response.model) == ("Fine.", "second")
    assert [len(each.requests) for each in (first, second, third)] == [1, 1, 0]
    assert model.name == "first or second or third"


def test_models_may_be_given_by_name() -> None:
    assert FallbackModel("openai:gpt-5", ScriptedModel()).name == "openai:gpt-5 or scripted"
    with pytest.raises(UsageError):
        FallbackModel("openai:gpt-5", "nobody")


@pytest.mark.parametrize(
    ("errors", "kind", "retry_after"),
    [
        ([ModelRefused("no", model="a"), ModelRefused("never", model="b")], ModelRefused, None),
        ([ModelRefused("no", model="a"), ModelUnavailable("gone", model="b")], ModelUnavailable, None),
        (
            [ModelRateLimited("9 s", model="a", retry_after=9), ModelRateLimited("4 s", model="b", retry_after=4)],
            ModelUnavailable,
            4,
        ),
        ([ModelRateLimited("alone", model="a", retry_after=9)], ModelRateLimited, 9),
    ],
)
async def test_if_all_fail_the_error_says_whether_another_try_may_help(
    errors: list[ModelError], kind: type[ModelError], retry_after: float | None
) -> None:
    model = FallbackModel(*[failing(error) for error in errors])
    for asked in (model.request(QUESTION), told(model, QUESTION)):
        with pytest.raises(ModelError) as caught:
            await asked
        assert type(caught.value) is kind
        assert getattr(caught.value, "retry_after", None) == retry_after
        assert all(str(error) in str(caught.value) for error in errors)


async def test_other_errors_are_nobody_elses_turn() -> None:
    second = ScriptedModel("Never.")
    with pytest.raises(AssentError, match="wrong"):
        await FallbackModel(failing(AssentError("wrong")), second).request(QUESTION)
    assert second.requests == []


class Faltering(ScriptedModel):
    """Breaks off after its first word."""

    async def stream(self, request: ModelRequest) -> AsyncGenerator[str | ModelResponse]:
        yield "Well"
        raise ModelUnavailable("Gone.", model=self.name)


async def test_a_stream_that_has_begun_is_not_taken_over() -> None:
    second = ScriptedModel("Never.")
    async with aclosing(FallbackModel(Faltering(), second).stream(QUESTION)) as pieces:
        assert await anext(pieces) == "Well"
        with pytest.raises(ModelUnavailable):
            await anext(pieces)
    assert second.requests == []
