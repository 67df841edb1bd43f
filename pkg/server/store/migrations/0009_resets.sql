-- What a reset ends, and what came since the last one. reviewed: the person has looked at everything that was added up to then.
-- reset_at: when the last reset was; a first factor that was one has that time.
-- codes_due: a reset ended the recovery codes, and new ones were not handed out yet. time_zone: IANA name, in which notices
-- give times; '' is UTC.
ALTER TABLE users ADD COLUMN reviewed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN reset_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN codes_due INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN time_zone TEXT NOT NULL DEFAULT '';
ALTER TABLE recovery_codes ADD COLUMN created INTEGER NOT NULL DEFAULT 0;
