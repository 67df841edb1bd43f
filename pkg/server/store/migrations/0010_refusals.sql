-- How many equal attempts a line of the history stands for: refused ones are summed up, see store/refusals.go.
ALTER TABLE history ADD COLUMN count INTEGER NOT NULL DEFAULT 1;
