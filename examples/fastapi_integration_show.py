"""The show of `fastapi_integration.py`: its app in two processes, and people who call it over HTTP.

It only knows what the answers say, and in the end what stands in the ledger.
"""

import asyncio
import json
import os
import re
import signal
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

APP = Path(__file__).with_name("fastapi_integration.py")


class Answer(NamedTuple):
    status: int
    body: Any
    headers: dict[str, str]


class Caller:
    """Somebody with a token."""

    def __init__(self, base: str, name: str) -> None:
        self.base = base
        self.name = name

    async def call(self, path: str, body: Any = None) -> Answer:
        """It is a POST if there is a body."""
        return await asyncio.to_thread(self._call, path, body)

    def _call(self, path: str, body: Any) -> Answer:
        data = None if body is None else json.dumps(body).encode()
        # Without keeping the connection, so that the next call may reach another process.
        headers = {"Content-Type": "application/json", "Connection": "close"}
        headers["Authorization"] = f"Bearer {self.name}-demo"
        request = urllib.request.Request(self.base + path, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return Answer(answer.status, json.load(answer), dict(answer.headers))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, json.load(error), dict(error.headers))

    async def show(self, path: str, body: Any) -> Answer:
        began = time.perf_counter()
        answer = await self.call(path, body)
        print(f"  {self.name}  POST {shortened(path)}  → {answer.status} after {time.perf_counter() - began:.1f} s")
        print(f"       {shortened(json.dumps(answer.body))}")
        return answer

    async def asked(self) -> list[str]:
        """The ids of what waits for this person, as soon as there is something."""
        while not (found := (await self.call("/governance/approvals")).body["items"]):  # noqa: ASYNC110 - it is HTTP
            await asyncio.sleep(0.05)
        return [one["id"] for one in found]

    async def approve(self, reason: str) -> None:
        for approval_id in await self.asked():
            verdict = {"decision": "approve", "reason": reason}
            answer = await self.call(f"/governance/approvals/{approval_id}/verdicts", verdict)
            print(f"  {self.name}  POST /governance/approvals/…/verdicts  → {answer.status}: {answer.body['status']}")

    async def poll(self, poll_url: str) -> None:
        """Ask for the result until it is there."""
        found: dict[str, Any] = {}
        while found.get("status") not in {"completed", "failed", "cancelled"}:
            await asyncio.sleep(0.05)
            found = (await self.call(poll_url)).body
        print(f"  {self.name}  GET  {shortened(poll_url)}  → {found['status']}: {json.dumps(found['result'])}")

    async def server(self) -> int:
        """The process that answers, as soon as one does."""
        while True:
            try:
                return int((await self.call("/process")).body)
            except OSError:  # nobody listens yet, or the connection went to a process that was killed
                await asyncio.sleep(0.05)


def shortened(text: str) -> str:
    """A line for the screen, where ids would only be in the way."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}", lambda found: f"…{found[0][-6:]}", text)
    return text if len(text) < 200 else f"{text[:197]}..."


async def refunds(ana: Caller, lea: Caller) -> None:
    print("\nA small refund needs nobody:")
    await ana.show("/refunds", {"amount": 20, "customer": "Ada"})

    print("\nA large one waits two seconds for the lead, who is quick:")
    await asyncio.gather(ana.show("/refunds", {"amount": 500, "customer": "Bo"}), lea.approve("ticket 7"))

    print("\nThe next time the lead takes longer, so the caller comes back for it:")
    answer = await ana.show("/refunds", {"amount": 700, "customer": "Cy"})
    print(f"       Location: {shortened(answer.headers['location'])}   Retry-After: {answer.headers['retry-after']}")
    print("  (nobody approves what they have asked for themselves)")
    await ana.show(f"/governance/approvals/{(await lea.asked())[0]}/verdicts", {"decision": "approve"})
    await lea.approve("ticket 8")
    await ana.poll(answer.body["poll_url"])


async def kills(ana: Caller, lea: Caller, processes: set[int]) -> None:
    print("\nBoth processes are killed while a refund waits; uvicorn starts others, and one of them finishes it:")
    answer = await ana.show("/refunds", {"amount": 900, "customer": "Di"})
    for process in processes:
        os.kill(process, signal.SIGKILL)
    while await ana.server() in processes:  # noqa: ASYNC110 - it is HTTP
        await asyncio.sleep(0.05)
    await lea.approve("ticket 9")
    await ana.poll(answer.body["poll_url"])


async def refusals(ana: Caller, eve: Caller) -> None:
    print("\nWhat is refused is a problem document:")
    await ana.show("/refunds", {"amount": -5, "customer": "Ada"})
    await ana.show("/shop/close", {})
    for _ in range(2):
        await ana.call("/reminders/Ada", {})
    answer = await ana.show("/reminders/Ada", {})
    print(f"       Retry-After: {answer.headers['retry-after']}")
    print("  (the app's own sign-in refuses a token that is nobody's)")
    await eve.show("/refunds", {"amount": 20, "customer": "Eve"})


async def show(base: str, ledger: Path) -> None:
    ana, lea, eve = (Caller(base, name) for name in ("ana", "lea", "eve"))
    processes: set[int] = set()
    while len(processes) < 2:
        processes.add(await ana.server())
    print(f"{len(processes)} processes serve {base}")
    await refunds(ana, lea)
    await kills(ana, lea, processes)
    await refusals(ana, eve)
    print("\nA workflow that is started on purpose:")
    await ana.poll((await ana.show("/refunds/several", ["Flo", "Gus"])).body["poll_url"])
    entries = [json.loads(line) for line in ledger.read_text(encoding="utf-8").splitlines()]
    print("\nThe ledger: " + ", ".join(f"{entry['customer']} {entry['amount']}" for entry in entries))


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        ledger = Path(folder, "shop.ledger.jsonl")
        environment = {**os.environ, "ASSENT_STORE": f"sqlite:///{folder}/shop.db", "SHOP_LEDGER": str(ledger)}
        command = [sys.executable, "-m", "uvicorn", f"{APP.stem}:app", "--app-dir", str(APP.parent)]
        command += ["--workers", "2", "--port", "0", "--no-access-log"]
        server = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.PIPE)
        assert server.stderr is not None
        try:
            while not (found := re.search(r"http://[\d.:]+", (await server.stderr.readline()).decode())):
                if server.stderr.at_eof():
                    sys.exit("the server does not start")
            await show(found[0], ledger)
        finally:
            server.terminate()
            await server.communicate()


if __name__ == "__main__":
    asyncio.run(main())
