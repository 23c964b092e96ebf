-- People who decide, as far as they are known here.
CREATE TABLE people (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    roles       TEXT,
    contacts    TEXT,
    created_at  REAL NOT NULL,
    disabled_at REAL,
    access      TEXT NOT NULL
) STRICT;

-- Who stands in for whom, and until when. Few rows, read all at once.
CREATE TABLE delegations (
    id        TEXT PRIMARY KEY,
    delegator TEXT NOT NULL,
    delegate  TEXT NOT NULL,
    since     REAL NOT NULL,
    until     REAL NOT NULL,
    is_away   INTEGER NOT NULL,
    reason    TEXT NOT NULL,
    ended_at  REAL
) STRICT;

-- Requests to people. The table of version 1 is made anew, because it allows fewer states.
CREATE TABLE approvals_2 (
    id           TEXT PRIMARY KEY,
    execution_id TEXT NOT NULL REFERENCES executions (id),
    request      TEXT NOT NULL,
    digest       TEXT NOT NULL,
    status       TEXT NOT NULL CHECK (
        status IN ('pending', 'granted', 'rejected', 'expired', 'withdrawn', 'amended', 'revoked')
    ),
    version      INTEGER NOT NULL,
    created_at   REAL NOT NULL,
    expires_at   REAL,
    decided_at   REAL,
    channels     TEXT,
    used_by      TEXT,
    -- When those who may decide now are first reminded, and when they are to be seen to have let it wait for too long.
    reminded_at  REAL GENERATED ALWAYS AS (
        CASE WHEN json_valid(request) THEN round(
            coalesce(CAST(request ->> '$.escalated_at' AS REAL), created_at)
            + CAST(request ->> '$.reminders[0]' AS REAL), 3
        ) END
    ) STORED,
    overdue_at   REAL GENERATED ALWAYS AS (
        CASE WHEN json_valid(request) THEN min(
            coalesce(reminded_at, 9e99),
            coalesce(CAST(request ->> '$.escalated_at' AS REAL), created_at) + coalesce(
                0.75 * (expires_at - coalesce(CAST(request ->> '$.escalated_at' AS REAL), created_at)), 86400.0
            )
        ) END
    ) STORED
) STRICT;
INSERT INTO approvals_2 (id, execution_id, request, digest, status, version, created_at, expires_at, decided_at)
    SELECT id, execution_id, request, digest, status, version, created_at, expires_at, decided_at
    FROM approvals ORDER BY rowid;
DROP TABLE approvals;
ALTER TABLE approvals_2 RENAME TO approvals;
CREATE INDEX approvals_of ON approvals (execution_id);
CREATE INDEX approvals_oldest ON approvals (status, created_at);

-- What waits for too long is found without reading what else is pending.
CREATE INDEX approvals_waiting ON approvals (created_at, overdue_at, expires_at) WHERE status = 'pending';

-- Evaluations that came out as denials are few, and are counted. The text is looked for before it is parsed.
CREATE INDEX journal_denials ON journal (at) WHERE type = 'policy.evaluated' AND instr(value, '"deny"') > 0;

-- Only mandates are in it: every governed action asks for those that are in force, and most stores have none.
CREATE INDEX approvals_mandates ON approvals (request ->> '$.action', request ->> '$.terms.until')
    WHERE json_valid(request) AND request ->> '$.kind' = 'mandate';

-- Which permit took up an approval was kept in the journal alone.
UPDATE approvals SET used_by = used.permit FROM (
    SELECT asked.value AS approval_id, min(journal.value ->> '$.permit') AS permit
    FROM journal, json_each(CASE WHEN json_valid(journal.value) THEN journal.value END, '$.approvals') AS asked
    WHERE journal.type = 'permit.consumed'
    GROUP BY asked.value
) AS used WHERE approvals.id = used.approval_id;

-- In which trace of its caller's an execution was started.
ALTER TABLE executions ADD COLUMN traceparent TEXT;

ALTER TABLE verdicts ADD COLUMN seat TEXT NOT NULL DEFAULT '';
ALTER TABLE verdicts ADD COLUMN changes TEXT;
ALTER TABLE verdicts ADD COLUMN conditions TEXT;
ALTER TABLE verdicts ADD COLUMN shown_at REAL;

-- Who saw which approval, and when first.
CREATE TABLE views (
    approval_id TEXT NOT NULL,
    person_id   TEXT NOT NULL,
    at          REAL NOT NULL,
    PRIMARY KEY (approval_id, person_id)
) STRICT, WITHOUT ROWID;

-- What permits have drawn on budgets and mandates, in millionths. `span` is the stretch of time in which it was.
CREATE TABLE holds (
    permit_id  TEXT NOT NULL,
    key        TEXT NOT NULL,
    span       INTEGER NOT NULL,
    at         REAL NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('held', 'spent', 'released')),
    amount     INTEGER NOT NULL CHECK (amount >= 0),
    on_failure TEXT NOT NULL,
    PRIMARY KEY (permit_id, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX holds_under ON holds (key, span, at, state, amount);

-- The sums of all holds under a key in one stretch of time, so that nobody has to add up the holds of a whole month.
CREATE TABLE spans (
    key   TEXT NOT NULL,
    span  INTEGER NOT NULL,
    held  INTEGER NOT NULL,
    spent INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (key, span)
) STRICT, WITHOUT ROWID;

-- Messages to people that are to be sent, and what became of them.
CREATE TABLE notices (
    seq         INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    approval_id TEXT NOT NULL,
    channel     TEXT NOT NULL,
    topic       TEXT NOT NULL,
    recipient   TEXT NOT NULL,
    created_at  REAL NOT NULL,
    due_at      REAL NOT NULL,
    attempts    INTEGER NOT NULL,
    status      TEXT NOT NULL CHECK (status IN ('pending', 'sent', 'dead', 'skipped')),
    error       TEXT,
    receipt     TEXT
) STRICT;
CREATE INDEX notices_about ON notices (approval_id);

-- Only what is still to be sent is in it: looking for work costs the same however much was sent before.
CREATE INDEX notices_due ON notices (channel, due_at) WHERE status = 'pending';

-- The few that are not sent are found without reading all that were.
CREATE INDEX notices_unsent ON notices (status) WHERE status <> 'sent';

-- What people and programs show in order to be let in; of their secrets there are only digests.
CREATE TABLE credentials (
    id           TEXT PRIMARY KEY,
    kind         TEXT NOT NULL CHECK (kind IN ('token', 'session', 'ticket', 'link', 'message')),
    digest       TEXT NOT NULL UNIQUE,
    person       TEXT NOT NULL,
    scopes       TEXT,
    name         TEXT NOT NULL,
    approval_id  TEXT,
    created_at   REAL NOT NULL,
    expires_at   REAL,
    last_seen_at REAL,
    used_at      REAL,
    revoked_at   REAL
) STRICT;
CREATE INDEX credentials_expiring ON credentials (expires_at);

-- Random bytes that sign what this store gives out, each made once.
CREATE TABLE secrets (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;

-- Small texts that belong to no execution, by shelf and key. `seq` tells the order in which they were last
-- written, `size` the bytes of `text`.
CREATE TABLE cells (
    seq        INTEGER PRIMARY KEY,
    shelf      TEXT NOT NULL,
    key        TEXT NOT NULL,
    text       TEXT NOT NULL,
    version    INTEGER NOT NULL,
    written_at REAL NOT NULL,
    expires_at REAL,
    size       INTEGER NOT NULL,
    UNIQUE (shelf, key)
) STRICT;

-- The last written of a shelf, and how much there is on it, without a look at the texts.
CREATE INDEX cells_written ON cells (shelf, seq, size);
CREATE INDEX cells_expiring ON cells (expires_at) WHERE expires_at IS NOT NULL;
