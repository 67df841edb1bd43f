-- Times are milliseconds since 1970 UTC. Modes: 0 DISABLED, 1 OPT_IN, 2 MANDATORY.
-- A sealed column opens only with secret.key and only in its own row.

CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE api_users (
    id      INTEGER PRIMARY KEY,
    user_id TEXT NOT NULL UNIQUE,
    name    TEXT NOT NULL UNIQUE,
    sealed  BLOB NOT NULL,
    created INTEGER NOT NULL
);

CREATE TABLE applications (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    app_id          TEXT NOT NULL UNIQUE,
    owner           INTEGER,
    name            TEXT NOT NULL,
    image_url       TEXT NOT NULL DEFAULT '',
    contact_email   TEXT NOT NULL DEFAULT '',
    contact_phone   TEXT NOT NULL DEFAULT '',
    two_factor      INTEGER NOT NULL DEFAULT 0,
    lock_on_request INTEGER NOT NULL DEFAULT 0,
    open_by_api     INTEGER NOT NULL DEFAULT 0,
    pair_by_name    INTEGER NOT NULL DEFAULT 0,
    created         INTEGER NOT NULL,
    removed         INTEGER
);

CREATE TABLE secrets (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    app      INTEGER NOT NULL REFERENCES applications (id),
    name     TEXT NOT NULL,
    sealed   BLOB NOT NULL,
    created  INTEGER NOT NULL,
    last_use INTEGER NOT NULL DEFAULT 0,
    revoked  INTEGER
);
CREATE UNIQUE INDEX secrets_live ON secrets (app, name) WHERE revoked IS NULL;

CREATE TABLE operations (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    op_id           TEXT NOT NULL UNIQUE,
    app             INTEGER NOT NULL REFERENCES applications (id),
    parent          INTEGER REFERENCES operations (id) ON DELETE CASCADE,
    name            TEXT NOT NULL,
    two_factor      INTEGER NOT NULL DEFAULT 0,
    lock_on_request INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX operations_app ON operations (app);
CREATE INDEX operations_parent ON operations (parent);

-- A removed user keeps the row: the accounts that point at it must read closed for ever.
CREATE TABLE users (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    name     TEXT NOT NULL,
    created  INTEGER NOT NULL,
    disabled INTEGER,
    removed  INTEGER
);
CREATE UNIQUE INDEX users_name ON users (name) WHERE removed IS NULL;

CREATE TABLE codes (
    digest  BLOB PRIMARY KEY,
    user    INTEGER NOT NULL REFERENCES users (id),
    expires INTEGER NOT NULL
) WITHOUT ROWID;

-- id is made from a hash of account_id: a status request finds its row without a second index.
-- two_factor and lock_on_request are the person's own choice where the application leaves it open.
CREATE TABLE pairings (
    id              INTEGER PRIMARY KEY,
    account_id      TEXT NOT NULL,
    app             INTEGER NOT NULL,
    user            INTEGER NOT NULL,
    status          INTEGER NOT NULL DEFAULT 1,
    two_factor      INTEGER NOT NULL DEFAULT 0,
    lock_on_request INTEGER NOT NULL DEFAULT 0,
    common_name     TEXT NOT NULL DEFAULT '',
    paired          INTEGER NOT NULL,
    changed         INTEGER NOT NULL,
    unpaired        INTEGER
);
CREATE UNIQUE INDEX pairings_user ON pairings (user, app);

-- State of one operation for one account; no row means open.
CREATE TABLE latches (
    pairing         INTEGER NOT NULL,
    operation       INTEGER NOT NULL,
    status          INTEGER NOT NULL DEFAULT 1,
    two_factor      INTEGER NOT NULL DEFAULT 0,
    lock_on_request INTEGER NOT NULL DEFAULT 0,
    changed         INTEGER NOT NULL,
    PRIMARY KEY (pairing, operation)
) WITHOUT ROWID;

CREATE TABLE instances (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    instance_id     TEXT NOT NULL UNIQUE,
    pairing         INTEGER NOT NULL,
    operation       INTEGER NOT NULL DEFAULT 0,
    name            TEXT NOT NULL,
    two_factor      INTEGER NOT NULL DEFAULT 0,
    lock_on_request INTEGER NOT NULL DEFAULT 0,
    status          INTEGER NOT NULL DEFAULT 1,
    changed         INTEGER NOT NULL
);
CREATE INDEX instances_pairing ON instances (pairing, operation);

-- node is the public id of the application, operation or instance that was asked for.
CREATE TABLE tokens (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    pairing INTEGER NOT NULL,
    node    TEXT NOT NULL,
    sealed  BLOB NOT NULL,
    message TEXT NOT NULL DEFAULT '',
    made    INTEGER NOT NULL
);
CREATE INDEX tokens_pairing ON tokens (pairing, made);

CREATE TABLE totps (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    totp_id     TEXT NOT NULL UNIQUE,
    app         INTEGER NOT NULL,
    user_id     TEXT NOT NULL,
    common_name TEXT NOT NULL,
    sealed      BLOB NOT NULL,
    last_step   INTEGER NOT NULL DEFAULT 0,
    created     INTEGER NOT NULL
);

CREATE TABLE controls (
    id         INTEGER PRIMARY KEY,
    control_id TEXT NOT NULL UNIQUE,
    app        INTEGER NOT NULL,
    name       TEXT NOT NULL,
    status     INTEGER NOT NULL DEFAULT 1,
    created    INTEGER NOT NULL
);

-- Wrong guesses in the current window, by what was guessed at and by whom.
CREATE TABLE guesses (
    subject TEXT PRIMARY KEY,
    since   INTEGER NOT NULL,
    count   INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE history (
    id         INTEGER PRIMARY KEY,
    user       INTEGER NOT NULL,
    pairing    INTEGER NOT NULL,
    app        INTEGER NOT NULL,
    t          INTEGER NOT NULL,
    action     TEXT NOT NULL,
    what       TEXT NOT NULL,
    value      TEXT NOT NULL,
    was        TEXT NOT NULL,
    name       TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    ip         TEXT NOT NULL,
    silent     INTEGER NOT NULL DEFAULT 0,
    context    TEXT
);
CREATE INDEX history_user ON history (user, t);
