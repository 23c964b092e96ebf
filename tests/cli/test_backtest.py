"""`assent policy backtest`: what policies would have changed, told on real records."""

import pytest

from tests.cli.conftest import Shell, shell_in

LENIENT = """
version: 1
policies:
  - name: approval
    type: approval
    approvers: [cfo@company.com]
    auto_approve: args.amount <= 60000
"""
STRICT = """
version: 1
policies:
  - name: ceiling
    type: deny
    when: args.amount > 60000
    reason: too much for one transfer
"""


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A store with three transfers, of which two wait for the CFO and one was denied."""
    shell = shell_in(tmp_path_factory.mktemp("backtest"))
    for amount, code in ((50_000, 75), (70_000, 75), (-1, 5)):
        call = f'{{"amount": {amount}, "recipient": "Acme"}}'
        shell("run", "app.py:wire_transfer", call, "--as", "alice", code=code)
    first, _ = shell.read("approvals")
    shell("approve", first["id"], "--as", "cfo@company.com")
    (shell.folder / "lenient.yaml").write_text(LENIENT)
    (shell.folder / "strict.yaml").write_text(STRICT)
    return shell


def test_a_lenient_file_saves_the_reviewers_time(shell: Shell) -> None:
    found = shell.read("policy", "backtest", "lenient.yaml")
    assert found["actions"] == 3
    assert {name: count for name, count in found["changes"].items() if count} == {"no_longer_asked": 1, "unchanged": 2}
    assert found["moves"] == [{"from": "ask", "to": "allow", "actions": 1}]
    assert found["kept"] == {"validation": 3}
    before, after = found["reviewing"]["before"], found["reviewing"]["after"]
    assert (before["verdicts"], after["verdicts"]) == (2, 1)
    assert before["waiting_seconds"] > after["waiting_seconds"] > 0
    assert before["looking_seconds"] is None
    (cfo,) = found["reviewing"]["approvers"]
    assert (cfo["approver"], cfo["recorded_verdicts"], cfo["verdicts_after"]) == ("cfo@company.com", 1, 1.0)
    text = shell("policy", "backtest", "lenient.yaml")
    assert "no longer asked         1" in text
    assert "Left as recorded: validation (3)." in text
    assert "verdicts      2 → 1, 1 fewer" in text


def test_a_strict_file_names_the_executions_that_it_would_deny(shell: Shell) -> None:
    found = shell.read("policy", "backtest", "strict.yaml", "--since", "1h")
    ceiling = next(one for one in found["policies"] if one["policy"] == "ceiling")
    (example,) = ceiling["examples"]["newly_denied"]
    assert example["reason"] == "too much for one transfer"
    assert shell.read("show", example["execution_id"])["arguments"]["amount"] == "70000"


def test_policies_can_be_left_out(shell: Shell) -> None:
    found = shell.read("policy", "backtest", "strict.yaml", "--without", "approval", "--without", "validation")
    changes = {name: count for name, count in found["changes"].items() if count}
    assert changes == {"no_longer_asked": 1, "no_longer_denied": 1, "newly_denied": 1}
    assert "Never recorded, so nothing to leave out: nobody." in shell(
        "policy", "backtest", "strict.yaml", "--without", "nobody"
    )


def test_nothing_recorded_is_told(shell: Shell) -> None:
    text = shell("policy", "backtest", "strict.yaml", "--since", "2099-01-01")
    assert text == "1 policy of strict.yaml: nothing is recorded since then to ask them about.\n"


def test_what_is_wrong_is_one_line(shell: Shell) -> None:
    (shell.folder / "wrong.yaml").write_text("version: 1\npolicies: [{name: x, type: approvel}]\n")
    assert "wrong.yaml" in shell.error("policy", "backtest", "wrong.yaml", code=2)
    assert "no.yaml" in shell.error("policy", "backtest", "no.yaml", code=2)
    assert "neither a duration" in shell.error("policy", "backtest", "strict.yaml", "--since", "soon", code=2)
