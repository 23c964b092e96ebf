"""`assent approvals`: what is asked of whom, one question whole, and a reminder."""

from collections.abc import Iterator

from rich.text import Text

from assent.cli.asked import approval_facts, approval_row, status_of, terms_in_words, verdict_in_words
from assent.cli.output import Row, Screen, moment, plain, short_moment, shortened, span
from assent.cli.stored import EVERYTHING, find_approval, opened
from assent.cli.timeline import compact
from assent.cli.waiting import electorate_in_words, is_open
from assent.clock import SystemClock
from assent.errors import UsageError
from assent.governance import Preview, Roster, remind, roster_of, show
from assent.governance.approvals import ApprovalRequest, person, reminders_of
from assent.governance.asked import Asked, asked_of
from assent.governance.voices import standing
from assent.store import ApprovalStatus

ALL = "all"
# Of one value, in `show`; `--json` has it whole.
LONGEST_ARGUMENT = 1000

Fields = Iterator[tuple[str, str | Text]]


async def list_approvals(screen: Screen, url: str | None, *, status: str, limit: int, as_json: bool) -> None:
    """`assent approvals list`."""
    wanted = None if status == ALL else _status(status)
    async with opened(url) as store:
        newest = (await store.approvals(wanted, limit=EVERYTHING))[-limit:]
        found = await asked_of(store, newest, screen.now)
    if as_json:
        screen.json([approval_facts(asked) for asked in found])
    elif not found:
        screen.say("No approval is open." if wanted is ApprovalStatus.PENDING else "There is none.")
    else:
        rows = [approval_row(asked, screen.now) for asked in found]
        screen.table(["APPROVAL", "STATUS", "ASKED", "FOR"], rows, "BY")


def _status(word: str) -> ApprovalStatus:
    try:
        return ApprovalStatus(word)
    except ValueError as error:
        known = ", ".join([*ApprovalStatus, ALL])
        raise UsageError(f"{word!r} is no status of an approval. Give one of: {known}.") from error


async def show_approval(screen: Screen, url: str | None, approval_id: str, *, who: str | None, as_json: bool) -> None:
    """`assent approvals show`."""
    async with opened(url) as store:
        record = await find_approval(store, approval_id)
        (asked,) = await asked_of(store, [record], screen.now)
        roster = await roster_of(store, screen.now)
        if who and is_open(record, screen.now):
            await show(store, SystemClock(), record.id, who)
    if as_json:
        screen.json(approval_facts(asked))
        return
    screen.say(Text.assemble(plain(asked.subject, "bold"), "  ", status_of(asked, screen.now)))
    screen.fields([*_head(asked, screen.now), *_place_of(asked, who, roster, screen.now)])
    show_preview(screen, asked)
    show_verdicts(screen, asked)


def _head(asked: Asked, now: float) -> Fields:
    record, request = asked.record, asked.request
    yield "approval", record.id
    yield "execution", record.execution_id
    by = f" by {request.requester}" if request and request.requester else ""
    yield "asked", f"{moment(record.created_at, now)}{by}"
    if is_open(record, now) and record.expires_at is not None:
        yield "until", moment(record.expires_at, now)
    if record.decided_at is not None:
        yield "decided", moment(record.decided_at, now)
    if record.used_by is not None:
        yield "acted upon", f"with permit {record.used_by}"
    yield "approvers", electorate_in_words(request)
    if request is not None:
        yield from _rules(asked, request, now)
        yield from _content(asked, request, now)


def _rules(asked: Asked, request: ApprovalRequest, now: float) -> Fields:
    if asked.record.status is ApprovalStatus.PENDING and request.quorum > 1:
        names = f": {', '.join(asked.empty_seats)}" if request.each else ""
        yield "still needed", f"{asked.missing} of {request.quorum}{names}"
    if request.excluded:
        yield "excluded", ", ".join(request.excluded)
    if request.require_reason:
        yield "reason", "needed with each verdict"
    if request.stages > 1:
        yield "stage", f"{request.stage} of {request.stages}, {request.stage_name}"
    if is_open(asked.record, now):
        yield from _then(asked, request, now)


def _then(asked: Asked, request: ApprovalRequest, now: float) -> Fields:
    """What happens if nobody decides."""
    coming = [each for each in reminders_of(asked.record, request) if each > now]
    if coming:
        yield "reminders", ", ".join(moment(each, now) for each in coming)
    if asked.record.expires_at is None:
        return
    levels = [" or ".join(level) for level in request.escalate_to]
    end = "it is granted" if request.on_expiry == "approve" else "it is rejected"
    yield "afterwards", ", then ".join([*(f"it is put to {level}" for level in levels), end])


def _content(asked: Asked, request: ApprovalRequest, now: float) -> Fields:
    if request.action:
        yield "action", request.action
    if request.risk:
        yield "risk", request.risk
    if request.labels:
        yield "labels", ", ".join(request.labels)
    yield "policy", request.policy
    for place, (name, value) in enumerate(request.arguments.items()):
        yield "" if place else "arguments", f"{name} = {shortened(compact(value), LONGEST_ARGUMENT)}"
    if asked.terms is not None:
        yield "terms", terms_in_words(asked.terms, now)


def _place_of(asked: Asked, who: str | None, roster: Roster, now: float) -> Fields:
    """What the person who looks may do."""
    if not who or asked.request is None:
        return
    said = [one for one in standing(asked.request, asked.verdicts) if person(one.approver) == person(who)]
    seats = roster.seats(asked.request, who)
    if said:
        yield "you", f"{who} has said {said[0].decision}"
    elif not is_open(asked.record, now):
        yield "you", "nothing is to be decided any more"
    elif seats:
        yield "you", f"{who} may decide, for {' or '.join(seats)}; it is noted that they have seen it"
    else:
        yield "you", f"{who} may not decide it; it is noted that they have seen it"


def show_preview(screen: Screen, asked: Asked) -> None:
    """Print what the action would do, if that is known."""
    if asked.request is None or not asked.request.preview:
        return
    screen.title("What it would do")
    for line in Preview.from_facts(asked.request.preview).render().split("\n"):
        screen.say(f"  {line}")


def show_verdicts(screen: Screen, asked: Asked) -> None:
    """Print what was said, in order, refused verdicts too."""
    if not asked.verdicts:
        return
    screen.title("Verdicts")
    rows = []
    for one in asked.verdicts:
        looked = "" if one.shown_at is None else f"looked {span(one.at - one.shown_at)}"
        cells = [Text(short_moment(one.at, screen.now)), Text(looked)]
        rows.append(Row(cells, [plain(verdict_in_words(asked, one), "" if asked.counts(one) else "dim")]))
    screen.table(["AT", "LOOK"], rows, "WHAT WAS SAID")


async def remind_of(screen: Screen, url: str | None, approval_id: str) -> None:
    """`assent approvals remind`."""
    async with opened(url) as store:
        record = await find_approval(store, approval_id)
        (asked,) = await asked_of(store, [record], screen.now)
        if asked.request is None or not await remind(store, SystemClock(), record.id):
            raise UsageError(
                f"Approval {record.id} is {status_of(asked, screen.now)}, so nobody can be reminded of it. "
                f"`assent approvals` lists the open ones."
            )
        people = (await roster_of(store, screen.now)).recipients(asked.request.electorate)
    if not record.channels:
        screen.say(
            f"It is noted in the journal, but approval {record.id} has no channels. Tell them: {_names(people)}."
        )
    else:
        screen.say(f"A worker with the channels {', '.join(record.channels)} reminds {_names(people)}.")


def _names(people: tuple[str, ...]) -> str:
    return ", ".join(people) or "nobody, since nobody is known in these roles"
