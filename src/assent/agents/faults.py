"""What goes wrong in the code of others: tools, hooks and models."""

import asyncio

from assent.engine.failure import message_of


def told(error: BaseException) -> str:
    """An error in words, for the model and for the journal."""
    return f"{type(error).__name__}: {message_of(error)}"


def raise_cancellation(error: BaseException) -> None:
    """Raise it if it means that the task which runs here is cancelled; code that cancels itself has only failed."""
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling()):
        raise error
