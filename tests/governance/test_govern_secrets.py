"""Nothing secret reaches the file: not under its own name, not by its type, not inside an error, not for a moment."""

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel, Field

from assent import (
    NOT_DONE,
    ApprovalPending,
    ApprovalPolicy,
    AuditPolicy,
    PolicyDenied,
    StateNotCaptured,
    Status,
    ValidationPolicy,
    approve,
    govern,
    policy,
    step,
    workflow,
)
from assent.governance.redaction import Redaction
from assent.governance.veil import secrets_of, veiled, withheld_error, without
from tests.governance.ground import CFO, Effects, Ground

CANARY = "canary-4711"
effects = Effects()


@pytest.fixture(autouse=True)
def no_effects() -> None:
    effects.clear()
    effects.then = None


class Login(BaseModel):
    user: str
    apiKey: str  # noqa: N815 - spelled as in other people's JSON
    pass_phrase: str = Field(default="", alias="word")


@dataclass(frozen=True)
class Card:
    number: str
    holder: str


class Named(NamedTuple):
    user: str
    password: str


ASKING = ApprovalPolicy([CFO], timeout_seconds=1)
AUDIT = AuditPolicy(sensitive=["account number"], sensitive_types=[Card])


@govern([AUDIT, ASKING])
async def charge(
    amount: int,
    token: str,
    login: Login,
    cards: list[Card],
    headers: list[tuple[str, str]],
    more: dict[str, dict[str, list[dict[str, str]]]],
    named: Named,
) -> dict[str, Any]:
    await effects.have(
        token, login.apiKey, cards[0].number, headers[0][1], more["a"]["b"][0]["AccountNumber"], named[1]
    )
    return {"SECRET": CANARY, "deep": [{"Session-Token": CANARY}], "amount": amount}


def secret_call() -> Awaitable[dict[str, Any]]:
    return charge(
        5,
        token=CANARY,
        login=Login(user="ana", apiKey=CANARY),
        cards=[Card(CANARY, "ana")],
        headers=[("Authorization", CANARY), ("Accept", "json")],
        more={"a": {"b": [{"AccountNumber": CANARY}]}},
        named=Named("ana", CANARY),
    )


async def test_secrets_are_seen_by_nobody_while_a_call_waits_and_are_whole_when_it_goes_on(ground: Ground) -> None:
    async with ground.runtime(charge) as runtime:
        with pytest.raises(ApprovalPending) as pending:
            await secret_call()
        assert CANARY not in ground.shown()
        (approval,) = await runtime.approvals()
        assert CANARY not in approval.request
        assert '"amount":5' in approval.request
    assert CANARY.encode() in ground.bytes()  # sealed, until it has ended
    async with ground.runtime(charge) as another:
        await ground.decide(another)
        await another.handle(pending.value.execution_id).result()
        assert CANARY not in ground.shown()
    assert effects == [(CANARY,) * 6]
    assert ground.rows("SELECT * FROM sealed") == []
    assert CANARY.encode() not in ground.bytes()


async def test_the_caller_gets_its_result_whole_and_others_without_secrets(ground: Ground) -> None:
    async with ground.runtime() as runtime, asyncio.TaskGroup() as people:
        people.create_task(ground.decide(runtime))
        result = await secret_call()
        (record,) = await runtime.executions()
    assert (result["SECRET"], result["deep"]) == (CANARY, [{"Session-Token": CANARY}])
    async with ground.runtime(charge) as another:
        seen = await another.handle(record.id).result()
    assert seen == {"SECRET": "[redacted]", "deep": [{"Session-Token": "[redacted]"}], "amount": 5}


async def test_a_secret_result_outlives_a_restart_of_the_workflow_that_uses_it(ground: Ground) -> None:
    @govern(AUDIT)
    async def log_in(user: str) -> dict[str, str]:
        return {"token": CANARY}

    @workflow
    async def session(user: str) -> bool:
        found = await log_in(user)
        await asyncio.sleep(3600)
        return found["token"] == CANARY

    async with ground.runtime(session) as runtime:
        handle = await runtime.start(session, "ana", id="s")
        await ground.until("execution.suspended")
        assert CANARY not in ground.shown()
    async with ground.runtime(session) as runtime:
        assert await runtime.handle(handle.id).result() is True
    assert CANARY.encode() not in ground.bytes()


async def test_the_arguments_of_a_governed_child_are_as_secret_in_its_parent(ground: Ground) -> None:
    @govern(AUDIT)
    async def connect(token: str) -> None:
        await effects.have(token)

    @workflow
    async def parent() -> None:
        await (await runtime.start(connect, token=CANARY)).result()

    async with ground.runtime(connect, parent) as runtime:
        await (await runtime.start(parent)).result()
    assert effects == [(CANARY,)]
    assert CANARY.encode() not in ground.bytes()


@pytest.mark.parametrize("place", ["effect", "policy", "pre", "review", "post", "authorizer"])
async def test_an_error_that_tells_a_secret_is_stored_without_it(ground: Ground, place: str) -> None:
    def tell(action: Any, _: Any = None) -> bool:
        raise ValueError(f"{action.token!r} was refused")

    async def connect(token: str) -> None:
        if place == "effect":
            raise ConnectionError(f"https://bank.test/?token={token}")

    every: dict[str, dict[str, Any]] = {
        "effect": {},
        "policy": {"policies": policy(tell)},
        "authorizer": {"policies": ValidationPolicy(check=lambda action: tell(action) is True)},
        "pre": {"pre": tell},
        "review": {"policies": policy(phase="after")(tell)},  # type: ignore[call-overload]
        "post": {"post": tell},
    }
    governed = govern(name="connect", **every[place])(connect)
    async with ground.runtime() as runtime:
        with pytest.raises((ConnectionError, PolicyDenied, ValueError), match="redacted") as raised:
            await governed(CANARY)
        assert CANARY not in str(raised.value)
        assert len(await runtime.executions(status="failed")) == 1
    assert CANARY.encode() not in ground.bytes()


async def test_an_error_in_a_governed_workflow_is_stored_without_secrets(ground: Ground) -> None:
    @govern(AUDIT)
    @workflow
    async def connect(token: str) -> None:
        raise ConnectionError(f"{token} was refused")

    async with ground.runtime():
        with pytest.raises(ConnectionError, match="redacted"):
            await connect(CANARY)
    assert CANARY.encode() not in ground.bytes()


# Calls that keep no state


@govern([AUDIT, ValidationPolicy(check=lambda action: bool(action.text))], capture_state=False)
async def whisper(text: str) -> str:
    await effects.have(text)
    return text + "!"


async def test_a_call_that_keeps_no_state_leaves_digests_only(ground: Ground) -> None:
    async with ground.runtime() as runtime:
        assert await whisper(CANARY) == CANARY + "!"
        (record,) = await runtime.executions()
        events = await runtime.handle(record.id).events()
        assert record.arguments.startswith("@withheld:")
        with pytest.raises(StateNotCaptured, match="handed to the caller"):
            await runtime.handle(record.id).result()
        assert CANARY.encode() not in ground.bytes()
    assert CANARY.encode() not in ground.bytes()
    assert [each.type for each in events][-1] == "execution.completed"


async def test_what_a_call_that_keeps_no_state_raises_is_for_its_caller_only(ground: Ground) -> None:
    async def refuse() -> None:
        raise ConnectionError(CANARY)

    effects.then = refuse
    async with ground.runtime() as runtime:
        with pytest.raises(ConnectionError, match=CANARY):
            await whisper(CANARY)
        (record,) = await runtime.executions(status="failed")
        with pytest.raises(ConnectionError, match="what it said is not kept"):
            await runtime.handle(record.id).result()
        assert CANARY.encode() not in ground.bytes()
    assert CANARY.encode() not in ground.bytes()


async def test_nothing_of_a_call_that_keeps_no_state_is_written_while_people_are_asked(ground: Ground) -> None:
    @govern([ASKING, AUDIT], capture_state=False)
    async def send(text: str) -> str:
        return text

    async with ground.runtime() as runtime, asyncio.TaskGroup() as people:
        call = people.create_task(send(CANARY))
        (approval,) = await ground.asked(runtime)
        assert '"arguments":{}' in approval.request
        assert CANARY.encode() not in ground.bytes()
        await ground.decide(runtime)
        assert await call == CANARY
    assert CANARY.encode() not in ground.bytes()


async def test_in_a_workflow_a_call_that_keeps_no_state_may_wait_for_people(ground: Ground) -> None:
    """The workflow finds the arguments again by itself, and nothing of the call need be stored for that."""

    @step
    async def number() -> int:
        return 7

    @govern([ASKING], capture_state=False)
    async def send(text: str) -> None:
        await effects.have(text)

    @workflow
    async def sending() -> str:
        await send(f"canary-{await number()}")
        return "done"

    async with ground.runtime(sending) as runtime:
        await runtime.start(sending, id="s")
        await ground.until("execution.suspended")
    async with ground.runtime(sending) as runtime:
        await ground.decide(runtime)
        assert await runtime.handle("s").result() == "done"
    assert effects == [("canary-7",)]
    assert b"canary-7" not in ground.bytes()


async def test_a_workflow_that_would_need_a_result_that_was_not_kept_says_so(ground: Ground) -> None:
    @workflow
    async def gossip() -> str:
        heard = await whisper("psst")
        await asyncio.sleep(3600)
        return heard

    async with ground.runtime(gossip) as runtime:
        handle = await runtime.start(gossip)
        with pytest.raises(StateNotCaptured, match="the result of step whisper was not kept"):
            await handle.result()
        assert await handle.status() is Status.FAILED
    assert effects == [("psst",)]


async def test_a_workflow_may_catch_what_a_call_that_keeps_no_state_raises(ground: Ground) -> None:
    @govern([policy(name="never")(lambda *_: False)], capture_state=False)
    async def send(text: str) -> None:
        await effects.have(text)

    @workflow
    async def careful() -> str:
        try:
            await send(CANARY)
        except PolicyDenied as error:
            await approve("instead", approvers=[CFO])
            return f"{error.policy}: {error.reason}"
        return "sent"

    async with ground.runtime(careful) as runtime:
        handle = await runtime.start(careful)
        await ground.until("execution.suspended")
        await ground.decide(runtime)
        assert await handle.result() == "never: not kept"
    assert CANARY.encode() not in ground.bytes()


# How it is done


class Odd(BaseModel):
    card: Card
    inner: dict[str, Any] = {}

    def model_dump_odd(self) -> Mapping[str, Any]:
        return {}


@pytest.mark.parametrize(
    ("text", "value", "shown"),
    [
        ('{"a":1}', {"a": 1}, '{"a":1}'),
        ('{"token":1}', {"token": 1}, '{"token":"[redacted]"}'),
        ('{"1":"a"}', {1: "a"}, '{"1":"a"}'),
        ('{"a":{"b":[{"PIN":1}]}}', {"a": {"b": [{"PIN": 1}]}}, '{"a":{"b":[{"PIN":"[redacted]"}]}}'),
        ('["x","y"]', Named("x", "y"), '["x","[redacted]"]'),
        ('[["cookie","x"],["a","b"]]', [("cookie", "x"), ("a", "b")], '[["cookie","[redacted]"],["a","b"]]'),
        ('{"number":"1","holder":"a"}', Card("1", "a"), '"[redacted]"'),
        ('{"1":{"number":"1","holder":"a"}}', {1: Card("1", "a")}, '{"1":"[redacted]"}'),
        ('[{"number":"1","holder":"a"}]', {Card("1", "a")}, '["[redacted]"]'),
        ('{"user":"u","apiKey":"k","pass_phrase":"w"}', Login(user="u", apiKey="k", word="w"),
         '{"user":"u","apiKey":"[redacted]","pass_phrase":"[redacted]"}'),
        ('{"other":"shape"}', Odd(card=Card("1", "a")), '"[redacted]"'),
        ('["other","shape"]', Odd(card=Card("1", "a")), '"[redacted]"'),
        ('{"other":"shape","pin":1}', Login(user="u", apiKey="k"), '{"other":"shape","pin":"[redacted]"}'),
        ('["other",{"pin":1}]', Login(user="u", apiKey="k"), '["other",{"pin":"[redacted]"}]'),
    ],
)  # fmt: skip
def test_json_is_veiled_beside_its_value(text: str, value: Any, shown: str) -> None:
    assert veiled(Redaction(types=[Card]), text, value) == shown  # type: ignore[arg-type]


def test_a_field_that_is_secret_only_by_its_alias_is_veiled() -> None:
    class Aliased(BaseModel):
        word: str = Field(alias="password")

    assert veiled(Redaction(), '{"word":"x"}', Aliased(password="x")) == '{"word":"[redacted]"}'


def test_secrets_are_found_inside_other_texts_however_they_are_written() -> None:
    secret = 'it"s\nünsafe'
    text = '{"token":"it\\"s\\nünsafe","pin":123456,"pwd":"ab","cvv":null}'
    secrets = secrets_of(Redaction(), text, {"token": secret, "pin": 123456, "pwd": "ab", "cvv": None})
    assert secrets == {secret, "123456"}
    told = '{"type":"m:123456","message":"it\\"s\\nünsafe and 123456","args":[123456,["it\\"s\\\\nünsafe"],true]}'
    assert without(secrets, told) == (
        '{"type":"m:123456","message":"[redacted] and [redacted]","args":["[redacted]",["[redacted]"],true]}'
    )
    assert without(frozenset(), told) == told


def test_of_a_withheld_error_only_what_is_known_to_be_harmless_is_kept() -> None:
    ours = (
        '{"type":"assent.errors:ApprovalRejected","message":"no","traceback":"t","args":["no"],"state":{"reason":"r"}}'
    )
    assert withheld_error(ours) == ours
    theirs = withheld_error('{"type":"a:B","message":"m","traceback":"t","args":["m"],"state":{"x":"y"}}')
    assert theirs == (
        '{"type":"a:B","message":"B: what it said is not kept (capture_state=False)","traceback":"","args":null,'
        '"state":{}}'
    )


async def test_verify_may_still_look_it_up_with_the_real_values(ground: Ground) -> None:
    asked: list[Any] = []

    def look_up(action: Any) -> Any:
        asked.append((action.token, action.idempotency_key))
        return NOT_DONE

    @govern(verify=look_up)
    @step(timeout="1s")
    async def connect(token: str) -> None:
        await effects.have(token)

    async def hang() -> None:
        await asyncio.sleep(10)

    effects.then = hang
    async with ground.runtime():
        with pytest.raises(TimeoutError):
            await connect(CANARY)
    assert asked[0][0] == CANARY
    assert CANARY.encode() not in ground.bytes()
