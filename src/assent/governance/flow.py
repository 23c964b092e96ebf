"""One governed call within an execution: evaluate, ask, take the permit, act, review. Each is a recorded step."""

import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from assent.codec import Codec, codec_for, to_json
from assent.engine import NOT_DONE, Effect, LiveExecution, StepScope, StepSpec, step_scope
from assent.errors import CodecError, GovernanceError, OutsideWorkflow
from assent.governance.action import Action, Outcome
from assent.governance.asking import Grant, authority_of, obtain_all, refusal, requester_of
from assent.governance.authority import Authority
from assent.governance.permits import Evaluation, evaluate, permit_for, recheck, review
from assent.governance.policy import Policy
from assent.governance.terms import PolicySet, Subject, awaited, run_post, run_pre
from assent.governance.veil import secrets_of, veiled, withheld_error, without


class OwnFacts(Codec):
    """JSON data of our own making, which needs no proof that it comes back as it is."""

    def round_trip(self, value: Any) -> tuple[str, Any]:
        return to_json(value), value


FACTS = OwnFacts(dict[str, Any])
NONE = codec_for(None)

Work = Callable[[Authority, StepScope], Awaitable[Any]]


class Flow:
    """One governed call, as workflow code. `untold` gets the errors of a call that keeps no state, as they were."""

    __slots__ = ("action", "bound", "live", "rules", "subject", "untold")

    def __init__(
        self,
        subject: Subject,
        rules: PolicySet,
        live: LiveExecution,
        bound: Mapping[str, Any],
        untold: list[BaseException] | None = None,
    ) -> None:
        self.subject = subject
        self.rules = rules
        self.live = live
        self.bound = bound
        self.untold = untold
        self.action = subject.action(bound, requester_of(live), live.info.id)

    async def run(self) -> Any:
        evaluation = await self._evaluate() if self.rules.policies else None
        grants = await obtain_all(self.live, evaluation.series) if evaluation and evaluation.series else ()
        if evaluation is not None and evaluation.action_digest != self.action.digest:
            raise refusal(self.action.name, "its arguments are not those that were evaluated", self.live.info.id)
        if self.subject.terms.pre:
            await self._step("pre", lambda *_: run_pre(self.subject.terms, self.action))
        try:
            value = await self._act(evaluation, grants)
        except GovernanceError:
            raise  # nothing has happened
        except Exception as error:
            await self._look_back(Outcome(error=error))
            raise
        await self._look_back(Outcome(value=value))
        return value

    async def _evaluate(self) -> Evaluation:
        work = functools.partial(evaluate, self.rules, self.action, self.hush)
        return Evaluation.from_facts(await self._step("policies", work, FACTS))

    async def _look_back(self, outcome: Outcome) -> None:
        """Have the outcome reviewed and what comes after the effect run."""
        policies = self._reviewers(outcome)
        if policies:
            await self._step("review", functools.partial(review, policies, self.rules, self.action, outcome, self.hush))
        if self.subject.terms.post:
            await self._step("post", lambda *_: run_post(self.subject.terms, self.action, outcome))

    def _reviewers(self, outcome: Outcome) -> Sequence[Policy]:
        # The auditors of a step have spoken with its outcome. Of a failure there is nothing left to judge.
        audits = self.rules.audits if self.subject.is_workflow else ()
        return audits if outcome.failed else (*audits, *self.rules.reviews)

    async def _step(self, what: str, work: Work, returns: Any = NONE) -> Any:
        async def perform(_arguments: Mapping[str, Any]) -> Any:
            return await self._told(work)

        name = f"{self.subject.name}.{what}"
        spec = StepSpec(name=name, perform=perform, returns=returns, redact_error=self._redact_error)
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

    async def _act(self, evaluation: Evaluation | None, grants: Sequence[Grant]) -> Any:
        """Take the permit and perform the effect."""
        permit, notes = permit_for(self.live, self.action, grants)
        still_holds = functools.partial(recheck, self.rules, self.action, evaluation, grants, self.hush)

        async def perform(arguments: Mapping[str, Any]) -> Any:
            async def work(authority: Authority, scope: StepScope) -> Any:
                await still_holds(authority, scope)
                return None if self.subject.is_workflow else await self._audited(arguments, authority, scope)

            return await self._told(work)

        spec = self._spec(perform)
        if not self.subject.is_workflow:
            return await self.live.run_step(spec, self.bound, permit=permit, notes=notes)
        entry = replace(spec, name=f"{self.subject.name}.permit", returns=NONE, verify=_not_done)
        await self.live.run_step(entry, self.bound, permit=permit, notes=notes)
        return await self._body()

    async def _body(self) -> Any:
        """The code of a governed workflow, which is part of this execution."""
        try:
            return await self.subject.effect(self.bound)
        except Exception as error:
            if self.untold is not None:
                self.untold.append(error)
            raise

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
            verify=verify or (None if terms.once else _not_done),
            captured=terms.captured,
            redact=self._redact,
            redact_error=self._redact_error,
        )
        return replace(spec, timeout=subject.step.timeout, retry=_retry_of(subject.step)) if subject.step else spec

    async def _look_up(self, verify: Callable[[Action], Any], effect: Effect) -> Any:
        found = await awaited(verify(replace(self.action, idempotency_key=effect.idempotency_key)))
        scope = step_scope.get()
        if found is not NOT_DONE and scope is not None:
            await self._audit(Outcome(value=found), authority_of(self.subject.name), scope)
        return found

    async def _audited(self, arguments: Mapping[str, Any], authority: Authority, scope: StepScope) -> Any:
        """The effect, with what the auditors note of its outcome."""
        try:
            outcome = Outcome(value=await self.subject.effect(arguments))
        except Exception as error:
            await self._audit(Outcome(error=error), authority, scope)
            raise
        await self._audit(outcome, authority, scope)
        return outcome.value

    async def _audit(self, outcome: Outcome, authority: Authority, scope: StepScope) -> None:
        if self.rules.audits:
            await review(self.rules.audits, self.rules, self.action, outcome, self.hush, authority, scope)

    # What may be stored.

    def hush(self, text: str) -> str:
        """A JSON text without the secrets among the arguments."""
        return hushed(self.subject, self.rules, text, self.bound)

    def _redact(self, text: str, value: Any) -> str:
        return veiled(self.rules.redaction, text, value)

    def _redact_error(self, text: str, _: Mapping[str, Any]) -> str:
        return redacted_error(self.subject, self.rules, text, self.bound)


def redacted_error(subject: Subject, rules: PolicySet, text: str, bound: Mapping[str, Any]) -> str:
    """The JSON of an error as it may be stored: nothing of a call that keeps no state, and no secrets of others."""
    return hushed(subject, rules, text, bound) if subject.terms.captured else withheld_error(text)


def hushed(subject: Subject, rules: PolicySet, text: str, bound: Mapping[str, Any]) -> str:
    """A JSON text without the secrets among the arguments."""
    try:
        arguments = subject.signature.encode(bound)
    except CodecError:
        return text  # they never came so far as to be stored
    return without(secrets_of(rules.redaction, arguments, bound), text)


def _retry_of(step: StepSpec) -> Any:
    # What was denied or refused is not asked for again and again.
    return step.retry and replace(step.retry, never_on=(*_types(step.retry.never_on), GovernanceError))


def _types(given: Any) -> tuple[type[Exception], ...]:
    return given if isinstance(given, tuple) else (given,)


async def _not_done(_effect: Effect) -> Any:
    return NOT_DONE
