"""The port to whatever reaches people, and what it is given to say."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Protocol

from assent.governance.previews import harmless

# Of these, somebody is to decide; every other topic says what became of an approval.
ASKING: Final = frozenset({"requested", "reminded", "escalated"})


Link = str | Callable[[str, str], str]
"""Where an approval is decided: a template with {approval_id}, or what makes a link of its id and a recipient.

The recipient is empty where everybody gets the same link, and where there is nothing to decide any more.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """What a channel is to say. Its texts are safe to print on a terminal; markup is the channel's affair.

    `facts` is the same as data, JSON-like and as it was asked for; strings in it may hold anything.
    """

    id: str  # the same whenever it is sent again
    topic: str  # requested, reminded, escalated, or what became of the approval: granted, rejected, expired ...
    approval_id: str
    execution_id: str
    at: float  # Unix seconds at which there was something to tell
    title: str  # what is asked, on one line
    headline: str  # the topic in words, and the title
    rows: Sequence[tuple[str, str]] = ()  # what there is to know, as labels and values of one line each
    preview: str = ""  # what the action would do, on several lines
    facts: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    link: str | None = None  # where it can be decided
    recipient: str = ""  # the person it is for; empty: everybody whom the channel reaches
    address: str = ""  # of the recipient, in the channel's own terms
    earlier: str | None = None  # the receipt for the first message about this approval

    @property
    def is_question(self) -> bool:
        """Whether somebody is to decide."""
        return self.topic in ASKING

    @property
    def text(self) -> str:
        """All of it as plain text."""
        facts = [f"{harmless(label)}: {value}" for label, value in self.rows]
        parts = [self.headline, "\n".join(facts), self.preview, f"Decide: {self.link}" if self._asks_for_visit else ""]
        return "\n\n".join(part for part in parts if part)

    @property
    def _asks_for_visit(self) -> bool:
        return self.is_question and self.link is not None


class Channel(Protocol):
    """A way to reach people.

    A channel keeps no state between messages: it may be asked to send several at once, and from several processes.
    """

    @property
    def name(self) -> str:
        """What the runtime's approvals call it; unique, and the same in every process."""
        ...

    @property
    def kind(self) -> str:
        """Under which people's addresses for it are kept, such as "email"."""
        ...

    @property
    def is_personal(self) -> bool:
        """Whether each recipient gets a message of their own, at their address."""
        ...

    async def send(self, notification: Notification) -> str | None:
        """Send it, and return what the receiver calls it, if anything. Raises DeliveryFailed.

        It is interrupted after the notifier's time limit. The words of a DeliveryFailed are kept in the store, so they
        hold no secrets; of every other error only the type is kept.
        """
        ...
