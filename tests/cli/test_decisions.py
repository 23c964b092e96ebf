"""`assent approve`, `reject`, `signal`, `cancel` and `resolve`: word from people, and what comes of it."""

from tests.cli.conftest import Day, Shell, line_with


def test_a_verdict_counts_once_and_only_from_those_who_are_asked(assent: Shell) -> None:
    started = assent.read("run", "app.py:wire_transfer", '{"amount": 5, "recipient": "Acme"}', "--as", "alice", code=75)
    (approval,) = started["approvals"]
    assert "alice asked for" in assent.error("approve", approval, "--as", "alice", code=5)
    assert "bob is not an approver" in assent.error("approve", approval, "--as", "bob", code=5)
    said = assent("approve", approval[:8], "--as", "cfo@company.com", "--reason", "Budget is fine")
    assert f"Approval {approval} is granted." in said
    assert "when there is a worker that has wire_transfer version 1" in said
    assert "was granted by cfo@company.com" in assent.error("reject", approval, "--as", "cfo@company.com", code=5)
    (shown,) = assent.read("approvals", "--status", "granted")
    assert [(one["approver"], one["refusal"] is None) for one in shown["verdicts"]] == [
        ("alice", False),
        ("bob", False),
        ("cfo@company.com", True),
        ("cfo@company.com", False),
    ]
    assert "Budget is fine" in assent("show", started["execution_id"])


def test_a_quorum_shows_its_progress(assent: Shell) -> None:
    (approval,) = assent.read("run", "app.py:risky", "--arg", "item=lamp", "--wait", "0", code=75)["approvals"]
    assert "1 of 2 have approved" in assent("approve", approval, "--as", "risk@company.com")
    assert "risk@company.com and ceo@company.com, 1 of 2 so far" in assent("approvals")
    assert "is granted" in assent("approve", approval, "--as", "ceo@company.com")


def test_a_rejection_ends_the_execution(assent: Shell) -> None:
    started = assent.read("run", "app.py:wire_transfer", '{"amount": 5, "recipient": "Acme"}', code=75)
    worker = assent.worker("app.py")
    assent("reject", started["approvals"][0], "--as", "cfo@company.com", "--reason", "Who is Acme?")
    line_with("failed", worker)
    assert assent.read("executions", "--cause", "rejected")[0]["id"] == started["execution_id"]
    assert "Who is Acme?" in assent("show", started["execution_id"])


def test_whoever_decides_must_be_named(day: Day) -> None:
    for command in ("approve", "reject", "revoke"):
        assert "Missing option '--as'" in day.shell.error(command, day.approval, code=2)


def test_a_signal_is_kept_until_a_worker_comes(assent: Shell) -> None:
    execution = assent.read("run", "app.py:order", "--arg", "item=lamp", code=75)["execution_id"]
    assent("signal", execution, "address", '"Main St 1"', "--as", "bob")
    worker = assent.worker("app.py")
    line_with(f"{execution} completed 409", worker)


def test_bad_signals_are_refused(day: Day) -> None:
    assert "A text needs quotes of its own: '\"hello\"'" in day.shell.error("signal", day.order, "a", "hello", code=2)
    assert "is no JSON" in day.shell.error("signal", day.order, "a", "NaN", code=2)
    assert "assent approve" in day.shell.error("signal", day.transfer, f"approval:{day.approval}", "{}", code=2)
    assert "already ended (completed)" in day.shell.error("signal", day.quote, "a", code=4)


def test_cancelling_says_who_and_why(assent: Shell) -> None:
    execution = assent.read("run", "app.py:order", "--arg", "item=lamp", code=75)["execution_id"]
    assent("cancel", execution, "--reason", "sold out", "--as", "bob")
    worker = assent.worker("app.py")
    line_with(f"{execution} cancelled", worker)
    shown = assent.read("show", execution)
    assert (shown["status"], shown["error"]) == ("cancelled", {"reason": "sold out"})
    assert {"reason": "sold out", "by": "bob"} in [event["value"] for event in shown["events"]]
    assert "already ended (cancelled)" in assent.error("cancel", execution, code=4)


def test_an_effect_in_doubt_is_resolved_with_its_result(assent: Shell) -> None:
    started = assent.read("run", "app.py:doubtful", "--arg", "amount=5", code=7)
    execution = started["execution_id"]
    assert started["status"] == "in_doubt"
    assert "Say one of the two" in assent.error("resolve", execution, code=2)
    assert "Say one of the two" in assent.error("resolve", execution, "--done", "1", "--not-done", code=2)
    assert "is no JSON" in assent.error("resolve", execution, "--done", "charged", code=2)
    assert "but charge is" in assent.error("resolve", execution, "--not-done", "--step", "refund", code=2)
    assert "charge has happened" in assent("resolve", execution, "--done", '"charged 5"', "--as", "bob")
    line_with(f'{execution} completed "charged 5"', assent.worker("app.py"))
    assert {"done": True, "by": "bob"} in [event["value"] for event in assent.read("events", execution)]


def test_only_what_is_in_doubt_is_resolved(day: Day) -> None:
    assert "Nothing is in doubt" in day.shell.error("resolve", day.order, "--not-done", code=2)
