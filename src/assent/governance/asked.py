"""Approvals as they stand: what is asked, what has been said and counts, and what is still needed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from assent.governance.approvals import MANDATE, ApprovalRequest, intact_request, person
from assent.governance.mandates import MandateTerms, terms_of
from assent.governance.people import roster_of
from assent.governance.voices import Voice, standing, voices_of
from assent.store import ApprovalRecord, ApprovalStatus, Store, VerdictRecord


@dataclass(frozen=True, slots=True)
class Asked:
    """An approval with all that was said on it. Its request is None if it was changed after it was made."""

    record: ApprovalRecord
    request: ApprovalRequest | None
    verdicts: Sequence[VerdictRecord]
    voices: Sequence[Voice]  # the approvals that count

    def is_open(self, now: float) -> bool:
        """Whether a verdict could still count."""
        in_time = self.record.expires_at is None or self.record.expires_at > now
        return self.record.status is ApprovalStatus.PENDING and in_time

    def said_by(self, who: str) -> VerdictRecord | None:
        """What a person has said and not taken back."""
        said = standing(self.request, self.verdicts) if self.request else []
        return next((one for one in said if person(one.approver) == person(who)), None)

    @property
    def missing(self) -> int:
        """How many approvals are still needed."""
        if self.request is None or self.record.status is not ApprovalStatus.PENDING:
            return 0
        return len(self.empty_seats) if self.request.each else max(0, self.request.quorum - len(self.voices))

    @property
    def empty_seats(self) -> list[str]:
        """The approvers for whom nobody has approved yet."""
        taken = {voice.seat.entry for voice in self.voices}
        return [one for one in self.request.approvers if one not in taken] if self.request else []

    @property
    def terms(self) -> MandateTerms | None:
        """The bounds of a mandate; None of what is none."""
        return terms_of(self.record)

    @property
    def subject(self) -> str:
        """What it is about, for people."""
        if self.request is None:
            return "?"
        return f"mandate for {self.request.subject}" if self.request.kind == MANDATE else self.request.subject

    def counts(self, verdict: VerdictRecord) -> bool:
        """Whether a verdict counts as things stand."""
        if verdict.refusal is not None or verdict.decision != "approve" or verdict.changes is not None:
            return verdict.refusal is None
        return any(voice.verdict is verdict for voice in self.voices)


async def asked_of(store: Store, records: Iterable[ApprovalRecord], now: float) -> list[Asked]:
    """Approvals with what was said on them, and with what of it counts now."""
    said = [(record, await store.verdicts(record.id)) for record in records]
    roster = await roster_of(store, now)
    found = []
    for record, verdicts in said:
        request = intact_request(record)
        voices = voices_of(request, verdicts, roster, record.decided_at) if request else []
        found.append(Asked(record, request, verdicts, voices))
    return found
