"""Policy files on the command line: checked, tried, explained, with their format."""

import json
from pathlib import Path

import jsonschema
import pytest

from tests.cli.conftest import Shell

FILE = """\
version: 1
policies:
  - name: large
    type: approval
    applies_to: {labels: [money]}
    when: args.amount > 1000
    approvers: [cfo@company.com]
  - name: "odd \\e[31mname"
    type: deny
    enabled: false
    reason: never
environments:
  test:
    overrides: {large: {enabled: false}}
examples:
  - name: small amounts pass
    action: {name: pay, arguments: {amount: "1000.00"}, labels: [money]}
    expect: allow
  - name: large amounts are asked about
    action: {name: pay, arguments: {amount: "1000.01"}, labels: [money]}
    expect: ask
    by: large
"""
ACTION = {"name": "pay", "arguments": {"amount": "5000", "password": "hidden"}, "labels": ["money"]}


@pytest.fixture
def shop(assent: Shell) -> Shell:
    """A folder with a policy file and an action."""
    (assent.folder / "policies.yaml").write_text(FILE, encoding="utf-8")
    (assent.folder / "action.json").write_text(json.dumps(ACTION), encoding="utf-8")
    return assent


def change(shop: Shell, old: str, new: str) -> None:
    path: Path = shop.folder / "policies.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def test_check_lists_the_policies(shop: Shell) -> None:
    shown = shop("policy", "check", "policies.yaml")
    assert "labels: money; when args.amount > 1000" in shown
    assert "policies.yaml:3" in shown
    assert "1 of 2 policies are enabled; also checked: test." in shown
    assert "\x1b" not in shown
    assert "0 of 2 policies are enabled under test" in shop("policy", "check", "policies.yaml", "--env", "test")
    large, odd = shop.read("policy", "check", "policies.yaml")
    assert (large["name"], large["type"], large["state"], len(large["digest"])) == ("large", "approval", "enforce", 64)
    assert (odd["state"], odd["digest"]) == ("off", None)


def test_a_file_that_does_not_load_is_one_line(shop: Shell) -> None:
    change(shop, "approvers:", "aprovers:")
    for command in (["check"], ["test"], ["explain", "action.json"]):
        line = shop.error("policy", command[0], "policies.yaml", *command[1:], code=2)
        assert line.startswith("policies.yaml line 7: policies[0].aprovers: ")
        assert line.endswith("Did you mean 'approvers'?")


def test_an_environment_that_does_not_load_is_found_by_check(shop: Shell) -> None:
    change(shop, "{large: {enabled: false}}", "{large: {quorum: 7}}")
    assert "quorum=7" in shop.error("policy", "check", "policies.yaml", code=2)
    assert "there is no environment 'tset'" in shop.error("policy", "check", "policies.yaml", "--env", "tset", code=2)


def test_examples_that_hold_end_with_0(shop: Shell) -> None:
    assert "All 2 examples hold." in shop("policy", "test", "policies.yaml")
    assert [each["passed"] for each in shop.read("policy", "test", "policies.yaml")] == [True, True]


def test_an_example_that_does_not_hold_ends_with_1_and_says_why(shop: Shell) -> None:
    change(shop, "args.amount > 1000", "args.amount >= 1000")
    shown = shop("policy", "test", "policies.yaml", code=1)
    assert "FAILED  small amounts pass" in shown
    assert "it comes to ask, by large; asked are" not in shown
    assert "it comes to ask, by large" in shown
    assert "1 of 2 examples do not hold." in shown
    [first, _] = shop.read("policy", "test", "policies.yaml", code=1)
    assert (first["passed"], first["expected"], first["found"], first["line"]) == (False, "allow", "ask", 16)


def test_a_file_without_examples_was_not_tried(shop: Shell) -> None:
    (shop.folder / "empty.json").write_text('{"version": 1}', encoding="utf-8")
    assert "no examples" in shop.error("policy", "test", "empty.json", code=2)


def test_explain_says_which_policy_and_why(shop: Shell) -> None:
    shown = shop("policy", "explain", "policies.yaml", "action.json")
    assert "args.amount > 1000 is true" in shown
    assert "args.amount = 5000" in shown
    assert "1 of cfo@company.com" in shown
    assert "it is not enabled" in shown
    assert "ask, by large" in shown
    assert "hidden" not in shown
    assert "\x1b" not in shown
    found = shop.read("policy", "explain", "policies.yaml", "action.json")
    assert (found["outcome"], found["by"], found["approvers"]) == ("ask", ["large"], ["cfo@company.com"])
    assert shop.read("policy", "explain", "policies.yaml", "action.json", "--env", "test")["outcome"] == "allow"


def test_explain_shows_hostile_names_harmlessly(shop: Shell) -> None:
    change(shop, "- name: large\n", '- name: "large \\e[2J\\u202e"\n')
    change(shop, "{large: {enabled: false}}", "{}")
    change(shop, "    by: large\n", "")
    shown = shop("policy", "explain", "policies.yaml", "action.json")
    assert "large \\x1b[2J\\u202e" in shown
    assert not {"\x1b", "\u202e"} & set(shown)


def test_explain_looks_at_a_moment(shop: Shell) -> None:
    change(shop, "when: args.amount > 1000", "when: now.getFullYear() > 2029")
    arguments = ("policy", "explain", "policies.yaml", "action.json", "--at")
    assert shop.read(*arguments, "2030-01-31T14:00Z")["outcome"] == "ask"
    assert shop.read(*arguments, "2029-01-31T14:00Z")["outcome"] == "allow"
    assert "with its zone" in shop.error(*arguments, "2029-01-31", code=2)
    assert "'name' is missing" in shop.error("policy", "explain", "policies.yaml", "policies.yaml", code=2)


def test_the_schema_is_for_editors(shop: Shell) -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(shop("policy", "schema")))
