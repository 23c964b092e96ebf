"""Approvals: what is asked, whose verdict counts, and what becomes of it when time runs out."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from assent.codec import digest, from_json
from assent.errors import UsageError
from assent.governance import ApprovalRequest, expire, judge
from assent.governance.approvals import asked_at, levels_of, opened, person, reminders_of, stems_from
from assent.store import ApprovalRecord, ApprovalStatus, VerdictRecord
from tests.governance.questions import ANA, BOB, CLARA, DAN, NOW, REQUEST, judged, record_of, said

# Requests.


def test_a_request_survives_as_text() -> None:
    text = REQUEST.to_text()
    assert ApprovalRequest.from_text(text) == REQUEST
    assert ApprovalRequest.from_text(text).to_text() == text
    assert REQUEST.digest() == digest(text)


@pytest.mark.parametrize(
    "change",
    [
        {"approvers": (ANA,)},
        {"quorum": 2},
        {"action_digest": "00"},
        {"policies_digest": "00"},
        {"policy_digest": "00"},
        {"arguments": {"amount": "6.0"}},
        {"requester": BOB},
        {"separation_of_duties": False},
        {"require_reason": True},
        {"expires": None},
        {"stage": 2},
        {"approvers": ("role:finance",)},
        {"each": True},
        {"excluded": (DAN,)},
        {"reminders": (60.0,)},
        {"preview": {"kind": "text", "text": "5 to Ana"}},
        {"terms": {"until": 5.0}},
        {"kind": "mandate"},
        {"risk": "high"},
        {"on_expiry": "escalate", "escalate_to": ((DAN,),)},
    ],
)
def test_everything_in_a_request_is_in_its_digest(change: dict[str, Any]) -> None:
    assert replace(REQUEST, **change).digest() != REQUEST.digest()


FULL: dict[str, Any] = {
    "each": True,
    "excluded": (DAN,),
    "on_expiry": "escalate",
    "escalate_to": ((DAN, "role:board"), (ANA,)),
    "reminders": (60.0, 600.0),
    "preview": {"kind": "diff", "lines": ["-a", "+b"]},
    "terms": {"until": 5.0, "only": ["amount <= 5"]},
    "kind": "mandate",
    "risk": "high",
}


def test_so_does_one_with_all_there_is() -> None:
    request = replace(REQUEST, **FULL)
    assert ApprovalRequest.from_text(request.to_text()) == request
    assert ApprovalRequest.from_text(request.to_text()).to_text() == request.to_text()


def test_what_is_as_usual_is_not_written() -> None:
    facts = from_json(REQUEST.to_text())
    assert not facts.keys() & {*FULL, "quorum", "stage", "timeout_seconds", "escalated_at"}


def test_one_level_of_escalation_is_written_flat() -> None:
    request = replace(REQUEST, on_expiry="escalate", escalate_to=levels_of([DAN, ANA]))
    assert request.escalate_to == ((DAN, ANA),)
    assert from_json(request.to_text())["escalate_to"] == [DAN, ANA]
    assert ApprovalRequest.from_text(request.to_text()) == request


@pytest.mark.parametrize(
    ("given", "levels"),
    [
        ((), ()),
        ([DAN], ((DAN,),)),
        ([DAN, "DAN@company.com"], ((DAN,),)),
        ([[DAN, ANA], (BOB,)], ((DAN, ANA), (BOB,))),
    ],
)
def test_escalation_is_given_flat_or_by_levels(given: Any, levels: tuple[tuple[str, ...], ...]) -> None:
    assert levels_of(given) == levels


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"approvers": ()}, "without approvers"),
        ({"quorum": 4}, "quorum=4 does not fit 3 approvers"),
        ({"quorum": 0}, "quorum=0 does not fit"),
        ({"quorum": 0, "approvers": ("role:finance",)}, "quorum=0 does not fit"),
        ({"quorum": True}, "quorum=True does not fit"),
        ({"quorum": "all"}, "quorum='all' does not fit"),
        ({"excluded": DAN}, "excluded='dan@company.com' is one text"),
        ({"on_expiry": "escalate", "escalate_to": DAN}, "escalate_to='dan@company.com' is one text"),
        ({"on_expiry": "escalate", "escalate_to": [[DAN], ANA]}, "escalate_to='ana@company.com' is one text"),
        ({"on_expiry": "escalate", "escalate_to": [[DAN], []]}, "A level of escalate_to is empty"),
        ({"on_expiry": "escalate", "escalate_to": [[DAN, ANA], [BOB]], "quorum": 2}, "fit 1 escalate_to"),
        ({"on_expiry": "escalate"}, "belong together"),
        ({"escalate_to": [DAN]}, "belong together"),
        ({"on_expiry": "approve", "expires": None}, "would never happen"),
        ({"reminders": (0,)}, "would never come"),
        ({"reminders": (3600,)}, "would never come: the approval is open for 3600.0 seconds"),
    ],
)  # fmt: skip
def test_rules_that_do_not_fit_are_told_with_a_remedy(rules: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        replace(REQUEST, **rules)


def test_a_role_may_have_any_number_of_people() -> None:
    assert replace(REQUEST, approvers=("role:finance",), quorum=5).quorum == 5


def test_each_is_a_quorum_of_all() -> None:
    assert replace(REQUEST, each=True).quorum == 3
    assert replace(REQUEST, each=True, approvers=(ANA, "Ana@company.com")).quorum == 1


def test_the_electorate_is_without_those_who_may_not_decide() -> None:
    assert replace(REQUEST, excluded=(ANA,), approvers=(ANA, BOB, CLARA, "role:x")).electorate == (BOB, "role:x")


def test_a_person_is_listed_once() -> None:
    assert ApprovalRequest(approvers=(ANA, BOB, "ANA@company.com")).approvers == (ANA, BOB)


def test_case_counts_except_in_plain_mail_addresses() -> None:
    assert person("Ana@Company.com") == ANA
    assert person("Ana") == "Ana"
    assert person("Straße@x") == "Straße@x"
    assert person("\N{KELVIN SIGN}im@x") != person("kim@x")


def test_how_a_letter_is_put_together_makes_no_other_person() -> None:
    assert person("jose\N{COMBINING ACUTE ACCENT}@x") == person("jos\N{LATIN SMALL LETTER E WITH ACUTE}@x")


@pytest.mark.parametrize(
    "spelling", ["José@X.org", "JOSÉ@x.org", "jose\N{COMBINING ACUTE ACCENT}@x.org ", "ＪＯＳÉ@x.org"]
)
def test_whoever_may_not_decide_may_not_in_any_spelling(spelling: str) -> None:
    request = replace(REQUEST, approvers=("josé@x.org", ANA), requester=spelling)
    assert request.is_own_request_of("josé@x.org")
    assert request.electorate == (ANA,)
    assert replace(request, requester=None, excluded=(spelling,)).electorate == (ANA,)
    assert replace(REQUEST, approvers=("Bob", ANA), requester="bob").electorate == (ANA,)


@pytest.mark.parametrize("name", ["Role:finance", " role:finance", "role:", "role: finance", "ROLE:finance"])
def test_what_only_looks_like_a_role_is_refused(name: str) -> None:
    levels: dict[str, Any] = {"on_expiry": "escalate", "escalate_to": [[name]]}
    for rules in ({"approvers": (ANA, name)}, levels):
        with pytest.raises(UsageError, match="is no role"):
            replace(REQUEST, **rules)


def test_a_role_cannot_be_excluded_since_nobody_would_be() -> None:
    for name in ("role:finance", "Role:finance"):
        with pytest.raises(UsageError, match="names people"):
            replace(REQUEST, excluded=(ANA, name))


# Verdicts.


def test_one_approval_grants_where_one_is_enough() -> None:
    judgement, _ = judged(record_of(), said(ANA))
    assert judgement.decides
    assert judgement.record == replace(record_of(), status=ApprovalStatus.GRANTED, version=1, decided_at=NOW + 1)


def test_a_quorum_needs_as_many_people() -> None:
    record = record_of(quorum=2)
    first, _ = judged(record, said(ANA))
    assert (first.record.status, first.counted, first.decides) == (ApprovalStatus.PENDING, 1, False)
    second, _ = judged(record, said(ANA), said(BOB))
    assert (second.record.status, second.counted, second.record.version) == (ApprovalStatus.GRANTED, 2, 2)


def test_one_rejection_rejects() -> None:
    judgement, _ = judged(record_of(quorum=2), said(ANA), said(BOB, "reject"))
    assert judgement.record.status is ApprovalStatus.REJECTED


def test_the_spelling_of_a_mail_address_does_not_matter() -> None:
    assert judged(record_of(), said("ANA@Company.com"))[0].decides


@pytest.mark.parametrize(
    ("record", "before", "verdict", "reason"),
    [
        (record_of(), [], said(DAN), f"{DAN} is not an approver of A1; ask {ANA} or {BOB}"),
        (record_of(), [], said("ana"), f"ana is not an approver of A1; ask {ANA} or {BOB}"),
        (record_of(), [], said(f"{ANA} "), "is not an approver"),
        (record_of(), [], said(""), "is not an approver"),
        (record_of(), [], said(CLARA), f"{CLARA} asked for A1 and may not decide it; another approver must"),
        (record_of(), [], said("CLARA@company.com", "reject"), "asked for A1 and may not decide it"),
        (record_of(), [], said(ANA, "maybe"), "'maybe' is no verdict"),
        (record_of(require_reason=True), [], said(ANA, reason=" \n"), "approval A1 needs a reason with each verdict"),
        (record_of(quorum=2), [said(ANA)], said(ANA), f"{ANA} has already said approve at 2025-06-15T15:06:41Z"),
        (record_of(quorum=2), [said(ANA)], said("ANA@company.com", "reject"), "has already said approve"),
        (record_of(), [said(ANA)], said(BOB), f"approval A1 was granted by {ANA} at 2025-06-15T15:06:41Z"),
        (record_of(), [said(ANA, "reject")], said(ANA), f"approval A1 was rejected by {ANA} at"),
        (record_of(quorum=2), [said(ANA), said(BOB)], said(BOB), f"approval A1 was granted by {ANA} and {BOB} at"),
        (record_of(), [], said(ANA, at=NOW + 3600), "approval A1 expired at 2025-06-15T16:06:40Z"),
        (replace(record_of(), status=ApprovalStatus.EXPIRED), [], said(ANA), "approval A1 expired at"),
        (replace(record_of(), status=ApprovalStatus.WITHDRAWN), [], said(ANA), "approval A1 was withdrawn"),
        (replace(record_of(), status=ApprovalStatus.GRANTED), [], said(ANA), "was granted by the rule for its expiry"),
        (
            replace(record_of(), request=replace(REQUEST, quorum=1, approvers=(DAN,)).to_text()),
            [],
            said(DAN),
            "was changed",
        ),
        (replace(record_of(), digest="0"), [], said(ANA), "approval A1 was changed after it was asked for"),
        (replace(record_of(), request="{}", digest=digest("{}")), [], said(ANA), "was changed"),
        (replace(record_of(), request="[", digest=digest("[")), [], said(ANA), "was changed"),
    ],
)
def test_a_verdict_that_does_not_count_says_why(
    record: ApprovalRecord, before: list[VerdictRecord], verdict: VerdictRecord, reason: str
) -> None:
    judgement, kept = judged(record, *[*before, verdict])
    assert judgement.refusal is not None
    assert reason in judgement.refusal
    assert kept[-1].refusal == judgement.refusal
    assert not judgement.decides


def test_a_refused_verdict_changes_nothing_but_the_version() -> None:
    judgement, _ = judged(record_of(), said(DAN))
    assert judgement.record == replace(record_of(), version=1)


def test_who_was_refused_for_want_of_a_reason_may_give_one() -> None:
    judgement, _ = judged(record_of(require_reason=True), said(ANA), said(ANA, reason="it is paid for"))
    assert judgement.record.status is ApprovalStatus.GRANTED


def test_the_requester_may_decide_without_separation_of_duties() -> None:
    assert judged(record_of(separation_of_duties=False), said(CLARA))[0].decides


# Expiry.


def test_nothing_expires_before_its_time() -> None:
    record = record_of()
    assert expire(record, NOW + 3599.9) is record
    endless = record_of(expires=None)
    assert expire(endless, NOW * 10) is endless


@pytest.mark.parametrize("status", set(ApprovalStatus) - {ApprovalStatus.PENDING})
def test_what_is_decided_does_not_expire(status: ApprovalStatus) -> None:
    record = replace(record_of(), status=status)
    assert expire(record, NOW + 3600) is record


@pytest.mark.parametrize(
    ("on_expiry", "status"), [("reject", ApprovalStatus.EXPIRED), ("approve", ApprovalStatus.GRANTED)]
)
def test_expiry_decides_as_the_policy_says(on_expiry: Any, status: ApprovalStatus) -> None:
    record = record_of(on_expiry=on_expiry)
    assert expire(record, NOW + 3600) == replace(record, status=status, version=1, decided_at=NOW + 3600)


def test_a_changed_request_is_never_granted_by_expiry() -> None:
    record = replace(record_of(), request=replace(REQUEST, on_expiry="approve").to_text())
    assert expire(record, NOW + 3600).status is ApprovalStatus.EXPIRED


ESCALATING: dict[str, Any] = {"on_expiry": "escalate", "escalate_to": ((DAN, ANA),), "quorum": 2}


def test_escalation_asks_others_afresh() -> None:
    record = record_of(**ESCALATING)
    _, kept = judged(record, said(ANA))
    escalated = expire(replace(record, version=1), NOW + 3600)
    request = ApprovalRequest.from_text(escalated.request)
    assert (escalated.status, escalated.version, escalated.expires_at) == (ApprovalStatus.PENDING, 2, NOW + 7200)
    assert (request.approvers, request.on_expiry, request.escalated_at) == ((DAN, ANA), "reject", NOW + 3600)
    assert escalated.digest == request.digest() != record.digest
    late = said(DAN, at=NOW + 3601)
    assert judge(escalated, kept, late, late.at).counted == 1
    assert "is not an approver" in str(judge(escalated, kept, said(BOB, at=NOW + 3601), NOW + 3601).refusal)
    assert expire(escalated, NOW + 7200).status is ApprovalStatus.EXPIRED


CHAIN: dict[str, Any] = {"on_expiry": "escalate", "escalate_to": ((BOB,), (DAN, ANA)), "reminders": (600.0,)}


def test_escalation_goes_level_by_level_and_the_last_one_rejects() -> None:
    record = record_of(**CHAIN)
    asked = [record]
    for hour in (1, 2, 3):
        asked.append(expire(asked[-1], NOW + hour * 3600))
    requests = [ApprovalRequest.from_text(each.request) for each in asked[:3]]
    assert [each.approvers for each in requests] == [(ANA, BOB, CLARA), (BOB,), (DAN, ANA)]
    assert [each.on_expiry for each in requests] == ["escalate", "escalate", "reject"]
    assert [asked_at(*each) - NOW for each in zip(asked, requests, strict=False)] == [0, 3600, 7200]
    assert asked[3].status is ApprovalStatus.EXPIRED
    assert all(stems_from(each, replace(REQUEST, **CHAIN)) for each in asked)


def test_a_level_that_is_not_of_the_chain_does_not_stem_from_it() -> None:
    request = replace(REQUEST, **CHAIN)
    second = expire(expire(opened("A1", "E1", request, NOW), NOW + 3600), NOW + 7200)
    found = ApprovalRequest.from_text(second.request)
    for forged in (
        replace(found, approvers=(DAN,)),
        replace(found, escalated_at=None),
        replace(found, on_expiry="escalate", escalate_to=((BOB,), (DAN, ANA), (CLARA,))),
        replace(found, on_expiry="escalate", escalate_to=((ANA,),)),
        replace(request, escalated_at=NOW),
    ):
        assert not stems_from(replace(second, request=forged.to_text(), digest=forged.digest()), request)
    assert stems_from(second, request)
    assert not stems_from(second, replace(request, escalate_to=((BOB,), (ANA, DAN))))
    assert not stems_from(second, REQUEST)


def test_reminders_come_after_asking_and_after_each_escalation() -> None:
    record = record_of(**CHAIN)
    assert reminders_of(record, replace(REQUEST, **CHAIN)) == (NOW + 600,)
    later = expire(record, NOW + 3600.0004)
    assert reminders_of(later, ApprovalRequest.from_text(later.request)) == (NOW + 4200.0,)


def test_a_slow_clock_does_not_lose_a_verdict_after_an_escalation() -> None:
    escalated = expire(record_of(**ESCALATING), NOW + 3600)
    first = judge(escalated, [], said(DAN, at=NOW + 3000), NOW + 3000)
    second = judge(first.record, [first.verdict], said(ANA, at=NOW + 3601), NOW + 3601)
    assert second.record.status is ApprovalStatus.GRANTED


def test_a_stored_approval_is_known_by_what_was_asked_at_first() -> None:
    request = replace(REQUEST, **ESCALATING)
    record = opened("A1", "E1", request, NOW)
    escalated = expire(record, NOW + 3600)
    assert stems_from(record, request)
    assert stems_from(escalated, request)
    for forged in (replace(request, approvers=(DAN,), quorum=1), replace(request, separation_of_duties=False)):
        assert not stems_from(replace(record, request=forged.to_text(), digest=forged.digest()), request)
        assert not stems_from(replace(record, request=forged.to_text()), request)
        assert not stems_from(expire(opened("A1", "E1", forged, NOW), NOW + 3600), REQUEST)
    assert not stems_from(replace(record, digest="0"), request)


class Verdicts(RuleBasedStateMachine):
    """Any verdicts of anybody at any time: nothing is ever granted without a quorum of those who may grant."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.request = replace(REQUEST, **ESCALATING, approvers=(ANA, BOB, CLARA), require_reason=True)
        self.record = opened("A1", "E1", self.request, NOW)
        self.kept: list[VerdictRecord] = []

    @rule(who=st.sampled_from([ANA, "ANA@company.com", BOB, CLARA, DAN, "Dan@Company.com", "eve"]))
    def approve(self, who: str) -> None:
        self.say(who, "approve", "fine")

    @rule(who=st.sampled_from([ANA, CLARA, "eve"]), decision=st.sampled_from(["approve", "reject", "maybe"]))
    def say_badly(self, who: str, decision: str) -> None:
        self.say(who, decision, "")

    @rule(who=st.sampled_from([CLARA, "eve"]))
    def reject_without_right(self, who: str) -> None:
        self.say(who, "reject", "no")

    @rule(seconds=st.sampled_from([1.0, 600.0, 3600.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def lapse(self) -> None:
        self.record = expire(self.record, self.now)

    def say(self, who: str, decision: str, reason: str) -> None:
        before = self.record
        judgement = judge(before, self.kept, said(who, decision, reason, self.now), self.now)
        if before.status is not ApprovalStatus.PENDING or self.now >= (before.expires_at or 0):
            assert judgement.refusal is not None
        self.record = judgement.record
        self.kept.append(judgement.verdict)

    @invariant()
    def granted_only_by_a_quorum_of_those_who_may(self) -> None:
        request = ApprovalRequest.from_text(self.record.request)
        since = request.escalated_at or NOW
        voters = {person(one.approver) for one in self.kept if one.refusal is None and one.at >= since}
        entitled = {DAN, ANA} if request.escalated_at else {ANA, BOB}
        assert voters <= entitled
        assert (self.record.status is ApprovalStatus.GRANTED) == (len(voters) >= 2)

    @invariant()
    def never_rejected_by_those_who_may_not(self) -> None:
        assert self.record.status is not ApprovalStatus.REJECTED

    @precondition(lambda self: self.record.status is not ApprovalStatus.PENDING)
    @invariant()
    def what_is_decided_stays(self) -> None:
        assert expire(self.record, self.now + 1e6) is self.record


TestVerdicts = Verdicts.TestCase


@given(
    st.integers(1, 3),
    st.lists(st.tuples(st.sampled_from([ANA, BOB, CLARA, DAN]), st.sampled_from(["approve", "reject"])), max_size=8),
)
def test_nobody_decides_alone_what_needs_more(quorum: int, votes: list[tuple[str, str]]) -> None:
    record, kept = record_of(quorum=quorum, requester=None), list[VerdictRecord]()
    for who, decision in votes:
        judgement = judge(record, kept, said(who, decision), NOW + 1)
        record, kept = judgement.record, [*kept, judgement.verdict]
    counted = [one for one in kept if one.refusal is None]
    approved = {one.approver for one in counted if one.decision == "approve"}
    assert len({one.approver for one in counted}) == len(counted)
    assert approved <= {ANA, BOB, CLARA}
    if any(one.decision == "reject" for one in counted):
        assert record.status is ApprovalStatus.REJECTED
    else:
        assert (record.status is ApprovalStatus.GRANTED) == (len(approved) >= quorum)
