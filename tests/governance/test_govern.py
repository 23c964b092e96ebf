"""`@govern` without a runtime: an ordinary function, under its policies."""

import inspect
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from assent import (
    Action,
    ApprovalPolicy,
    AuditPolicy,
    AuthorizationPolicy,
    Facts,
    Outcome,
    Policy,
    PolicyDenied,
    Principal,
    RateLimited,
    RateLimitPolicy,
    RuntimeRequired,
    UsageError,
    ValidationDenied,
    ValidationPolicy,
    acting_as,
    govern,
    govern_class,
    policy,
    step,
    workflow,
)
from tests.governance.ground import ANA, CFO

POSITIVE = ValidationPolicy(check=lambda action: action.amount > 0)


@govern([POSITIVE])
async def wire(amount: int, recipient: str = "acme", *, token: str = "") -> str:
    """Sends money."""
    return f"{amount} to {recipient}{token}"


@govern(policies=POSITIVE)
def wire_plainly(amount: int) -> int:
    return amount


@step(name="wired")
async def wire_in_step(amount: int) -> int:
    return amount


@workflow(name="wiring", version=3)
async def wire_in_workflow(amount: int) -> int:
    return await wire_in_step(amount)


# What may be governed


async def test_a_governed_function_returns_what_the_function_returns() -> None:
    assert await wire(5) == "5 to acme"
    assert await wire(amount=5, recipient="bob", token="!") == "5 to bob!"


async def test_a_plain_function_is_awaited_too() -> None:
    assert await wire_plainly(5) == 5
    with pytest.raises(ValidationDenied):
        await wire_plainly(-5)


@pytest.mark.parametrize("inner", [wire_in_step, wire_in_workflow])
async def test_steps_and_workflows_can_be_governed(inner: Any) -> None:
    governed = govern(POSITIVE)(inner)
    assert await governed(5) == 5
    with pytest.raises(ValidationDenied):
        await governed(-5)


def test_a_governed_function_keeps_its_name_its_words_and_its_signature() -> None:
    assert (getattr(wire, "__name__", ""), wire.__doc__, wire.name) == ("wire", "Sends money.", "wire")
    assert list(inspect.signature(wire).parameters) == ["amount", "recipient", "token"]
    assert govern()(wire_in_step).name == "wired"
    assert (govern()(wire_in_workflow).name, govern()(wire_in_workflow).program.version) == ("wiring", 3)
    assert govern(name="payment")(wire_in_step).name == "payment"


class Bank:
    def __init__(self, name: str) -> None:
        self.name = name

    @govern(POSITIVE)
    async def transfer(self, amount: int) -> str:
        return f"{self.name} sends {amount}"

    @govern(POSITIVE)
    def book(self, amount: int) -> str:
        return f"{self.name} books {amount}"


async def test_a_governed_method_is_bound_to_its_object() -> None:
    one, other = Bank("one"), Bank("other")
    assert [await one.transfer(1), await other.transfer(2), await one.book(amount=3)] == [
        "one sends 1", "other sends 2", "one books 3",
    ]  # fmt: skip
    assert await Bank.transfer(one, 4) == "one sends 4"
    assert one.transfer.name == "Bank.transfer"
    with pytest.raises(ValidationDenied, match=r"Bank\.transfer was denied"):
        await one.transfer(-1)


@govern_class(POSITIVE, methods=["transfer", "rate", "book"])
class Branch(Bank):
    async def transfer(self, amount: int) -> str:  # type: ignore[override]  # governed below
        return f"branch {self.name} sends {amount}"

    @staticmethod
    async def rate(amount: int) -> int:
        return 2 * amount

    async def report(self, amount: int) -> int:
        return amount


async def test_the_named_methods_of_a_class_can_be_governed_together() -> None:
    branch = Branch("south")
    assert (await branch.transfer(1), await branch.rate(2), await Branch.rate(3)) == ("branch south sends 1", 4, 6)
    assert await branch.book(1) == "south books 1"
    assert await branch.report(-1) == -1
    for call in (branch.transfer, branch.rate, branch.book):
        with pytest.raises(ValidationDenied):
            await call(-1)


def test_what_cannot_be_governed_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="use @govern_class"):
        govern()(Bank)
    with pytest.raises(TypeError, match=r"Bank\.missing is no method"):
        govern_class(methods=["missing"])(Bank)
    with pytest.raises(UsageError, match=r"is none\. Write @govern"):
        govern(wire_in_step)  # type: ignore[arg-type]  # the brackets were forgotten


# What the policies see


def remembering(seen: list[Action]) -> Policy:
    @policy
    def remember(action: Action, facts: Facts) -> bool:
        seen.append(action)
        return True

    return remember


async def test_arguments_are_bound_by_name_however_they_are_given() -> None:
    seen: list[Action] = []

    @govern(remembering(seen))
    async def pay(amount: int, recipient: str = "acme", *rest: int, **more: int) -> None:
        pass

    await pay(1)
    await pay(amount=1)
    await pay(1, "acme")
    await pay(recipient="acme", amount=1)
    assert [dict(each.arguments) for each in seen] == [{"amount": 1, "recipient": "acme", "rest": (), "more": {}}] * 4
    assert len({each.digest for each in seen}) == 1
    await pay(1, "acme", 2, other=3)
    assert dict(seen[-1].arguments) == {"amount": 1, "recipient": "acme", "rest": (2,), "more": {"other": 3}}
    assert seen[-1].digest != seen[0].digest


async def test_wrong_calls_are_refused_as_python_would() -> None:
    with pytest.raises(TypeError, match="missing a required argument: 'amount'"):
        await wire()  # type: ignore[call-arg]


async def test_context_labels_name_and_requester_are_for_policies_to_see() -> None:
    seen: list[Action] = []

    @govern(
        remembering(seen),
        context={"tenant": "south"},
        labels=["money"],
        name="payment",
    )
    async def pay(amount: int) -> None:
        pass

    await pay(1)
    with acting_as(ANA):
        await pay(2)
    first, second = seen
    assert (first.name, first.context, first.labels) == ("payment", {"tenant": "south"}, frozenset({"money"}))
    assert (first.requester, second.requester, first.execution_id) == (None, ANA, None)


async def test_authorization_asks_for_whom_the_call_is_made() -> None:
    @govern(AuthorizationPolicy(roles=["clerk"]))
    async def pay() -> int:
        return 1

    with acting_as(ANA):
        assert await pay() == 1
    with acting_as(Principal("bob@company.com")), pytest.raises(PolicyDenied, match="none of the roles clerk"):
        await pay()


# What they say


async def test_a_denied_call_does_not_happen_and_says_which_policy_and_why() -> None:
    happened: list[int] = []

    @govern([POSITIVE, AuditPolicy()])
    async def pay(amount: int) -> None:
        happened.append(amount)

    with pytest.raises(PermissionError) as denied:
        await pay(-5)
    assert isinstance(denied.value, ValidationDenied)
    assert (denied.value.policy, denied.value.action, happened) == ("validation", "pay", [])


async def test_denying_wins_over_asking_wins_over_allowing() -> None:
    async def call(*policies: Any) -> Any:
        @govern(policies)
        async def pay(amount: int) -> int:
            return amount

        return await pay(1)

    yes, no, ask = policy(lambda *_: True), policy(lambda *_: False), ApprovalPolicy([CFO])
    assert await call(yes) == 1
    for policies in ([yes, ask], [ask, yes]):
        with pytest.raises(RuntimeRequired, match="needs an approval"):
            await call(*policies)
    for policies in ([yes, ask, no], [no, ask, yes], [ask, no]):
        with pytest.raises(PolicyDenied):
            await call(*policies)


async def test_what_needs_people_needs_a_runtime_unless_a_rule_approves() -> None:
    @govern(ApprovalPolicy([CFO], auto_approve=lambda action: action.amount < 100))
    async def pay(amount: int) -> int:
        return amount

    assert await pay(99) == 99
    with pytest.raises(RuntimeRequired, match=r"pay needs an approval \(policy approval\)"):
        await pay(100)


async def test_calls_are_counted_in_memory() -> None:
    @govern(RateLimitPolicy(2, "1h"))
    async def pay() -> int:
        return 1

    assert [await pay(), await pay()] == [1, 1]
    with pytest.raises(RateLimited) as limited:
        await pay()
    assert limited.value.retry_after > 0


async def test_a_policy_that_fails_denies_with_its_cause() -> None:
    @govern(policy(lambda action, _: action.amount / 0))
    async def pay(amount: int) -> int:
        return amount

    with pytest.raises(PolicyDenied, match="the policy failed with ZeroDivisionError") as denied:
        await pay(1)
    assert isinstance(denied.value.__cause__, ZeroDivisionError)


async def test_the_result_is_reviewed_and_a_review_that_fails_denies() -> None:
    def broken(action: Action, facts: Facts) -> bool:
        raise LookupError("no register")

    async def call(*policies: Any) -> int:
        @govern(policies)
        async def count(amount: int) -> int:
            return amount

        return await count(7)

    assert await call(ValidationPolicy(result=lambda value: value < 8)) == 7
    with pytest.raises(ValidationDenied):
        await call(ValidationPolicy(result=lambda value: value < 7))
    with pytest.raises(PolicyDenied, match="LookupError: no register"):
        await call(policy(phase="after")(broken))  # type: ignore[call-overload]


# Before and after


async def test_pre_and_post_see_action_and_outcome_in_order() -> None:
    said: list[Any] = []

    async def before(action: Action) -> None:
        said.append(("before", action.amount))

    def after(action: Action, outcome: Outcome) -> None:
        said.append(("after", action.amount, outcome.value, outcome.error))

    @govern(pre=[before, lambda action: said.append("second")], post=after)
    async def pay(amount: int) -> int:
        said.append("pay")
        return 2 * amount

    await pay(3)
    assert said == [("before", 3), "second", "pay", ("after", 3, 6, None)]


async def test_a_pre_action_that_fails_denies() -> None:
    happened: list[int] = []

    def reserve(action: Action) -> None:
        raise LookupError("no budget")

    @govern(pre=reserve)
    async def pay(amount: int) -> None:
        happened.append(amount)

    with pytest.raises(PolicyDenied, match=r"failed with LookupError: no budget") as denied:
        await pay(3)
    assert (happened, type(denied.value.__cause__)) == ([], LookupError)
    assert denied.value.policy.endswith("reserve")


async def test_auditors_and_post_actions_learn_of_a_failed_effect_and_it_is_raised() -> None:
    records: list[Mapping[str, Any]] = []
    outcomes: list[Outcome] = []

    @govern(
        [AuditPolicy(tags=["sox"], logger=records.append), ValidationPolicy(result=lambda value: value > 0)],
        post=lambda _, outcome: outcomes.append(outcome),
    )
    async def pay(amount: int) -> int:
        raise ConnectionError("no line")

    with pytest.raises(ConnectionError):
        await pay(3)
    assert [(each["phase"], each.get("error")) for each in records] == [
        ("before", None), ("after", "ConnectionError: no line"),
    ]  # fmt: skip
    assert (len(outcomes), outcomes[0].failed) == (1, True)


async def test_an_audit_record_has_no_secrets(caplog: pytest.LogCaptureFixture) -> None:
    @govern(AuditPolicy(tags=["pci"], sensitive=["account"]))
    async def pay(account: str, token: str, note: str) -> dict[str, str]:
        return {"ACCOUNT": account, "note": note}

    with caplog.at_level(logging.INFO, "assent.audit"):
        await pay("DE-1", "t0ken", "hello")
    before, after = (each.audit for each in caplog.records)  # type: ignore[attr-defined]
    assert before["arguments"] == {"account": "[redacted]", "token": "[redacted]", "note": "hello"}
    assert (after["result"], after["tags"]) == ({"ACCOUNT": "[redacted]", "note": "hello"}, ["pci"])
