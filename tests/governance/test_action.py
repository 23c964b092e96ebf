"""Actions and principals: what a governed call wants to do, for whom."""

import asyncio
import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import FrozenInstanceError
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assent.codec import signature_of
from assent.errors import CodecError, UsageError
from assent.governance import Action, Outcome, Principal, acting_as, current_principal

ANA = Principal("ana@company.com", roles=["cfo"], permissions=["pay"])


def transfer(amount: Decimal, recipient: str, memo: str = "") -> None:
    """What the actions of these tests stand for."""


def action_of(*args: Any, **kwargs: Any) -> Action:
    signature = signature_of(transfer)
    bound = signature.bind(args, kwargs)
    return Action(name="transfer", arguments=bound, canonical=signature.canonical)


def test_arguments_are_attributes() -> None:
    action = action_of(Decimal(5), "bob")
    assert (action.amount, action.recipient, action.memo) == (Decimal(5), "bob", "")


def test_a_missing_argument_is_named_together_with_those_that_exist() -> None:
    with pytest.raises(
        AttributeError, match="action 'transfer' has no argument 'amont'; it has amount, recipient, memo"
    ):
        _ = action_of(Decimal(5), "bob").amont
    with pytest.raises(AttributeError, match="it has no arguments"):
        _ = Action(name="tick", arguments={}).anything


def test_a_parameter_called_like_a_field_stays_among_the_arguments() -> None:
    action = Action(name="rename", arguments={"name": "new", "context": 3})
    assert action.name == "rename"
    assert action.arguments["name"] == "new"
    assert action.arguments["context"] == 3


def test_an_action_cannot_be_changed() -> None:
    given_arguments = {"amount": 5}
    action = Action(name="transfer", arguments=given_arguments)
    given_arguments["amount"] = 6
    assert action.amount == 5
    with pytest.raises(TypeError):
        action.arguments["amount"] = 7  # type: ignore[index]  # what must be refused
    with pytest.raises(FrozenInstanceError):
        action.name = "other"  # type: ignore[misc]  # what must be refused


def test_an_action_can_be_copied() -> None:
    assert copy.copy(Action(name="transfer", arguments={"amount": 5})).amount == 5


def test_positional_and_keyword_calls_have_one_digest() -> None:
    assert action_of(Decimal(5), "bob").digest == action_of(recipient="bob", amount=Decimal(5), memo="").digest


@pytest.mark.parametrize("other", [action_of(Decimal(6), "bob"), action_of(Decimal(5), "bob", "now")])
def test_another_argument_is_another_digest(other: Action) -> None:
    assert action_of(Decimal(5), "bob").digest != other.digest


def test_without_a_signature_arguments_are_typed_by_their_values() -> None:
    typed = action_of(Decimal("5.10"), "bob")
    assert Action(name="transfer", arguments=dict(reversed(list(typed.arguments.items())))).digest == typed.digest
    with pytest.raises(CodecError):
        _ = Action(name="transfer", arguments={"it": object()}).digest


def test_the_name_is_part_of_the_digest() -> None:
    assert Action(name="a", arguments={}).digest != Action(name="b", arguments={}).digest


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.integers(-(2**53) + 1, 2**53 - 1))
def test_the_digest_is_over_canonical_json_of_name_and_arguments(name: str, amount: int) -> None:
    text = json.dumps({"arguments": {"amount": amount}, "name": name}, ensure_ascii=False, separators=(",", ":"))
    assert Action(name=name, arguments={"amount": amount}).digest == hashlib.sha256(text.encode()).hexdigest()


def test_the_digest_is_worked_out_once_and_only_when_asked_for() -> None:
    asked: list[str] = []

    def canonical(_: Mapping[str, Any]) -> bytes:
        asked.append("now")
        return b"{}"

    action = Action(name="tick", arguments={}, canonical=canonical)
    assert not asked
    assert action.digest == action.digest
    assert asked == ["now"]


def test_a_principal_survives_as_text() -> None:
    assert Principal.from_text(ANA.to_text()) == ANA
    assert ANA.to_text() == '{"id":"ana@company.com","permissions":["pay"],"roles":["cfo"]}'


@pytest.mark.parametrize("wrong", [{"id": ""}, {"id": "ana", "roles": "cfo"}, {"id": "ana", "permissions": [""]}])
def test_a_principal_refuses_what_would_not_mean_what_it_says(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Principal(**wrong)


def test_acting_as_holds_inside_its_block_and_may_be_nested() -> None:
    assert current_principal() is None
    with acting_as(ANA):
        assert current_principal() is ANA
        with acting_as(None):
            assert current_principal() is None
        assert current_principal() is ANA
    assert current_principal() is None


async def test_tasks_do_not_see_each_other_s_principals() -> None:
    async def who(name: str) -> str:
        with acting_as(Principal(name)):
            await asyncio.sleep(0)
            found = current_principal()
            return found.id if found else "nobody"

    assert await asyncio.gather(*(who(name) for name in "abc")) == ["a", "b", "c"]


def test_an_outcome_is_a_value_or_an_error() -> None:
    assert not Outcome(value=None).failed
    assert Outcome(error=ValueError("no")).failed
