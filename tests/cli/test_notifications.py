"""`assent notifications`: what people are told, and how it is sent again."""

from pathlib import Path

import pytest

from tests.cli.conftest import Shell

TOLD = """
import asyncio, sys
from pathlib import Path

from assent import ApprovalPolicy, DeliveryFailed, Runtime, govern
from assent.notify import ConsoleChannel


class Post:
    name, kind, is_personal = "post", "email", True

    async def send(self, notification):
        if not Path("open").exists():
            raise DeliveryFailed("closed", reason="the office is \\x1b[31mclosed", is_final=True)
        return f"posted to {notification.address}"


@govern(policies=[ApprovalPolicy(approvers=["cfo@company.com", "nobody"], timeout_seconds=0)])
async def transfer(amount: int) -> int:
    return amount


runtime = Runtime(channels=[ConsoleChannel(file=sys.stderr), Post()], approval_url="https://x.com/{approval_id}")
"""


@pytest.fixture
def told(assent: Shell) -> Shell:
    """A folder in which somebody was asked through channels, of which one was closed."""
    (assent.folder / "told.py").write_text(TOLD, encoding="utf-8")
    assert "Approval needed: transfer" in assent.run("run", "told.py:transfer", "--arg", "amount=5", code=75).stderr
    assent("notifications", "send", "told.py")
    return assent


def test_it_lists_what_became_of_each_notice(told: Shell) -> None:
    found = told.read("notifications", "list")
    assert {(one["channel"], one["recipient"], one["status"]) for one in found} == {
        ("console", None, "sent"),
        ("post", None, "sent"),
        ("post", "cfo@company.com", "dead"),
        ("post", "nobody", "skipped"),
    }
    text = told("notifications", "list", "--status", "dead")
    assert "the office is \\x1b[31mclosed" in text
    assert "cfo@company.com" in text


def test_it_lists_those_of_one_approval_and_of_one_status(told: Shell) -> None:
    (approval,) = told.read("approvals")
    about = told.read("notifications", "list", "--approval", approval["id"][:30], "--status", "skipped")
    assert [one["approval_id"] for one in about] == [approval["id"]]
    assert told("notifications", "list", "--status", "pending") == "There is none.\n"
    assert "pending, sent, dead, skipped, all" in told.error("notifications", "list", "--status", "late", code=2)


def test_what_was_given_up_is_sent_once_the_cause_is_mended(told: Shell) -> None:
    assert told("notifications", "retry", "--dead").startswith("1 is due now.")
    (told.folder / "open").touch()
    (sent,) = told.read("notifications", "send", "told.py")
    assert (sent["status"], sent["receipt"], sent["attempts"]) == ("sent", "posted to cfo@company.com", 1)
    assert told("notifications", "send", "told.py") == "Nothing is due.\n"
    assert told("notifications", "retry", "--dead").startswith("0 are due now.")


def test_single_notices_are_named_by_their_ids(told: Shell) -> None:
    skipped = told.read("notifications", "list", "--status", "skipped")[0]["id"]
    assert told("notifications", "retry", skipped).startswith("1 is due now.")
    assert "is still being tried" in told.error("notifications", "retry", skipped, code=2)
    sent = told.read("notifications", "list", "--status", "sent")[0]["id"]
    assert "is sent. Only" in told.error("notifications", "retry", sent, code=2)
    assert "There is no notice 'x'" in told.error("notifications", "retry", "x", code=3)
    assert "--dead" in told.error("notifications", "retry", code=2)


def test_sending_needs_channels(told: Shell) -> None:
    assert "Runtime(channels=[...])" in told.error("notifications", "send", "app.py", code=2)


def test_a_question_makes_no_store(assent: Shell) -> None:
    assert "There is no store" in assent.error("notifications", "list", code=9)
    assert not Path(assent.folder / "assent.db").exists()
