"""What ended long ago is removed from the tables of SQLite, each family of executions in a transaction of its own."""

# ruff: noqa: S608 - only our own words are put together to statements; values are bound

import json
from collections.abc import Iterable, Mapping
from typing import Final

from assent.store.file import SqliteFile
from assent.store.inbox import UNFINISHED
from assent.store.retention import Family, Forgotten
from assent.store.writer import Transaction

# A mandate is granted by an execution that has long ended when the last action draws on it.
IN_FORCE: Final = (
    "EXISTS (SELECT 1 FROM approvals WHERE execution_id = one.id AND status = 'granted' AND json_valid(request)"
    " AND request ->> '$.kind' = 'mandate' AND request ->> '$.terms.until' >= :before)"
)
MUST_STAY: Final = f"(one.{UNFINISHED} OR one.updated_at >= :before OR {IN_FORCE})"
FAMILY: Final = (
    "WITH RECURSIVE family (id) AS (SELECT {root} UNION"
    " SELECT executions.id FROM executions JOIN family ON parent_id = family.id)"
)
MEMBERS: Final = FAMILY.format(root=":root") + (
    f" SELECT one.id, {MUST_STAY} FROM family JOIN executions AS one USING (id) ORDER BY one.id <> :root"
)
# Roots are those that were started by nobody who is still known.
OUTDATED: Final = f"""
    SELECT root.id FROM executions AS root
    WHERE created_at < :before AND NOT root.{UNFINISHED} AND updated_at < :before
        AND (parent_id IS NULL OR NOT EXISTS (SELECT 1 FROM executions WHERE id = root.parent_id))
        AND NOT EXISTS (
            {FAMILY.format(root="root.id")} SELECT 1 FROM family JOIN executions AS one USING (id) WHERE {MUST_STAY}
        )
    ORDER BY created_at, id LIMIT :limit
"""

THESE: Final = "(SELECT value FROM json_each(?))"
OF_EXECUTIONS: Final = f"WHERE execution_id IN {THESE}"
OF_APPROVALS: Final = f"WHERE approval_id IN (SELECT id FROM approvals {OF_EXECUTIONS})"
OF_MANDATES: Final = f"WHERE key IN (SELECT 'mandate:' || id FROM approvals {OF_EXECUTIONS})"
# In this order no row ever refers to one that is gone.
DEPENDENT: Final = (
    f"verdicts {OF_APPROVALS}",
    f"views {OF_APPROVALS}",
    f"notices {OF_APPROVALS}",
    f"holds {OF_MANDATES}",
    f"spans {OF_MANDATES}",
    f"inbox {OF_EXECUTIONS}",
    f"sealed {OF_EXECUTIONS}",
)

REFERS: Final = "substr({0}, 1, 8) = '@sha256:'"
REFERENCES: Final = f"""
    SELECT substr(value, 9) FROM journal WHERE seq > :seq AND {REFERS.format("value")} UNION
    SELECT substr(arguments, 9) FROM journal WHERE seq > :seq AND {REFERS.format("arguments")} UNION
    SELECT substr(arguments, 9) FROM executions WHERE {REFERS.format("arguments")}
"""


class SqliteRetention(SqliteFile):
    """Forgetting, in all tables that know of executions."""

    async def outdated(self, before: float, limit: int = 100) -> list[Family]:
        roots = self._read(OUTDATED, before=before, limit=limit)
        return [tuple(row[0] for row in self._read(MEMBERS, root=root, before=before)) for (root,) in roots]

    async def forget(self, family: Mapping[str, int], before: float) -> Forgotten | None:
        return await self._writer.put(_forget, dict(family), before)

    async def sweep(self) -> int:
        # Going through the whole journal takes too long for a transaction, and old events do not come to refer to
        # anything. So it is done outside, and then only what came meanwhile is looked at in the transaction.
        (seq,) = self._read("SELECT coalesce(max(seq), 0) FROM journal")[0]
        kept = {digest for (digest,) in self._read(REFERENCES, seq=0)}
        idle = [digest for (digest,) in self._read("SELECT digest FROM blobs") if digest not in kept]
        return await self._writer.put(_drop, idle, seq) if idle else 0


def _forget(family: Mapping[str, int], before: float, transaction: Transaction) -> Forgotten | None:
    members = transaction.execute(MEMBERS, {"root": next(iter(family), ""), "before": before}).fetchall()
    may_go = {each for each, must_stay in members if not must_stay} == family.keys() and len(members) == len(family)
    if not may_go or any(_last_event(each, transaction) > seq for each, seq in family.items()):
        return None
    these = (_listed(family),)
    for each in DEPENDENT:
        transaction.execute(f"DELETE FROM {each}", these)
    approvals = transaction.execute(f"DELETE FROM approvals {OF_EXECUTIONS}", these).rowcount
    events = transaction.execute(f"DELETE FROM journal {OF_EXECUTIONS}", these).rowcount
    executions = transaction.execute(f"DELETE FROM executions WHERE id IN {THESE}", these).rowcount
    return Forgotten(executions, events, approvals)


def _last_event(execution_id: str, transaction: Transaction) -> int:
    found = transaction.execute("SELECT max(seq) FROM journal WHERE execution_id = ?", (execution_id,)).fetchone()
    return int(found[0] or 0)


def _drop(idle: Iterable[str], seq: int, transaction: Transaction) -> int:
    sql = f"DELETE FROM blobs WHERE digest IN (SELECT value FROM json_each(:idle)) AND digest NOT IN ({REFERENCES})"
    return transaction.execute(sql, {"idle": _listed(idle), "seq": seq}).rowcount


def _listed(ids: Iterable[str]) -> str:
    return json.dumps(list(ids))
