"""Policy files carry examples, which are tried; and what they say of an action is explained."""

import json
from pathlib import Path
from typing import Any

import pytest

from assent import PolicyFileError, Principal, UsageError
from assent.governance import Action
from assent.policies.examples import try_examples
from assent.policies.explain import explain, facts_at, moment_of, read_action
from assent.policies.files import read_policies

FOLDER = Path(__file__).parent.parent.parent / "examples/policies"
WITH_EXAMPLES = [each for each in sorted(FOLDER.iterdir()) if "examples" in each.read_text(encoding="utf-8")]

FILE = {
    "version": 1,
    "policies": [
        {"name": "no-eve", "type": "deny", "when": "args.to == 'eve'", "reason": "not to Eve"},
        {"name": "large", "type": "approval", "when": "args.amount > 10", "approvers": ["cfo", "ceo"], "quorum": 2},
        {"name": "soon", "type": "deny", "reason": "one day", "mode": "shadow"},
        {"name": "gone", "type": "deny", "reason": "never", "enabled": False},
        {"name": "other", "type": "deny", "reason": "x", "applies_to": {"actions": ["other_*"]}},
    ],
    "environments": {"relaxed": {"overrides": {"large": {"enabled": False}}}},
}


def action(**arguments: Any) -> Action:
    return Action(name="pay", arguments=arguments, requester=Principal("ana"))


async def tried(**example: Any) -> list[str]:
    """What is found to be wrong with an example."""
    [found] = await try_examples({**FILE, "examples": [example]}, None, 0.0)
    return list(found.problems)


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.name)
async def test_the_examples_of_the_examples_hold(path: Path) -> None:
    found = await try_examples(path, None, 0.0)
    assert len(found) > 3
    assert [(each.name, each.problems) for each in found if not each.passed] == []


async def test_an_example_says_what_it_found_instead() -> None:
    small, large = ({"name": "pay", "arguments": {"to": "bob", "amount": amount}} for amount in (5, 50))
    eve = {"name": "pay", "arguments": {"to": "eve", "amount": 50}}
    assert await tried(action=small, expect="allow") == []
    assert await tried(action=large, expect="ask", by="large", approvers=["ceo", "cfo"], quorum=2) == []
    assert await tried(action=eve, expect="deny", by="no-eve") == []
    assert await tried(action=large, expect="allow") == ["it comes to ask, by large"]
    assert await tried(action=eve, expect="deny", by="large") == ["by no-eve"]
    assert await tried(action=large, expect="ask", approvers=["cfo"]) == ["asked are ceo, cfo"]
    assert await tried(action=large, expect="ask", quorum=1) == ["the quorum is 2"]
    assert await tried(action=large, expect="allow", environment="relaxed") == []
    assert await tried(action={"name": "pay"}, expect="deny", by="no-eve/when") == []


async def test_a_wrong_example_is_an_error_of_the_file() -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"action": {"name": "pay"}, "expect": "allow", "environment": "nowhere"}, ""),
        ({"action": {"name": "pay"}, "expect": "allow", "at": "tomorrow"}, "examples[0].at"),
        ({"action": {"name": "pay"}, "expect": "maybe"}, "examples[0].expect"),
        ({"expect": "allow"}, "examples[0]"),
    ]
    for example, key in wrong:
        with pytest.raises(PolicyFileError) as raised:
            await tried(**example)
        assert raised.value.key == key


async def test_an_explanation_says_of_each_policy_why() -> None:
    found = await explain(read_policies(FILE), action(to="bob", amount=50, password="hidden"), facts_at(0.0, {}))
    assert (found.outcome, found.deciding[0]) == ("ask", "large")
    by_name = {each.entry.name: each for each in found.policies}
    assert by_name["gone"].skipped == "it is not enabled"
    assert "other_*" in by_name["other"].skipped
    assert by_name["no-eve"].outcome == "allow"
    assert [(told.outcome, told.approvers) for told in by_name["large"].told][-1] == ("ask", ("cfo", "ceo"))
    assert by_name["large"].told[0].seen == {"args": {"amount": 50}}
    assert by_name["soon"].outcome == "deny"  # and it decides nothing
    assert all("hidden" not in str(told) for each in found.policies for told in each.told)


async def test_secrets_are_not_shown() -> None:
    file = {"version": 1, "policies": [{"name": "a", "type": "deny", "when": "args.password == 'x'", "reason": "r"}]}
    found = await explain(read_policies(file), action(password="hidden"), facts_at(0.0, {}))
    assert "hidden" not in str([told.seen for each in found.policies for told in each.told])
    assert "password" in str(found.policies[0].told[0].seen)


def test_an_action_is_read_alone_or_with_its_surroundings(tmp_path: Path) -> None:
    data = {"name": "pay", "arguments": {"amount": 1.10}, "requester": {"id": "ana", "roles": ["clerk"]}, "risk": "low"}
    path = tmp_path / "action.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    alone, nothing = read_action(path)
    assert (alone.name, str(alone.amount), alone.risk, nothing) == ("pay", "1.1", "low", {})
    path.write_text(json.dumps({"action": data, "facts": {"name": "production"}}), encoding="utf-8")
    _, environment = read_action(path)
    assert environment == {"name": "production"}
    path.write_text(json.dumps({"nme": "pay"}), encoding="utf-8")
    with pytest.raises(PolicyFileError, match="'name' is missing"):
        read_action(path)


def test_a_moment_has_a_zone() -> None:
    assert moment_of("1970-01-01T01:00:00+01:00") == 0.0
    with pytest.raises(UsageError, match="with its zone"):
        moment_of("2030-01-31T14:00:00")
