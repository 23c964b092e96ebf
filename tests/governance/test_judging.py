"""What verdicts amount to with roles, delegations, revocations, conditions and changes in play."""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from assent.codec import to_json
from assent.governance import expire
from assent.governance.approvals import person
from assent.governance.people import Roster
from assent.governance.redaction import REDACTED, Redaction
from assent.governance.voices import are_enough, objection, standing, voices_of
from assent.store import ApprovalStatus, Event, PersonRecord
from tests.governance.questions import ANA, BOB, CLARA, DAN, NOW, Hearing, known, lends, somebody

EVE, FAY = "eve@company.com", "fay@company.com"
FINANCE, LEGAL = "role:finance", "role:legal"
STAFF = (somebody(ANA, "finance"), somebody(BOB, "finance", "legal"), somebody(DAN, "legal"), somebody(EVE))


# Seats and voices.


def test_members_of_a_role_fill_a_quorum_together() -> None:
    hearing = Hearing(known(*STAFF), approvers=(FINANCE,), quorum=2)
    assert hearing.say(ANA).verdict.seat == FINANCE
    assert hearing.status == "pending"
    assert hearing.say(BOB).counted == 2
    assert hearing.status == "granted"


def test_a_role_is_resolved_when_the_verdict_is_cast() -> None:
    hearing = Hearing(known(*STAFF), approvers=(FINANCE,), quorum=2)
    assert "is not an approver" in str(hearing.say(EVE).refusal)
    hearing.roster = known(somebody(EVE, "finance"), somebody(ANA))
    hearing.say(EVE)
    assert "is not an approver" in str(hearing.say(ANA).refusal)
    hearing.roster = known(somebody(EVE), somebody(ANA, "finance"))  # what Eve has said stays said
    hearing.say(ANA)
    assert hearing.status == "granted"


def test_a_person_has_one_voice_however_often_they_are_listed() -> None:
    hearing = Hearing(known(*STAFF), approvers=(ANA, FINANCE), quorum=2)
    assert hearing.say(ANA).verdict.seat == ANA
    assert "already said approve" in str(hearing.say("Ana@Company.com").refusal)
    assert hearing.say(BOB).verdict.seat == FINANCE
    assert hearing.status == "granted"


def test_a_delegate_speaks_for_who_is_listed() -> None:
    hearing = Hearing(known(lent=[lends(ANA, DAN)]))
    judgement = hearing.say(DAN)
    assert (judgement.verdict.seat, judgement.verdict.approver, hearing.status) == (ANA, DAN, "granted")


@pytest.mark.parametrize("order", [(DAN, EVE), (DAN, ANA), (ANA, DAN)])
def test_a_person_and_their_delegates_are_one_voice(order: tuple[str, str]) -> None:
    hearing = Hearing(known(lent=[lends(ANA, DAN), lends(ANA, EVE)]), quorum=2)
    assert hearing.say(order[0]).counted == 1
    refusal = str(hearing.say(order[1]).refusal)
    assert refusal.startswith(f"{order[0]} has already approved for {ANA}, and both together are one voice; another")
    assert hearing.say(BOB).counted == 2


def test_two_delegates_in_the_same_role_are_one_voice() -> None:
    hearing = Hearing(
        known(*STAFF, lent=[lends(ANA, EVE), lends(ANA, FAY)]), approvers=(FINANCE,), quorum=2, requester=None
    )
    assert hearing.say(EVE).verdict.seat == "role:finance for ana@company.com"
    assert "one voice" in str(hearing.say(FAY).refusal)
    assert "one voice" in str(hearing.say(ANA).refusal)
    assert hearing.say(BOB).counted == 2


def test_two_delegates_are_one_voice_also_if_the_first_delegation_has_ended_since() -> None:
    hearing = Hearing(known(*STAFF, lent=[lends(ANA, EVE)]), approvers=(FINANCE,), quorum=2)
    hearing.say(EVE)
    hearing.roster = known(*STAFF, lent=[lends(ANA, FAY)])
    assert "one voice" in str(hearing.say(FAY).refusal)


def test_a_listed_delegate_has_one_voice() -> None:
    hearing = Hearing(known(lent=[lends(ANA, BOB)]), quorum=2)
    assert hearing.say(BOB).verdict.seat == BOB
    assert "already said" in str(hearing.say(BOB).refusal)
    assert hearing.say(ANA).counted == 2


def test_nobody_speaks_through_a_chain_of_delegates() -> None:
    hearing = Hearing(known(lent=[lends(ANA, BOB), lends(BOB, EVE)]), approvers=(ANA, BOB, DAN), quorum=2)
    assert hearing.say(EVE).verdict.seat == BOB
    assert "one voice" in str(hearing.say(BOB).refusal)  # Eve has spoken for him
    assert hearing.say(DAN).counted == 2


def test_any_rejection_rejects_though_somebody_has_approved_from_the_same_seat() -> None:
    hearing = Hearing(known(lent=[lends(ANA, DAN)]), quorum=2)
    hearing.say(DAN)
    hearing.say(ANA, "reject")
    assert hearing.status == "rejected"


@pytest.mark.parametrize(
    ("rules", "who", "reason"),
    [
        ({"excluded": (ANA,)}, ANA, f"{ANA} is excluded from deciding A1; another approver must"),
        ({"excluded": (EVE,)}, EVE, f"{EVE} is excluded"),
        ({}, CLARA, f"{CLARA} asked for A1"),
        ({"requester": EVE}, EVE, f"{EVE} asked for A1"),
        ({"requester": ANA}, DAN, f"{DAN} stands in for {ANA}, who may not decide A1; another approver must"),
        ({"excluded": (ANA,)}, DAN, f"{DAN} stands in for {ANA}, who may not decide A1"),
        ({}, FAY, f"{FAY} is disabled and cannot decide; another approver must"),
        ({"approvers": (CLARA,)}, EVE, f"{EVE} is not an approver of A1; ask for it anew of others"),
        ({"approvers": (FINANCE, ANA)}, EVE, f"{EVE} is not an approver of A1; ask {FINANCE} or {ANA}"),
        ({"approvers": (FINANCE,)}, FINANCE, f"{FINANCE} is not an approver of A1"),
    ],
)
def test_who_may_not_decide_is_told_why(rules: dict[str, Any], who: str, reason: str) -> None:
    roster = known(*STAFF, somebody(FAY, "finance", disabled_at=NOW), lent=[lends(ANA, DAN)])
    for decision in ("approve", "reject"):
        hearing = Hearing(roster, **rules)
        assert str(hearing.say(who, decision).refusal).startswith(reason)
        assert hearing.status == "pending"


# Each of them.


def test_each_needs_every_entry() -> None:
    hearing = Hearing(known(*STAFF), approvers=(FINANCE, LEGAL, EVE), each=True)
    assert hearing.request.quorum == 3
    for who in (EVE, ANA):
        hearing.say(who)
    assert hearing.status == "pending"
    hearing.say(DAN)
    assert hearing.status == "granted"


def test_under_each_one_person_fills_one_entry_and_one_entry_is_filled_once() -> None:
    hearing = Hearing(known(*STAFF), approvers=(FINANCE, LEGAL), each=True)
    assert hearing.say(BOB).verdict.seat == FINANCE
    assert "already said" in str(hearing.say(BOB).refusal)
    assert f"{BOB} has already approved for {FINANCE}" in str(hearing.say(ANA).refusal)
    hearing.say(BOB, "revoke")
    hearing.say(ANA)
    assert hearing.say(BOB).verdict.seat == LEGAL
    assert hearing.status == "granted"


def test_each_is_not_granted_while_the_requester_is_one_of_them() -> None:
    hearing = Hearing(each=True)
    hearing.say(ANA)
    hearing.say(BOB)
    assert "asked for" in str(hearing.say(CLARA).refusal)
    assert hearing.status == "pending"


def test_each_holds_on_every_level_of_an_escalation() -> None:
    hearing = Hearing(
        each=True, requester=None, on_expiry="escalate", escalate_to=((DAN,), (EVE, FAY)), approvers=(ANA, BOB)
    )
    hearing.record = expire(hearing.record, NOW + 3600)
    assert hearing.request.quorum == 1
    hearing.record = expire(hearing.record, NOW + 7200)
    hearing.now = NOW + 7200
    assert hearing.say(EVE).counted == 1
    assert "not an approver" in str(hearing.say(DAN).refusal)
    hearing.say(FAY)
    assert hearing.status == "granted"


# Disabled people.


def test_what_a_disabled_person_said_does_not_count_any_more() -> None:
    hearing = Hearing(known(*STAFF), quorum=2)
    hearing.say(ANA)
    hearing.roster = known(somebody(ANA, disabled_at=hearing.now))
    assert hearing.say(BOB).counted == 1
    assert hearing.status == "pending"


def test_nor_does_what_was_said_in_their_place() -> None:
    hearing = Hearing(known(lent=[lends(ANA, DAN)]), quorum=2)
    hearing.say(DAN)
    hearing.roster = known(somebody(ANA, disabled_at=hearing.now))
    assert hearing.say(BOB).counted == 1


def test_who_was_disabled_for_a_while_is_counted_once() -> None:
    hearing = Hearing(known(*STAFF), approvers=(FINANCE, EVE), each=True)
    hearing.say(ANA)
    hearing.roster = known(*STAFF[1:], somebody(ANA, "finance", disabled_at=hearing.now))
    assert hearing.say(BOB).verdict.seat == FINANCE
    hearing.roster = known(*STAFF)
    assert "already said" in str(hearing.say(ANA).refusal)
    assert len(voices_of(hearing.request, hearing.kept, hearing.roster)) == 1


# Taking back.


def test_an_approval_is_taken_back_and_given_again() -> None:
    hearing = Hearing(quorum=2)
    hearing.say(ANA)
    taken = hearing.say("Ana@company.com", "revoke")
    assert (taken.counted, taken.decides, taken.verdict.seat) == (0, False, ANA)
    assert hearing.say(BOB).counted == 1
    hearing.say(ANA)
    assert hearing.status == "granted"


def test_only_what_one_has_said_oneself_is_taken_back() -> None:
    hearing = Hearing(known(lent=[lends(ANA, DAN)]), quorum=2)
    hearing.say(DAN)
    for who in (ANA, BOB, EVE):
        assert hearing.say(who, "revoke").refusal == f"{who} has said nothing on A1 that could be taken back"
    hearing.say(DAN, "revoke")
    assert "has said nothing" in str(hearing.say(DAN, "revoke").refusal)


def test_who_granted_takes_it_back_before_it_is_used() -> None:
    hearing = Hearing(quorum=2)
    hearing.say(ANA)
    hearing.say(BOB)
    refusal = hearing.say(CLARA, "revoke").refusal
    assert refusal == f"{CLARA} has not granted A1 and cannot take it back; ask {ANA} or {BOB}"
    assert hearing.say(ANA, "revoke").decides
    assert hearing.status == "revoked"
    assert f"approval A1 was revoked by {ANA} at" in str(hearing.say(BOB, "revoke").refusal)
    assert f"approval A1 was revoked by {ANA} at" in str(hearing.say(BOB).refusal)
    assert objection(hearing.record, hearing.request, hearing.kept) == f"approval A1 was revoked by {ANA}"


def test_what_is_used_cannot_be_taken_back() -> None:
    hearing = Hearing()
    hearing.say(ANA)
    hearing.record = replace(hearing.record, used_by="E1:3")
    assert hearing.say(ANA, "revoke").refusal == "approval A1 is already acted upon, and cannot be taken back"
    assert hearing.status == "granted"


def test_what_was_granted_by_expiry_anybody_entitled_takes_back() -> None:
    for who, status in [(ANA, "revoked"), (CLARA, "granted"), (EVE, "granted")]:
        hearing = Hearing(on_expiry="approve")
        hearing.record = expire(hearing.record, NOW + 3600)
        hearing.say(who, "revoke")
        assert hearing.status == status


def test_what_somebody_granted_who_is_disabled_now_anybody_entitled_takes_back() -> None:
    hearing = Hearing()
    hearing.say(ANA)
    hearing.roster = known(somebody(ANA, disabled_at=hearing.now + 1))
    assert "is disabled" in str(hearing.say(ANA, "revoke").refusal)
    assert "has not granted" in str(hearing.say(EVE, "revoke").refusal)
    hearing.say(BOB, "revoke")
    assert hearing.status == "revoked"


@pytest.mark.parametrize("status", ["rejected", "expired", "withdrawn", "amended"])
def test_what_was_decided_otherwise_is_not_taken_back(status: str) -> None:
    hearing = Hearing()
    hearing.record = replace(hearing.record, status=ApprovalStatus(status), decided_at=NOW)
    assert f"approval A1 {'' if status == 'expired' else 'was '}{status}" in str(hearing.say(ANA, "revoke").refusal)
    assert hearing.status == status


def test_taking_back_needs_a_reason_too() -> None:
    hearing = Hearing(require_reason=True, quorum=2)
    hearing.say(ANA)
    assert "needs a reason" in str(hearing.say(ANA, "revoke", reason=" ").refusal)


def test_a_mandate_is_taken_back_as_long_as_it_is_in_force() -> None:
    for until, status in [(NOW + 100, "revoked"), (NOW + 1, "granted")]:
        hearing = Hearing(kind="mandate", terms={"until": until}, arguments={})
        hearing.say(ANA)
        hearing.say(ANA, "revoke")
        assert hearing.status == status


# Conditions.


def test_an_approval_whose_conditions_hold_counts_at_once() -> None:
    hearing = Hearing()
    judgement = hearing.say(ANA, conditions=("amount <= 20000", "ratio > 1"))
    assert (judgement.counts, hearing.status) == (True, "granted")


def test_one_whose_conditions_do_not_hold_is_kept_and_does_not_count() -> None:
    hearing = Hearing()
    judgement = hearing.say(ANA, conditions=("amount <= 4",))
    assert (judgement.refusal, judgement.counts, judgement.counted) == (None, False, 0)
    assert hearing.status == "pending"
    assert "already said" in str(hearing.say(ANA).refusal)
    hearing.say(ANA, "revoke")
    hearing.say(ANA)
    assert hearing.status == "granted"


def test_a_conditional_approval_that_does_not_count_takes_nobodys_seat() -> None:
    hearing = Hearing(known(lent=[lends(ANA, DAN)]))
    hearing.say(DAN, conditions=("amount <= 4",))
    hearing.say(ANA)
    assert hearing.status == "granted"


@pytest.mark.parametrize(
    ("rules", "more", "reason"),
    [
        ({}, {"conditions": ("amount",)}, "cannot be read"),
        ({"arguments": {}}, {"conditions": ("amount < 5",)}, "has no arguments that conditions could be about"),
        ({"action": ""}, {"changes": '{"amount": 1}'}, "has no arguments that changes could be about"),
        ({"kind": "mandate", "terms": {"until": 1}}, {"changes": '{"amount": 1}'}, "has no arguments"),
        ({}, {"changes": '{"amount": 1}', "conditions": ("amount < 5",)}, "not both at once"),
        ({}, {"changes": "{}"}, "the changes name no argument"),
        ({}, {"changes": "[1]"}, "the changes name no argument"),
        ({}, {"changes": '{"sum": 1}'}, "wire has no argument 'sum'; it has amount, note"),
        ({}, {"changes": '{"amount": "5.0"}'}, "the changes change nothing; approve it as it is"),
        ({"arguments": {"pin": REDACTED}}, {"changes": '{"pin": 1}'}, "'pin' is redacted"),
        ({"arguments": {"a": {"pin": REDACTED, "x": 1}}}, {"changes": '{"a": {"x": 2}}'}, "'a' is redacted"),
        ({}, {"changes": to_json({"note": REDACTED})}, "'note' is redacted"),
        ({}, {"changes": '{"note": {"api_key": "k"}}'}, "the new value of 'note' holds a secret"),
        ({}, {"changes": to_json({"note": "x" * 20_001})}, "the new value of 'note' holds a secret, or more than"),
        ({}, {"changes": '{"note": ' + "[" * 100 + "]" * 100 + "}"}, "the new value of 'note' holds a secret, or more"),
    ],
)
def test_what_cannot_be_changed_or_limited_is_refused(rules: dict[str, Any], more: Any, reason: str) -> None:
    hearing = Hearing(**rules)
    assert reason in str(hearing.say(ANA, **more).refusal)
    assert hearing.status == "pending"


@pytest.mark.parametrize(
    "value",
    ["x" * 20_001, b"bytes", object(), 1 << 5000, {"x" * 20_001: 1}, [{"file": b"bytes"}], list(range(20_001))],
    ids=["text", "bytes", "object", "number", "name", "inside", "list"],
)
def test_what_is_not_shown_in_full_cannot_be_changed(value: Any) -> None:
    arguments = Redaction().apply({"amount": "5.0", "body": value})
    hearing = Hearing(arguments=arguments)
    assert "'body' is not shown in full" in str(hearing.say(ANA, changes=to_json({"body": "short"})).refusal)
    hearing.say(ANA, changes='{"amount": "6"}')
    assert hearing.status == "amended"


def test_a_rejection_has_neither_changes_nor_conditions() -> None:
    extras: list[dict[str, Any]] = [{"changes": '{"amount": 1}'}, {"conditions": ("amount < 5",)}]
    for more in extras:
        assert "go with an approval" in str(Hearing().say(ANA, "reject", **more).refusal)


# Changes.


def test_an_approval_with_changes_amends_whatever_the_quorum() -> None:
    hearing = Hearing(quorum=2)
    judgement = hearing.say(ANA, changes='{"amount": "4.0"}')
    assert (judgement.decides, judgement.counted, hearing.status) == (True, 0, "amended")
    assert f"approval A1 was amended by {ANA} at" in str(hearing.say(BOB).refusal)
    assert objection(hearing.record, hearing.request, hearing.kept) == "approval A1 is amended"


@pytest.mark.parametrize("who", [CLARA, EVE])
def test_only_who_may_approve_may_change(who: str) -> None:
    hearing = Hearing()
    assert hearing.say(who, changes='{"amount": "4.0"}').refusal
    assert hearing.status == "pending"


# At the moment of the effect.


def granted(roster: Roster, *who: str, **rules: Any) -> Hearing:
    hearing = Hearing(roster, quorum=len(who), **rules)
    for each in who:
        hearing.say(each)
    assert hearing.status == "granted"
    return hearing


LENT = known(*STAFF, lent=[lends(ANA, EVE, until=NOW + 100), lends(DAN, FAY, until=NOW + 100)])
CASES: list[Callable[[], Hearing]] = [
    lambda: granted(LENT, ANA, BOB),
    lambda: granted(LENT, EVE, BOB),
    lambda: granted(LENT, ANA, BOB, approvers=(FINANCE,)),
    lambda: granted(LENT, EVE, BOB, approvers=(FINANCE,)),
    lambda: granted(LENT, BOB, FAY, approvers=(FINANCE, LEGAL), each=True),
]


@pytest.mark.parametrize("case", CASES)
def test_what_was_rightly_granted_is_good(case: Callable[[], Hearing]) -> None:
    hearing = case()
    assert objection(hearing.record, hearing.request, hearing.kept, LENT) is None


@pytest.mark.parametrize("case", CASES)
def test_it_stays_good_when_delegations_end_and_people_go(case: Callable[[], Hearing]) -> None:
    hearing = case()
    ended = [replace(one, ended_at=hearing.now + 1) for one in LENT.delegations]
    gone = [replace(one, disabled_at=hearing.now + 1) for one in LENT.people.values()]
    assert objection(hearing.record, hearing.request, hearing.kept, known(*gone, lent=ended)) is None


def journal_of(hearing: Hearing) -> list[Event]:
    facts = [
        {"approval_id": "A1", "approver": one.approver, "decision": one.decision, "seat": one.seat}
        for one in hearing.kept
    ]
    return [Event("E1", "policy.approval.voted", NOW, value=to_json(each)) for each in facts]


@pytest.mark.parametrize("case", CASES[2:])
def test_who_has_lost_the_role_since_is_known_from_the_journal(case: Callable[[], Hearing]) -> None:
    hearing = case()
    today = known(*[replace(one, roles=()) for one in LENT.people.values()], lent=LENT.delegations)
    asked = hearing.record, hearing.request, hearing.kept, today
    assert "those who may grant it have not" in str(objection(*asked))
    assert objection(*asked, journal_of(hearing)) is None
    for old, new in [("A1", "A2"), ("approve", "revoke"), ("role:", ""), ("{", "")]:
        edited = [event._replace(value=str(event.value).replace(old, new)) for event in journal_of(hearing)]
        assert objection(*asked, edited) is not None


def test_who_was_disabled_before_the_decision_does_not_count() -> None:
    hearing = granted(LENT, ANA, BOB)
    for at, is_good in [(hearing.now, False), (NOW, False), (hearing.now + 0.5, True)]:
        roster = known(somebody(ANA, "finance", disabled_at=at))
        assert (objection(hearing.record, hearing.request, hearing.kept, roster) is None) == is_good


FORGERIES: list[dict[str, Any]] = [
    {"approver": "mallory"},
    {"approver": EVE, "seat": EVE},
    {"approver": "mallory", "seat": ""},
    {"seat": "mallory"},
    {"seat": CLARA},
    {"approver": CLARA},
    {"approver": FAY},
    {"decision": "reject"},
    {"decision": "revoke"},
    {"refusal": "late"},
    {"conditions": ("amount < 1",)},
    {"conditions": ("what",)},
    {"changes": '{"amount": 1}'},
    {"seat": "role:finance for mallory"},
    {"seat": "role:finance for clara@company.com"},
]


@pytest.mark.parametrize("forgery", FORGERIES, ids=str)
@pytest.mark.parametrize("case", CASES)
def test_an_edited_verdict_is_no_authority(case: Callable[[], Hearing], forgery: dict[str, Any]) -> None:
    hearing = case()
    for place in range(2):
        kept = [replace(one, **forgery) if n == place else one for n, one in enumerate(hearing.kept)]
        if kept != hearing.kept:
            assert objection(hearing.record, hearing.request, kept, LENT, journal_of(hearing)) is not None


def test_a_verdict_from_before_there_were_seats_is_the_persons_own() -> None:
    hearing = granted(LENT, ANA, BOB)
    old = [replace(one, seat="") for one in hearing.kept]
    assert objection(hearing.record, hearing.request, old, LENT) is None


def test_a_delegate_whose_time_was_over_is_no_authority() -> None:
    hearing = granted(LENT, EVE, BOB)
    late = known(lent=[lends(ANA, EVE, until=NOW)])
    early = known(lent=[lends(ANA, EVE, since=NOW + 50)])
    for roster in (late, early):
        assert objection(hearing.record, hearing.request, hearing.kept, roster) is not None


# Anything at all.


EVERYBODY = [ANA, BOB, CLARA, DAN, EVE, FAY]
ENTRIES = [ANA, BOB, CLARA, FINANCE, LEGAL]


class Hearings(RuleBasedStateMachine):
    """Any verdicts of anybody while people come and go: what is granted, enough different people have granted."""

    asks: ClassVar[dict[str, Any]] = {
        "approvers": (ANA, BOB, FINANCE),
        "quorum": 2,
        "requester": CLARA,
        "excluded": (FAY,),
    }

    def __init__(self) -> None:
        super().__init__()
        self.people: dict[str, PersonRecord] = {one.id: one for one in STAFF}
        self.lent: list[Any] = []
        self.history: list[Any] = []
        self.hearing = Hearing(**self.asks)
        self.settle()

    def settle(self) -> None:
        self.hearing.roster = known(*self.people.values(), lent=self.lent)

    @rule(who=st.sampled_from(EVERYBODY), roles=st.sets(st.sampled_from(["finance", "legal"])))
    def give_roles(self, who: str, roles: set[str]) -> None:
        self.people[who] = replace(self.people.get(who, somebody(who)), roles=tuple(sorted(roles)))
        self.settle()

    @rule(who=st.sampled_from(EVERYBODY), is_disabled=st.booleans())
    def disable(self, who: str, is_disabled: bool) -> None:
        self.hearing.now += 1
        record = self.people.get(who, somebody(who))
        self.people[who] = replace(record, disabled_at=self.hearing.now if is_disabled else None)
        self.settle()

    @rule(giver=st.sampled_from(EVERYBODY), taker=st.sampled_from(EVERYBODY))
    def lend(self, giver: str, taker: str) -> None:
        made = replace(lends(giver, taker, since=self.hearing.now), id=f"D{len(self.history)}")
        self.lent.append(made)
        self.history.append(made)
        self.settle()

    @rule()
    def end_what_was_lent(self) -> None:
        self.hearing.now += 1
        self.history = [replace(one, ended_at=self.hearing.now) if one in self.lent else one for one in self.history]
        self.lent = []
        self.settle()

    @rule(
        who=st.sampled_from([*EVERYBODY, "mallory", FINANCE, "ANA@company.com"]),
        decision=st.sampled_from(["approve", "approve", "approve", "revoke"]),
        conditions=st.sampled_from([(), (), ("amount < 9",), ("amount < 1",)]),
    )
    def say(self, who: str, decision: str, conditions: tuple[str, ...]) -> None:
        before = self.hearing.record
        may = bool(self.hearing.roster.seats(self.hearing.request, who))
        more: dict[str, Any] = {"conditions": conditions} if decision == "approve" else {}
        judgement = self.hearing.say(who, decision, **more)
        if decision == "approve" and judgement.refusal is None:
            assert may
        if judgement.refusal is not None:
            assert judgement.record == replace(before, version=before.version + 1)

    @rule(who=st.sampled_from([CLARA, FAY, "mallory", FINANCE]))
    def reject_without_right(self, who: str) -> None:
        if not self.hearing.roster.seats(self.hearing.request, who):
            assert self.hearing.say(who, "reject").refusal is not None

    @invariant()
    def nobody_speaks_twice(self) -> None:
        request = self.hearing.request
        voices = voices_of(request, self.hearing.kept, self.hearing.roster)
        for one, other in combinations(voices, 2):
            assert not one.people & other.people
        spoken = [person(one.approver) for one in standing(request, self.hearing.kept)]
        assert len(set(spoken)) == len(spoken)

    @invariant()
    def what_is_granted_is_earned(self) -> None:
        hearing = self.hearing
        if hearing.status == "granted":
            voices = voices_of(hearing.request, hearing.kept, hearing.roster, hearing.record.decided_at)
            assert are_enough(hearing.request, voices) or any(map(hearing.roster.is_disabled, EVERYBODY))
            assert not {CLARA, FAY} & {who for voice in voices for who in voice.people}
            self.check_objection()

    def check_objection(self) -> None:
        """What is rightly granted is good, as far as the journal and the delegations tell."""
        hearing = self.hearing
        history = known(*self.people.values(), lent=self.history)
        decided_at = hearing.record.decided_at or 0.0
        before = [one for one in self.people.values() if one.disabled_at and one.disabled_at <= decided_at]
        if not before:
            assert objection(hearing.record, hearing.request, hearing.kept, history, journal_of(hearing)) is None

    @invariant()
    def nothing_is_rejected(self) -> None:
        assert self.hearing.status in {"pending", "granted", "revoked"}


class HearingsOfEach(Hearings):
    """The same where each of them is needed."""

    asks: ClassVar[dict[str, Any]] = {
        "approvers": (ANA, LEGAL, FINANCE),
        "each": True,
        "requester": CLARA,
        "excluded": (FAY,),
    }


TestHearings = Hearings.TestCase
TestHearingsOfEach = HearingsOfEach.TestCase


@given(
    st.lists(st.sampled_from(ENTRIES), min_size=1, unique=True),
    st.booleans(),
    st.integers(1, 3),
    st.lists(st.sampled_from([FAY, "mallory", FINANCE, LEGAL, CLARA]), max_size=6),
)
def test_people_who_may_not_decide_never_grant(approvers: list[str], each: bool, quorum: int, who: list[str]) -> None:
    quorum = min(quorum, len(approvers))
    hearing = Hearing(
        known(*STAFF, somebody(CLARA, "finance", "legal")), approvers=tuple(approvers), each=each, quorum=quorum
    )
    for one in who:
        assert hearing.say(one).refusal
    assert hearing.status == "pending"
