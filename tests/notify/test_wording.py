"""What notifications say, and how it looks on a terminal."""

from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from assent.errors import DeliveryFailed, UsageError
from assent.governance.approvals import opened
from assent.governance.previews import Preview
from assent.notify import ConsoleChannel, Notification, Templates
from assent.notify.wording import TOPICS, worded
from assent.store import ApprovalStatus, NoticeRecord, VerdictRecord
from tests.notify.ground import NOW, notification, request

EVIL = "pay\r\nBcc: x\x1b[31m\u202e\x07"


def said(topic: str = "requested", verdicts: tuple[VerdictRecord, ...] = (), **facts: Any) -> Notification:
    asked = request(**facts)
    record = opened("a1", "e1", asked, NOW, ["mail"])
    if topic in set(ApprovalStatus):
        record = replace(record, status=ApprovalStatus(topic), decided_at=NOW + 60)
    notice = NoticeRecord(
        id=f"a1:{topic}:mail", approval_id="a1", channel="mail", topic=topic, created_at=NOW, due_at=NOW
    )
    return worded(notice, record, asked, verdicts, link="https://x.com/{approval_id}")


def verdict(**facts: Any) -> VerdictRecord:
    usual: dict[str, Any] = {"approval_id": "a1", "approver": "cfo@company.com", "decision": "approve", "at": NOW}
    return VerdictRecord(**(usual | facts))


def test_a_question_says_what_whom_and_until_when() -> None:
    asked = said(
        approvers=("cfo@company.com", "role:finance"), quorum=2, expires=3600.0, require_reason=True, risk="high",
        labels=("sox",), stage=2, stages=3, stage_name="Finance",
    )  # fmt: skip
    assert asked.headline == "Approval needed: wire_transfer"
    assert dict(asked.rows) == {
        "Action": "wire_transfer",
        "amount": "50000",
        "recipient": "Acme",
        "Risk": "high",
        "Labels": "sox",
        "Asked by": "alice",
        "Who decides": "2 of cfo@company.com or role:finance",
        "Stage": "2 of 3 Finance",
        "Until": "2025-06-15 16:06 UTC",
        "Reason": "required with each verdict",
        "Policy": "ApprovalPolicy",
    }
    assert asked.link == "https://x.com/a1"
    assert asked.is_question


def test_an_outcome_says_who_decided_and_why() -> None:
    refused = verdict(approver="eve", refusal="not an approver")
    told = said("rejected", (refused, verdict(decision="reject", reason="too much")))
    assert told.headline == "Rejected: wire_transfer"
    assert dict(told.rows)["cfo@company.com said"] == "reject: too much"
    assert dict(told.rows)["Decided at"] == "2025-06-15 15:07 UTC"
    assert "eve" not in told.text
    assert "Decide:" not in told.text


def test_conditions_and_changes_are_told() -> None:
    told = said("granted", (verdict(conditions=("amount <= 20000",), changes='{"amount":"1"}'),))
    assert dict(told.rows)["cfo@company.com said"] == 'approve if amount <= 20000 with changes {"amount":"1"}'


@pytest.mark.parametrize("status", [one for one in ApprovalStatus if one is not ApprovalStatus.PENDING])
def test_every_outcome_has_words(status: ApprovalStatus) -> None:
    assert said(status.value).headline == f"{TOPICS[status.value]}: wire_transfer"


def test_hostile_text_stays_on_its_line_and_moves_no_cursor() -> None:
    told = said(
        title=EVIL, arguments={EVIL: EVIL, "list": [EVIL]}, requester=EVIL, labels=(EVIL,), policy=EVIL,
        verdicts=(verdict(approver=EVIL, reason=EVIL),),
    )  # fmt: skip
    lines = told.text.splitlines()
    assert all(line.isprintable() for line in lines)
    assert len(lines) == 1 + 1 + len(told.rows) + 2
    assert told.facts["arguments"] == {EVIL: EVIL, "list": [EVIL]}


def test_long_values_and_many_arguments_are_cut_and_say_so() -> None:
    told = said(arguments={f"a{n}": "x" * 2000 for n in range(60)})
    assert "(1500 more characters)" in dict(told.rows)["a0"]
    assert dict(told.rows)["Also"] == "35 more arguments"


def test_the_preview_is_told_as_it_is_shown_elsewhere() -> None:
    preview = Preview.diff({"limit": 1}, {"limit": 2})
    assert said(preview=preview.to_facts()).preview == preview.render()


def test_a_mandate_shows_its_terms() -> None:
    assert dict(said(kind="mandate", terms={"count": 20}).rows)["count"] == "20"


async def test_the_console_shows_it_plainly() -> None:
    file = StringIO()
    await ConsoleChannel(file=file).send(notification(headline=f"[red]{EVIL}", preview="a\nb", rows=(("k", "[b]v"),)))
    lines = file.getvalue().splitlines()
    assert lines[0] == "[red]pay\\x0d\\x0aBcc: x\\x1b[31m\\u202e\\x07"
    assert lines[1:] == [
        "  k: [b]v",
        "  approval: a1",
        "  link: https://assent.example.com/approvals/a1",
        "  | a",
        "  | b",
    ]


@pytest.mark.parametrize(
    ("file", "text", "remedy"),
    [
        ("text.txt", "{{ headline", "line 1"),
        ("html.html", "\n{% if %}", "line 2"),
        ("subject.txt", "{{ titel }}", "titel, which no notification has"),
        ("betreff.txt", "x", "would never be used"),
    ],
)
def test_a_template_that_cannot_work_is_refused_at_once(tmp_path: Path, file: str, text: str, remedy: str) -> None:
    (tmp_path / file).write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=remedy):
        Templates(tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"subject\.txt"):
        Templates(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["{{ ''.__class__.__mro__ }}", "{{ facts.update(a=1) }}", "{{ facts.none.at }}"])
def test_templates_stay_in_their_sandbox(tmp_path: Path, text: str) -> None:
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    with pytest.raises(DeliveryFailed, match=r"text\.txt"):
        Templates(tmp_path).render("text", notification())


def test_text_of_others_is_no_template() -> None:
    text = Templates().render("text", notification(headline="{{ 7 * 7 }}"))
    assert text.startswith("{{ 7 * 7 }}")
