"""The port through which an agent recalls what was before, and keeps what came of its run."""

from collections.abc import Sequence
from typing import Protocol

from assent.agents.messages import Message


class Recollection(Protocol):
    """What an agent takes along from one run to the next.

    Both methods are called in the code of the agent: in a workflow what they read and write are recorded steps, so
    neither is done twice after a crash. `session` names the conversation, and is empty if whoever calls named none.
    """

    async def before(self, agent: str, session: str, prompt: str) -> Sequence[Message]:
        """What to put before the prompt: history, facts. No tool call is without its result."""
        ...

    async def after(self, agent: str, session: str, new: Sequence[Message]) -> None:
        """Keep what a run has added: its prompt first, its answer last, and what was not in `before`'s messages."""
        ...


class CombinedRecollection:
    """Several as one: what they recall, in this order, and each keeps what it wants."""

    def __init__(self, *parts: Recollection) -> None:
        self._parts = parts

    async def before(self, agent: str, session: str, prompt: str) -> Sequence[Message]:
        return [message for part in self._parts for message in await part.before(agent, session, prompt)]

    async def after(self, agent: str, session: str, new: Sequence[Message]) -> None:
        for part in self._parts:
            await part.after(agent, session, new)
