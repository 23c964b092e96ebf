"""A governed function: where its calls go."""

import functools
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from assent.clock import SystemClock
from assent.codec import Signature, signature_of
from assent.engine import (
    Engine,
    LiveExecution,
    Objects,
    Program,
    Step,
    StepSpec,
    Workflow,
    ambient_engine,
    as_coroutine,
    current,
    nested_identity,
    plain_name,
)
from assent.errors import OutsideWorkflow, UsageError
from assent.governance.authority import Authority, ambient_authority
from assent.governance.bare import Bare
from assent.governance.flow import Flow, redacted_error
from assent.governance.patience import Patience
from assent.governance.policy import Policy
from assent.governance.redaction import Redaction
from assent.governance.terms import PolicySet, Subject, Terms
from assent.governance.veil import veiled

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
Q = ParamSpec("Q")  # of a method without its instance
U = TypeVar("U")


@dataclass(slots=True, eq=False)
class _Common:
    """What all bound forms of one governed method share."""

    fn: Any  # not yet bound to an object
    rules: PolicySet
    ruled: tuple[Authority, PolicySet] | None = None  # with the policies of the runtime that was last open
    step: StepSpec | None = None
    bare: Bare = field(default_factory=Bare)
    # Errors of calls that keep no state, by execution, for those who wait here.
    untold: dict[str, list[BaseException]] = field(default_factory=dict)
    objects: Objects = field(default_factory=Objects)
    program: Program | None = None  # of the function; those of a method's objects would keep them alive


class Governed(Generic[P, R]):
    """A governed function. Its effect happens only after its policies, and the people they name, have agreed.

    Inside a workflow the call is part of it. Under a runtime it is an execution of its own. Without one its policies
    are evaluated in memory, and whatever needs people raises RuntimeRequired.

    A governed method is called on its object while that lives in this process. A worker of another process uses the
    object whose method it was given, as in `Runtime(workflows=[bank.transfer])`.
    """

    def __init__(self, fn: Callable[P, Any], terms: Terms) -> None:
        name = terms.name or _name_of(fn)
        rules = PolicySet.for_action(terms.policies, name, terms)
        if terms.policies and not rules.policies:
            raise UsageError(
                f"None of the policies given to @govern is for {name!r}, so nothing would govern it. Mend their "
                "`applies_to`, or leave them out."
            )
        self._common = _Common(fn, rules, step=fn.spec if isinstance(fn, Step) else None)
        self._take(fn, terms, name)

    def _take(self, fn: Callable[P, Any], terms: Terms, name: str, of: Any = None) -> None:
        # Not its attributes: a step or a workflow has a program of its own there, which nobody governs.
        functools.update_wrapper(self, fn, updated=())
        self.__wrapped__ = fn
        self.terms = terms
        self.name = name
        self._object = of

    @functools.cached_property
    def _subject(self) -> Subject:
        body = _body_of(self.__wrapped__)
        return Subject(
            name=self.name,
            terms=self.terms,
            signature=signature_of(body),
            perform=as_coroutine(body),
            step=self._common.step,
            is_workflow=isinstance(self.__wrapped__, Workflow),
        )

    @property
    def signature(self) -> Signature:
        """Its parameters."""
        return self._subject.signature

    @property
    def program(self) -> Program:
        """What an engine needs in order to run a call as an execution of its own."""
        if self._object is None and self._common.program is not None:
            return self._common.program
        program = Program(
            name=self.name,
            version=self.__wrapped__.version if isinstance(self.__wrapped__, Workflow) else 1,
            signature=self._subject.signature,
            main=self._main,
            identity=self._common,  # not the function: under other policies it is something else
            captured=self.terms.captured,
            redact=self._redact,
            redact_error=self._redact_error,
        )
        if self._object is None:
            self._common.program = program
        return program

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        subject, live, engine = self._subject, current(), ambient_engine.get()
        if live is not None:
            value = await Flow(subject, self._rules(), live, subject.signature.bind(args, kwargs)).run()
        elif engine is None:
            value = await self._common.bare.call(subject, self._common.rules, args, kwargs)
        elif subject.terms.captured:
            value = await self._as_execution(engine, subject.signature.bind(args, kwargs), *nested_identity())
        else:
            value = await self._as_untold(engine, subject.signature.bind(args, kwargs))
        return value  # type: ignore[no-any-return]  # the wrapped function's own result

    @property
    def policies(self) -> tuple[Policy, ...]:
        """Those that hold for a call from here: the runtime's that are for it, and its own."""
        return self._rules().policies

    @property
    def redaction(self) -> Redaction:
        """What nobody may read of a call from here."""
        return self._rules().redaction

    def _rules(self) -> PolicySet:
        """The policies that hold here: those of the runtime before its own."""
        authority = ambient_authority.get()
        if authority is None or not authority.policies:
            return self._common.rules
        common = self._common
        if common.ruled is None or common.ruled[0] is not authority:
            policies = (*authority.policies, *self.terms.policies)
            common.ruled = authority, PolicySet.for_action(policies, self.name, self.terms)
        return common.ruled[1]

    def _redact(self, text: str, value: Any) -> str:
        return veiled(self._rules().redaction, text, value)

    def _redact_error(self, text: str, arguments: Mapping[str, Any]) -> str:
        return redacted_error(self._subject, self._rules(), text, arguments)

    # As an execution of its own.

    async def _as_execution(
        self, engine: Engine, bound: Mapping[str, Any], identity: str | None, parent: str | None
    ) -> Any:
        record = await engine.start(self.program, bound, id=identity, parent_id=parent, attended=True)
        try:
            news = await engine.news(record.id)
            return news.value if news.has_ended else await Patience(self._subject, engine, record.id).result(news)
        finally:
            await engine.leave(record.id)

    async def _as_untold(self, engine: Engine, bound: Mapping[str, Any]) -> Any:
        """The same for a call that keeps no state: of its errors the store gets the type, and its caller all."""
        identity, parent = nested_identity()
        identity = identity or SystemClock().new_id()
        untold = self._common.untold[identity] = []
        try:
            return await self._as_execution(engine, bound, identity, parent)
        except Exception:
            if untold:
                raise untold[-1] from None
            raise
        finally:
            del self._common.untold[identity]

    def _main(self, bound: Mapping[str, Any]) -> Coroutine[Any, Any, Any]:
        live = current()
        if live is None:
            raise OutsideWorkflow(f"{self.name} is no workflow code here: call it, and do not run its program.")
        if self._object is None:
            return self._flow(live, bound).run()
        return self._common.objects.run(
            live.info.id, self._object, lambda own: self.__get__(own, type(own))._flow(live, bound).run()
        )

    def _flow(self, live: LiveExecution, bound: Mapping[str, Any]) -> Flow:
        untold = self._common.untold.get(live.info.id)
        return Flow(self._subject, self._rules(), live, bound, untold, is_whole=True)

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self: "Governed[Concatenate[S, Q], U]", instance: S, owner: type) -> "Governed[Q, U]": ...

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        bound: Governed[..., R] = Governed.__new__(Governed)
        bound._common = self._common
        bound._take(self._common.fn.__get__(instance, owner), self.terms, self.name, instance)
        return bound


def _body_of(fn: Any) -> Any:
    return fn.__wrapped__ if isinstance(fn, Step | Workflow) else fn


def _name_of(fn: Any) -> str:
    if isinstance(fn, Workflow):
        return fn.name
    return fn.spec.name if isinstance(fn, Step) else plain_name(fn)
