"""On which objects the executions of a method are: that is stored nowhere."""

from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from assent.engine.loop import Discarded

R = TypeVar("R")


class Objects:
    """Those on which a method was called, by execution, as long as they live: executions leave memory and come back."""

    def __init__(self) -> None:
        self._called: WeakValueDictionary[str, Any] = WeakValueDictionary()

    async def run(self, execution_id: str, given: Any, main: Callable[[Any], Coroutine[Any, Any, R]]) -> R:
        """Run the code of an execution on its own object; on the given one if it has none that is known here."""
        own = self._called.get(execution_id, given)
        with suppress(TypeError):  # not every object can be remembered without being kept alive
            self._called[execution_id] = own
        try:
            value = await main(own)
        except (Discarded, GeneratorExit):
            raise  # it leaves memory, and may come back
        except BaseException:
            self._called.pop(execution_id, None)
            raise
        self._called.pop(execution_id, None)
        return value
