"""Which model answers: the one that an agent names, unless another stands in for all of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from assent.agents.models import Model
from assent.errors import UsageError

_stand_in: ContextVar[Model | None] = ContextVar("stand_in", default=None)


@contextmanager
def use_model(model: Model) -> Iterator[Model]:
    """Let one model answer for every agent in here, whatever model it names, as tests do.

    Enter it before the runtime is opened: a worker's agents run in the context of their runtime.
    """
    token = _stand_in.set(model)
    try:
        yield model
    finally:
        _stand_in.reset(token)


def chosen(model: Model | None, agent: str) -> Model:
    """The model that answers now. Raises UsageError if there is none."""
    stand_in = _stand_in.get()
    if stand_in is not None:
        return stand_in
    if model is None:
        raise UsageError(f'The agent {agent} has no model. Give it one, as in @agent(model="openai:gpt-5").')
    return model
