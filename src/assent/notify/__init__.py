"""How people hear of what is asked of them: notices from the outbox, sent through channels.

This room owns what a notification says and how it travels. It decides nothing, and nothing waits for it: an approval
stands in the store whether or not anybody could be told of it.
"""

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from assent.notify.channel import Channel, Notification
    from assent.notify.console import ConsoleChannel
    from assent.notify.email import EmailChannel
    from assent.notify.notifier import Notifier
    from assent.notify.slack import SlackChannel
    from assent.notify.templates import Templates
    from assent.notify.webhook import WebhookChannel

__all__ = [
    # the port
    "Channel",
    "Notification",
    # channels
    "ConsoleChannel",
    "EmailChannel",
    "SlackChannel",
    "WebhookChannel",
    # what they say, and who sends it
    "Notifier",
    "Templates",
]

# Each channel has a library of its own, which those who do not use it need not have.
_MODULES: Final = MappingProxyType(
    {
        "Channel": "channel",
        "Notification": "channel",
        "ConsoleChannel": "console",
        "EmailChannel": "email",
        "SlackChannel": "slack",
        "WebhookChannel": "webhook",
        "Notifier": "notifier",
        "Templates": "templates",
    }
)


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
    try:
        value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("assent"):
            raise
        raise ModuleNotFoundError(
            f"{name} needs {error.name}, which is not installed. Install it with: pip install 'assent[notify]'",
            name=error.name,
        ) from error
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
