"""Notifications on a terminal or in a log."""

import sys
from dataclasses import dataclass, field
from typing import TextIO

from rich.console import Console
from rich.text import Text

from assent.governance.previews import harmless
from assent.notify.channel import Notification

STYLES = (("granted", "green"), ("rejected", "red"), ("expired", "red"), ("revoked", "red"))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConsoleChannel:
    """Prints notifications, on standard error if no `file` is given."""

    kind: str = field(default="console", init=False, repr=False)
    is_personal: bool = field(default=False, init=False, repr=False)

    name: str = "console"
    file: TextIO | None = None

    async def send(self, notification: Notification) -> str | None:
        """Print it."""
        console = Console(file=self.file or sys.stderr, highlight=False, markup=False, emoji=False)
        style = "bold yellow" if notification.is_question else dict(STYLES).get(notification.topic, "bold")
        lines = [Text(harmless(notification.headline), style=style), *self._details(notification)]
        console.print(*lines, sep="\n", soft_wrap=True)
        return None

    def _details(self, notification: Notification) -> list[Text]:
        rows = [*notification.rows, ("approval", notification.approval_id)]
        if notification.link:
            rows.append(("link", notification.link))
        found = [Text(f"  {harmless(label)}: {harmless(value)}") for label, value in rows]
        return found + [Text(f"  | {harmless(line)}") for line in notification.preview.splitlines()]
