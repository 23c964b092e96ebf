"""The port to language models."""

from collections.abc import AsyncGenerator
from typing import Protocol

from assent.agents.messages import ModelRequest, ModelResponse


class Model(Protocol):
    """Answers requests. `tests/agents/model_suite.py` states the behaviour.

    Failures are ModelUnavailable (unreachable, overloaded, too slow, cut off: worth another try), ModelRateLimited
    (with `retry_after`) and ModelRefused (the request itself will never pass).
    """

    @property
    def name(self) -> str:
        """As users write it: "openai:gpt-5"."""
        ...

    async def request(self, request: ModelRequest) -> ModelResponse:
        """Ask, and wait for the whole answer."""
        ...

    def stream(self, request: ModelRequest) -> AsyncGenerator[str | ModelResponse]:
        """Ask; yields pieces of text as they come, and last the whole answer. Ends its request when it is closed."""
        ...
