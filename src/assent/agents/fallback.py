"""One model that stands for several: the next is asked when one fails."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from assent.agents.messages import ModelRequest, ModelResponse
from assent.agents.models import Model
from assent.agents.providers import model_of
from assent.errors import ModelError, ModelRefused, ModelUnavailable


class FallbackModel:
    """Asks the first model, and on a ModelError the next. Models may be given by name.

    The `model` of a response says which one answered. A stream that has begun is not taken over: what was said cannot
    be taken back. If all fail, it is ModelUnavailable with the shortest `retry_after` that a provider gave, or
    ModelRefused if none of them would answer another time either.
    """

    def __init__(self, primary: Model | str, *others: Model | str) -> None:
        self._models = [model_of(each) if isinstance(each, str) else each for each in (primary, *others)]

    @property
    def name(self) -> str:
        return " or ".join(model.name for model in self._models)

    async def request(self, request: ModelRequest) -> ModelResponse:
        failures: list[ModelError] = []
        for model in self._models:
            try:
                return await model.request(request)
            except ModelError as error:
                failures.append(error)
        raise self._failure(failures)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[str | ModelResponse]:
        failures: list[ModelError] = []
        for model in self._models:
            begun = False
            try:
                async with aclosing(model.stream(request)) as pieces:
                    async for piece in pieces:
                        begun = True
                        yield piece
            except ModelError as error:
                if begun:
                    raise
                failures.append(error)
            else:
                return
        raise self._failure(failures)

    def _failure(self, failures: list[ModelError]) -> ModelError:
        if len(failures) == 1:
            return failures[0]
        text = " / ".join(str(failure) for failure in failures)
        if all(isinstance(failure, ModelRefused) for failure in failures):
            return ModelRefused(text, model=self.name)
        waits = [wait for failure in failures if (wait := getattr(failure, "retry_after", None)) is not None]
        return ModelUnavailable(text, model=self.name, retry_after=min(waits, default=None))
