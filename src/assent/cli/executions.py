"""`assent executions`, `show` and `events`: what has been started, where it stands, what happened in it."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from assent.cli.asked import approval_facts, approval_row
from assent.cli.moments import past
from assent.cli.output import Row, Screen, iso, moment, plain, short_moment, shortened, styled
from assent.cli.stored import EVERYTHING, ending_of, engine_on, find_execution, opened
from assent.cli.timeline import LONGEST_VALUE, compact, event_facts, event_in_words, timeline_rows, value_of
from assent.cli.waiting import Staff, approvals_awaited, staff_of, waits_in_words
from assent.errors import UsageError
from assent.governance.asked import Asked, asked_of
from assent.store import ApprovalRecord, Event, ExecutionQuery, ExecutionRecord, Status

Approvals = Mapping[str, ApprovalRecord]


async def list_executions(
    screen: Screen,
    url: str | None,
    *,
    status: str | None,
    name: str | None,
    cause: str | None,
    since: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """`assent executions`."""
    query = ExecutionQuery(
        status=_status(status) if status else None,
        name=name,
        cause=cause,
        since=past(since, screen.now) if since else None,
        limit=limit,
    )
    async with opened(url) as store:
        found = await store.executions(query)
        awaited = await approvals_awaited(store, found)
        staff = await staff_of(store, screen.now)
    if as_json:
        screen.json([execution_facts(record, awaited, staff, screen.now) for record in found])
    elif not found:
        screen.say("There is none.")
    else:
        rows = [_row(record, awaited, staff, screen.now) for record in found]
        screen.table(["EXECUTION", "STATUS", "NAME", "STARTED"], rows, "WAITS FOR, OR WHY IT ENDED")
        if len(found) == limit:
            screen.say(f"These are the newest {limit}; --limit shows more.", style="dim")


def _status(word: str) -> Status:
    try:
        return Status(word)
    except ValueError as error:
        raise UsageError(f"{word!r} is no status of an execution. Give one of: {', '.join(Status)}.") from error


def execution_facts(record: ExecutionRecord, approvals: Approvals, staff: Staff, now: float) -> dict[str, Any]:
    """An execution for programs."""
    return {
        "id": record.id,
        "name": record.name,
        "version": record.version,
        "status": record.status.value,
        "cause": record.cause,
        "created_at": iso(record.created_at),
        "updated_at": iso(record.updated_at),
        "parent_id": record.parent_id,
        "worker": record.owner,
        "waits": value_of(record.waits),
        "waits_for": waits_in_words(record, approvals, staff, now),
    }


def _row(record: ExecutionRecord, approvals: Approvals, staff: Staff, now: float) -> Row:
    cells = [Text(), styled(record.status.value), plain(record.name), Text(short_moment(record.created_at, now))]
    cells[0] = plain(record.id)
    notes = [plain(each) for each in waits_in_words(record, approvals, staff, now)]
    return Row(cells, [plain(record.cause)] if record.cause else notes)


async def show(screen: Screen, url: str | None, id: str, *, as_json: bool) -> None:
    """`assent show`."""
    async with opened(url) as store:
        engine = engine_on(store)
        record = await find_execution(store, id)
        events = await engine.events(record.id)
        asked = await store.approvals(execution_id=record.id, limit=EVERYTHING)
        questions = await asked_of(store, asked, screen.now)
        staff = await staff_of(store, screen.now)
    approvals = {each.id: each for each in asked}
    if as_json:
        facts = execution_facts(record, approvals, staff, screen.now)
        facts["arguments"], facts["result"], facts["error"] = _arguments(record, events), *_ending(record, events)
        facts["approvals"] = [approval_facts(each) for each in questions]
        facts["events"] = [event_facts(event) for event in events]
        screen.json(facts)
        return
    _show_head(screen, record, approvals, staff, events)
    _show_approvals(screen, questions)
    _show_timeline(screen, events, approvals)


def _arguments(record: ExecutionRecord, events: Sequence[Event]) -> Any:
    """The arguments, from the journal if they are there: that is where a large value has been filled in."""
    started = next((event for event in events if event.type == "execution.started"), None)
    return value_of(started.arguments if started and started.arguments else record.arguments)


def _ending(record: ExecutionRecord, events: Sequence[Event]) -> tuple[Any, Any]:
    """The result and the error of an execution; None for what there is not."""
    event = ending_of(record, events)
    if event is None:
        return None, None
    ending = value_of(event.value)
    return (ending, None) if record.status is Status.COMPLETED else (None, ending)


def _show_head(
    screen: Screen, record: ExecutionRecord, approvals: Approvals, staff: Staff, events: Sequence[Event]
) -> None:
    version = f" version {record.version}" if record.version != 1 else ""
    screen.say(Text.assemble((f"{plain(record.name)}{version}", "bold"), "  ", styled(record.status.value)))
    screen.fields(_head(record, approvals, staff, events, screen.now))


def _head(
    record: ExecutionRecord, approvals: Approvals, staff: Staff, events: Sequence[Event], now: float
) -> list[tuple[str, str | Text]]:
    pairs: list[tuple[str, str | Text]] = [("execution", record.id), ("started", moment(record.created_at, now))]
    if record.status.is_final:
        pairs.append(("ended", moment(record.updated_at, now)))
    if record.requester:
        pairs.append(("requester", str(value_of(record.requester)["id"])))
    if record.parent_id:
        pairs.append(("started by", record.parent_id))
    worker = staff.present.get(record.owner or "")
    if worker is not None:
        pairs.append(("worker", f"{worker.id}, process {worker.pid} on {worker.host}"))
    pairs += _several("waits for", waits_in_words(record, approvals, staff, now))
    pairs += _several("arguments", _argument_lines(_arguments(record, events)))
    ending = ending_of(record, events)
    if ending is not None:
        name = "result" if record.status is Status.COMPLETED else record.cause or "reason"
        pairs.append((name, shortened(event_in_words(ending, approvals, now), LONGEST_VALUE)))
    return pairs


def _several(name: str, lines: Sequence[str]) -> list[tuple[str, str | Text]]:
    return [(name if place == 0 else "", line) for place, line in enumerate(lines)]


def _argument_lines(arguments: Any) -> list[str]:
    if not isinstance(arguments, dict):
        return [compact(arguments)]
    return [f"{name} = {shortened(compact(value), LONGEST_VALUE)}" for name, value in arguments.items()]


def _show_approvals(screen: Screen, questions: Sequence[Asked]) -> None:
    if not questions:
        return
    screen.title("Approvals")
    rows = [approval_row(each, screen.now) for each in questions]
    screen.table(["APPROVAL", "STATUS", "ASKED", "FOR"], rows, "BY")


def _show_timeline(screen: Screen, events: Sequence[Event], approvals: Approvals) -> None:
    screen.title("Timeline")
    if not events:
        screen.say("Nothing has happened yet.")
        return
    rows = timeline_rows(events, approvals, screen.now)
    screen.table(["TIME", ">AFTER", "EVENT", "NAME", "TRY", ">TOOK"], rows, "WHAT IT SAYS")


async def list_events(screen: Screen, url: str | None, id: str, *, as_json: bool) -> None:
    """`assent events`: the journal, whole."""
    async with opened(url) as store:
        record = await find_execution(store, id)
        events = await engine_on(store).events(record.id)
    if as_json:
        screen.json([event_facts(event) for event in events])
    elif not events:
        screen.say("Nothing has happened yet.")
    else:
        screen.table(
            [">SEQ", "AT", "EVENT", ">OP", "NAME"], [_event_row(event) for event in events], "ARGUMENTS, VALUE"
        )


def _event_row(event: Event) -> Row:
    cells = [
        Text(str(event.seq)),
        Text(iso(event.at) or ""),
        plain(event.type),
        Text("" if event.op is None else str(event.op)),
        plain(event.name or ""),
    ]
    values = [text for text in (event.arguments, event.value) if text is not None]
    return Row(cells, [plain(text) for text in values])
