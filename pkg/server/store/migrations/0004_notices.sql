-- What people are told of attempts and changes, and where.

-- The public id of the application, operation or instance; "" in entries of older versions.
ALTER TABLE history ADD COLUMN node TEXT NOT NULL DEFAULT '';

-- Notices are derived from the history: everything up to this entry has been looked at.
INSERT INTO settings (name, value) SELECT 'notice_cursor', CAST(coalesce(max(id), 0) AS TEXT) FROM history;

-- Where notices go: a person's (user) or, for kind webhook, an application's (app). sealed holds the settings, as JSON; digest finds a
-- browser that subscribes again. failing: since when it fails, 0 when it works. given_up: nothing is sent any more.
CREATE TABLE notice_channels (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    user     INTEGER NOT NULL DEFAULT 0,
    app      INTEGER NOT NULL DEFAULT 0,
    kind     TEXT NOT NULL,
    label    TEXT NOT NULL,
    sealed   BLOB NOT NULL,
    digest   BLOB NOT NULL,
    created  INTEGER NOT NULL,
    last_ok  INTEGER NOT NULL DEFAULT 0,
    failing  INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    problem  TEXT NOT NULL DEFAULT '',
    next_try INTEGER NOT NULL DEFAULT 0,
    lease    INTEGER NOT NULL DEFAULT 0,
    given_up INTEGER
);
CREATE UNIQUE INDEX notice_channels_user ON notice_channels (user, app, kind, digest);
CREATE INDEX notice_channels_app ON notice_channels (app) WHERE app != 0;

-- What a person wants to be told of one latch; no row means everything. node is the public id.
CREATE TABLE notice_rules (
    pairing INTEGER NOT NULL,
    node    TEXT NOT NULL,
    refused INTEGER NOT NULL,
    let_in  INTEGER NOT NULL,
    changes INTEGER NOT NULL,
    quiet   INTEGER NOT NULL,
    PRIMARY KEY (pairing, node)
) WITHOUT ROWID;

-- How often a person was told of one kind of event at one latch (or, with pairing 0, at all) since the window began, and what was held
-- back for the summary at its end.
CREATE TABLE notice_windows (
    user    INTEGER NOT NULL,
    pairing INTEGER NOT NULL,
    node    TEXT NOT NULL,
    kind    TEXT NOT NULL,
    since   INTEGER NOT NULL,
    told    INTEGER NOT NULL,
    held    INTEGER NOT NULL,
    facts   TEXT NOT NULL,
    PRIMARY KEY (user, pairing, node, kind)
) WITHOUT ROWID;
CREATE INDEX notice_windows_since ON notice_windows (since);

-- What was told. sealed is the notice as JSON: its link closes a latch.
CREATE TABLE notices (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    user   INTEGER NOT NULL,
    t      INTEGER NOT NULL,
    sealed BLOB NOT NULL
);
CREATE INDEX notices_user ON notices (user, id);

-- What has still to be delivered, a row for each notice and channel.
CREATE TABLE outbox (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    channel INTEGER NOT NULL,
    notice  INTEGER NOT NULL,
    expires INTEGER NOT NULL
);
CREATE INDEX outbox_channel ON outbox (channel, id);
