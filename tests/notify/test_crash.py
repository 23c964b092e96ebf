"""A process that dies between sending a notice and recording it."""

import asyncio
import base64
import sys
from pathlib import Path

from standardwebhooks.webhooks import Webhook

from assent.clock import SystemClock
from assent.notify import WebhookChannel
from tests.notify.ground import Office, notifier
from tests.notify.servers import Answer, Received, WebServer, web_server
from tests.notify.test_notifier import SetClock

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
PROGRAM = """
import asyncio, sys
from assent.clock import SystemClock
from assent.notify import Notifier, WebhookChannel
from assent.store.sqlite import SqliteStore

async def main(path, url, secret):
    async with SqliteStore(path) as store:
        async with Notifier(store, SystemClock(), [WebhookChannel(url=url, secret=secret)]):
            await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_repeat_after_a_crash_bears_the_same_id(office: Office, tmp_path: Path) -> None:
    arrived: list[asyncio.subprocess.Process] = []

    def kill(_: Received) -> Answer:
        if arrived:
            arrived.pop().kill()  # before it hears that the message has arrived
            return Answer(cut=True)
        return Answer()

    await office.ask(channels=("webhook",))
    async with web_server(WebServer(usual=kill)) as server:
        command = [sys.executable, "-c", PROGRAM, str(tmp_path / "assent.db"), server.url, SECRET]
        # It is only let go after it is known here, so that the server knows whom to kill.
        process = await asyncio.create_subprocess_exec(*command)
        arrived.append(process)
        assert await process.wait() == -9
        clock = office.clock = SetClock()
        clock.at = SystemClock().now()
        hook = WebhookChannel(url=server.url, secret=SECRET)
        await notifier(office, hook).send_due()
        assert await office.statuses() == {"a1:requested:webhook": "pending"}
        assert len(server.received) == 1
        clock.at += 100.0
        await notifier(office, hook).send_due()
    assert await office.statuses() == {"a1:requested:webhook": "sent"}
    first, again = server.received
    assert first.headers["webhook-id"] == again.headers["webhook-id"]
    assert first.body == again.body
    Webhook(SECRET).verify(again.body, dict(again.headers))
