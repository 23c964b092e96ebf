"""What several policies say together, and that whatever goes wrong in one of them is a denial."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assent.errors import PolicyDenied, RateLimited, UsageError, ValidationDenied
from assent.governance import (
    Action,
    ApprovalPolicy,
    ApprovalRequest,
    AuditPolicy,
    AuthorizationPolicy,
    Decision,
    Facts,
    Outcome,
    Phase,
    Policy,
    Principal,
    RateLimitPolicy,
    Redaction,
    Ruling,
    SequentialApprovalPolicy,
    ValidationPolicy,
    evaluate_all,
    policies_digest,
    policy,
    redaction_of,
)
from assent.governance.approval_policies import ApprovalStage
from assent.governance.budgets import BudgetPolicy
from assent.governance.selection import Selector
from assent.store import Hold

ACTION = Action(name="wire", arguments={"amount": 5, "password": "hunter2"}, requester=Principal("ana@company.com"))
NOW = Facts(now=1000.0)
CFO = ApprovalRequest(approvers=("cfo@company.com",))


@dataclass(frozen=True, kw_only=True)
class Says(Policy):
    """A policy that gives the answer it was made with, or raises it."""

    answer: Any = True

    def evaluate(self, action: Action, facts: Facts) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@dataclass(frozen=True, kw_only=True)
class SaysLater(Says):
    """The same, asynchronously."""

    async def evaluate(self, action: Action, facts: Facts) -> Any:
        await asyncio.sleep(0)
        return Says.evaluate(self, action, facts)


def decision(outcome: Any, **settings: Any) -> Decision:
    return Decision(outcome, requests=(CFO,) if outcome == "ask" else (), **settings)


async def rule(*policies: Any, facts: Facts = NOW, action: Action = ACTION) -> Ruling:
    return await evaluate_all(policies, action, facts)


async def test_no_policy_allows() -> None:
    assert (await rule()).outcome == "allow"


@pytest.mark.parametrize("kind", [Says, SaysLater])
@pytest.mark.parametrize(("answer", "expected"), [(True, "allow"), (False, "deny"), (None, "deny")])
async def test_true_allows_and_everything_else_that_is_no_decision_denies(
    kind: Any, answer: Any, expected: str
) -> None:
    assert (await rule(kind(answer=answer))).outcome == expected


GARBAGE: list[Any] = [
    1,
    "yes",
    [],
    object(),
    NotImplemented,
    Decision("maybe"),  # type: ignore[arg-type]  # what must be refused
    Decision("ask"),
    Decision("allow", requests=(CFO,)),
    Decision("ask", requests=("cfo@company.com",)),  # type: ignore[arg-type]  # what must be refused
    Decision("allow", facts=None),  # type: ignore[arg-type]  # what must be refused
    Decision("deny", retry_after="soon"),  # type: ignore[arg-type]  # what must be refused
]


@pytest.mark.parametrize("kind", [Says, SaysLater])
@pytest.mark.parametrize("answer", GARBAGE, ids=range(len(GARBAGE)))
async def test_garbage_is_a_denial(kind: Any, answer: Any) -> None:
    ruling = await rule(kind(answer=answer), Says(name="fine"))
    assert ruling.outcome == "deny"
    assert len(ruling.events()) == 2
    assert isinstance(ruling.denial(), PolicyDenied)


class Odd(BaseException):
    """An error that is no Exception."""


@pytest.mark.parametrize("kind", [Says, SaysLater])
@pytest.mark.parametrize("error", [ValueError("broken"), TimeoutError(), Odd("odd"), RecursionError(), SystemExit(0)])
async def test_an_error_in_a_policy_is_a_denial_with_its_cause(kind: Any, error: BaseException) -> None:
    ruling = await rule(kind(name="weak", answer=error), Says(name="fine"))
    assert ruling.outcome == "deny"
    assert [one.policy for one in ruling.decisions] == ["weak", "fine"]
    denial = ruling.denial()
    assert denial.__cause__ is error
    assert type(error).__name__ in denial.reason


@pytest.mark.parametrize("kind", [Says, SaysLater])
@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt()])
async def test_what_ends_the_caller_is_passed_on(kind: Any, error: BaseException) -> None:
    with pytest.raises(type(error)):
        await rule(kind(answer=error))


def test_a_round_of_questions_can_be_given_up() -> None:
    waiting = evaluate_all([SaysLater()], ACTION, NOW)
    waiting.send(None)
    waiting.close()


@pytest.mark.parametrize("no_policy", [None, "policy", lambda action, facts: True, object(), Says], ids=type)
async def test_what_is_no_policy_denies(no_policy: Any) -> None:
    assert (await rule(no_policy)).outcome == "deny"


async def test_a_misspelled_phase_does_not_switch_a_policy_off() -> None:
    with pytest.raises(UsageError, match="phase='pre'"):
        Says(phase="pre")  # type: ignore[arg-type]  # what must be refused
    tampered = Says(answer=False)
    object.__setattr__(tampered, "phase", "pre")
    assert (await rule(tampered)).outcome == "deny"
    assert Says(phase="after").phase is Phase.AFTER  # type: ignore[arg-type]  # text is welcome at run time


def test_facts_are_of_one_phase() -> None:
    with pytest.raises(UsageError, match="one phase"):
        Facts(now=0, phase=Phase.BOTH)


async def test_policies_are_asked_in_their_phase_only() -> None:
    policies = [Says(name=str(phase), phase=phase) for phase in Phase]
    after = replace(NOW, phase=Phase.AFTER, outcome=Outcome(value=1))
    assert [one.policy for one in (await rule(*policies)).decisions] == ["before", "both"]
    assert [one.policy for one in (await rule(*policies, facts=after)).decisions] == ["after", "both"]


async def test_at_the_moment_of_the_effect_only_rechecked_policies_are_asked() -> None:
    policies = [Says(name="once", answer=False), Says(name="twice", rechecked=True)]
    ruling = await rule(*policies, facts=replace(NOW, evaluated_at=900.0))
    assert [one.policy for one in ruling.decisions] == ["twice"]


OUTCOMES = st.sampled_from(["allow", "deny", "warn", "ask"])
RANK = {"allow": 0, "ask": 1, "deny": 2}


def says(outcomes: list[str]) -> list[Policy]:
    return [(Says, SaysLater)[place % 2](name=str(place), answer=decision(one)) for place, one in enumerate(outcomes)]


def ruled(policies: list[Policy]) -> Ruling:
    return asyncio.run(evaluate_all(policies, ACTION, NOW))


@given(st.lists(OUTCOMES, max_size=6))
def test_any_denial_denies_else_any_question_asks(outcomes: list[str]) -> None:
    expected = "deny" if "deny" in outcomes else "ask" if "ask" in outcomes else "allow"
    ruling = ruled(says(outcomes))
    assert ruling.outcome == expected
    assert len(ruling.requests) == outcomes.count("ask")
    assert len(ruling.warnings) == outcomes.count("warn")
    assert len(ruling.decisions) == len(outcomes)


@given(st.lists(OUTCOMES, max_size=5), OUTCOMES, st.integers(0, 5))
def test_another_policy_never_allows_more(outcomes: list[str], another: str, place: int) -> None:
    more = [*outcomes[:place], another, *outcomes[place:]]
    assert RANK[ruled(says(more)).outcome] >= RANK[ruled(says(outcomes)).outcome]


@given(st.lists(OUTCOMES, max_size=5).flatmap(lambda outcomes: st.tuples(st.just(outcomes), st.permutations(outcomes))))
def test_the_order_of_policies_does_not_matter(orders: tuple[list[str], list[str]]) -> None:
    one, other = (ruled(says(outcomes)) for outcomes in orders)
    assert one.outcome == other.outcome
    assert len(one.denials) == len(other.denials)
    assert len(one.requests) == len(other.requests)


async def test_a_policy_that_consumes_is_asked_only_if_nothing_denies() -> None:
    taken: list[str] = []

    async def admit(key: str, rate: float, burst: int) -> float:
        taken.append(key)
        return 0.0

    facts = replace(NOW, admit=admit)
    limit = RateLimitPolicy(3)
    assert (await rule(limit, Says(answer=False), facts=facts)).outcome == "deny"
    assert (await rule(limit, SaysLater(answer=ValueError()), facts=facts)).outcome == "deny"
    assert not taken
    assert (await rule(limit, Says(), facts=facts)).outcome == "allow"
    assert len(taken) == 1


async def test_a_request_is_bound_to_the_action_and_the_policies_whatever_the_policy_wrote() -> None:
    forged = replace(CFO, action="harmless", action_digest="0", policies_digest="0", requester="nobody", policy="other")
    asking = Says(name="asking", answer=Decision("ask", policy="other", kind="audit", requests=(forged,)))
    action = replace(ACTION, labels=frozenset({"b", "a"}))
    ruling = await rule(asking, Says(), action=action)
    ((request,),) = ruling.requests
    assert request.action == request.subject == "wire"
    assert request.action_digest == ACTION.digest
    assert request.policies_digest == policies_digest([asking, Says()])
    assert (request.policy, request.policy_digest) == ("asking", asking.fingerprint())
    assert request.requester == "ana@company.com"
    assert request.labels == ("a", "b")
    assert request.arguments == {"amount": 5, "password": "[redacted]"}
    assert (ruling.decisions[0].policy, ruling.decisions[0].kind) == ("asking", "custom")


async def test_arguments_are_shown_without_what_any_policy_hides() -> None:
    ruling = await rule(Says(answer=decision("ask")), AuditPolicy(sensitive=["amount"]))
    assert ruling.requests[0][0].arguments == {"amount": "[redacted]", "password": "[redacted]"}


async def test_an_action_that_cannot_be_told_from_others_is_not_asked_about() -> None:
    action = Action(name="wire", arguments={"amount": object()})
    assert (await rule(Says(answer=decision("ask")), action=action)).outcome == "deny"


async def test_a_question_that_nobody_may_answer_is_a_denial() -> None:
    own = ApprovalRequest(approvers=("ANA@company.com",))
    ruling = await rule(Says(answer=Decision("ask", requests=(own,))))
    assert "nobody can grant it" in ruling.denial().reason
    duties = replace(own, separation_of_duties=False)
    assert (await rule(Says(answer=Decision("ask", requests=(duties,))))).outcome == "ask"
    escalating = replace(own, on_expiry="escalate", escalate_to=(("ceo@company.com",),))
    assert (await rule(Says(answer=Decision("ask", requests=(escalating,))))).outcome == "ask"


async def test_nobody_is_asked_after_the_effect() -> None:
    facts = replace(NOW, phase=Phase.AFTER, outcome=Outcome())
    assert (await rule(Says(phase=Phase.AFTER, answer=decision("ask")), facts=facts)).outcome == "deny"


async def test_a_question_at_the_moment_of_the_effect_counts_as_answered_only_if_it_was() -> None:
    asking = Says(rechecked=True, answer=decision("ask"))
    late = replace(NOW, evaluated_at=900.0)
    assert (await rule(asking, facts=late)).outcome == "deny"
    assert (await rule(asking, facts=replace(late, granted=frozenset({"other"})))).outcome == "deny"
    (requests,) = (await rule(asking)).requests
    granted = frozenset(request.digest() for request in requests)
    assert (await rule(asking, facts=replace(late, granted=granted))).outcome == "allow"
    other = replace(ACTION, arguments={"amount": 2})
    assert (await rule(asking, action=other, facts=replace(late, granted=granted))).outcome == "deny"


async def test_a_denial_names_policy_reason_and_execution() -> None:
    action = replace(ACTION, execution_id="01H")
    denial = (await rule(Says(name="hours", answer=decision("deny", reason="it is night")), action=action)).denial()
    assert type(denial) is PolicyDenied
    assert str(denial) == "wire was denied by policy 'hours': it is night (execution 01H)"
    assert (denial.policy, denial.reason, denial.execution_id, denial.action) == ("hours", "it is night", "01H", "wire")


async def test_a_ruling_that_does_not_deny_has_no_error() -> None:
    with pytest.raises(UsageError, match="No policy denied wire"):
        (await rule()).denial()


async def test_the_error_is_of_the_gravest_denial_in_any_order() -> None:
    validation = ValidationPolicy(check=lambda a: a.amount > 10)
    authorization = AuthorizationPolicy(roles=["cfo"])
    for policies in ([validation, authorization], [authorization, validation]):
        denial = (await rule(*policies)).denial()
        assert type(denial) is PolicyDenied
        assert denial.policy == "authorization"
        assert "also by 'validation'" in str(denial)
    assert isinstance((await rule(validation)).denial(), ValidationDenied)


async def test_a_limit_alone_says_when_to_try_again() -> None:
    async def admit(key: str, rate: float, burst: int) -> float:
        return 2.5

    ruling = await rule(RateLimitPolicy(1), facts=replace(NOW, admit=admit))
    denial = ruling.denial()
    assert isinstance(denial, RateLimited)
    assert denial.retry_after == ruling.retry_after == 2.5
    assert (await rule(Says(answer=False))).retry_after is None
    assert (await rule()).retry_after is None


async def test_events_have_public_names_and_facts_without_secrets() -> None:
    ruling = await rule(
        ValidationPolicy(check=lambda a: a.amount > 0),
        ValidationPolicy(name="small", check=lambda a: a.amount < 3, strict=False, message="it is large"),
        Says(name="rule", answer=decision("deny", reason="no", facts={"token": "hunter2", "odd": object()})),
        AuthorizationPolicy(roles=["cfo"], ask=["cfo@company.com"]),
        ApprovalPolicy(["cfo@company.com"]),
        ApprovalPolicy(["cfo@company.com"], name="auto", auto_approve=lambda a: True),
        AuditPolicy(),
    )
    events = ruling.events()
    assert [(kind, name) for kind, name, _ in events] == [
        ("policy.validation.passed", "validation"),
        ("policy.validation.warned", "small"),
        ("policy.custom.failed", "rule"),
        ("policy.authorization.warned", "authorization"),
        ("policy.approval.passed", "auto"),
        ("audit.logged", "audit"),
    ]
    assert events[1][2] == {"reason": "it is large"}
    assert events[2][2] == {"token": "[redacted]", "odd": "[builtins.object]", "reason": "no"}
    assert events[3][2]["asks"] == [["cfo@company.com"]]
    assert "hunter2" not in json.dumps([facts for _, _, facts in events])


async def test_a_function_can_be_a_policy() -> None:
    @policy
    def small(action: Action, facts: Facts) -> bool:
        return bool(action.amount < 10)

    @policy(name="office hours", phase=Phase.BEFORE, rechecked=True, version=2)
    async def hours(action: Action, facts: Facts) -> Decision:
        return Decision("deny", reason=f"it is {facts.now}")

    assert (small.name, hours.name, hours.rechecked, hours.version) == ("small", "office hours", True, 2)
    ruling = await rule(small, hours)
    assert [one.outcome for one in ruling.decisions] == ["allow", "deny"]
    assert ruling.denial().policy == "office hours"
    assert small.fingerprint() != hours.fingerprint()


async def test_synchronous_policies_cost_no_turn_of_the_loop() -> None:
    coroutine = evaluate_all([Says(), Says(answer=False), AuditPolicy()], ACTION, NOW)
    with pytest.raises(StopIteration) as finished:
        coroutine.send(None)
    assert finished.value.value.outcome == "deny"


def test_what_policies_hide_adds_up() -> None:
    hidden = redaction_of([Says(), AuditPolicy(sensitive=["iban"]), AuditPolicy(sensitive=["account"])])
    assert hidden.apply({"iban": 1, "account": 2, "password": 3, "amount": 4}) == {
        "iban": "[redacted]",
        "account": "[redacted]",
        "password": "[redacted]",
        "amount": 4,
    }
    assert redaction_of([]) == Redaction()


def everybody(action: Action) -> list[str]:
    return ["a@x", "b@x"]


def check_large(action: Action, limit: int = 3) -> bool:
    return bool(action.amount > limit)


@dataclass(frozen=True, kw_only=True)
class HandsOn(Policy):
    """A policy that has others asked as well."""

    to: tuple[Any, ...] = ()
    says: Any = "allow"

    def evaluate(self, action: Action, facts: Facts) -> Decision:
        return Decision(self.says, requests=(CFO,) if self.says == "ask" else (), hands_on=self.to or (self,))


@given(st.lists(OUTCOMES, max_size=4), OUTCOMES)
def test_policies_that_are_handed_on_to_count_as_if_they_stood_beside(outcomes: list[str], own: str) -> None:
    inside = says(outcomes) or [Says()]
    handed = ruled([HandsOn(to=(HandsOn(to=tuple(inside), says=own),))])
    beside = ruled([HandsOn(to=(Says(),), says=own), *inside])
    assert handed.outcome == beside.outcome
    assert [one.policy for one in handed.decisions[2:]] == [one.name for one in inside]


async def test_what_is_handed_on_to_keeps_its_place_in_the_order_of_questions() -> None:
    taken: list[str] = []

    async def admit(key: str, rate: float, burst: int) -> float:
        taken.append(key)
        return 0.0

    facts = replace(NOW, admit=admit)
    limit = RateLimitPolicy(3)
    assert (await rule(HandsOn(to=(limit,)), HandsOn(to=(Says(answer=False),)), facts=facts)).outcome == "deny"
    assert taken == []
    ruling = await rule(HandsOn(to=(limit, Says(mode="shadow", answer=False), ApprovalPolicy(["a@x"]))), facts=facts)
    assert (ruling.outcome, len(taken), len(ruling.shadows)) == ("ask", 1, 1)


@pytest.mark.parametrize("to", [(), ("no policy",), (object(),)], ids=["itself", "text", "object"])
async def test_handing_on_without_end_or_to_no_policy_denies(to: Any) -> None:
    assert (await rule(HandsOn(to=to))).outcome == "deny"


class Unreadable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


async def test_an_error_without_a_text_is_a_denial_too() -> None:
    assert "[unreadable Unreadable]" in (await rule(Says(answer=Unreadable()))).denial().reason


async def test_a_question_is_bound_to_the_risk_and_to_those_who_may_not_decide() -> None:
    ruling = await rule(Says(answer=decision("ask")), action=replace(ACTION, risk="high"))
    assert ruling.requests[0][0].risk == "high"
    nobody = replace(CFO, excluded=("CFO@company.com",))
    ruling = await rule(Says(answer=Decision("ask", requests=(nobody,))))
    assert "nobody can grant it" in ruling.denial().reason
    everybody = replace(CFO, approvers=("cfo@company.com", "ana@company.com"), each=True)
    ruling = await rule(Says(answer=Decision("ask", requests=(everybody,))))
    assert "nobody can grant it" in ruling.denial().reason
    role = replace(CFO, approvers=("role:finance",), quorum=3)
    assert (await rule(Says(answer=Decision("ask", requests=(role,))))).outcome == "ask"


async def test_the_record_of_an_evaluation_says_who_saw_what() -> None:
    strict = Says(name="strict", version=3, answer=decision("deny", reason="no", facts={"limit": 3, "token": "t"}))
    action = replace(ACTION, labels=frozenset({"b", "a"}), risk="low", context={"secret": 1, "site": "Bern"})
    ruling = await evaluate_all([Says(name="a"), Says(name="a", version=2), strict], action, NOW, timed=True)
    record = ruling.record({"region": "eu", "password": "x"})
    assert json.loads(json.dumps(record)) == record
    assert record["action"] == {
        "name": "wire",
        "digest": ACTION.digest,
        "arguments": {"amount": 5, "password": "[redacted]"},
        "labels": ["a", "b"],
        "risk": "low",
        "requester": {"id": "ana@company.com", "roles": [], "permissions": []},
        "context": {"secret": "[redacted]", "site": "Bern"},
    }
    assert record["environment"] == {"region": "eu", "password": "[redacted]"}
    assert record["outcome"] == "deny"
    one, other, last = record["decisions"]
    assert (one["version"], other["version"]) == (1, 2)
    assert one["digest"] != other["digest"]
    assert last.pop("took_us") >= 0
    assert last == {
        "policy": "strict",
        "kind": "custom",
        "version": 3,
        "digest": strict.fingerprint(),
        "outcome": "deny",
        "reason": "no",
        "facts": {"limit": 3, "token": "[redacted]"},
    }


async def test_the_record_of_a_call_that_keeps_no_state_says_nothing_of_its_values() -> None:
    action = replace(ACTION, captured=False, arguments={"amount": object(), "iban": "DE1"})
    record = (await rule(Says(answer=decision("deny", reason="DE1", facts={"it": "DE1"})), action=action)).record()
    assert (record["action"]["arguments"], record["action"]["digest"]) == ({}, "")
    assert "DE1" not in json.dumps(record)
    assert "took_us" not in record["decisions"][0]


HELD = Hold(key="budget:a")


@pytest.mark.parametrize("holds", [[HELD], (HELD, "budget"), (replace(HELD, amount=-1),), None], ids=type)
async def test_holds_that_make_no_sense_deny(holds: Any) -> None:
    assert (await rule(Says(answer=Decision("allow", holds=holds)))).outcome == "deny"
    assert (await rule(Says(answer=Decision("allow", holds=(HELD,))))).holds == (HELD,)


VARIED: Mapping[str, Callable[[], Policy]] = {
    "validation": lambda: ValidationPolicy(check=check_large),
    "named": lambda: ValidationPolicy(check=check_large, name="large"),
    "newer": lambda: ValidationPolicy(check=check_large, version=2),
    "partial": lambda: ValidationPolicy(check=partial(check_large, limit=4)),
    "other partial": lambda: ValidationPolicy(check=partial(check_large, limit=5)),
    "typed": lambda: ValidationPolicy(parameters={"amount": int}),
    "typed otherwise": lambda: ValidationPolicy(parameters={"amount": str}),
    "generic": lambda: ValidationPolicy(parameters={"amount": list[int]}),
    "generic otherwise": lambda: ValidationPolicy(parameters={"amount": list[str]}),
    "audit": AuditPolicy,
    "tagged": lambda: AuditPolicy(tags=["sox"]),
    "approval": lambda: ApprovalPolicy(["a@x", "b@x"]),
    "other approvers": lambda: ApprovalPolicy(["a@x", "c@x"]),
    "quorum": lambda: ApprovalPolicy(["a@x", "b@x"], quorum=2),
    "stages": lambda: SequentialApprovalPolicy([ApprovalStage("one", ["a@x", "b@x"])]),
    "other stage": lambda: SequentialApprovalPolicy([ApprovalStage("two", ["a@x", "b@x"])]),
    "rate": lambda: RateLimitPolicy(3),
    "other rate": lambda: RateLimitPolicy(4),
    "roles": lambda: AuthorizationPolicy(roles=["a", "b", "c"]),
    "permissions": lambda: AuthorizationPolicy(permissions=["a", "b", "c"]),
    "shadow": lambda: AuditPolicy(mode="shadow"),
    "for some": lambda: AuditPolicy(applies_to=Selector(actions=["pay_*"])),
    "each": lambda: ApprovalPolicy(["a@x", "b@x"], quorum="all"),
    "excluding": lambda: ApprovalPolicy(["a@x", "b@x"], exclude=["c@x"]),
    "excluding by rule": lambda: ApprovalPolicy(["a@x", "b@x"], exclude=everybody),
    "reminding": lambda: ApprovalPolicy(["a@x", "b@x"], remind=["1h"]),
    "escalating": lambda: ApprovalPolicy(["a@x", "b@x"], on_expiry="escalate", escalate_to=["c@x", "d@x"]),
    "escalating twice": lambda: ApprovalPolicy(["a@x", "b@x"], on_expiry="escalate", escalate_to=[["c@x"], ["d@x"]]),
    "with preview": lambda: ApprovalPolicy(["a@x", "b@x"], on_preview_error="deny"),
    "budget": lambda: BudgetPolicy(5),
    "other budget": lambda: BudgetPolicy(6),
    "other window": lambda: BudgetPolicy(5, window="2d"),
    "per requester": lambda: BudgetPolicy(5, per="requester"),
    "role or people": lambda: AuthorizationPolicy(roles=["a", "b", "c"], ask=["a@x"]),
}


def fingerprints() -> dict[str, str]:
    return {name: make().fingerprint() for name, make in VARIED.items()}


def test_every_setting_changes_the_fingerprint() -> None:
    assert len(set(fingerprints().values())) == len(VARIED)


def test_equal_settings_have_one_fingerprint_however_they_are_written() -> None:
    assert ApprovalPolicy(["a@x"], expires="24h").fingerprint() == ApprovalPolicy(("a@x",), expires=86400).fingerprint()
    assert AuthorizationPolicy(roles=["b", "a"]).fingerprint() == AuthorizationPolicy(roles={"a", "b"}).fingerprint()


def test_fingerprints_are_the_same_in_every_process() -> None:
    code = f"import json, {__name__} as m; print(json.dumps(m.fingerprints()))"
    for seed in "12":
        found = subprocess.run(
            [sys.executable, "-c", code],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(found.stdout) == fingerprints()


def test_the_digest_of_policies_does_not_depend_on_their_order() -> None:
    one, other = AuditPolicy(), RateLimitPolicy(3)
    assert policies_digest([one, other]) == policies_digest([other, one]) != policies_digest([one])


def test_a_policy_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        ApprovalPolicy(["a@x"]).quorum = 0  # type: ignore[misc]  # what must be refused
