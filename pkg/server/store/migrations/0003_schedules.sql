-- What else decides a latch's state, the same columns wherever a state is kept: until is the end of a timed opening, switched the last act of the
-- person that wrote the state (0: something else did), schedule the weekly windows as pkg/server/schedule writes them, scheduled when they were
-- set, held whether they are suspended.
ALTER TABLE pairings ADD COLUMN cause TEXT NOT NULL DEFAULT 'hand';
ALTER TABLE pairings ADD COLUMN until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pairings ADD COLUMN switched INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pairings ADD COLUMN schedule TEXT NOT NULL DEFAULT '';
ALTER TABLE pairings ADD COLUMN scheduled INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pairings ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
ALTER TABLE latches ADD COLUMN cause TEXT NOT NULL DEFAULT 'hand';
ALTER TABLE latches ADD COLUMN until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE latches ADD COLUMN switched INTEGER NOT NULL DEFAULT 0;
ALTER TABLE latches ADD COLUMN schedule TEXT NOT NULL DEFAULT '';
ALTER TABLE latches ADD COLUMN scheduled INTEGER NOT NULL DEFAULT 0;
ALTER TABLE latches ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
ALTER TABLE instances ADD COLUMN cause TEXT NOT NULL DEFAULT 'hand';
ALTER TABLE instances ADD COLUMN until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE instances ADD COLUMN switched INTEGER NOT NULL DEFAULT 0;
ALTER TABLE instances ADD COLUMN schedule TEXT NOT NULL DEFAULT '';
ALTER TABLE instances ADD COLUMN scheduled INTEGER NOT NULL DEFAULT 0;
ALTER TABLE instances ADD COLUMN held INTEGER NOT NULL DEFAULT 0;

-- What a person's act on latches replaced, for as long as it can be taken back.
CREATE TABLE switches (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    user   INTEGER NOT NULL,
    made   INTEGER NOT NULL,
    before TEXT NOT NULL
);
CREATE INDEX switches_user ON switches (user);

-- Of whom something changed that leaves no line in the history: whoever watches looks for numbers above those it knows.
-- user 0 is everybody.
CREATE TABLE touched (
    user   INTEGER PRIMARY KEY,
    number INTEGER NOT NULL
);
CREATE INDEX touched_number ON touched (number);
