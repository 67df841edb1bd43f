-- A person asks for refusals and changes among many answers that let in, which cost nothing for these.
CREATE INDEX history_own_refused ON history (user, t) WHERE action = 'get' AND value = 'off';
CREATE INDEX history_own_changes ON history (user, t) WHERE action <> 'get';
