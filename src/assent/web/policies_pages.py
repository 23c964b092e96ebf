"""Policies in the browser: which hold, what they say of an action, and what others would have changed."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any, Final

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from assent.clock import seconds
from assent.codec import from_json
from assent.errors import CodecError, UsageError
from assent.governance import Decision, Policy, Principal
from assent.policies.backtest import backtest
from assent.policies.documents import read_document
from assent.policies.files import read_policies
from assent.policies.tally import Change, PolicyTally, Tally
from assent.web.access import Access, identity_of
from assent.web.charts import Part, parts
from assent.web.desk import Desk, desk_of
from assent.web.explaining import explain, own_rules
from assent.web.forms import field, texts, words
from assent.web.pages import render
from assent.web.routing import Route

LONGEST_TEST: Final = 20.0  # seconds: pages are not for more, and the command line is
SPANS: Final[Mapping[str, str]] = MappingProxyType(
    {"1d": "the last day", "7d": "the last week", "30d": "the last 30 days", "": "all time"}
)
FORMATS: Final[Mapping[str, str]] = MappingProxyType({"yaml": "YAML", "json": "JSON", "toml": "TOML"})
RISKS: Final = ("", "low", "medium", "high", "critical")
TONES: Final[Mapping[Change, str]] = MappingProxyType(
    {
        Change.NEWLY_DENIED: "bad",
        Change.NEWLY_ASKED: "warn",
        Change.ASKED_OF_OTHERS: "warn",
        Change.NO_LONGER_ASKED: "ok",
        Change.NO_LONGER_DENIED: "bad",
        Change.UNJUDGED: "muted",
    }
)


@dataclass(frozen=True, slots=True)
class Shown:
    """A policy as the list shows it."""

    name: str
    kind: str
    mode: str
    version: int
    phase: str
    digest: str
    scope: str

    @classmethod
    def of(cls, policy: Policy) -> "Shown":
        return cls(
            name=policy.name,
            kind=policy.kind,
            mode=policy.mode,
            version=policy.version,
            phase=policy.phase.value,
            digest=policy.fingerprint()[:12],
            scope=_scope(policy),
        )


@dataclass(frozen=True, slots=True)
class OwnRules:
    """The policies that stand at a governed function itself."""

    action: str
    policies: Sequence[Shown]


@dataclass(frozen=True, slots=True)
class Explained:
    """What all policies say of an action."""

    action: str
    outcome: str
    decisions: Sequence[tuple[Decision, bool]]  # and whether it is on trial only


@dataclass(frozen=True, slots=True)
class Tested:
    """What a back-test has found."""

    tally: Tally
    changes: Sequence[Part]
    policies: Sequence[PolicyTally]
    span: str


async def show_policies(request: Request) -> Response:
    """The policies in force, with both forms."""
    return await _page(request, {})


async def explain_action(request: Request) -> Response:
    """Ask the policies about an action. Every limit has room, and nothing is counted, drawn or asked."""
    form = await request.form()
    try:
        found = await _explained(desk_of(request), form)
    except (UsageError, CodecError, TypeError) as error:
        return await _page(request, texts(form), explain_error=str(error), status=400)
    return await _page(request, texts(form), explained=found)


async def try_policies(request: Request) -> Response:
    """Ask policies about the actions that are recorded, to see what they would have changed."""
    form = await request.form()
    try:
        found = await _tested(desk_of(request), form)
    except UsageError as error:
        return await _page(request, texts(form), test_error=str(error), status=400)
    except TimeoutError:
        told = "That is too much for a page. Choose a shorter time, or use `assent policy backtest`."
        return await _page(request, texts(form), test_error=told, status=422)
    return await _page(request, texts(form), tested=found)


async def _page(
    request: Request,
    values: Mapping[str, str],
    *,
    explained: Explained | None = None,
    tested: Tested | None = None,
    explain_error: str = "",
    test_error: str = "",
    status: int = 200,
) -> Response:
    runtime = desk_of(request).runtime
    own = [OwnRules(one.name, [Shown.of(each) for each in own_rules(one)]) for one in runtime.programs]
    return await render(
        request,
        "policies.html",
        status=status,
        policies=[Shown.of(one) for one in runtime.policies_in_force],
        own=[one for one in own if one.policies],
        actions=sorted({one.name for one in runtime.programs}),
        values=values,
        risks=[(one, one or "Not said") for one in RISKS],
        spans=list(SPANS.items()),
        formats=list(FORMATS.items()),
        explained=explained,
        explain_error=explain_error,
        tested=tested,
        test_error=test_error,
        may_test=identity_of(request).access >= Access.OPERATOR,
    )


def _scope(policy: Policy) -> str:
    selector = policy.applies_to
    if selector is None:
        return "all actions"
    found = [*selector.actions, *(f"labelled {one}" for one in selector.labels)]
    return ", ".join([*found, *([f"{selector.risk} risk and above"] if selector.risk else [])]) or "all actions"


# Explaining


async def _explained(desk: Desk, form: FormData) -> Explained:
    name = field(form, "action")
    if not name:
        raise UsageError("Name the action that you ask about.")
    requester = field(form, "requester")
    ruling = await explain(
        desk,
        name,
        _arguments(field(form, "arguments")),
        requester=Principal(requester, roles=words(field(form, "roles"))) if requester else None,
        labels=words(field(form, "labels")),
        risk=field(form, "risk"),
    )
    decisions = [*((one, False) for one in ruling.decisions), *((one, True) for one in ruling.shadows)]
    return Explained(name, ruling.outcome, decisions)


def _arguments(text: str) -> Mapping[str, Any]:
    try:
        found = from_json(text or "{}")
    except ValueError as error:
        raise UsageError(f"The arguments are no JSON: {error}.") from error
    if not isinstance(found, dict):
        raise UsageError('The arguments are no JSON object. Write them by name, as in {"amount": 500}.')
    return found


# Back-tests


async def _tested(desk: Desk, form: FormData) -> Tested:
    span, text = field(form, "since"), field(form, "policies")
    span = span if span in SPANS else "7d"
    policies = desk.runtime.policies_in_force
    if text:
        policies = tuple(await asyncio.to_thread(_read, text, field(form, "format")))
    if not policies:
        raise UsageError("No policies are in force. Write some into the form.")
    since = desk.clock.now() - seconds(span) if span else None
    async with asyncio.timeout(LONGEST_TEST):
        tally = await backtest(desk.store, policies, since=since, without=words(field(form, "without")))
    changes = parts((change.value, tally.changes[change], TONES.get(change, "ok")) for change in _in_order(tally))
    told = [one for one in tally.policies.values() if not one.is_silent]
    return Tested(tally, changes, told, SPANS[span])


def _in_order(tally: Tally) -> list[Change]:
    return sorted(tally.changes, key=lambda change: (change is Change.UNCHANGED, list(Change).index(change)))


def _read(text: str, format: str) -> Sequence[Policy]:
    """The policies of a text. It may not extend files: those of this server are nobody's business here."""
    suffix = format if format in FORMATS else "yaml"
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"policies.{suffix}"
        path.write_text(text, encoding="utf-8")
        document = read_document(path, path.name)
    if isinstance(document.data, dict) and "extends" in document.data:
        raise UsageError("What is written here cannot extend files. Put all of it into the form.")
    if not isinstance(document.data, dict):
        raise UsageError("That is no policy file: it has no version and no policies.")
    return read_policies(document.data).policies


ROUTES: Final[tuple[Route, ...]] = (
    Route(method="GET", path="/policies", access=Access.VIEWER, handler=show_policies, name="policies_page", page=True),
    Route(
        method="POST",
        path="/policies/explain",
        access=Access.VIEWER,
        handler=explain_action,
        name="policies_explain_page",
        page=True,
    ),
    Route(
        method="POST",
        path="/policies/backtest",
        access=Access.OPERATOR,
        handler=try_policies,
        name="policies_backtest_page",
        page=True,
    ),
)
