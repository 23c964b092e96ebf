"""`@govern`: a consequential function that only happens with permission."""

import inspect
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar, overload

from assent.errors import UsageError
from assent.governance.action import Action, names_of, nothing
from assent.governance.governed import Governed
from assent.governance.policy import Policy
from assent.governance.previews import MakePreview
from assent.governance.selection import checked_risk
from assent.governance.terms import PostAction, PreAction, Terms, several

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=type)


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
            raise TypeError(
                f"@govern takes a function, and {fn.__name__} is a class: use @govern_class(methods=[...])."
            )
        return Governed(fn, self.terms)


def govern(  # noqa: PLR0913 - one option a line, as it is read
    policies: Policy | Sequence[Policy] = (),
    *,
    pre: PreAction | Sequence[PreAction] | None = None,
    post: PostAction | Sequence[PostAction] | None = None,
    capture_state: bool = True,
    verify: Callable[[Action], Any] | None = None,
    once: bool = True,
    labels: Sequence[str] = (),
    risk: str = "",
    preview: MakePreview | None = None,
    context: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> GovernDecorator:
    """Put a function, a step or a workflow under policies.

    A denied call raises PolicyDenied. One that people must approve waits for them; a caller outside of a workflow gets
    ApprovalPending when they take longer than the policy's `timeout_seconds`, and any worker finishes it later. At
    the moment of the effect everything is checked again, and the permit is used up in the transaction that journals
    the intent.

    The effect is never just repeated: after a crash in the middle of it `verify(action)` is asked for its outcome
    (`NOT_DONE` lets it happen, `OutcomeUnknown` or no `verify` leaves it to a person), unless `once=False`.
    `pre(action)` runs before the effect, and denies it if it fails; `post(action, outcome)` runs after it, also if it
    failed. Both may run again after a crash. With `capture_state=False` only digests of values are stored, so the call
    cannot outlive its process. `context`, `labels` and `risk` are for policies to see; by name, labels and risk a
    policy can say for which actions it is.

    `preview(action)` is shown to the people who are asked: a text, a table (a list of mappings), or a `Preview` of what
    the action would do. It must only read; it is made once, and their approval covers it.
    """
    return GovernDecorator(
        Terms(
            policies=_checked(several(policies)),
            pre=several(pre),
            post=several(post),
            captured=capture_state,
            verify=verify,
            once=once,
            labels=frozenset(names_of("labels", labels)),
            risk=checked_risk(risk),
            preview=_checked_preview(preview, capture_state),
            context=context or nothing(),
            name=name,
        )
    )


def _checked_preview(preview: MakePreview | None, captured: bool) -> MakePreview | None:
    if preview is not None and not callable(preview):
        raise UsageError(f"preview={preview!r} cannot be called. Give a function of the action.")
    if preview is not None and not captured:
        raise UsageError(
            "A preview is stored with the approval, and with capture_state=False nothing is. Leave out one of the two."
        )
    return preview


def _checked(policies: tuple[Any, ...]) -> tuple[Policy, ...]:
    for each in policies:
        if not isinstance(each, Policy):
            raise UsageError(
                f"@govern takes policies, and {each!r} is none. Write @govern([ValidationPolicy(...), ...]), or make a "
                "function a policy with @policy."
            )
    return policies


def govern_class(policies: Policy | Sequence[Policy] = (), *, methods: Sequence[str], **terms: Any) -> Callable[[C], C]:
    """Put the named methods of a class under the same policies; the other arguments are those of `govern`."""

    def decorate(cls: C) -> C:
        for method in methods:
            raw = inspect.getattr_static(cls, method, None)
            governed = govern(policies, name=f"{cls.__name__}.{method}", **terms)
            if isinstance(raw, staticmethod):
                setattr(cls, method, staticmethod(governed(raw.__func__)))
            elif isinstance(raw, classmethod | type) or not callable(raw):
                raise TypeError(f"{cls.__name__}.{method} is no method or static method, so it cannot be governed.")
            else:
                setattr(cls, method, governed(raw))
        return cls

    return decorate
