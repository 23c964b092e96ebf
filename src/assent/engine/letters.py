"""What comes to one execution from outside: signals, cancellations, and what people say of effects in doubt."""

from collections.abc import Sequence

from assent.codec import from_json, to_json
from assent.engine.attempts import Attempts
from assent.engine.execution import LiveExecution
from assent.engine.ops import SignalOp
from assent.engine.writing import Pen
from assent.errors import CodecError
from assent.store import Event, Message


class Letters:
    """The messages that wait until workflow code asks for them. Each is taken out of the inbox with what it causes.

    `waiting` are those, in the order in which they came.
    """

    def __init__(self, pen: Pen, live: LiveExecution, attempts: Attempts, arrived: Sequence[Message]) -> None:
        self._pen = pen
        self._live = live
        self._attempts = attempts
        self.waiting = sorted({letter.seq: letter for letter in arrived}.values(), key=lambda letter: letter.seq)

    def add(self, letter: Message) -> None:
        """One more has come."""
        self.waiting.append(letter)

    def open(self, op: SignalOp) -> None:
        """A wait has begun: journal what is to be said of it, and ask whom it asks."""
        if op.index in self._live.signals:
            self._pen.note_all(op.index, op.notes)
            self._pen.ask(op.approvals)

    def serve(self) -> None:
        """Hand over all for which the time has come."""
        self.waiting = [letter for letter in self.waiting if not self._is_served(letter)]

    def _is_served(self, letter: Message) -> bool:
        match letter.kind:
            case "signal":
                return self._is_received(letter)
            case "cancel":
                self._cancel(letter)
            case _:
                return self._is_resolved(letter)
        return True

    def _is_received(self, letter: Message) -> bool:
        waits = self._live.signals.values()
        op = next((op for op in waits if op.name == letter.name and not op.served), None)
        if op is None:
            return False
        self._pen.consume(letter.seq)
        try:
            op.codec.decode(letter.value)
        except CodecError as error:
            self._refuse(letter, letter.name, str(error))
            return True
        op.served = True
        now = self._pen.now()
        event = Event(self._pen.id, "signal.received", now, op.index, op.name, value=letter.value)
        self._pen.complete(self._pen.commit(event), self._live.receive, op.index, op.name, letter.value, now)
        return True

    def _cancel(self, letter: Message) -> None:
        self._pen.consume(letter.seq)
        reason = str(from_json(letter.value) or "")
        now = self._pen.now()
        facts = to_json({"reason": reason, "by": letter.sender})
        event = Event(self._pen.id, "execution.cancelling", now, value=facts)
        self._pen.complete(self._pen.commit(event), self._live.cancel, reason, now)

    def _is_resolved(self, letter: Message) -> bool:
        if self._attempts.is_asking:
            return False  # whether a person must say is being found out
        self._pen.consume(letter.seq)
        reason = self._attempts.resolve(letter.name, from_json(letter.value), letter.sender or "somebody")
        if reason is not None:
            self._refuse(letter, "resolve", reason)
        return True

    def _refuse(self, letter: Message, name: str, reason: str) -> None:
        self._pen.note("signal.refused", name=name, facts={"reason": reason, "by": letter.sender})
        self._pen.tell()
