-- Who did what, from where; written in the transaction of the act. detail is a JSON object of strings, '' for none.
CREATE TABLE audit (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    t      INTEGER NOT NULL,
    via    TEXT NOT NULL,
    actor  TEXT NOT NULL,
    ip     TEXT NOT NULL,
    act    TEXT NOT NULL,
    target TEXT NOT NULL,
    detail TEXT NOT NULL DEFAULT ''
);

-- A picture of an application: PNG, made anew from what was uploaded.
CREATE TABLE pictures (
    app    INTEGER PRIMARY KEY REFERENCES applications (id),
    digest TEXT NOT NULL,
    png    BLOB NOT NULL
);

-- Answers per day (days since 1970 UTC) and application. They outlive the history that they were counted from.
CREATE TABLE tallies (
    day     INTEGER NOT NULL,
    app     INTEGER NOT NULL,
    opened  INTEGER NOT NULL DEFAULT 0,
    refused INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (day, app)
) WITHOUT ROWID;

-- How far the history was counted and both were logged: the greatest id. What is there already is not logged again.
CREATE TABLE marks (
    name TEXT PRIMARY KEY,
    id   INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO marks (name, id) SELECT 'logged history', coalesce(max(id), 0) FROM history;
INSERT INTO marks (name, id) VALUES ('logged audit', 0), ('tallied', 0);

-- The other answers cost nothing for it.
CREATE INDEX history_refused ON history (id) WHERE action = 'get' AND value = 'off';

-- secrets_live leaves out a secret that ends later.
CREATE INDEX secrets_app ON secrets (app);

-- For counting people: it is read in the order of users, without the pairings themselves.
CREATE INDEX pairings_live ON pairings (user, app) WHERE unpaired IS NULL;
CREATE INDEX users_removed ON users (id) WHERE removed IS NOT NULL;
