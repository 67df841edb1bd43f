package store

import "context"

// Sweep removes what is over and nobody will ask for again: sessions, links, steps, browsers and counts of guesses. It may run
// in several processes.
func (s *Store) Sweep(ctx context.Context) error {
	now := s.millis()
	for statement, before := range map[string]int64{
		`DELETE FROM sessions WHERE expires < ?`:        now,
		`DELETE FROM sessions WHERE last_seen < ?`:      now - SessionIdle.Milliseconds(),
		`DELETE FROM links WHERE expires < ?`:           now,
		`DELETE FROM steps WHERE expires < ?`:           now,
		`DELETE FROM known_browsers WHERE last_use < ?`: now - BrowserLife.Milliseconds(),
		`DELETE FROM guesses WHERE since < ?`:           now - passwordDaily.window.Milliseconds(),
	} {
		err := s.write(ctx, func(t *tx) error { return t.exec(statement, before) })
		if err != nil {
			return err
		}
	}
	return nil
}
