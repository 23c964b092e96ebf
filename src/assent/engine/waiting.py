"""Those in this process who wait for an execution."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from assent.engine.ending import Ending
from assent.engine.engine import News

T = TypeVar("T")


class Waiters:
    """Futures by execution: some want its result, some only to know that it waits or has ended."""

    def __init__(self) -> None:
        self._for_result: dict[str, list[asyncio.Future[Any]]] = {}
        self._for_arrival: dict[str, list[asyncio.Future[Any]]] = {}
        self._for_news: dict[str, list[asyncio.Future[Any]]] = {}

    def __iter__(self) -> Iterator[str]:
        """The executions that somebody waits for."""
        return iter(list(self._for_result.keys() | self._for_arrival.keys() | self._for_news.keys()))

    def wants_result(self, execution_id: str) -> bool:
        return execution_id in self._for_result or execution_id in self._for_news

    def result_of(self, execution_id: str) -> "_Waiting[Any]":
        """A future for the result; an exception of it is what the execution raised."""
        return _Waiting(self._for_result, execution_id)

    def arrival_of(self, execution_id: str) -> "_Waiting[None]":
        """A future for the moment at which the execution waits for something outside, or has ended."""
        return _Waiting(self._for_arrival, execution_id)

    def news_of(self, execution_id: str) -> "_Waiting[News]":
        """A future for whichever of the two comes first."""
        return _Waiting(self._for_news, execution_id)

    def arrived(self, execution_id: str, waits: str = "") -> None:
        """It waits for something outside; `waits` says for what, as JSON."""
        _settle(self._for_news.get(execution_id, ()), lambda future: future.set_result(News(waits=waits)))
        _settle(self._for_arrival.get(execution_id, ()), lambda future: future.set_result(None))

    def ended(self, execution_id: str, ending: Ending) -> None:
        if ending.error is not None:
            self.failed(execution_id, ending.error)
        else:
            self.has_result(execution_id, ending.value)

    def has_result(self, execution_id: str, value: Any) -> None:
        news = News(has_ended=True, value=value)
        _settle(self._for_result.get(execution_id, ()), lambda future: future.set_result(value))
        _settle(self._for_news.get(execution_id, ()), lambda future: future.set_result(news))
        self.arrived(execution_id)

    def failed(self, execution_id: str, error: BaseException) -> None:
        """It ended with this error, or this process cannot tell how it goes on."""
        for table in (self._for_result, self._for_news):
            _settle(table.get(execution_id, ()), lambda future: future.set_exception(error))
        self.arrived(execution_id)

    def fail_all(self, error: Exception) -> None:
        for execution_id in self:
            self.failed(execution_id, error)


class _Waiting(Generic[T]):
    """A future in one of the tables, for as long as somebody waits for it."""

    __slots__ = ("_execution_id", "_future", "_table")

    def __init__(self, table: dict[str, list[asyncio.Future[T]]], execution_id: str) -> None:
        self._table = table
        self._execution_id = execution_id
        self._future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def __enter__(self) -> asyncio.Future[T]:
        self._table.setdefault(self._execution_id, []).append(self._future)
        return self._future

    def __exit__(self, *_exc: object) -> None:
        waiting = self._table[self._execution_id]
        waiting.remove(self._future)
        if not waiting:
            del self._table[self._execution_id]
        if self._future.done() and not self._future.cancelled():
            self._future.exception()  # seen, even if whoever waited has gone


def _settle(futures: Any, settle: Callable[[asyncio.Future[Any]], None]) -> None:
    for future in futures:
        if not future.done():
            settle(future)
