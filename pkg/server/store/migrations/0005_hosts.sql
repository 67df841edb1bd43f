-- A person's own name for a paired service.
ALTER TABLE pairings ADD COLUMN own_name TEXT NOT NULL DEFAULT '';

-- The code itself, sealed, so that the person's page can show it until it expires.
ALTER TABLE codes ADD COLUMN sealed BLOB NOT NULL DEFAULT x'';

-- Who asked for a one-time token, and when it was typed.
ALTER TABLE tokens ADD COLUMN ip TEXT NOT NULL DEFAULT '';
ALTER TABLE tokens ADD COLUMN context TEXT;
ALTER TABLE tokens ADD COLUMN used INTEGER;

-- What hosts ask to pair, until somebody who opens the link has decided. digest is a keyed one of what the link holds.
-- States: 0 waiting, 1 confirmed, 2 refused.
CREATE TABLE pair_requests (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    request_id TEXT NOT NULL UNIQUE,
    digest     BLOB NOT NULL UNIQUE,
    app        INTEGER NOT NULL,
    subject    TEXT NOT NULL,
    host       TEXT NOT NULL,
    host_user  TEXT NOT NULL,
    ip         TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    created    INTEGER NOT NULL,
    expires    INTEGER NOT NULL,
    state      INTEGER NOT NULL DEFAULT 0,
    user       INTEGER,
    account_id TEXT NOT NULL DEFAULT '',
    known      INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX pair_requests_expires ON pair_requests (expires);

-- TOTPs that people enrolled themselves: for each at most one that a code has proven, and one that waits for that.
-- expires 0 is never.
CREATE TABLE own_totps (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    user      INTEGER NOT NULL REFERENCES users (id),
    proven    INTEGER NOT NULL DEFAULT 0,
    sealed    BLOB NOT NULL,
    last_step INTEGER NOT NULL DEFAULT 0,
    created   INTEGER NOT NULL,
    expires   INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX own_totps_user ON own_totps (user, proven);
