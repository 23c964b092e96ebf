"""Mandates: one approval for a series of actions, within bounds of number, amount and time."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal, Protocol, Self, Unpack

from typing_extensions import TypedDict

from assent.clock import Duration, moment, seconds
from assent.codec import digest, from_json, to_json
from assent.engine import current, workflow
from assent.errors import RuntimeRequired, UsageError
from assent.governance.approvals import MANDATE, ApprovalRequest, intact_request
from assent.governance.asking import Round, requester_of
from assent.governance.authority import Authority
from assent.governance.budgets import Amount, decimal_of, millionths
from assent.governance.conditions import Condition
from assent.governance.people import Roster, history_of, roster_of
from assent.governance.voices import Voice, are_enough, in_the_way, objection, rightful
from assent.store import ApprovalRecord, ApprovalStatus, Drawn, Event, Hold, Store, VerdictRecord

PREFIX: Final = "mandate:"  # of the keys of what is drawn on mandates


class Named(Protocol):
    """A governed function."""

    @property
    def name(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MandateTerms:
    """The bounds of a mandate: so many of these actions, at most so much in all, until then."""

    action: str
    only: tuple[str, ...] = ()  # conditions on the arguments; see `Condition`
    count: int | None = None
    total: Decimal | None = None
    amount: str = "amount"  # the argument that counts against `total`, with dots for what is inside it
    until: float  # Unix seconds

    def __post_init__(self) -> None:
        object.__setattr__(self, "only", tuple(Condition.parse(text).to_text() for text in self.only))
        if not self.action:
            raise UsageError("A mandate is for actions of one name. Give it, or the governed function.")
        if self.count is None and self.total is None:
            raise UsageError("A mandate without bounds would be good for everything. Give count=, total= or both.")
        if self.count is not None and (type(self.count) is not int or self.count < 1):
            raise UsageError(f"count={self.count!r} must be a whole number of at least 1.")
        if self.total is not None:
            object.__setattr__(self, "total", _checked_total(self.total))

    @property
    def limit(self) -> int | None:
        """The total in millionths."""
        return None if self.total is None else millionths(self.total)

    def drawn_by(self, arguments: Mapping[str, Any]) -> int | None:
        """What an action with these arguments (JSON) takes of the total, in millionths; None if that is not known."""
        if self.total is None:
            return 0
        value: Any = arguments
        for name in self.amount.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        try:
            amount = millionths(value)
        except UsageError:
            return None
        # Of what takes nothing there could be any number, unless they are counted.
        return amount if amount or self.count is not None else None

    def to_facts(self) -> dict[str, Any]:
        """As JSON data."""
        facts: dict[str, Any] = {"action": self.action, "until": self.until, "amount": self.amount}
        if self.only:
            facts["only"] = list(self.only)
        if self.count is not None:
            facts["count"] = self.count
        if self.total is not None:
            facts["total"] = str(self.total)
        return facts

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Self:
        return cls(**facts)


def _checked_total(given: Any) -> Decimal:
    total = decimal_of(millionths(given, "total"))
    if total <= 0:
        raise UsageError(f"total={given!r} leaves nothing to draw on. Give a positive amount, as in 30000.")
    return total


# What a mandate is good for.


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """A mandate that stands in for an approval of one action."""

    mandate_id: str
    digest: str  # of the mandate's request, as it was when the action was evaluated
    hold: Hold

    def to_facts(self) -> dict[str, Any]:
        """As JSON data."""
        return {"mandate_id": self.mandate_id, "digest": self.digest, "hold": asdict(self.hold)}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Self:
        return cls(**{**facts, "hold": Hold(**facts["hold"])})


def covers(
    mandate: ApprovalRecord,
    verdicts: Sequence[VerdictRecord],
    request: ApprovalRequest,
    arguments: Mapping[str, Any],
    now: float,
    roster: Roster,
    history: Roster | None = None,
    events: Sequence[Event] = (),
) -> Hold | None:
    """What an action draws on a mandate that stands in for an approval of it; None if the mandate does not.

    It does if the action is within its terms, and if those who granted it could have granted this very request.
    `arguments` are JSON data, `roster` says who is who now, and `history` and `events` are as for `objection`.
    """
    asked, terms = intact_request(mandate), terms_of(mandate)
    if asked is None or terms is None or terms.action != request.action or terms.until <= now:
        return None
    amount = terms.drawn_by(arguments)
    if amount is None or not all(Condition.parse(text).holds(arguments) for text in terms.only):
        return None
    history = history or roster
    if objection(mandate, asked, verdicts, history, events) is not None:
        return None
    if not _would_grant(request, rightful(mandate, asked, verdicts, history, events), roster):
        return None
    key = f"{PREFIX}{mandate.id}"
    return Hold(key=key, amount=amount, limit=terms.limit, count=terms.count, on_failure="keep")


def terms_of(mandate: ApprovalRecord) -> MandateTerms | None:
    """The terms of a mandate; None if it is none, or was changed after it was asked for."""
    request = intact_request(mandate)
    if request is None or request.kind != MANDATE:
        return None
    try:
        terms = MandateTerms.from_facts(request.terms)
    except (UsageError, TypeError, ValueError):
        return None
    return terms if terms.action == request.action else None


def _would_grant(request: ApprovalRequest, granted: Sequence[Voice], roster: Roster) -> bool:
    """Whether those who granted a mandate could grant a request, each from a seat of their own."""
    voices: list[Voice] = []
    for one in granted:
        if request.require_reason and not one.verdict.reason.strip():
            continue
        own = (Voice(one.verdict, seat) for seat in roster.sittings(request, one.verdict.approver))
        free = (voice for voice in own if in_the_way(request, voices, voice) is None)
        voices += [voice] if (voice := next(free, None)) is not None else []
    return are_enough(request, voices)


async def covers_of(requests: Sequence[ApprovalRequest], authority: Authority) -> dict[int, Cover]:
    """The mandates that stand in for requests of one action, by the place of the request."""
    if not requests:
        return {}
    store, now = authority.store, authority.clock.now()
    mandates = await store.mandates(requests[0].action, now)
    if not mandates:
        return {}
    look = _Look(store, now, await roster_of(store, now), await history_of(store))
    found: dict[int, Cover] = {}
    for place, request in enumerate(requests):
        for mandate in mandates:
            hold = await look.hold(mandate, request)
            if hold is not None and _fits(hold, await store.drawn(hold.key)):
                found[place] = Cover(mandate_id=mandate.id, digest=mandate.digest, hold=hold)
                break
    return found


async def cover_objection(cover: Cover, request: ApprovalRequest, authority: Authority) -> str | None:
    """At the moment of the effect: why a mandate is no authority for it after all; None if it is."""
    store, now = authority.store, authority.clock.now()
    mandate = await store.approval(cover.mandate_id)
    if mandate is None:
        return f"mandate {cover.mandate_id} is gone"
    if mandate.digest != cover.digest or mandate.status is not ApprovalStatus.GRANTED:
        return f"mandate {cover.mandate_id} is {mandate.status}, or was changed"
    look = _Look(store, now, await roster_of(store, now), await history_of(store))
    hold = await look.hold(mandate, request)
    return None if hold == cover.hold else f"mandate {cover.mandate_id} is not good for it any more"


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at mandates, with what is needed for it."""

    store: Store
    now: float
    roster: Roster
    history: Roster

    async def hold(self, mandate: ApprovalRecord, request: ApprovalRequest) -> Hold | None:
        """What an action draws on a mandate that is as it was asked for; None if it does not stand in for approval."""
        terms = terms_of(mandate)
        if terms is None or terms.drawn_by(request.arguments) is None:
            return None
        events = await self.store.journal(mandate.execution_id)
        if not _is_as_asked(mandate, events):
            return None
        verdicts = await self.store.verdicts(mandate.id)
        return covers(mandate, verdicts, request, request.arguments, self.now, self.roster, self.history, events)


def _is_as_asked(mandate: ApprovalRecord, events: Sequence[Event]) -> bool:
    """Whether the journal tells of this very request: else somebody has written better terms into the store."""
    for event in events:
        if event.type == "policy.approval.requested":
            facts = from_json(event.value or "{}")
            if facts.get("approval_id") == mandate.id:
                return bool(facts.get("request_digest") == mandate.digest)
    return False


def _fits(hold: Hold, drawn: Drawn) -> bool:
    is_within = hold.limit is None or drawn.total + hold.amount <= hold.limit
    return is_within and (hold.count is None or drawn.count < hold.count)


# What is left of them.


@dataclass(frozen=True, slots=True, kw_only=True)
class Remainder:
    """A mandate, and what is left of it; None where its terms set no bound."""

    mandate: ApprovalRecord
    terms: MandateTerms
    count: int | None
    total: Decimal | None
    is_in_force: bool


async def remainders(store: Store, now: float, action: str | None = None) -> list[Remainder]:
    """Every mandate with what is left of it, oldest first, also those that are over."""
    found = []
    for mandate in await store.mandates(action):
        terms = terms_of(mandate)
        if terms is not None:
            found.append(_remainder(mandate, terms, await store.drawn(f"{PREFIX}{mandate.id}"), now))
    return found


def _remainder(mandate: ApprovalRecord, terms: MandateTerms, drawn: Drawn, now: float) -> Remainder:
    limit = terms.limit
    return Remainder(
        mandate=mandate,
        terms=terms,
        count=None if terms.count is None else max(0, terms.count - drawn.count),
        total=None if limit is None else decimal_of(max(0, limit - drawn.total)),
        is_in_force=mandate.status is ApprovalStatus.GRANTED and terms.until > now,
    )


# Asking for one.


async def ask_mandate(  # noqa: PLR0913 - one bound a line, as it is read
    action: Named | str,
    *,
    approvers: Sequence[str],
    until: datetime | Duration,
    count: int | None = None,
    total: Amount | None = None,
    only: Sequence[str] = (),
    amount: str = "amount",
    quorum: int | Literal["all"] = 1,
    require_reason: bool = False,
    exclude: Sequence[str] = (),
    within: Duration = "24h",
    title: str = "",
) -> str:
    """Ask people for one approval of a series of actions, and wait durably until they agree; returns its id.

    It is good for actions of that name whose arguments meet the conditions `only` (as in "supplier == \"acme\""), for
    `count` of them and for `total` of the argument `amount`, `until` a moment (a datetime) or for so long. It stands
    in wherever those who grant it could have approved the single action. Raises ApprovalRejected, ApprovalExpired.
    """
    live = current()
    if live is None:
        raise RuntimeRequired("ask_mandate() waits durably, so it needs a @workflow that was started under a Runtime.")
    now, requester = live.loop.now, requester_of(live)
    name = action if isinstance(action, str) else action.name
    terms = MandateTerms(
        action=name,
        only=tuple(only),
        count=count,
        total=None if total is None else decimal_of(millionths(total, "total")),
        amount=amount,
        until=moment(until, now),
    )
    if terms.until <= now:
        raise UsageError(f"until={until!r} is over already. Give a moment to come, or for how long.")
    facts = terms.to_facts()
    request = ApprovalRequest(
        kind=MANDATE,
        title=title,
        policy=MANDATE,
        action=name,
        action_digest=digest(to_json([live.info.id, len(live.ops), facts])),
        terms=facts,
        requester=None if requester is None else requester.id,
        approvers=tuple(approvers),
        quorum=1 if quorum == "all" else quorum,
        each=quorum == "all",
        excluded=tuple(exclude),
        require_reason=require_reason,
        expires=min(seconds(within), terms.until - now),
    )
    return (await Round(live).obtain(request))[0]


class MandateOptions(TypedDict, total=False):
    """The bounds and rules that `ask_mandate` takes."""

    count: int
    only: list[str]
    amount: str
    quorum: int | Literal["all"]
    require_reason: bool
    exclude: list[str]
    within: float
    title: str


@workflow(name="assent.mandate")
async def mandate(
    action: str,
    approvers: list[str],
    until: datetime,
    total: Decimal | None = None,
    **options: Unpack[MandateOptions],
) -> str:
    """Ask for a mandate, as an execution of its own; see `ask_mandate`."""
    return await ask_mandate(action, approvers=approvers, until=until, total=total, **options)


mandate_program: Final = mandate.program
"""Asks for a mandate; every runtime knows it, so that one can be asked for from anywhere."""
