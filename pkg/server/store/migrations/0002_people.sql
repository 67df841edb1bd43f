-- Who signs in at the pages, and with what. Roles: 0 person, 1 auditor, 2 admin.
-- lost: the person said so; only a recovery code or an admin's link brings them back. welcomed: the first run was finished.

ALTER TABLE users ADD COLUMN role INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN display_name TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN language TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN email TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN lost INTEGER;
ALTER TABLE users ADD COLUMN welcomed INTEGER;

CREATE TABLE passwords (
    user    INTEGER PRIMARY KEY REFERENCES users (id),
    phc     TEXT NOT NULL,
    changed INTEGER NOT NULL
);

-- The authenticator app that is the second step of signing in at the pages.
CREATE TABLE second_steps (
    user      INTEGER PRIMARY KEY REFERENCES users (id),
    sealed    BLOB NOT NULL,
    last_step INTEGER NOT NULL,
    created   INTEGER NOT NULL
);

CREATE TABLE recovery_codes (
    user   INTEGER NOT NULL REFERENCES users (id),
    digest BLOB NOT NULL,
    used   INTEGER,
    PRIMARY KEY (user, digest)
) WITHOUT ROWID;

-- credential is what the WebAuthn library keeps of it, as JSON: a public key and counters, no secret.
CREATE TABLE passkeys (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    credential_id BLOB NOT NULL UNIQUE,
    user          INTEGER NOT NULL REFERENCES users (id),
    name          TEXT NOT NULL,
    credential    TEXT NOT NULL,
    created       INTEGER NOT NULL,
    last_use      INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX passkeys_user ON passkeys (user);

-- strong: a second factor was shown. proved: when a factor was last shown, for what asks again.
CREATE TABLE sessions (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    digest     BLOB NOT NULL UNIQUE,
    user       INTEGER NOT NULL REFERENCES users (id),
    created    INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL,
    expires    INTEGER NOT NULL,
    proved     INTEGER NOT NULL,
    strong     INTEGER NOT NULL,
    address    TEXT NOT NULL,
    user_agent TEXT NOT NULL
);
CREATE INDEX sessions_user ON sessions (user);

-- Browsers in which somebody signed in before: strangers' wrong guesses do not slow them down.
CREATE TABLE known_browsers (
    digest   BLOB NOT NULL,
    user     INTEGER NOT NULL REFERENCES users (id),
    last_use INTEGER NOT NULL,
    PRIMARY KEY (user, digest)
) WITHOUT ROWID;

-- Links that work once.
CREATE TABLE links (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    digest  BLOB NOT NULL UNIQUE,
    purpose TEXT NOT NULL,
    user    INTEGER NOT NULL DEFAULT 0,
    data    TEXT NOT NULL DEFAULT '',
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL
);
CREATE INDEX links_user ON links (user, purpose);

-- What one browser is in the middle of: the second step, a passkey's challenge, a new authenticator. sealed holds its state.
CREATE TABLE steps (
    digest  BLOB PRIMARY KEY,
    purpose TEXT NOT NULL,
    user    INTEGER NOT NULL,
    sealed  BLOB NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL
) WITHOUT ROWID;
