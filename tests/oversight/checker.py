"""Says from the journal alone whether each effect had exactly the authority that its policies asked for.

It knows nothing of how that is decided while it happens: what each effect needs stands in `scenes.NEEDS`, and here is
only counted who said what, when, and whether it was taken back.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from assent.codec import from_json
from assent.store import MILLIONTHS, Event
from assent.testing import Ledger
from tests.oversight.crowd import ROLES, Spell
from tests.oversight.scenes import ALL, BUDGET, EFFECTS, NEEDS, THROTTLE, Need

FUNCTIONS = {each.name: each for each in ALL}
MARGIN = 0.05  # seconds: clocks are read before what they time is written


class Vote(NamedTuple):
    """A consent that counted when it was given."""

    who: str
    seat: str  # an entry, or "role:finance for lea@x.org"
    at: float
    reason: str
    conditions: tuple[str, ...] = ()

    @property
    def entry(self) -> str:
        return self.seat.split(" for ")[0]

    @property
    def holder(self) -> str:
        """Whose seat it is."""
        named = self.seat.split(" for ")[-1]
        return self.who if named.startswith("role:") else named


@dataclass
class Asked:
    """One approval, as the journal tells of it."""

    policy: str
    stage: str
    requester: str | None
    votes: dict[str, Vote] = field(default_factory=dict)
    by_silence: bool = False
    ended: int | None = None  # `seq` of what took away its force

    def hear(self, event: Event, facts: Mapping[str, Any]) -> None:
        what = event.type.removeprefix("policy.approval.")
        if what in {"voted", "granted"} and "approver" in facts:
            self.vote(event, facts)
        elif what == "granted":
            self.by_silence = True
        elif what == "escalated":
            self.votes.clear()
        elif what in {"revoked", "rejected", "withdrawn", "amended"}:
            self.ended = event.seq

    def vote(self, event: Event, facts: Mapping[str, Any]) -> None:
        who = facts["approver"]
        if facts["decision"] == "revoke":
            self.votes.pop(who, None)
        elif facts["decision"] == "approve" and facts.get("counts", True):
            conditions = tuple(facts.get("conditions", ()))
            self.votes[who] = Vote(who, facts.get("seat", who), event.at, facts["reason"], conditions)


class Effect(NamedTuple):
    """An effect that happened, and the permit under which it did."""

    name: str
    execution_id: str
    case: int
    amount: Decimal
    supplier: str
    seq: int  # of its permit
    at: float
    permit: Mapping[str, Any]


@dataclass
class Journal:
    """All that happened, by execution and by approval."""

    events: dict[str, list[Event]]
    asked: dict[str, Asked]
    disabled: Sequence[Spell]
    lent: Sequence[Spell]

    @classmethod
    def of(cls, events: Iterable[Event], disabled: Sequence[Spell], lent: Sequence[Spell]) -> "Journal":
        journal = cls(defaultdict(list), {}, disabled, lent)
        for event in events:
            journal.events[event.execution_id].append(event)
        return journal

    def read_until(self, execution_id: str, seq: int) -> dict[str, Asked]:
        """The approvals of an execution as they were at that place in the journal."""
        found: dict[str, Asked] = {}
        requester = None
        for event in self.events[execution_id]:
            if event.seq >= seq or not event.type.startswith("policy."):
                continue
            facts = from_json(event.value or "{}")
            if event.type == "policy.evaluated":
                requester = (facts["action"].get("requester") or {}).get("id")
            elif event.type == "policy.approval.requested":
                found[facts["approval_id"]] = Asked(event.name or "", facts.get("stage", "1/1"), requester)
            elif facts.get("approval_id") in found:
                found[facts["approval_id"]].hear(event, facts)
        return found


def check_effects(journal: Journal, folder: Any) -> Counter[str]:
    """Hold every effect against the journal; returns how often each way of getting authority was seen."""
    seen: Counter[str] = Counter()
    effects = list(effects_of(journal, folder))
    used: Counter[str] = Counter()
    for effect in effects:
        used.update(effect.permit["approvals"])
        seen += authority_of(journal, effect)
    assert [one for one, times in used.items() if times > 1] == [], "an approval served two effects"
    check_bounds(journal, effects, seen)
    return seen


def effects_of(journal: Journal, folder: Any) -> Iterable[Effect]:
    """What happened outside, each with its permit; none twice, none without."""
    entries = Ledger(folder / EFFECTS).entries()
    assert len({entry.key for entry in entries}) == len(entries), "an effect happened twice under one key"
    assert len({entry.key.split(":")[0] for entry in entries}) == len(entries), "an execution had two effects"
    for entry in entries:
        execution_id, op = entry.key.rsplit(":", 1)
        facts = from_json(entry.what)
        taken = [
            event for event in journal.events[execution_id] if event.type == "permit.consumed" and event.op == int(op)
        ]
        assert len(taken) == 1, f"{entry} happened under {len(taken)} permits"
        yield Effect(
            facts["name"],
            execution_id,
            facts["case"],
            Decimal(facts["amount"]),
            facts["supplier"],
            taken[0].seq,
            taken[0].at,
            from_json(taken[0].value or "{}"),
        )


def authority_of(journal: Journal, effect: Effect) -> Counter[str]:
    """Raise unless the permit of an effect is for this very effect and rests on what its policies asked for."""
    governed = next(each for name, each in FUNCTIONS.items() if name.endswith(effect.name))
    bound = {"case": effect.case, "amount": effect.amount, "supplier": effect.supplier}
    digest = governed._subject.action(bound, None).digest
    assert effect.permit["action_digest"] == digest, f"the permit of {effect} is for another action"
    evaluated = [
        facts
        for event in journal.events[effect.execution_id]
        if event.type == "policy.evaluated"
        and event.seq < effect.seq
        and (facts := from_json(event.value or "{}"))["action"]["digest"] == digest
    ]
    assert evaluated, f"nobody evaluated {effect}"
    assert evaluated[-1]["outcome"] != "deny", f"{effect} was denied"
    needs = NEEDS[effect.name](effect.amount)
    assert (evaluated[-1]["outcome"] == "ask") == bool(needs)
    asked = journal.read_until(effect.execution_id, effect.seq)
    named = {one: asked[one] for one in effect.permit["approvals"]}
    mandates = effect.permit.get("mandates", [])
    assert len(named) + len(mandates) == len(needs), f"{effect} has other approvals than it needs: {named}"
    seen: Counter[str] = Counter({effect.name: 1})
    for need in needs:
        seen += met(journal, effect, need, named) if not mandates else mandated(journal, effect, need, mandates)
    edits = [event for event in journal.events[effect.execution_id] if event.type == "policy.approval.edited"]
    return seen + Counter({"edited": len(edits)})


def met(journal: Journal, effect: Effect, need: Need, named: Mapping[str, Asked]) -> Counter[str]:
    """Raise unless one of the approvals is the consent that is needed."""
    fitting = [one for one in named.values() if one.policy == need.policy and one.stage.startswith(f"{need.stage}/")]
    assert len(fitting) == 1, f"{effect} lacks {need}: {named}"
    (asked,) = fitting
    assert asked.ended is None, f"{effect} rests on an approval that was taken back: {asked}"
    if asked.by_silence:
        assert need.silence, f"{effect} was granted by silence"
        return Counter({"silence": 1})
    assert is_enough(need, list(asked.votes.values())), f"{effect} does not have {need}: {asked.votes}"
    for vote in asked.votes.values():
        bounds = [Decimal(one.removeprefix("amount <= ")) for one in vote.conditions]
        assert all(effect.amount <= bound for bound in bounds), f"{effect} is beyond what was agreed to: {vote}"
    seen = Counter(kind for vote in asked.votes.values() for kind in kinds(journal, need, vote, asked.requester))
    return seen + Counter({"conditional": sum(bool(vote.conditions) for vote in asked.votes.values())})


def is_enough(need: Need, votes: Sequence[Vote]) -> bool:
    people = [name for vote in votes for name in {vote.who, vote.holder}]
    if len(set(people)) < len(people):
        return False  # somebody has two voices
    if need.each:
        return {vote.entry for vote in votes} >= set(need.entries)
    return len(votes) >= need.quorum


def kinds(journal: Journal, need: Need, vote: Vote, requester: str | None) -> list[str]:
    """In which ways somebody has a say. Raises for those who have none."""
    entry = vote.entry
    assert entry in need.entries, f"{vote} is for no seat of {need}"
    assert requester not in {vote.who, vote.holder}, f"{vote} is that of the requester"
    assert not {vote.who, vote.holder} & set(need.barred), f"{vote} is that of somebody excluded"
    if entry.startswith("role:"):
        assert entry.removeprefix("role:") in ROLES[vote.holder], f"{vote}: {vote.holder} has not that role"
    else:
        assert vote.holder == entry, f"{vote}: {vote.holder} is not {entry}"
    if need.reason:
        assert vote.reason, f"{vote} has no reason"
    for spell in journal.disabled:
        is_in = spell.since + MARGIN < vote.at < spell.until - MARGIN
        assert not (is_in and spell.who in {vote.who, vote.holder}), f"{vote} was given by somebody disabled"
    if vote.who == vote.holder:
        return ["role"] if entry.startswith("role:") else ["own"]
    lent = [one for one in journal.lent if one.stands_for == vote.holder and one.since <= vote.at <= one.until]
    assert any(one.who == vote.who for one in lent), f"{vote}: {vote.who} did not stand in for {vote.holder} then"
    return ["delegated"]


def mandated(journal: Journal, effect: Effect, need: Need, mandates: Sequence[str]) -> Counter[str]:
    """Raise unless the mandate was granted by those who could have approved the effect, and was in force."""
    (mandate_id,) = mandates
    (home,) = [
        event.execution_id
        for events in journal.events.values()
        for event in events
        if event.type == "policy.approval.requested" and from_json(event.value or "{}")["approval_id"] == mandate_id
    ]
    mandate = journal.read_until(home, effect.seq)[mandate_id]
    assert mandate.ended is None, f"{effect} rests on a mandate that was taken back"
    votes = list(mandate.votes.values())
    assert is_enough(need, votes)
    own = from_json([e for e in journal.events[effect.execution_id] if e.type == "policy.evaluated"][-1].value or "{}")
    requester = (own["action"].get("requester") or {}).get("id")
    for vote in votes:
        kinds(journal, need, vote, requester)
    return Counter({"mandate": 1})


def check_bounds(journal: Journal, effects: Sequence[Effect], seen: Counter[str]) -> None:
    """No budget, no rate limit and no mandate gave more than it had."""
    spent: dict[str, Decimal] = defaultdict(Decimal)
    drawn: dict[str, list[int]] = defaultdict(list)
    for effect in effects:
        if effect.name == "within_budget":
            spent[effect.supplier] += effect.amount
        for key, amount in effect.permit.get("holds", {}).items():
            if key.startswith("mandate:"):
                drawn[key.removeprefix("mandate:")].append(amount)
    hasty = [effect.at for effect in effects if effect.name == "throttled"]
    # What has flowed back meanwhile could be used again.
    assert len(hasty) <= THROTTLE * (1 + (max(hasty) - min(hasty)) / 3600) + 3, "the rate limit was passed"
    assert max(spent.values()) <= BUDGET, f"a budget of {BUDGET} was overspent: {spent}"
    seen["budget nearly used up"] += sum(each > BUDGET * Decimal("0.8") for each in spent.values())
    for mandate_id, amounts in drawn.items():
        terms = terms_of(journal, mandate_id)
        assert len(amounts) <= terms["count"], f"mandate {mandate_id} was used {len(amounts)} times: {terms}"
        assert sum(amounts) <= Decimal(terms["total"]) * MILLIONTHS, f"mandate {mandate_id} was overdrawn"
        seen["mandate used up"] += len(amounts) == terms["count"]


def terms_of(journal: Journal, mandate_id: str) -> Mapping[str, Any]:
    """The bounds of a mandate: the arguments of the execution that asked for it."""
    for events in journal.events.values():
        for event in events:
            facts = from_json(event.value or "{}") if event.type == "policy.approval.requested" else {}
            if facts.get("approval_id") == mandate_id:
                started = next(each for each in events if each.type == "execution.started")
                bounds = from_json(started.arguments or "{}")
                return {**bounds, **bounds["options"]}
    raise AssertionError(f"nobody asked for mandate {mandate_id}")
