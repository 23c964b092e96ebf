-- Processes that drive executions. A row is a lease: while it exists, what it owns is its own.
CREATE TABLE workers (
    id          TEXT PRIMARY KEY,
    host        TEXT NOT NULL,
    pid         INTEGER NOT NULL,
    started_at  REAL NOT NULL,
    expires_at  REAL NOT NULL,
    workflows   TEXT NOT NULL
) STRICT;

-- The head of each journal: what the execution is, where it stands, who drives it and when it is due.
CREATE TABLE executions (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    version     INTEGER NOT NULL,
    arguments   TEXT NOT NULL,
    digest      TEXT NOT NULL,
    requester   TEXT,
    parent_id   TEXT,
    created_at  REAL NOT NULL,
    status      TEXT NOT NULL CHECK (
        status IN ('pending', 'running', 'suspended', 'in_doubt', 'completed', 'failed', 'cancelled')
    ),
    updated_at  REAL NOT NULL,
    wake_at     REAL,
    owner       TEXT,
    waits       TEXT NOT NULL,
    cause       TEXT
) STRICT;

-- Only free executions that may come due are in it: claiming costs the same with ten and with a million parked ones.
CREATE INDEX executions_due ON executions (name, version, wake_at) WHERE owner IS NULL AND wake_at IS NOT NULL;
CREATE INDEX executions_owned ON executions (owner) WHERE owner IS NOT NULL;
-- Not with the id, which would make it three times as large: few are created at the same moment.
CREATE INDEX executions_newest ON executions (created_at);
CREATE INDEX executions_children ON executions (parent_id) WHERE parent_id IS NOT NULL;

-- What happened, in the order in which it happened. Rows are added and never touched again.
-- AUTOINCREMENT: a number is never given twice, so that a removed last row leaves a gap. No foreign key: it is the
-- hot path, and an execution is never deleted.
CREATE TABLE journal (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    execution_id TEXT NOT NULL,
    type         TEXT NOT NULL,
    at           REAL NOT NULL,
    op           INTEGER,
    name         TEXT,
    attempt      INTEGER,
    started_at   REAL,
    arguments    TEXT,
    value        TEXT
) STRICT;
CREATE INDEX journal_of ON journal (execution_id);

-- Word to executions from outside, until their owner has dealt with it.
CREATE TABLE inbox (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    execution_id TEXT NOT NULL REFERENCES executions (id),
    kind         TEXT NOT NULL,
    name         TEXT NOT NULL,
    value        TEXT NOT NULL,
    sender       TEXT,
    at           REAL NOT NULL
) STRICT;
CREATE INDEX inbox_of ON inbox (execution_id);

-- Requests to people.
CREATE TABLE approvals (
    id           TEXT PRIMARY KEY,
    execution_id TEXT NOT NULL REFERENCES executions (id),
    request      TEXT NOT NULL,
    digest       TEXT NOT NULL,
    status       TEXT NOT NULL CHECK (status IN ('pending', 'granted', 'rejected', 'expired', 'withdrawn')),
    version      INTEGER NOT NULL,
    created_at   REAL NOT NULL,
    expires_at   REAL,
    decided_at   REAL
) STRICT;
CREATE INDEX approvals_of ON approvals (execution_id);
CREATE INDEX approvals_oldest ON approvals (status, created_at);

-- What people said, whether it counts or not.
CREATE TABLE verdicts (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    approval_id TEXT NOT NULL REFERENCES approvals (id),
    approver    TEXT NOT NULL,
    decision    TEXT NOT NULL,
    reason      TEXT NOT NULL,
    at          REAL NOT NULL,
    refusal     TEXT
) STRICT;
CREATE INDEX verdicts_on ON verdicts (approval_id);

-- Permits that were taken up. The primary key is what makes a second use impossible.
CREATE TABLE permits (
    id            TEXT PRIMARY KEY,
    execution_id  TEXT NOT NULL,
    action_digest TEXT NOT NULL,
    at            REAL
) STRICT;

-- Large values, once each, by their digest.
CREATE TABLE blobs (
    digest TEXT PRIMARY KEY,
    text   TEXT NOT NULL
) STRICT;

-- Values that are kept only while their execution runs. `op` is -1 for the arguments.
CREATE TABLE sealed (
    execution_id TEXT NOT NULL,
    op           INTEGER NOT NULL,
    text         TEXT NOT NULL,
    PRIMARY KEY (execution_id, op)
) STRICT;

-- Token buckets: the moment at which each will be full again, in nanoseconds. A bucket that is full needs no row.
CREATE TABLE buckets (
    key     TEXT PRIMARY KEY,
    full_at INTEGER NOT NULL
) STRICT;
