"""`assent mandates`: one approval for a bounded series of actions, and what is left of it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from rich.text import Text

from assent.cli.approvals import show_verdicts
from assent.cli.asked import approval_facts, terms_in_words
from assent.cli.decisions import Choice, Said, decide
from assent.cli.moments import coming
from assent.cli.output import Row, Screen, iso, moment, plain, short_moment, styled
from assent.cli.reference import load_function, runtime_of
from assent.cli.stored import existing, find_approval, opened
from assent.cli.waiting import electorate_in_words
from assent.clock import seconds
from assent.codec import from_json
from assent.errors import UsageError
from assent.governance import MandateOptions, MandateTerms, Principal, Remainder, mandate_program, remainders
from assent.governance.approvals import MANDATE, ApprovalRequest, intact_request
from assent.governance.asked import Asked, asked_of
from assent.governance.budgets import decimal_of, millionths
from assent.governance.mandates import PREFIX
from assent.runtime import Runtime
from assent.store import ApprovalRecord, ApprovalStatus, Store

PAGE = 5000  # events that are read at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a mandate is good for."""

    until: str
    count: int | None
    total: str | None
    amount: str
    only: Sequence[str]

    def terms(self, action: str, now: float) -> MandateTerms:
        """The same, checked. Raises UsageError."""
        total = None if self.total is None else decimal_of(millionths(self.total, "--total"))
        until = coming(self.until, now)
        if until <= now:
            raise UsageError(f"--until {self.until} is over already. Give a moment to come, or for how long: 8h.")
        return MandateTerms(
            action=action, only=tuple(self.only), count=self.count, total=total, amount=self.amount, until=until
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Who is asked for a mandate, and how they decide."""

    approvers: Sequence[str]
    quorum: str
    exclude: Sequence[str]
    require_reason: bool
    within: str
    title: str
    who: str | None

    def options(self, terms: MandateTerms) -> MandateOptions:
        """What is asked, checked before anything is started. Raises UsageError."""
        quorum = self._quorum
        ApprovalRequest(
            approvers=tuple(self.approvers),
            quorum=1 if quorum == "all" else quorum,
            each=quorum == "all",
            excluded=tuple(self.exclude),
        )
        found: MandateOptions = {
            "amount": terms.amount,
            "only": list(terms.only),
            "quorum": quorum,
            "require_reason": self.require_reason,
            "exclude": list(self.exclude),
            "within": seconds(self.within),
            "title": self.title,
        }
        if terms.count is not None:
            found["count"] = terms.count
        return found

    @property
    def _quorum(self) -> int | Literal["all"]:
        if self.quorum == "all":
            return "all"
        try:
            return int(self.quorum)
        except ValueError as error:
            raise UsageError(f"--quorum {self.quorum!r} is no quorum. Give a whole number, or all.") from error


def ask(screen: Screen, url: str | None, action: str, bounds: Bounds, rules: Rules, *, as_json: bool) -> int:
    """`assent mandates ask`; returns the exit code."""
    # The module is loaded outside of the event loop, as it would be as a script.
    name, runtime = _asker(action, url)
    terms = bounds.terms(name, screen.now)
    options = rules.options(terms)
    if runtime.store is None:
        existing(runtime.url)
    record = asyncio.run(_ask(runtime, terms, options, rules))
    if as_json:
        screen.json({"approval_id": record.id, "execution_id": record.execution_id, "status": record.status.value})
        return 0
    screen.say(f"Asked for a mandate, {terms_in_words(terms, screen.now)}.")
    names = " or ".join(rules.approvers)
    command = f"assent approve {record.id} --as WHO"
    screen.fields(
        [("mandate", record.id), ("execution", record.execution_id), ("approvers", names), ("decide", command)]
    )
    return 0


def _asker(action: str, url: str | None) -> tuple[str, Runtime]:
    """The name of the action, and the runtime that asks: that of its module, if it is given by its function."""
    if ":" not in action:
        return action, runtime_of([], url, worker=False)
    module, program = load_function(action)
    return program.name, runtime_of([module], url, worker=False)


async def _ask(runtime: Runtime, terms: MandateTerms, options: MandateOptions, rules: Rules) -> ApprovalRecord:
    """Start the question, and wait until it is open."""
    until = datetime.fromtimestamp(terms.until, UTC)
    arguments = mandate_program.signature.bind((terms.action, list(rules.approvers), until, terms.total), options)
    requester = Principal(rules.who).to_text() if rules.who else None
    async with runtime:
        engine = runtime.engine
        execution = await engine.start(mandate_program, arguments, requester=requester, attended=True)
        await engine.waiting(execution.id)
        found = await runtime.approvals(None, execution_id=execution.id)
        if not found:
            await engine.result(execution.id)  # raises what went wrong
        await engine.leave(execution.id)
        await asyncio.sleep(0)  # leaving is noted by a callback, which must come before the end of the engine
        return found[0]


# What there is


async def list_mandates(
    screen: Screen, url: str | None, *, action: str | None, everything: bool, as_json: bool
) -> None:
    """`assent mandates list`."""
    async with opened(url) as store:
        found = [each for each in await remainders(store, screen.now, action) if everything or _matters(each)]
        asked = await asked_of(store, [each.mandate for each in found], screen.now)
    if as_json:
        screen.json([_facts(each) for each in found])
    elif not found:
        screen.say("No mandate is in force or asked for." if not everything else "There is none.")
    else:
        rows = [_row(each, one, screen.now) for each, one in zip(found, asked, strict=True)]
        screen.table(["MANDATE", "STATUS", "ACTION", "UNTIL", "LEFT"], rows, "BY")


def _matters(left: Remainder) -> bool:
    return left.is_in_force or left.mandate.status is ApprovalStatus.PENDING


def _facts(left: Remainder) -> dict[str, Any]:
    terms = left.terms
    return {
        "id": left.mandate.id,
        "execution_id": left.mandate.execution_id,
        "status": left.mandate.status.value,
        "in_force": left.is_in_force,
        "action": terms.action,
        "until": iso(terms.until),
        "only": list(terms.only),
        "amount": terms.amount,
        "count": terms.count,
        "count_left": left.count,
        "total": _text(terms.total),
        "total_left": _text(left.total),
    }


def _text(number: Decimal | None) -> str | None:
    return None if number is None else f"{number:f}"


def _row(left: Remainder, asked: Asked, now: float) -> Row:
    cells = [
        plain(left.mandate.id),
        _status(left),
        plain(left.terms.action),
        Text(short_moment(left.terms.until, now)),
        plain(_left_in_words(left)),
    ]
    notes = [_givers(asked), *(f"only if {each}" for each in left.terms.only)]
    return Row(cells, [plain(each) for each in notes])


def _status(left: Remainder) -> Text:
    status = left.mandate.status
    if status is ApprovalStatus.GRANTED:
        return Text("in force", style="green") if left.is_in_force else Text("over", style="dim")
    return styled(status.value)


def _left_in_words(left: Remainder) -> str:
    parts = []
    if left.count is not None:
        parts.append(f"{left.count} of {left.terms.count} times")
    if left.total is not None:
        parts.append(f"{_text(left.total)} of {_text(left.terms.total)}")
    return ", ".join(parts)


def _givers(asked: Asked) -> str:
    if asked.record.status is ApprovalStatus.GRANTED:
        return "given by " + " and ".join(voice.verdict.approver for voice in asked.voices)
    return f"asked of {electorate_in_words(asked.request)}"


async def show_mandate(screen: Screen, url: str | None, id: str, *, as_json: bool) -> None:
    """`assent mandates show`."""
    async with opened(url) as store:
        record = await _find(store, id)
        (asked,) = await asked_of(store, [record], screen.now)
        terms = asked.terms
        left = next((each for each in await remainders(store, screen.now) if each.mandate.id == record.id), None)
        draws = [draw async for draw in _draws(store, record.id)]
    if as_json:
        screen.json(
            {
                "mandate": left and _facts(left),
                "approval": approval_facts(asked),
                "draws": [_draw_facts(each) for each in draws],
            }
        )
        return
    if left is None or terms is None:
        raise UsageError(f"Mandate {record.id} was changed after it was asked for, and is good for nothing. Ask anew.")
    screen.say(Text.assemble(plain(asked.subject, "bold"), "  ", _status(left)))
    screen.fields(
        [
            ("mandate", record.id),
            ("asked", moment(record.created_at, screen.now)),
            ("approvers", _givers(asked)),
            ("terms", terms_in_words(terms, screen.now)),
            ("left", _left_in_words(left)),
        ]
    )
    show_verdicts(screen, asked)
    if draws:
        screen.title("Permits under it")
        screen.table(["EXECUTION", "AT", ">AMOUNT"], [_draw_row(each, screen.now) for each in draws])


class Draw(NamedTuple):
    """What one permit took of a mandate."""

    execution_id: str
    at: float
    amount: Decimal | None  # None where the action keeps no values


async def _draws(store: Store, id: str) -> AsyncIterator[Draw]:
    """The permits that were taken up under a mandate, in order, as the journals have them."""
    after = 0
    while page := await store.events(after, "permit.consumed", PAGE):
        after = page[-1].seq
        for event in page:
            facts = from_json(event.value or "{}")
            if id in facts.get("mandates", ()):
                amount = facts.get("holds", {}).get(f"{PREFIX}{id}")
                yield Draw(event.execution_id, event.at, None if amount is None else decimal_of(amount))


def _draw_facts(draw: Draw) -> dict[str, Any]:
    return {"execution_id": draw.execution_id, "at": iso(draw.at), "amount": _text(draw.amount)}


def _draw_row(draw: Draw, now: float) -> Row:
    cells = [plain(draw.execution_id), Text(short_moment(draw.at, now)), plain(_text(draw.amount) or "")]
    return Row(cells)


async def revoke(
    screen: Screen, errors: Screen, url: str | None, id: str, *, approver: str, reason: str, as_json: bool
) -> int:
    """`assent mandates revoke`; returns the exit code."""
    async with opened(url) as store:
        record = await _find(store, id)
    said = Said(approver, "revoke", reason)
    return await decide(screen, errors, url, Choice([record.id]), said, as_json=as_json)


async def _find(store: Store, id: str) -> ApprovalRecord:
    record = await find_approval(store, id)
    request = intact_request(record)
    if request is not None and request.kind != MANDATE:
        raise UsageError(
            f"{record.id} is an approval of one action, and no mandate. `assent mandates list` shows those."
        )
    return record
