-- A person's codes of other services, encrypted in their browser: the server cannot read them. version counts the changes.
CREATE TABLE vaults (
    user    INTEGER PRIMARY KEY REFERENCES users (id),
    version INTEGER NOT NULL,
    sealed  BLOB NOT NULL,
    changed INTEGER NOT NULL
);
