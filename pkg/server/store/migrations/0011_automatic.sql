-- What finds the latches that timers and schedules may have changed, among a million that have neither.
CREATE INDEX pairings_timed ON pairings (until) WHERE until > 0;
CREATE INDEX latches_timed ON latches (until) WHERE until > 0;
CREATE INDEX instances_timed ON instances (until) WHERE until > 0;
CREATE INDEX pairings_scheduled ON pairings (user) WHERE schedule <> '';
CREATE INDEX latches_scheduled ON latches (pairing) WHERE schedule <> '';
CREATE INDEX instances_scheduled ON instances (pairing) WHERE schedule <> '';
