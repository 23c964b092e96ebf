"""In which order a drive writes what workflow code asked for."""

from pathlib import Path

from assent import Runtime, patched, step, workflow


@step(once=True)
async def pays() -> str:
    return "paid"


@workflow
async def pays_behind_a_patch() -> str:
    return await pays() if patched("pays once") else ""


async def test_a_patch_is_journaled_before_the_intent_of_what_stands_behind_it(tmp_path: Path) -> None:
    """Else a crash right after the intent leaves a journal in which the code takes the old path."""
    async with Runtime(f"sqlite:///{tmp_path}/test.db") as runtime:
        handle = await runtime.start(pays_behind_a_patch)
        assert await handle.result() == "paid"
        types = [event.type for event in await handle.events()]
    assert types.index("execution.patched") < types.index("step.started")
