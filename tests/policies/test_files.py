"""Policy files: three formats, inheritance, environments; and errors that name file, line, key and remedy."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from assent import Facts, PolicyFileError, Principal
from assent.governance import (
    Action,
    ApprovalPolicy,
    AuthorizationPolicy,
    Policy,
    SequentialApprovalPolicy,
    evaluate_all,
)
from assent.policies import Composite
from assent.policies.explain import facts_at
from assent.policies.files import load_policies, read_policies

ANA = Principal("ana@company.com", roles=["clerk"], permissions=["pay"])
SMALL = "permit(principal, action, resource) when {context.args.amount < 9};"
ALLOWED = {"name": "free", "type": "warn", "reason": "fine"}

YAML = """\
version: 1
defaults:
  approval: {expires: 8h}
policies:
  - name: large
    type: approval
    applies_to: {actions: [pay_*], labels: [money], risk: high}
    when: args.amount > 1000.10
    approvers: [cfo@company.com, ceo@company.com]
    quorum: all
"""
JSON = """{
\t"version": 1,
\t"defaults": {"approval": {"expires": "8h"}},
\t"policies": [
\t\t{"name": "large", "type": "approval",
\t\t "applies_to": {"actions": ["pay_*"], "labels": ["money"], "risk": "high"},
\t\t "when": "args.amount > 1000.10", "approvers": ["cfo@company.com", "ceo@company.com"], "quorum": "all"}
\t]
}
"""
TOML = """\
version = 1
defaults.approval.expires = "8h"

[[policies]]
name = "large"
type = "approval"
when = "args.amount > 1000.10"
approvers = ["cfo@company.com", "ceo@company.com"]
quorum = "all"
[policies.applies_to]
actions = ["pay_*"]
labels = ["money"]
risk = "high"
"""


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def policies(*entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"version": 1, "policies": list(entries), **more}


def pay(amount: Any = 5, /, **more: Any) -> Action:
    return Action(name="pay_bill", arguments={"amount": amount}, **{"requester": ANA, **more})


async def outcome(loaded: list[Policy], action: Action, **facts: Any) -> str:
    ruling = await evaluate_all(loaded, action, facts_at(0.0, facts))
    return ruling.outcome


async def test_all_formats_say_the_same(tmp_path: Path) -> None:
    found = [
        load_policies(written(tmp_path, f"p.{kind}", text))
        for kind, text in {"yaml": YAML, "json": JSON, "toml": TOML, "yml": YAML}.items()
    ]
    assert len({each.fingerprint() for [each] in found}) == 1
    ruling = await evaluate_all(found[0], pay(Decimal("1000.11")), facts_at(0.0, {}))
    [[request]] = ruling.requests
    assert (request.policy, request.approvers, request.quorum, request.each, request.expires) == (
        "large", ("cfo@company.com", "ceo@company.com"), 2, True, 28800.0,
    )  # fmt: skip
    assert await outcome(found[0], pay(Decimal("1000.10"))) == "allow"
    selector = found[0][0].applies_to
    assert selector is not None
    assert selector.selects(pay(labels=frozenset(["money"]), risk="critical"))
    assert not selector.selects(pay(labels=frozenset(["money"]), risk="low"))


async def test_every_type_becomes_a_policy_that_works() -> None:
    ask = {"approvers": ["cfo@company.com"], "require_reason": True}
    cases: list[tuple[dict[str, Any], Action, Action]] = [
        ({"type": "validation", "check": "args.amount < 10"}, pay(5), pay(10)),
        ({"type": "authorization", "roles": ["clerk"]}, pay(), pay(requester=None)),
        ({"type": "authorization", "check": "args.amount < 9 && requester.id == 'ana@company.com'"}, pay(5), pay(9)),
        ({"type": "deny", "when": "args.amount >= 10", "reason": "no"}, pay(5), pay(10)),
        ({"type": "budget", "limit": "9.99", "amount": "args.amount * 2", "per": "requester"}, pay(4), pay(5)),
        ({"type": "budget", "limit": 9, "window": "forever", "per": "args.amount"}, pay(9), pay(10)),
        ({"type": "cedar", "policies": SMALL}, pay(5), pay(9)),
        ({"type": "tiered", "tiers": [{"when": "args.amount < 9", "then": "allow"}]}, pay(5), pay(9)),
        ({"type": "tiered", "tiers": [{"when": "args.amount < 9", "then": "warn"}, {"then": "deny"}]}, pay(5), pay(9)),
    ]  # fmt: skip
    for settings, good, bad in cases:
        loaded = load_policies(policies({"name": "it", **settings}))
        assert (await outcome(loaded, good), await outcome(loaded, bad)) == ("allow", "deny"), settings
    asking: list[dict[str, Any]] = [
        {"type": "approval", **ask, "auto_approve": "args.amount < 9"},
        {"type": "sequential_approval", "stages": [{"name": "one", **ask, "auto_approve": "args.amount < 9"}]},
        {"type": "authorization", "check": "args.amount < 9", "ask": ["cfo@company.com"]},
        {"type": "authorization", "check": "args.amount < 9", "ask": ask},
        {
            "type": "tiered",
            "tiers": [{"when": "args.amount < 9", "then": "allow"}, {"then": {"type": "approval", **ask}}],
        },
    ]
    for settings in asking:
        loaded = load_policies(policies({"name": "it", **settings}))
        assert (await outcome(loaded, pay(5)), await outcome(loaded, pay(9))) == ("allow", "ask"), settings


async def test_a_rate_limit_counts_by_what_it_is_told() -> None:
    [limit] = load_policies(
        policies({"name": "few", "type": "rate_limit", "max_calls": 3, "window": 60, "per": "args.amount"})
    )
    counted: list[tuple[str, float, int]] = []

    async def admit(key: str, rate: float, burst: int) -> float:
        counted.append((key, rate, burst))
        return 0.0

    for amount in (1, 2):
        await evaluate_all([limit], pay(amount), Facts(now=0.0, admit=admit))
    assert len({key for key, _, _ in counted}) == 2
    assert counted[0][1:] == (3 / 60, 3)


def test_approvals_have_all_their_settings() -> None:
    [found] = load_policies(
        policies(
            {
                "name": "full",
                "type": "approval",
                "approvers": ["role:finance", "cfo@company.com"],
                "quorum": 2.0,
                "exclude": ["eve@company.com"],
                "timeout_seconds": 1.5,
                "expires": "1h30m",
                "on_expiry": "escalate",
                "escalate_to": [["a@x.org", "b@x.org"], ["c@x.org", "d@x.org"]],
                "remind": ["10m", 1200],
                "separation_of_duties": False,
                "on_preview_error": "deny",
                "title": "Look",
                "version": 3,
                "mode": "shadow",
            }
        )
    )
    assert isinstance(found, ApprovalPolicy)
    assert (found.quorum, found.timeout_seconds, found.expires, found.version, found.mode) == (
        2,
        1.5,
        5400.0,
        3,
        "shadow",
    )
    assert found._request.reminders == (600.0, 1200.0)
    assert found._request.escalate_to == (("a@x.org", "b@x.org"), ("c@x.org", "d@x.org"))
    [endless] = load_policies(policies({"name": "x", "type": "approval", "approvers": ["a"], "expires": "never"}))
    assert isinstance(endless, ApprovalPolicy)
    assert endless.expires is None


async def test_people_are_excluded_by_an_expression() -> None:
    entry = {"name": "x", "type": "approval", "approvers": ["a", "b"], "exclude": "args.friends"}
    action = Action(name="pay", arguments={"friends": ["b"]})
    ruling = await evaluate_all(load_policies(policies(entry)), action, facts_at(0.0, {}))
    assert ruling.requests[0][0].excluded == ("b",)


# Inheritance and environments.


def test_what_is_said_later_or_more_closely_holds(tmp_path: Path) -> None:
    base = policies(
        {"name": "a", "type": "approval", "approvers": ["a"]},
        {"name": "b", "type": "approval", "approvers": ["b"], "expires": "2h"},
        defaults={"all": {"mode": "shadow"}, "approval": {"expires": "1h", "title": "base"}},
        environments={"test": {"defaults": {"approval": {"title": "test"}}, "overrides": {"b": {"enabled": False}}}},
    )
    written(tmp_path, "base.json", json.dumps(base))
    child = policies(
        {"name": "c", "type": "approval", "mode": "enforce"},
        extends="base.json",
        defaults={"approval": {"title": "child", "approvers": ["c"]}},
        overrides={"b": {"approvers": ["x", "y"]}},
        environments={"test": {"overrides": {"c": {"title": "last"}}}},
    )
    path = written(tmp_path, "child.json", json.dumps(child))

    def told(environment: str | None) -> list[tuple[Any, ...]]:
        loaded = load_policies(path, environment)
        return [(p.name, p.approvers, p.expires, p.title, p.mode) for p in loaded if isinstance(p, ApprovalPolicy)]

    assert told(None) == [
        ("a", ("a",), 3600.0, "child", "shadow"),
        ("b", ("x", "y"), 7200.0, "child", "shadow"),
        ("c", ("c",), 3600.0, "child", "enforce"),
    ]
    assert told("test") == [("a", ("a",), 3600.0, "test", "shadow"), ("c", ("c",), 3600.0, "last", "enforce")]
    assert read_policies(path).environments == ("test",)


def test_defaults_hold_wherever_people_are_asked() -> None:
    ask = {"type": "approval"}
    loaded = load_policies(
        policies(
            {"name": "tiers", "type": "tiered", "tiers": [{"then": ask}]},
            {
                "name": "stages",
                "type": "sequential_approval",
                "stages": [{"name": "one"}, {"name": "two", "title": "own"}],
            },
            {"name": "roles", "type": "authorization", "roles": ["clerk"], "ask": {"quorum": 1}},
            defaults={"approval": {"approvers": ["cfo"], "title": "usual", "mode": "shadow"}},
        )
    )
    [tiers, stages, roles] = loaded
    assert isinstance(tiers, Composite)
    assert isinstance(stages, SequentialApprovalPolicy)
    assert isinstance(roles, AuthorizationPolicy)
    assert [(p.title, p.mode) for p in tiers.inside if isinstance(p, ApprovalPolicy)] == [("usual", "enforce")]
    assert [(stage.approvers, stage.title) for stage in stages.stages] == [(("cfo",), "usual"), (("cfo",), "own")]
    assert isinstance(roles.ask, ApprovalPolicy)
    assert (roles.ask.approvers, roles.ask.title) == (("cfo",), "usual")


def test_an_entry_that_is_not_enabled_is_still_checked() -> None:
    with pytest.raises(PolicyFileError, match="there is no 'amount' here"):
        load_policies(policies({**ALLOWED, "enabled": False, "when": "amount > 3"}))
    assert load_policies(policies({**ALLOWED, "enabled": False})) == []


def test_a_file_can_extend_another_in_another_folder(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    written(tmp_path / "shared", "base.yaml", 'version: 1\npolicies: [{name: c, type: cedar, file: "c.cedar"}]\n')
    written(tmp_path / "shared", "c.cedar", "permit(principal, action, resource);")
    path = written(tmp_path, "p.toml", 'version = 1\nextends = "shared/base.yaml"\n')
    assert [each.name for each in load_policies(path)] == ["c"]


# What is wrong, where, and what to do.


@pytest.mark.parametrize(
    ("entry", "key", "problem"),
    [
        ({"type": "aproval"}, "type", "Did you mean 'approval'"),
        ({"type": "approval", "aprovers": ["a"]}, "aprovers", "Did you mean 'approvers'"),
        ({"type": "approval"}, "", "'approvers' is missing"),
        ({"type": "approval", "approvers": "cfo"}, "approvers", "not a list"),
        ({"type": "approval", "approvers": []}, "approvers", "empty"),
        ({"type": "approval", "approvers": ["a"], "quorum": 2}, "quorum", "quorum=2 does not fit"),
        ({"type": "approval", "approvers": ["a"], "quorum": 1.5}, "quorum", "unknown|whole number"),
        ({"type": "approval", "approvers": ["a"], "quorum": True}, "quorum", "whole number|text"),
        ({"type": "approval", "approvers": ["a"], "expires": "soon"}, "expires", "form|unknown"),
        ({"type": "approval", "approvers": ["a"], "on_expiry": "escalate"}, "on_expiry", "belong together"),
        ({"type": "approval", "approvers": ["a"], "when": "args.a >"}, "when", "no CEL"),
        ({"type": "approval", "approvers": ["a"], "auto_approve": "now > now"}, "auto_approve", "uses now"),
        ({"type": "approval", "approvers": ["a"], "applies_to": {"risk": "huge"}}, "applies_to.risk", "low, medium"),
        ({"type": "approval", "approvers": ["a"], "applies_to": {"action": ["x"]}}, "applies_to.action", "'actions'"),
        ({"type": "deny", "reason": "x", "check": "true"}, "check", "no key 'check'"),
        ({"type": "budget", "limit": -1}, "limit", "too small|form"),
        ({"type": "budget", "limit": "ten"}, "limit", "form"),
        ({"type": "budget", "limit": 5, "amount": "amount"}, "amount", r"args\.amount"),
        ({"type": "authorization"}, "", "asks for nothing"),
        ({"type": "cedar"}, "", "either here"),
        ({"type": "cedar", "policies": "permit("}, "policies", "no Cedar"),
        ({"type": "cedar", "file": "gone.cedar"}, "file", "there is no file"),
        ({"type": "tiered", "tiers": [{"then": "allow"}, {"then": "deny"}]}, "tiers[0]", "Put it last"),
        ({"type": "tiered", "tiers": [{"then": "alow"}]}, "tiers[0].then", "allow"),
        ({"type": "tiered", "tiers": [{"then": {"type": "deny", "reson": "x"}}]}, "tiers[0].then", "reason"),
        ({"type": "tiered", "tiers": [{"then": {"type": "validation", "check": "a"}}]}, "tiers[0].then.check", "a"),
        ({"type": "tiered", "tiers": [{"when": "x", "then": "allow"}]}, "tiers[0].when", "there is no 'x'"),
        ({"type": "sequential_approval", "stages": [{"name": "a"}]}, "stages[0]", "'approvers' is missing"),
        ({"type": "sequential_approval", "stages": [{"name": "a", "quorum": 0}]}, "stages[0].quorum", "too small"),
    ],
)  # fmt: skip
def test_a_wrong_entry_is_named_with_key_and_remedy(entry: dict[str, Any], key: str, problem: str) -> None:
    with pytest.raises(PolicyFileError, match=problem) as raised:
        load_policies(policies({"name": "it", **entry}))
    place = f"policies[0].{key}" if key else "policies[0]"
    assert raised.value.key.startswith(place)
    assert raised.value.key.removeprefix(place) == "" or key.endswith("then")
    assert place in str(raised.value)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("version: 1\npolicies:\n  - name: a\n    type: deny\n    reson: x\n", 5, "Did you mean 'reason'"),
        ("version: 1\npolicies:\n  - name: a\n    type: deny\n", 3, "'reason' is missing"),
        ("version: 1\nversion: 1\n", 2, "twice"),
        ("version: 2\n", 1, "2 is unknown"),
        ("policies: []\n", 1, "'version' is missing"),
        ("version: 1\npolicies:\n - {name: a, type: audit}\n - {name: a, type: deny, reason: x}\n", 4, "line 3"),
        ("version: 1\noverrides:\n  gone: {mode: shadow}\n", 3, "no policy 'gone'"),
        ("version: 1\nenvironments:\n  test:\n    overrides:\n      gone: {mode: shadow}\n", 5, "no policy 'gone'"),
        ("version: 1\nextends: gone.yaml\n", 2, "there is no file"),
        ("version: 1\nextends: p.yaml\n", 2, "circle"),
        ("version: 1\ndefaults: {<<: {}}\n", 2, "<< is not supported"),
        ("version: 1\npolicies: !!python/object/apply:os.system [ls]\n", 2, "."),
        ("version: 1\npolicies:\n  - [\n", 4, "no YAML"),
        ("version: 1\npolicies:\n  - name: !!binary aGk=\n", 3, "not supported"),
        ("a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
            f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
        ), None, "too much"),
        ("a: " * 1 + "[" * 200 + "]" * 200, None, "nests too deeply"),
        ("- 1\n", 1, "not a map"),
        ("", None, "not a map"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_named_with_its_line(tmp_path: Path, text: str, line: int | None, problem: str) -> None:
    path = written(tmp_path, "p.yaml", text)
    with pytest.raises(PolicyFileError, match=problem) as raised:
        load_policies(path)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)
    if line is not None:
        assert raised.value.line == line


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("p.json", '{"version": 1, "version": 1}', "twice"),
        ("p.json", '{"version": 1,}', "line 1.*no JSON"),
        ("p.json", '{"version": NaN}', "no JSON"),
        ("p.json", '{"version": 1,\n "policies": [\n{"name": "a", "type": "deny", "reson": ""}]}', "line 3.*reason"),
        ("p.toml", "version = 1\nversion = 2\n", "no TOML"),
        ("p.toml", "version = 1\n[[policies]]\nname = 'a'\ntype = 'deny'\nreson = 'x'\n", "line 5.*reason"),
        (
            "p.toml",
            "version = 1\n[[policies]]\nname = 'a'\ntype = 'audit'\n[[policies]]\nname = 'b'\ntype = 'x'\n",
            "line 7",
        ),
        ("p.txt", "version: 1", "tells no format"),
        ("gone.yaml", None, "cannot be read"),
        ("p.yaml", "# " + "x" * 1_000_001, "bytes"),
    ],
)
def test_each_format_has_its_errors(tmp_path: Path, name: str, text: str | None, problem: str) -> None:
    path = tmp_path / name if text is None else written(tmp_path, name, text)
    with pytest.raises(PolicyFileError, match=problem):
        load_policies(path)


def test_words_of_yaml_stay_words(tmp_path: Path) -> None:
    text = "version: 1\npolicies:\n- {name: no, type: audit, tags: [on, off, 12:30, 2030-01-01, 010, 1_000, 'true']}\n"
    [audit] = load_policies(written(tmp_path, "p.yaml", text.replace("'true'", "yes")))
    assert audit.name == "no"
    with pytest.raises(PolicyFileError, match="not a text"):
        load_policies(written(tmp_path, "q.yaml", "version: 1\npolicies: [{name: true, type: audit}]\n"))


def test_an_unknown_environment_is_an_error() -> None:
    source = policies(environments={"production": {}, "staging": {}})
    with pytest.raises(PolicyFileError, match="Did you mean 'production'"):
        load_policies(source, "prodution")
    assert load_policies(policies(), "production") == []


def test_data_that_is_no_data_is_refused() -> None:
    with pytest.raises(PolicyFileError, match="object is no data"):
        load_policies(policies({**ALLOWED, "reason": object()}))
    with pytest.raises(PolicyFileError, match="no text"):
        load_policies({"version": 1, 5: 1})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    "change", [{"when": "args.amount > 2"}, {"approvers": ["b"]}, {"version": 2}, {"expires": "2h"}]
)
def test_the_digest_changes_with_what_is_said_and_with_nothing_else(change: dict[str, Any]) -> None:
    entry = {"name": "a", "type": "approval", "approvers": ["a"], "when": "args.amount > 1"}

    def digest(**more: Any) -> str:
        [policy] = load_policies(policies({**entry, **more}))
        return policy.fingerprint()

    assert digest() == digest(description="Other words.")
    assert digest() != digest(**change)
