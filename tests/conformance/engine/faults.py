"""What happens when the store fails, and what those see and may veto who watch."""

import asyncio
from typing import Any

import pytest

from assent import Effect, Retry, signal, step, workflow
from assent.codec import codec_for
from assent.engine import Note, StepSpec, current
from assent.errors import ExecutionCancelled, PermitRefused, StoreError
from assent.store import ApprovalRecord, Event, Permit
from tests.conformance.engine.ground import Ground, Suite, types


@step
async def echo(text: str) -> str:
    return text


@workflow
async def waits(text: str) -> str:
    before = await echo(text)
    return before + await signal("more", str)


class Faults(Suite):
    async def test_an_execution_goes_on_after_the_store_has_failed(self, ground: Ground) -> None:
        begun, go_on = asyncio.Event(), asyncio.Event()

        @step
        async def acts() -> str:
            begun.set()
            await go_on.wait()
            return "done"

        @workflow
        async def runs() -> str:
            return await acts() + await echo(" and done")

        async with ground.runtime(runs) as runtime:
            handle = await runtime.start(runs)
            await begun.wait()
            result = asyncio.ensure_future(handle.result())
            await asyncio.sleep(0)
            ground.fail_once()
            go_on.set()
            with pytest.raises(StoreError, match="full"):
                await result
            assert await handle.result() == "done and done"

    @pytest.mark.parametrize("at", range(1, 6))
    async def test_it_goes_on_wherever_the_store_fails(self, ground: Ground, at: int) -> None:
        async def look_up(effect: Effect) -> Any:
            return effect.arguments["text"]

        @step(verify=look_up)
        async def acts(text: str) -> str:
            return text

        @workflow
        async def runs() -> str:
            return await echo("a") + await acts("b") + await signal("more", str)

        seen = 0

        def fail_at(event: Event) -> None:
            nonlocal seen
            seen += 1
            if seen == at:
                ground.fail_once()

        async with ground.runtime(runs, watchers=[fail_at]) as runtime:
            handle = await runtime.start(runs)
            await handle.signal("more", "c")
            for _ in range(3):
                try:
                    assert await handle.result() == "abc"
                    break
                except StoreError:
                    continue
            assert types(await handle.events(), "execution.completed") == ["execution.completed"]

    async def test_an_attended_caller_is_told_and_it_goes_on_without_him(self, ground: Ground) -> None:
        async with ground.runtime(waits) as runtime:
            engine = runtime.engine
            record = await engine.start(waits.program, {"text": "a"}, attended=True)
            await engine.waiting(record.id)
            ground.fail_once()
            await runtime.handle(record.id).signal("more", "b")
            with pytest.raises(StoreError):
                await engine.result(record.id)
            await engine.leave(record.id)
            assert await engine.result(record.id) == "ab"

    async def test_a_refused_permit_takes_nothing_along_that_was_asked_with_it(self, ground: Ground) -> None:
        async def nothing(_arguments: Any) -> None:
            return None

        @workflow
        async def runs() -> str:
            live = current()
            assert live is not None
            request = ApprovalRecord(id="ask", execution_id=live.info.id, request="{}", digest="", created_at=0.0)
            notes = [Note("policy.approval.requested")]
            waiting = live.wait_signal("verdict", codec_for(str), notes=notes, approvals=[request])
            asked = asyncio.create_task(waiting)
            await asyncio.sleep(0)
            effect = StepSpec(name="effect", perform=nothing, returns=codec_for(None), once=True)
            permit = Permit(id="permit", action_digest="", approvals=[("nobody gave it", "")])
            with pytest.raises(PermitRefused):
                await live.run_step(effect, {}, permit=permit)
            return str(await asked)

        async with ground.runtime(runs) as runtime:
            handle = await runtime.start(runs)
            await runtime.engine.waiting(handle.id)
            assert [each.id for each in await runtime.approvals()] == ["ask"]
            await handle.signal("verdict", "yes")
            assert await handle.result() == "yes"


class Watching(Suite):
    async def test_watchers_see_every_durable_event_in_order(self, ground: Ground) -> None:
        async with ground.runtime(waits) as runtime:
            handle = await runtime.start(waits, "a")
            await runtime.engine.waiting(handle.id)
            await handle.signal("more", "b")
            await handle.result()
            assert types(ground.seen) == types(await handle.events())

    async def test_a_watcher_that_fails_disturbs_nobody(self, ground: Ground) -> None:
        def fails(event: Event) -> None:
            raise RuntimeError(event.type)

        async with ground.runtime(waits, watchers=[fails]) as runtime:
            handle = await runtime.start(waits, "a")
            await handle.signal("more", "b")
            assert await handle.result() == "ab"

    async def test_a_veto_fails_the_step(self, ground: Ground) -> None:
        done: list[str] = []

        @step(retry=Retry(3, initial=1))
        async def acts(text: str) -> None:
            done.append(text)

        @workflow
        async def runs() -> None:
            await acts("a")

        async def veto(info: Any, name: str, arguments: Any) -> None:
            raise PermissionError(f"{info.name} may not {name} {arguments['text']}")

        async with ground.runtime(runs, gates=[veto]) as runtime:
            with pytest.raises(PermissionError, match=r"runs may not .*acts a"):
                await (await runtime.start(runs)).result()
        assert done == []

    async def test_cancelled_while_parked_is_seen_as_such(self, ground: Ground) -> None:
        async with ground.runtime(waits) as runtime:
            handle = await runtime.start(waits, "a")
            await runtime.engine.waiting(handle.id)
            await handle.cancel("no more")
            with pytest.raises(ExecutionCancelled):
                await handle.result()
        assert types(ground.seen)[-2:] == ["execution.cancelling", "execution.cancelled"]
