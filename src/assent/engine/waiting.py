"""Those in this process who wait for an execution."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from assent.engine.ending import Ending
from assent.engine.engine import News


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

    @contextmanager
    def result_of(self, execution_id: str) -> Iterator[asyncio.Future[Any]]:
        """A future for the result; an exception of it is what the execution raised."""
        with _kept(self._for_result, execution_id) as future:
            yield future

    @contextmanager
    def arrival_of(self, execution_id: str) -> Iterator[asyncio.Future[Any]]:
        """A future for the moment at which the execution waits for something outside, or has ended."""
        with _kept(self._for_arrival, execution_id) as future:
            yield future

    @contextmanager
    def news_of(self, execution_id: str) -> Iterator[asyncio.Future[News]]:
        """A future for whichever of the two comes first."""
        with _kept(self._for_news, execution_id) as future:
            yield future

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


@contextmanager
def _kept(table: dict[str, list[asyncio.Future[Any]]], execution_id: str) -> Iterator[asyncio.Future[Any]]:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    table.setdefault(execution_id, []).append(future)
    try:
        yield future
    finally:
        waiting = table[execution_id]
        waiting.remove(future)
        if not waiting:
            del table[execution_id]
        if future.done() and not future.cancelled():
            future.exception()  # seen, even if whoever waited has gone


def _settle(futures: Any, settle: Callable[[asyncio.Future[Any]], None]) -> None:
    for future in futures:
        if not future.done():
            settle(future)
