"""One governed call within an execution: evaluate, ask, take the permit, act, review. Each is a recorded step."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from assent.codec import Codec, codec_for, from_json, to_json
from assent.engine import NOT_DONE, Effect, LiveExecution, StepScope, StepSpec, step_scope
from assent.errors import CodecError, GovernanceError, OutsideWorkflow, PermitRefused
from assent.governance.action import Action, Outcome
from assent.governance.asking import Amended, Carried, Round, authority_of, refusal, requester_of
from assent.governance.authority import Authority
from assent.governance.editing import record_edit, refuse_edit
from assent.governance.evaluating import Order, order_of
from assent.governance.permits import (
    Evaluation,
    Warrant,
    evaluate,
    exceeded,
    permit_for,
    recheck,
    review,
    revocation,
)
from assent.governance.terms import PolicySet, Subject, awaited, run_post, run_pre
from assent.governance.veil import secrets_of, veiled, withheld_error, without
from assent.store import Permit, Settlement


class OwnFacts(Codec):
    """JSON data of our own making, which needs no proof that it comes back as it is."""

    def round_trip(self, value: Any) -> tuple[str, Any]:
        return to_json(value), value


FACTS = OwnFacts(dict[str, Any])
NONE = codec_for(None)
NOBODY = order_of(())

Work = Callable[[Authority, StepScope], Awaitable[Any]]


class Flow:
    """One governed call, as workflow code. `untold` gets the errors of a call that keeps no state, as they were.

    `is_whole`: it is all that its execution does, so nobody else's workflow code sees what its steps bring.
    """

    __slots__ = ("action", "bound", "carried", "is_whole", "live", "round", "rules", "subject", "untold")

    def __init__(
        self,
        subject: Subject,
        rules: PolicySet,
        live: LiveExecution,
        bound: Mapping[str, Any],
        untold: list[BaseException] | None = None,
        *,
        is_whole: bool = False,
    ) -> None:
        self.subject = subject
        self.rules = rules
        self.live = live
        self.bound = bound
        self.untold = untold
        self.is_whole = is_whole
        self.action = subject.action(bound, requester_of(live), live.info.id)
        self.carried: Sequence[Carried] = ()  # approvals that also count for the action as it was edited

    async def run(self) -> Any:
        while True:
            try:
                return await self._run()
            except Amended as amended:
                await self._amend(amended)

    async def _run(self) -> Any:
        warrant = await self._warrant() if self.rules.policies else None
        if self.subject.terms.pre:
            await self._step("pre", lambda *_: run_pre(self.subject.terms, self.action))
        try:
            value = await self._act(warrant)
        except GovernanceError:
            raise  # nothing has happened
        except Exception as error:
            await self._look_back(Outcome(error=error))
            raise
        await self._look_back(Outcome(value=value))
        return value

    async def _warrant(self) -> Warrant:
        """What the policies and people say to it."""
        preview = self.subject.terms.preview
        work = functools.partial(evaluate, self.rules, self.action, self.hush, preview)
        warrant = Warrant(Evaluation.from_facts(await self._step("policies", work, FACTS, is_inner=True)))
        self.round = Round(self.live, self.carried)
        if warrant.evaluation.series:
            await self._ask(warrant)
        if warrant.evaluation.action_digest != self.action.digest:
            raise refusal(self.action.name, "its arguments are not those that were evaluated", self.live.info.id)
        return warrant

    async def _ask(self, warrant: Warrant) -> None:
        """Ask people for all for which there is neither an approval nor a mandate."""
        missing = warrant.missing
        if missing:
            places = [place for requests in missing for place, _ in requests]
            grants = await self.round.obtain_all([[request for _, request in requests] for requests in missing])
            warrant.grants.update(zip(places, grants, strict=True))

    async def _amend(self, amended: Amended) -> None:
        """Go on with the arguments that an approver wants; where these are impossible, with those that there were."""
        show = self.rules.redaction.apply
        try:
            bound = self._edited(amended.changes)
        except CodecError as error:
            self.carried = ()
            await self._step("edit", functools.partial(refuse_edit, amended, str(error), show), FACTS)
            return
        action = self.subject.action(bound, self.action.requester, self.live.info.id)
        work = functools.partial(record_edit, amended, tuple(self.round.opened), self.action, action, show)
        facts = await self._step("edit", work, FACTS)
        self.bound, self.action = bound, action
        self.carried = [Carried(**each) for each in facts["carried"]]

    def _edited(self, changes: Mapping[str, Any]) -> Mapping[str, Any]:
        """The arguments with these changes (JSON). Raises CodecError for values that the function does not take."""
        signature = self.subject.signature
        whole = from_json(signature.encode(self.bound))
        found = signature.decode(to_json({**whole, **changes}))
        signature.encode(found)
        return {**self.bound, **{name: found[name] for name in changes}}

    async def _look_back(self, outcome: Outcome) -> None:
        """Have the outcome reviewed and what comes after the effect run."""
        order = self._reviewers(outcome)
        if any(order):
            await self._step("review", functools.partial(review, order, self.rules, self.action, outcome, self.hush))
        if self.subject.terms.post:
            await self._step("post", lambda *_: run_post(self.subject.terms, self.action, outcome))

    def _reviewers(self, outcome: Outcome) -> Order:
        # The auditors of a step have spoken with its outcome. Of a failure there is nothing left to judge.
        rules = self.rules
        if outcome.error is not None:
            return rules.order_of_audits if self.subject.is_workflow else NOBODY
        return rules.order_after if self.subject.is_workflow else rules.order_of_reviews

    async def _step(self, what: str, work: Work, returns: Any = NONE, *, is_inner: bool = False) -> Any:
        redact = None if self.subject.terms.captured or returns is NONE else _without_holds
        spec = StepSpec(
            name=f"{self.subject.name}.{what}",
            perform=lambda _: self._told(work),
            returns=returns,
            redact=redact,
            redact_error=self._redact_error,
            is_inner=is_inner,
        )
        return await self.live.run_step(spec, {})

    async def _told(self, work: Work) -> Any:
        scope = step_scope.get()
        if scope is None:
            raise OutsideWorkflow(f"{self.subject.name} has lost the step that it runs in.")
        try:
            return await work(authority_of(self.subject.name), scope)
        except Exception as error:
            if self.untold is not None:
                self.untold.append(error)
            raise

    # The effect.

    async def _act(self, warrant: Warrant | None) -> Any:
        """Take the permit and perform the effect."""
        spec = self._spec(lambda arguments: self._told(functools.partial(self._effect, warrant, arguments)))
        if not self.subject.is_workflow:
            return (await self._permitted(spec, warrant))[1]
        entry = replace(spec, name=f"{self.subject.name}.permit", returns=NONE, verify=_not_done, settles=False)
        permit, _ = await self._permitted(entry, warrant)
        return await self._settled(permit) if permit.holds else await self._body()

    async def _effect(
        self, warrant: Warrant | None, arguments: Mapping[str, Any], authority: Authority, scope: StepScope
    ) -> Any:
        """The effect, unless something no longer holds, with what the auditors note of its outcome."""
        scope.touched = False
        if warrant is not None:
            await recheck(self.rules, self.action, warrant, self.hush, authority, scope)
        if self.subject.is_workflow:
            return None
        scope.touched = True
        try:
            outcome = Outcome(value=await self.subject.effect(arguments))
        except Exception as error:
            await self._came_out(Outcome(error=error), authority, scope)
            raise
        await self._came_out(outcome, authority, scope)
        return outcome.value

    async def _permitted(self, spec: StepSpec, warrant: Warrant | None) -> tuple[Permit, Any]:
        """Perform a step under a permit; where a mandate is no longer good for it, ask people and take another."""
        while True:
            permit, notes = permit_for(self.live, self.action, warrant, self.hush)
            try:
                return permit, await self.live.run_step(spec, self.bound, permit=permit, notes=notes)
            except PermitRefused as error:
                # That of another execution, which an effect has started, is the failure of the effect.
                if warrant is None or error.execution_id != self.live.info.id:
                    raise
                await self._do_without(warrant, error)

    async def _do_without(self, warrant: Warrant, error: PermitRefused) -> None:
        """Ask people instead of the mandate for which a permit was refused. Raises the error of any other refusal."""
        if not warrant.drop(error):
            raise exceeded(error, self.action) or await self._explained(warrant, error)
        await self._ask(warrant)

    async def _explained(self, warrant: Warrant, error: PermitRefused) -> PermitRefused:
        """The error, with who is behind it if an approval was revoked."""
        if not warrant.grants:
            return error
        look = functools.partial(revocation, [approval_id for approval_id, _ in warrant.grants.values()])
        reason = (await self._step("refused", look, FACTS)).get("reason")
        return refusal(self.action.name, reason, self.live.info.id) if reason else error

    async def _body(self) -> Any:
        """The code of a governed workflow, which is part of this execution."""
        try:
            return await self.subject.effect(self.bound)
        except Exception as error:
            if self.untold is not None:
                self.untold.append(error)
            raise

    async def _settled(self, permit: Permit) -> Any:
        """The code of a governed workflow, and then what becomes of what it draws on."""
        try:
            value = await self._body()
        except (Exception, asyncio.CancelledError):
            await self._settle(permit, "failed")
            raise
        await self._settle(permit, "done", Outcome(value=value))
        return value

    async def _settle(self, permit: Permit, what: Literal["done", "failed"], outcome: Outcome | None = None) -> None:
        async def work(authority: Authority, _: StepScope) -> None:
            amounts = self.rules.amounts(self.action, outcome) if outcome else {}
            await authority.store.settle(Settlement(permit_id=permit.id, outcome=what, amounts=amounts))

        await self._step("settle", work)

    def _spec(self, perform: Callable[[Mapping[str, Any]], Awaitable[Any]]) -> StepSpec:
        subject, terms = self.subject, self.subject.terms
        verify: Any = subject.step.verify if subject.step else None
        if terms.verify is not None:
            verify = functools.partial(self._look_up, terms.verify)
        spec = StepSpec(
            name=subject.name,
            perform=perform,
            signature=subject.signature,
            returns=subject.signature.returns,
            once=True,
            verify=verify or (None if terms.once else _repeatable),
            captured=terms.captured,
            redact=functools.partial(veiled, self.rules.redaction),
            redact_error=self._redact_error,
            is_inner=self.is_whole and not subject.is_workflow,
        )
        return replace(spec, timeout=subject.step.timeout, retry=_retry_of(subject.step)) if subject.step else spec

    async def _look_up(self, verify: Callable[[Action], Any], effect: Effect) -> Any:
        found = await awaited(verify(replace(self.action, idempotency_key=effect.idempotency_key)))
        scope = step_scope.get()
        if found is not NOT_DONE and scope is not None:
            await self._came_out(Outcome(value=found), authority_of(self.subject.name), scope)
        return found

    async def _came_out(self, outcome: Outcome, authority: Authority, scope: StepScope) -> None:
        """What is written together with the outcome: what it really took, and what the auditors note."""
        rules = self.rules
        if outcome.error is None:
            scope.amounts = rules.amounts(self.action, outcome)
        if rules.audits:
            await review(rules.order_of_audits, rules, self.action, outcome, self.hush, authority, scope)

    # What may be stored.

    def hush(self, text: str) -> str:
        """A JSON text without the secrets among the arguments."""
        return hushed(self.subject, self.rules, text, self.bound)

    def _redact_error(self, text: str, _: Mapping[str, Any]) -> str:
        return redacted_error(self.subject, self.rules, text, self.bound)


def redacted_error(subject: Subject, rules: PolicySet, text: str, bound: Mapping[str, Any]) -> str:
    """The JSON of an error as it may be stored: nothing of a call that keeps no state, and no secrets of others."""
    return hushed(subject, rules, text, bound) if subject.terms.captured else withheld_error(text)


def hushed(subject: Subject, rules: PolicySet, text: str, bound: Mapping[str, Any]) -> str:
    """A JSON text without the secrets among the arguments."""
    if rules.redaction.spares(bound):
        return text
    try:
        arguments = subject.signature.encode(bound)
    except CodecError:
        return text  # they never came so far as to be stored
    return without(secrets_of(rules.redaction, arguments, bound), text)


def _without_holds(text: str, facts: Mapping[str, Any]) -> str:
    """What may be read of the facts of a call that keeps no state: not what it draws, which is one of its values."""
    return to_json({**facts, "holds": []}) if facts.get("holds") else text


def _retry_of(step: StepSpec) -> Any:
    # What was denied or refused is not asked for again and again.
    return step.retry and replace(step.retry, never_on=(*_types(step.retry.never_on), GovernanceError))


def _types(given: Any) -> tuple[type[Exception], ...]:
    return given if isinstance(given, tuple) else (given,)


async def _not_done(_effect: Effect) -> Any:
    return NOT_DONE


async def _repeatable(_effect: Effect) -> Any:
    # It may just be repeated, which does not mean that it has not happened.
    scope = step_scope.get()
    if scope is not None:
        scope.touched = True
    return NOT_DONE
