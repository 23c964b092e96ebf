"""`@govern`: a consequential function that only happens with permission."""

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from assent.clock import SystemClock
from assent.codec import Signature, codec_for, signature_of
from assent.engine import (
    NOT_DONE,
    Effect,
    Engine,
    LiveExecution,
    Program,
    Step,
    StepScope,
    StepSpec,
    Workflow,
    ambient_engine,
    as_coroutine,
    current,
    nested_identity,
    plain_name,
    step_scope,
)
from assent.errors import ApprovalPending, InDoubt, PolicyDenied, RuntimeRequired, StateNotCaptured
from assent.governance.action import Action, Outcome, Principal, current_principal, nothing
from assent.governance.approvals import ApprovalRequest
from assent.governance.asking import Grant, authority_of, obtain_all
from assent.governance.authority import Authority, ambient_authority
from assent.governance.permits import (
    Evaluation,
    PolicySet,
    blank,
    evaluate,
    permit_for,
    recheck,
    refusal,
    review,
)
from assent.governance.policy import Facts, Phase, Policy
from assent.governance.rate_limit import Buckets
from assent.governance.ruling import Ruling, evaluate_all
from assent.store import ApprovalStatus, Message, Status

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
Q = ParamSpec("Q")  # of a method without its instance
U = TypeVar("U")

FACTS = codec_for(dict[str, Any])
NONE = codec_for(None)

PreAction = Callable[[Action], Any]
PostAction = Callable[[Action, Outcome], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The terms under which a function is governed: the arguments of `@govern`."""

    policies: tuple[Policy, ...] = ()
    pre: tuple[PreAction, ...] = ()
    post: tuple[PostAction, ...] = ()
    captured: bool = True
    verify: Callable[[Action], Awaitable[Any]] | None = None
    once: bool = True
    labels: frozenset[str] = frozenset()
    context: Mapping[str, Any] = field(default_factory=nothing)
    name: str | None = None


class Governed(Generic[P, R]):
    """A governed function. Its effect happens only after its policies, and the people they name, have agreed.

    Inside a workflow the call is part of it. Under a runtime it is an execution of its own. Without one its policies
    are evaluated in memory, and whatever needs people raises RuntimeRequired.
    """

    def __init__(self, fn: Callable[P, Any], terms: Terms) -> None:
        functools.update_wrapper(self, fn)
        self.__wrapped__ = fn
        self.terms = terms
        body = fn.__wrapped__ if isinstance(fn, Step | Workflow) else fn
        self.name = terms.name or getattr(fn, "name", None) or plain_name(body)
        self._body = body
        self._is_workflow = isinstance(fn, Workflow)
        self._perform = as_coroutine(body)
        self._rules = PolicySet(terms.policies)
        self._clock = SystemClock()
        self._buckets = Buckets(self._clock.now)

    @functools.cached_property
    def signature(self) -> Signature:
        return signature_of(self._body)

    @functools.cached_property
    def program(self) -> Program:
        """What an engine needs in order to run a call as an execution of its own."""
        return Program(
            name=self.name,
            version=self.__wrapped__.version if isinstance(self.__wrapped__, Workflow) else 1,
            signature=self.signature,
            main=self._main,
            identity=getattr(self._body, "__func__", self._body),
            captured=self.terms.captured,
            redact=self._redact,
        )

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        bound = self.signature.bind(args, kwargs)
        live = current()
        if live is not None:
            return await self._in_workflow(live, bound)
        engine = ambient_engine.get()
        if engine is None:
            return await self._in_memory(bound)
        return await self._as_execution(engine, bound)

    def _redact(self, data: Any) -> Any:
        return blank(self._rules_of(ambient_authority.get()).redaction, data)

    def _rules_of(self, authority: Authority | None) -> PolicySet:
        extra = authority.policies if authority else ()
        own = self.terms.policies
        if len(self._rules.policies) != len(extra) + len(own) or self._rules.policies[: len(extra)] != extra:
            self._rules = PolicySet((*extra, *own))
        return self._rules

    def _action(self, bound: Mapping[str, Any], requester: Principal | None, execution_id: str | None) -> Action:
        terms = self.terms
        return Action(
            name=self.name,
            arguments=bound,
            requester=requester,
            labels=terms.labels,
            context=terms.context,
            execution_id=execution_id,
            canonical=functools.partial(self.signature.canonical, bound),
        )

    # Without a runtime.

    async def _in_memory(self, bound: Mapping[str, Any]) -> R:
        terms, rules = self.terms, self._rules_of(None)
        action = self._action(bound, current_principal(), None)
        if rules.policies:
            facts = Facts(now=self._clock.now(), admit=self._buckets.admit)
            ruling = await evaluate_all(rules.policies, action, facts, redaction=rules.redaction)
            if ruling.outcome != "allow":
                raise self._not_now(ruling)
        if terms.pre:
            await _run_all(terms.pre, action)
        args, kwargs = self.signature.spread(bound)
        value = await self._perform(*args, **kwargs)
        if rules.after:
            outcome = Outcome(value=value)
            facts = Facts(now=self._clock.now(), phase=Phase.AFTER, outcome=outcome, admit=self._buckets.admit)
            ruling = await evaluate_all(rules.after, action, facts, redaction=rules.redaction)
            if ruling.outcome == "deny":
                raise ruling.denial()
        if terms.post:
            await _run_all(terms.post, action, Outcome(value=value))
        return value  # type: ignore[no-any-return]  # the wrapped function's own result

    def _not_now(self, ruling: Ruling) -> PolicyDenied | RuntimeRequired:
        if ruling.outcome == "deny":
            return ruling.denial()
        asks = ", ".join(request.policy for requests in ruling.requests for request in requests)
        return RuntimeRequired(
            f"{self.name} needs an approval (policy {asks}), and there is nowhere to keep it. Open a runtime: "
            "`async with Runtime('sqlite:///assent.db'):`."
        )

    async def _effect(self, bound: Mapping[str, Any]) -> Any:
        args, kwargs = self.signature.spread(bound)
        return await self._perform(*args, **kwargs)

    # As an execution of its own.

    async def _as_execution(self, engine: Engine, bound: Mapping[str, Any]) -> R:
        identity, parent = nested_identity()
        record = await engine.start(self.program, bound, id=identity, parent_id=parent, attended=True)
        result = asyncio.ensure_future(engine.result(record.id))
        waiting = asyncio.ensure_future(engine.waiting(record.id))
        try:
            await asyncio.wait({result, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if not result.done():
                await self._patience(engine, record.id, result)
            return await result  # type: ignore[no-any-return]  # the wrapped function's own result
        finally:
            waiting.cancel()
            result.cancel()
            await asyncio.gather(waiting, result, return_exceptions=True)
            await engine.leave(record.id)

    async def _patience(self, engine: Engine, execution_id: str, result: asyncio.Future[Any]) -> None:
        """Wait for people as long as the policies say. Raises ApprovalPending when they need longer."""
        asked: set[str] = set()
        while not result.done():
            open_approvals = await self._open_approvals(execution_id)
            if not open_approvals:
                if (await engine.execution(execution_id)).status is Status.IN_DOUBT:
                    raise InDoubt(
                        f"{self.name}: whether its effect happened is unknown, and a person must say so: "
                        f"`assent resolve {execution_id} --done RESULT | --not-done`.",
                        execution_id=execution_id,
                    )
                await asyncio.wait({result}, timeout=0.05)
            elif open_approvals.keys() <= asked:
                await self._give_up(engine, execution_id, sorted(open_approvals))
            else:
                asked |= open_approvals.keys()
                await asyncio.wait({result}, timeout=min(open_approvals.values()))

    async def _open_approvals(self, execution_id: str) -> dict[str, float]:
        """Ids of what waits for people, and for how many seconds a caller waits with it."""
        store = authority_of(self.name).store
        found = await store.approvals(ApprovalStatus.PENDING, execution_id)
        return {each.id: ApprovalRequest.from_text(each.request).timeout_seconds for each in found}

    async def _give_up(self, engine: Engine, execution_id: str, approvals: Sequence[str]) -> None:
        facts = {"execution_id": execution_id, "action": self.name}
        if not self.terms.captured:
            reason = '"capture_state=False: nobody else can take it over"'
            await engine.post(Message(execution_id=execution_id, kind="cancel", value=reason))
            raise StateNotCaptured(
                f"{self.name} waits for an approval longer than its caller, and capture_state=False keeps nothing "
                "with which it could go on later. It was cancelled. Let it keep its state, or raise timeout_seconds.",
                **facts,
            )
        poll_url = authority_of(self.name).poll_url.format(execution_id=execution_id)
        raise ApprovalPending(
            f"{self.name} waits for approval {', '.join(approvals)}; execution {execution_id} goes on when it is given. "
            f"Decide with `assent approve {approvals[0]} --as WHO`, and ask for the result later.",
            approvals=list(approvals),
            poll_url=poll_url,
            **facts,
        )

    # As workflow code.

    def _main(self, bound: Mapping[str, Any]) -> Coroutine[Any, Any, R]:
        live = current()
        assert live is not None
        return self._in_workflow(live, bound)

    async def _in_workflow(self, live: LiveExecution, bound: Mapping[str, Any]) -> R:
        """Evaluate, ask, take the permit, act, review: each a recorded step."""
        terms, rules = self.terms, self._rules_of(ambient_authority.get())
        requester = Principal.from_text(live.info.requester) if live.info.requester else None
        action = self._action(bound, requester, live.info.id)
        evaluation: Evaluation | None = None
        grants: Sequence[Grant] = ()
        if rules.policies:
            facts = await self._step(live, "policies", functools.partial(evaluate, rules, action), FACTS)
            evaluation = Evaluation.from_facts(facts)
            if evaluation.series:
                grants = await obtain_all(live, evaluation.series)
            if evaluation.action_digest != action.digest:
                raise refusal(action, "its arguments are not those that were evaluated")
        if terms.pre:
            await self._step(live, "pre", lambda _authority, _scope: _run_all(terms.pre, action), NONE)
        value = await self._permitted(live, action, bound, functools.partial(recheck, rules, action, evaluation, grants), grants)
        outcome = Outcome(value=value)
        if rules.reviews:
            await self._step(live, "review", functools.partial(review, rules.reviews, rules, action, outcome), NONE)
        if terms.post:
            await self._step(live, "post", lambda _authority, _scope: _run_all(terms.post, action, outcome), NONE)
        return value  # type: ignore[no-any-return]  # the wrapped function's own result

    async def _step(
        self, live: LiveExecution, what: str, work: Callable[[Authority, StepScope], Awaitable[Any]], returns: Any
    ) -> Any:
        async def perform(_arguments: Mapping[str, Any]) -> Any:
            scope = step_scope.get()
            assert scope is not None
            return await work(authority_of(self.name), scope)

        return await live.run_step(StepSpec(name=f"{self.name}.{what}", perform=perform, returns=returns), {})

    async def _permitted(
        self,
        live: LiveExecution,
        action: Action,
        bound: Mapping[str, Any],
        still_holds: Callable[[Authority, StepScope], Awaitable[None]],
        grants: Sequence[Grant],
    ) -> Any:
        """Take the permit and perform the effect."""
        permit, notes = permit_for(live, action, grants)
        rules = self._rules_of(ambient_authority.get())

        async def perform(arguments: Mapping[str, Any]) -> Any:
            authority, scope = authority_of(self.name), step_scope.get()
            assert scope is not None
            await still_holds(authority, scope)
            if self._is_workflow:
                return None
            return await self._audited(arguments, rules, action, authority, scope)

        spec = self._spec(perform, action)
        if not self._is_workflow:
            return await live.run_step(spec, bound, permit=permit, notes=notes)
        entry = replace(spec, name=f"{self.name}.permit", returns=NONE, verify=_not_done)
        await live.run_step(entry, bound, permit=permit, notes=notes)
        return await self._effect(bound)

    def _spec(self, perform: Callable[[Mapping[str, Any]], Awaitable[Any]], action: Action) -> StepSpec:
        terms, wrapped = self.terms, self.__wrapped__
        verify = functools.partial(self._look_up, action) if terms.verify else None
        options: dict[str, Any] = {"verify": verify}
        if isinstance(wrapped, Step):
            options = {"timeout": wrapped.spec.timeout, "verify": verify or wrapped.spec.verify}
        if not terms.once:
            options["verify"] = options["verify"] or _not_done
        return StepSpec(
            name=self.name,
            perform=perform,
            signature=self.signature,
            returns=self.signature.returns,
            once=True,
            captured=terms.captured,
            redact=self._redact,
            **options,
        )

    async def _look_up(self, action: Action, effect: Effect) -> Any:
        assert self.terms.verify is not None
        return await _maybe(self.terms.verify(replace(action, idempotency_key=effect.idempotency_key)))

    async def _audited(
        self, arguments: Mapping[str, Any], rules: PolicySet, action: Action, authority: Authority, scope: StepScope
    ) -> Any:
        """The effect, with what the auditors note of its outcome."""
        try:
            value = await self._effect(arguments)
        except Exception as error:
            if rules.audits:
                await review(rules.audits, rules, action, Outcome(error=error), authority, scope)
            raise
        if rules.audits:
            await review(rules.audits, rules, action, Outcome(value=value), authority, scope)
        return value

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self: "Governed[Concatenate[S, Q], U]", instance: S, owner: type) -> "Governed[Q, U]": ...

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        wrapped: Any = self.__wrapped__
        bound = Governed(wrapped.__get__(instance, owner), replace(self.terms, name=self.name))
        bound._buckets = self._buckets
        return bound


async def _not_done(_effect: Effect) -> Any:
    return NOT_DONE


async def _run_all(actions: Sequence[Callable[..., Any]], *arguments: Any) -> None:
    for each in actions:
        await _maybe(each(*arguments))


async def _maybe(answer: Any) -> Any:
    return await answer if inspect.isawaitable(answer) else answer


class GovernDecorator:
    """The type of `govern(...)`: takes async and plain functions, steps and workflows alike."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms

    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Governed[P, R]: ...

    @overload
    def __call__(self, fn: Callable[P, R], /) -> Governed[P, R]: ...

    def __call__(self, fn: Callable[P, Any], /) -> Governed[P, Any]:
        if isinstance(fn, type):
            raise TypeError(f"@govern takes a function, and {fn.__name__} is a class: use @govern_class(methods=[...]).")
        return Governed(fn, self.terms)


def govern(
    policies: Sequence[Policy] = (),
    *,
    pre: PreAction | Sequence[PreAction] | None = None,
    post: PostAction | Sequence[PostAction] | None = None,
    capture_state: bool = True,
    verify: Callable[[Action], Awaitable[Any]] | None = None,
    once: bool = True,
    labels: Sequence[str] = (),
    context: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> GovernDecorator:
    """Put a function, a step or a workflow under policies.

    A denied call raises PolicyDenied. One that people must approve waits for them; a caller outside of a workflow gets
    ApprovalPending when they take longer than the policy's `timeout_seconds`, and any worker finishes it later. At
    the moment of the effect everything is checked again, and the permit is used up in the transaction that journals the intent.

    The effect is never just repeated: after a crash in the middle of it `verify(action)` is asked for its outcome
    (`NOT_DONE` lets it happen, `OutcomeUnknown` or no `verify` leaves it to a person), unless `once=False`. `pre(action)`
    runs before the effect and `post(action, outcome)` after it; both may run again after a crash. With `capture_state=False`
    only digests of values are stored, so the call cannot outlive its process. `context` and `labels` are for policies to see.
    """
    return GovernDecorator(
        Terms(
            policies=tuple(policies),
            pre=_several(pre),
            post=_several(post),
            captured=capture_state,
            verify=verify,
            once=once,
            labels=frozenset(labels),
            context=context or nothing(),
            name=name,
        )
    )


def _several(given: Any) -> tuple[Any, ...]:
    if given is None:
        return ()
    return (given,) if callable(given) else tuple(given)


C = TypeVar("C", bound=type)


def govern_class(policies: Sequence[Policy] = (), *, methods: Sequence[str], **terms: Any) -> Callable[[C], C]:
    """Put the named methods of a class under the same policies; the other arguments are those of `govern`."""

    def decorate(cls: C) -> C:
        for method in methods:
            if not callable(getattr(cls, method, None)):
                raise TypeError(f"{cls.__name__} has no method {method!r} to govern.")
            setattr(cls, method, govern(policies, name=f"{cls.__name__}.{method}", **terms)(vars(cls)[method]))
        return cls

    return decorate
