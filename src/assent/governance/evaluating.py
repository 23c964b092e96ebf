"""Asking policies: in which order, and that whatever goes wrong in one of them is a denial."""

import asyncio
import copy
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from assent.clock import stopwatch
from assent.errors import UsageError
from assent.governance.account import Trace
from assent.governance.action import Action, Outcome
from assent.governance.approvals import ApprovalRequest, is_role
from assent.governance.policy import Decision, Facts, Phase, Policy, said_yes
from assent.governance.previews import Hush, MakePreview, Preview, as_it_is, preview_of
from assent.governance.redaction import Record, Redaction
from assent.governance.ruling import SHADOW, Ruling, policies_digest, redaction_of
from assent.store import Drawn, Hold


async def evaluate_all(
    policies: Sequence[Policy],
    action: Action,
    facts: Facts,
    *,
    redaction: Redaction | None = None,
    preview: MakePreview | None = None,
    hush: Hush = as_it_is,
    order: "Order | None" = None,
    timed: bool = False,
) -> Ruling:
    """Ask every policy that applies now; never raises for what a policy does.

    All are asked even after a denial, so that the record is complete, except those that use something up: they come
    last and only while nothing has denied. Policies in shadow mode come after all others and change nothing.

    `redaction` and `order` save working out `redaction_of(policies)` and `order_of(policies)` again. The preview is
    made once, if people are to be asked; `hush` takes the secrets of the arguments out of it. With `timed` the trail
    says how long each policy took.
    """
    asking = Asking(policies, action, facts, redaction, order=order, timed=timed)
    await asking.ask(preview and (lambda: preview_of(preview, action, redaction or redaction_of(policies), hush)))
    return asking.ruling()


class Order(NamedTuple):
    """Policies sorted by when they are asked. What is no policy is among the first, and denies."""

    others: tuple[Policy, ...]
    consuming: tuple[Policy, ...]  # use something up
    shadows: tuple[Policy, ...]


def order_of(policies: Sequence[Policy]) -> Order:
    """When each of the policies is asked."""
    others: list[Policy] = []
    consuming: list[Policy] = []
    shadows: list[Policy] = []
    for one in policies:
        if getattr(one, "mode", "enforce") == "shadow":
            shadows.append(one)
        else:
            (consuming if getattr(one, "consumes", False) else others).append(one)
    return Order(tuple(others), tuple(consuming), tuple(shadows))


Show = Callable[[], Awaitable[dict[str, Any]]]


class Asking:
    """One round of questions to policies. Whatever goes wrong in a policy becomes a denial that names its cause."""

    __slots__ = (
        "_aside",
        "_handed",
        "_order",
        "_since",
        "_watch",
        "action",
        "denied",
        "facts",
        "needs_runtime",
        "policies",
        "preview",
        "redaction",
        "trail",
    )

    def __init__(
        self,
        policies: Sequence[Policy],
        action: Action,
        facts: Facts,
        redaction: Redaction | None = None,
        *,
        order: "Order | None" = None,
        timed: bool = False,
    ) -> None:
        self.policies = policies
        self.action = action
        self.facts = facts
        self.redaction = redaction
        self.trail: list[tuple[Policy, Decision, int | None]] = []
        self.denied = False
        self.needs_runtime = False  # somebody is to be asked, or something is drawn on
        self.preview: Mapping[str, Any] = facts.preview
        self._order = order or order_of(policies)
        self._handed: list[Policy] = []
        self._watch = stopwatch() if timed else None
        self._since = 0  # when the question that is open was put, by the watch
        self._aside: Sequence[tuple[Policy, Decision, int | None]] = ()

    async def ask(self, show: Show | None = None) -> None:
        """Ask all of them. `show` makes what people are shown if there is a question to them."""
        batch: Sequence[Policy] = self._order.others
        consuming, shadows = [*self._order.consuming], [*self._order.shadows]
        while True:
            for one in batch:
                if (waiting := self.begin(one)) is not None:
                    await self.finish(one, waiting)
            batch = self._handed_on(consuming, shadows) if self._handed else ()
            if batch:
                continue
            # Before anything is used up, since a preview that fails may deny.
            if show is not None:
                await self._show(show)
            if self.denied or not consuming:
                break
            batch = (consuming.pop(0),)
        if shadows and not self.facts.is_recheck:
            await self._ask_aside(shadows)

    def _handed_on(self, consuming: list[Policy], shadows: list[Policy]) -> Sequence[Policy]:
        """The policies that were handed on to since the last time and use nothing up; the others join their lines."""
        order = order_of(self._handed)
        self._handed = []
        consuming.extend(order.consuming)
        shadows.extend(order.shadows)
        return order.others

    def ruling(self) -> Ruling:
        """What they say together."""
        trail = [Trace(*said) for said in self.trail]
        decisions = tuple([trace.decision for trace in trail])
        if self._aside:
            trail += [Trace(*said, is_shadow=True) for said in self._aside]
        return Ruling(self.action, decisions, tuple(self.policies), self.redaction, tuple(trail), self.preview)

    def begin(self, one: Policy) -> Awaitable[Any] | None:
        """Ask a policy. What is returned is still to be awaited, with `finish`."""
        if self._watch is not None:
            self._since = self._watch()
        try:
            if not one.applies(self.facts):
                return None
            answer = one.evaluate(self.action, self.facts)
            if answer is one.allowed:
                self.trail.append((one, one.allowed, self._watch and self._watch() - self._since))
            elif type(answer) is not Decision and inspect.isawaitable(answer):
                return answer
            else:
                self.add(one, self.settled(one, answer))
        except PASSED_ON:
            raise
        except BaseException as error:  # noqa: BLE001 - fail closed: whatever a policy raises is a denial
            self.add(one, _broken(one, error))
        return None

    async def finish(self, one: Policy, waiting: Awaitable[Any]) -> None:
        try:
            self.add(one, self.settled(one, await waiting))
        except PASSED_ON:
            raise
        except BaseException as error:  # noqa: BLE001 - fail closed: whatever a policy raises is a denial
            self.add(one, _broken(one, error))

    def add(self, one: Policy, decision: Decision) -> None:
        self.trail.append((one, decision, self._watch and self._watch() - self._since))
        if decision.outcome == "deny":
            self.denied = True
        elif decision.outcome == "ask" or decision.holds:
            self.needs_runtime = True
        if decision.hands_on:
            if len(self.trail) > MOST_POLICIES:
                raise UsageError(f"policy {one.name!r} hands on without end")
            self._handed.extend(decision.hands_on)

    def settled(self, one: Policy, answer: object) -> Decision:
        """The answer as a decision that can be relied on."""
        if not isinstance(answer, Decision):
            return one.allow() if said_yes(answer, f"policy {one.name!r}") else one.deny(_no_reason(answer))
        if not _makes_sense(answer):
            raise UsageError(f"policy {one.name!r} returned a decision that makes no sense: {answer!r}")
        if answer.policy != one.name or answer.kind != one.kind:
            answer = answer._replace(policy=one.name, kind=one.kind)
        return self.asked(one, answer) if answer.outcome == "ask" else answer

    def asked(self, one: Policy, decision: Decision) -> Decision:
        if self.facts.phase != Phase.BEFORE:
            return one.deny("it asks for approval when the effect has already happened")
        requests = tuple(self.bound(one, request) for request in decision.requests)
        if not self.facts.is_recheck:
            return decision._replace(requests=requests)
        # What people granted is held against what the policy asks now, so nothing that was stored in between counts.
        if all(request.digest() in self.facts.granted for request in requests):
            return one.allow("people have approved it")
        return one.deny("it asks now for an approval that nobody has given")

    def bound(self, one: Policy, request: ApprovalRequest) -> ApprovalRequest:
        """The request, tied to this action and these policies, whatever the policy itself wrote there."""
        action = self.action
        requester = action.requester.id if action.requester else None
        request = replace(
            request,
            policy=one.name,
            policy_digest=one.fingerprint(),
            policies_digest=policies_digest(self.policies),
            action=action.name,
            action_digest=action.digest,
            arguments=(self.redaction or redaction_of(self.policies)).apply(action.arguments)
            if action.captured
            else {},
            labels=tuple(sorted(action.labels)),
            risk=action.risk,
            requester=requester,
            preview=self.preview,
        )
        if request.on_expiry != "escalate" and not _can_be_granted(request):
            raise UsageError(
                f"nobody can grant it: {'all' if request.each else request.quorum} of {list(request.approvers)} must "
                f"approve, and {requester} asks for it and may not, nor may {list(request.excluded)}. "
                f"Name more approvers."
            )
        return request

    async def _show(self, show: Show) -> None:
        """Make what people are shown, if they are to be asked, and bind it into every question to them."""
        if self.denied or not any(decision.outcome == "ask" for _, decision, _ in self.trail):
            return
        self.preview = self.preview or await show()
        for place, (one, decision, took) in enumerate(self.trail):
            if decision.outcome == "ask":
                self.trail[place] = one, self._shown(decision), took

    def _shown(self, decision: Decision) -> Decision:
        shown = Preview.from_facts(self.preview)
        if decision.needs_preview and shown.has_failed:
            self.denied = True
            reason = f"people cannot be shown what would happen: {shown.body['text']}"
            return Decision("deny", decision.policy, decision.kind, reason)
        return decision._replace(requests=tuple(replace(one, preview=self.preview) for one in decision.requests))

    async def _ask_aside(self, shadows: list[Policy]) -> None:
        """Ask policies in shadow mode, each with things of its own to look at and to count in."""
        timed = self._watch is not None
        aside = Asking(self.policies, _copied(self.action), _aside(self.facts), self.redaction, timed=timed)
        for one in shadows:  # which may grow meanwhile
            if not (self.denied and one.consumes):
                await aside._ask_patiently(one)
            shadows.extend(aside._handed)
            aside._handed = []
        self._aside = aside.trail

    async def _ask_patiently(self, one: Policy) -> None:
        try:
            if (waiting := self.begin(one)) is not None:
                async with asyncio.timeout(PATIENCE):
                    await self.finish(one, waiting)
        except TimeoutError:
            self.add(one, _broken(one, TimeoutError(f"it took longer than {PATIENCE:g} s")))
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            self.add(one, _broken(one, error))  # nobody has cancelled the call


MOST_POLICIES: Final = 1_000  # decisions in one round; more are those of policies that hand on to each other
PATIENCE: Final = 5.0  # seconds for a policy in shadow mode: the action waits for it, and must not for ever


def _copied(action: Action) -> Action:
    """The action with arguments of its own, so that nobody else sees what is done to them."""
    return replace(action, arguments={name: _own(value) for name, value in action.arguments.items()})


def _own(value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except Exception:  # noqa: BLE001 - what cannot be copied is shown as it is
        return value


def _aside(facts: Facts) -> Facts:
    """The facts, with counters of which nobody else knows."""

    async def admit(key: str, rate: float, burst: int) -> float:
        return await facts.admit(SHADOW + key, rate, burst)

    async def spent(key: str, since: float | None) -> Drawn:
        return await facts.spent(SHADOW + key, since)

    outcome = facts.outcome
    if outcome is not None and not outcome.failed:
        outcome = Outcome(value=_own(outcome.value))
    return replace(facts, admit=admit, spent=spent, outcome=outcome)


def _can_be_granted(request: ApprovalRequest) -> bool:
    """Whether there may be enough people. Who has a role is not known before they decide."""
    entries = request.electorate
    if request.each:
        return len(entries) == len(request.approvers)
    return len(entries) >= request.quorum or any(map(is_role, entries))


OUTCOMES = frozenset({"allow", "deny", "warn", "ask"})


# What most decisions end with: no requests, nothing to wait for, no cause, no holds, no preview, nobody to hand on to.
REST: Final = slice(Decision._fields.index("requests"), None)
NOTHING_MORE: Final = Decision("allow")[REST]


def _makes_sense(decision: Decision) -> bool:
    """Whether the record can be relied on: a question without requests, say, would be granted by nobody's consent."""
    if decision.outcome == "allow" and type(decision.facts) is Record and decision[REST] == NOTHING_MORE:
        return True
    facts: object = decision.facts  # user code need not keep to its types
    retry_after: object = decision.retry_after
    holds: object = decision.holds
    hands_on: object = decision.hands_on
    return (
        decision.outcome in OUTCOMES
        and (decision.outcome == "ask") == bool(decision.requests)
        and (type(facts) is dict or isinstance(facts, Mapping))
        and (retry_after is None or isinstance(retry_after, int | float))
        and (holds == () or _are_holds(holds))
        and isinstance(hands_on, tuple)
    )


def _are_holds(holds: object) -> bool:
    return isinstance(holds, tuple) and all(isinstance(one, Hold) and one.amount >= 0 for one in holds)


PASSED_ON = (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit)
"""What ends the caller itself, not only the policy. The action does not happen then either."""


def _broken(one: Policy, error: BaseException) -> Decision:
    """The denial of a policy that did not work."""
    name, kind = getattr(one, "name", ""), getattr(one, "kind", Policy.kind)
    reason = f"the policy failed with {Redaction().apply(error)}"
    return Decision("deny", str(name) or type(one).__name__, str(kind), reason, cause=error)


def _no_reason(answer: object) -> str:
    return "it said no" if answer is False else "it gave no answer; return True or False"
