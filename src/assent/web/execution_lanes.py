"""A journal read as lanes: one for each step with its retries, each wait, each question to people."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from assent.governance.approvals import reminders_of
from assent.governance.asked import Asked
from assent.store import Event, ExecutionRecord
from assent.web.answers import data_of
from assent.web.lanes import Attempt, Bar, Kind, Lane, Mark, Said, Story
from assent.web.reading import Told

APPROVAL: Final = "approval:"  # how the signals by which executions hear of verdicts begin
CHILD: Final = "child:"
POLICIES: Final = ".policies"  # how the steps in which policies are asked end
INNER: Final = "read approval"  # a step of ours that only looks up what the lane of the approval shows anyway
SAME_MOMENT: Final = 0.001  # seconds: a timer that is due when an approval expires belongs to it
SOON: Final = 0.25  # seconds within which the next attempt begins once its pause is over
ENDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "granted": ("ok", "approved"),
        "rejected": ("bad", "rejected"),
        "expired": ("bad", "nobody decided in time"),
        "withdrawn": ("", "no longer needed"),
        "amended": ("accent", "approved with changes"),
        "revoked": ("bad", "took it back"),
    }
)
OUTCOMES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {"allow": ("ok", "they allow it"), "ask": ("warn", "they ask people"), "deny": ("bad", "they deny it")}
)


def story_of(told: Told, now: float) -> Story:
    """Read a journal as lanes. What still goes on is drawn up to now."""
    weaver = Weaver(told, now)
    for event in told.events:
        weaver.add(event)
    return weaver.finish()


class Weaver:
    """Makes lanes of events, one after another."""

    def __init__(self, told: Told, now: float) -> None:
        record = told.record
        self._record, self._asked = record, {one.record.id: one for one in told.asked}
        self._begin = told.events[0].at if told.events else record.created_at
        # Clocks of several machines may differ: nothing is drawn backwards.
        self._end = max([record.updated_at if record.status.is_final else now, *(one.at for one in told.events)])
        self._lanes: list[Lane] = []
        self._ops: dict[int, Lane] = {}
        self._approvals: dict[str, Lane] = {}
        self._timers: dict[int, tuple[float, float]] = {}  # op: (begun, due)
        self._waits: dict[tuple[str, int | None], float] = {}  # for signals, by name and op: since when
        self._rulings: dict[int, Mapping[str, Any]] = {}
        self._last = self._begin
        self._whole: list[Bar] = []
        self._handovers: list[Mark] = []
        self._phase: tuple[float, str] = (self._begin, "running")
        self._worker = ""

    def add(self, event: Event) -> None:
        """Take the next event in."""
        area, _, what = event.type.partition(".")
        match area:
            case "step":
                self._step(event, what)
            case "timer":
                self._timer(event, what)
            case "execution":
                self._execution(event, what)
            case "signal" if what == "received":
                self._signal(event)
            case "policy" if what.startswith("approval."):
                self._approval(event, what.removeprefix("approval."))
            case "policy" if what == "evaluated" and event.op is not None:
                self._rulings[event.op] = _facts(event)
            case _:
                pass
        self._last = event.at

    def finish(self) -> Story:
        """The story, with what still goes on drawn to its end."""
        for lane in self._lanes:
            if lane.open_since is not None:
                lane.bars.append(Bar(lane.open_since, self._end, lane.open_look, "still going on"))
        if not self._record.status.is_final:
            self._pending()
        self._turn(self._end, "")
        lanes = [lane for lane in self._lanes if not _is_pause(lane, self._lanes)]
        lanes.sort(key=lambda lane: lane.begin)
        return Story(lanes=lanes, whole=self._whole, handovers=self._handovers, begin=self._begin, end=self._end)

    # Steps

    def _step(self, event: Event, what: str) -> None:
        if event.name == INNER:
            return
        lane = self._lane_of(event)
        if event.arguments:
            lane.arguments = data_of(event.arguments)
        start = event.started_at if event.started_at is not None else lane.open_since or event.at
        match what:
            case "started":
                lane.open_since, lane.open_look = start, "running"
            case "completed" | "failed" | "retried":
                self._attempt(lane, event, start, what)
            case "verified":
                facts = _facts(event)
                done, by = bool(facts.get("done")), str(facts.get("by") or "")
                says = f"{by or 'verify'} says that it {'happened' if done else 'did not happen'}"
                self._close(lane, event.at, "doubt", says)
                lane.marks.append(Mark(event.at, "ok" if done else "warn", says, by))
                lane.note, lane.tone = says, "ok" if done else "warn"
            case _:
                pass

    def _lane_of(self, event: Event) -> Lane:
        """The lane of a step; a further attempt stays in that of the ones before it."""
        known = self._ops.get(event.op or 0) if event.op is not None else None
        lane = known or (self._retried(event) if (event.attempt or 1) > 1 else None)
        if lane is None:
            name = event.name or "step"
            kind: Kind = "policies" if name.endswith(POLICIES) else "step"
            begin = event.at if event.started_at is None else event.started_at
            lane = self._new(kind, name.removesuffix(POLICIES), f"op-{event.op}", begin)
        if event.op is not None:
            self._ops[event.op] = lane
        return lane

    def _retried(self, event: Event) -> Lane | None:
        number = (event.attempt or 1) - 1
        waiting = [
            lane
            for lane in self._lanes
            if lane.name == event.name
            and lane.attempts
            and lane.attempts[-1].outcome == "retried"
            and lane.attempts[-1].number == number
        ]
        arguments = data_of(event.arguments)
        return next((lane for lane in waiting if arguments in (None, lane.arguments)), waiting[0] if waiting else None)

    def _attempt(self, lane: Lane, event: Event, start: float, what: str) -> None:
        if lane.attempts:
            before = lane.bars[-1].end
            lane.bars.append(Bar(before, start, "pause", "pause before the next attempt"))
        value = data_of(event.value)
        number = event.attempt or 1
        error = value if what != "completed" and isinstance(value, dict) else None
        says = f"attempt {number}: {what}" if number > 1 or what == "retried" else what
        lane.bars.append(Bar(start, max(event.at, start), "done" if what == "completed" else "failed", says))
        lane.open_since = None
        result = value if what == "completed" else None
        lane.attempts.append(
            Attempt(number=number, start=start, end=event.at, outcome=what, result=result, error=error)
        )
        lane.tone = {"completed": "ok", "failed": "bad"}.get(what, "warn")
        if error is not None:
            lane.note = _failure(error)
        elif number > 1:
            lane.note = f"{number} attempts"
        if lane.kind == "policies" and event.op is not None:
            self._ruled(lane, event)

    def _ruled(self, lane: Lane, event: Event) -> None:
        ruling = self._rulings.get(event.op or 0, {})
        lane.attempts.clear()
        lane.arguments = None
        lane.tone, says = OUTCOMES.get(str(ruling.get("outcome")), (lane.tone, "asked"))
        decisions = _said(ruling.get("decisions"))
        lane.ruling = decisions
        lane.note = f"{len(decisions)} {'policy' if len(decisions) == 1 else 'policies'}: {says}" if decisions else says
        lane.marks.append(Mark(event.at, lane.tone, says))

    # Waits

    def _timer(self, event: Event, what: str) -> None:
        if event.op is None:
            return
        if what == "started":
            due = _facts(event).get("due")
            self._timers[event.op] = (event.at, float(due) if isinstance(due, int | float) else event.at)
            return
        # Of a short one the beginning is not journaled: it began no later than what was journaled before its end.
        begun, due = self._timers.pop(event.op, (self._last, event.at))
        if not self._is_of_approval(due):
            lane = self._new("timer", "Timer", f"op-{event.op}", begun)
            lane.bars.append(Bar(begun, event.at, "wait", "a timer"))

    def _is_of_approval(self, due: float) -> bool:
        return any(abs(due - moment) < SAME_MOMENT for one in self._asked.values() for moment in _moments_of(one))

    def _signal(self, event: Event) -> None:
        name = event.name or ""
        if name.startswith(APPROVAL):
            return
        begun = self._waits.get((name, event.op), event.at)
        lane = self._waited(name, event.op, begun)
        lane.bars.append(Bar(begun, event.at, "wait", "waited"))
        lane.marks.append(Mark(event.at, "ok", "received"))
        lane.tone, lane.note = "ok", "has ended" if lane.kind == "child" else "received"
        if lane.kind == "signal":
            lane.arguments = data_of(event.value)

    def _waited(self, name: str, op: int | None, begun: float) -> Lane:
        if not name.startswith(CHILD):
            return self._new("signal", name, f"op-{op}", begun)
        lane = self._new("child", "Execution it started", f"op-{op}", begun)
        lane.href = f"/executions/{name.removeprefix(CHILD)}"
        return lane

    def _pending(self) -> None:
        """What it waits for now, as far as no lane shows it yet."""
        for wait in waits_of(self._record):
            op, name = wait.get("op"), str(wait.get("name", ""))
            if wait.get("for") == "signal" and not name.startswith(APPROVAL):
                begun = self._waits.get((name, op), self._record.updated_at)
                lane = self._waited(name, op, begun)
            elif wait.get("for") == "timer" and not self._is_of_approval(float(wait.get("due") or 0)):
                begun = self._timers.get(op or 0, (self._record.updated_at, 0.0))[0]
                lane = self._new("timer", "Timer", f"op-{op}", begun)
            else:
                continue
            lane.note = "still waiting"
            lane.bars.append(Bar(begun, max(self._end, begun), "wait", "still waiting"))

    # People

    def _approval(self, event: Event, what: str) -> None:
        facts = _facts(event)
        approval_id = str(facts.get("approval_id") or "")
        if what == "requested":
            self._ask(event, approval_id)
            return
        lane = self._approvals.get(approval_id)
        if lane is None:
            return
        who, reason = str(facts.get("approver") or ""), str(facts.get("reason") or "")
        if what in ENDS:
            tone, words = ENDS[what]
            lane.tone, lane.note, lane.reason = tone, f"{who} {words}".strip(), reason
            self._close(lane, event.at, "wait", "waited for people")
            lane.marks.append(Mark(event.at, tone, lane.note, who))
        elif what == "voted":
            is_yes = facts.get("decision") == "approve"
            words = "approved" if is_yes else "took it back"
            lane.marks.append(Mark(event.at, "ok" if is_yes else "warn", f"{who} {words}", who))
        else:
            words = {"reminded": "people were reminded", "escalated": "it went to others"}.get(what, what)
            lane.marks.append(Mark(event.at, "warn" if what == "refused" else "", words))

    def _ask(self, event: Event, approval_id: str) -> None:
        asked = self._asked.get(approval_id)
        lane = self._new("approval", asked.subject if asked else event.name or "approval", approval_id, event.at)
        lane.open_since, lane.open_look = event.at, "wait"
        lane.href = f"/approvals/{approval_id}"
        lane.note, lane.tone = _awaited(asked), "warn"
        self._approvals[approval_id] = lane

    # The execution as a whole

    def _execution(self, event: Event, what: str) -> None:
        match what:
            case "suspended":
                self._turn(event.at, "parked")
                for wait in _waits(data_of(event.value)):
                    if wait.get("for") == "signal":
                        self._waits.setdefault((str(wait.get("name", "")), wait.get("op")), event.at)
            case "resumed" | "started":
                self._turn(event.at, "running")
                worker = str(_facts(event).get("worker") or "")
                if self._worker and worker and worker != self._worker:
                    self._handovers.append(Mark(event.at, "info", "another worker went on"))
                self._worker = worker or self._worker
            case "in_doubt":
                self._turn(event.at, "doubt")
                self._doubt(event)
            case _:
                pass

    def _doubt(self, event: Event) -> None:
        lane = self._lane_of(event)
        if lane.open_since is not None:
            lane.bars.append(Bar(lane.open_since, event.at, "failed", "interrupted"))
        reason = str(_facts(event).get("reason") or "")
        lane.open_since, lane.open_look = event.at, "doubt"
        lane.tone, lane.note, lane.reason = "warn", "in doubt", reason
        lane.marks.append(Mark(event.at, "warn", f"in doubt: {reason}"))

    def _turn(self, at: float, look: str) -> None:
        since, was = self._phase
        if was and at > since:
            says = {"running": "in memory", "parked": "parked in the store", "doubt": "in doubt"}[was]
            self._whole.append(Bar(since, at, was, says))
        self._phase = (at, look)

    def _new(self, kind: Kind, name: str, key: str, begin: float) -> Lane:
        lane = Lane(kind=kind, name=name, key=key, begin=begin)
        self._lanes.append(lane)
        return lane

    def _close(self, lane: Lane, at: float, look: str, says: str) -> None:
        if lane.open_since is not None:
            lane.bars.append(Bar(lane.open_since, max(at, lane.open_since), look, says))
        lane.open_since = None


def waits_of(record: ExecutionRecord) -> list[Mapping[str, Any]]:
    """What an execution waits for, as its record has it."""
    return _waits(data_of(record.waits))


def _waits(found: Any) -> list[Mapping[str, Any]]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _facts(event: Event) -> Mapping[str, Any]:
    found = data_of(event.value)
    return found if isinstance(found, dict) else {}


def _said(decisions: Any) -> list[Said]:
    found = [one for one in decisions if isinstance(one, dict)] if isinstance(decisions, list) else []
    return [Said(*(str(one.get(name) or "") for name in ("policy", "kind", "outcome", "reason"))) for one in found]


def _failure(error: Mapping[str, Any]) -> str:
    name = str(error.get("type", "")).rpartition(":")[2]
    return f"{name}: {error.get('message', '')}".rstrip(": ")


def _moments_of(asked: Asked) -> list[float]:
    """When people are reminded of an approval, and when it expires."""
    found = [] if asked.record.expires_at is None else [asked.record.expires_at]
    return [*found, *reminders_of(asked.record, asked.request)] if asked.request else found


def _awaited(asked: Asked | None) -> str:
    names = asked.request.electorate if asked and asked.request else ()
    return f"waits for {', '.join(names)}" if names else "waits for people"


def _is_pause(lane: Lane, lanes: Iterable[Lane]) -> bool:
    """Whether a timer is but the pause before another attempt, which the lane of its step shows."""
    if lane.kind != "timer" or not lane.bars:
        return False
    end = lane.bars[-1].end
    return any(
        0 <= bar.end - end < SOON for one in lanes if one.kind == "step" for bar in one.bars if bar.look == "pause"
    )
