package store

import (
	"context"
	"math"
	"strconv"
	"time"
)

// Settings of how many days history and audit log are kept, and how many lines of history; "" or 0 means for ever, or any
// number. An upgrade sets none of them.
const (
	SettingKeepHistory  = "keep_history_days"
	SettingKeepAudit    = "keep_audit_days"
	SettingHistoryLines = "keep_history_lines"
)

// What a new database keeps: a year and a month, and about a gigabyte.
const (
	defaultHistoryDays  = 400
	defaultHistoryLines = 5_000_000
)

// MaxHistoryLines is the largest limit of lines that can be set.
const MaxHistoryLines = 1_000_000_000

// MaxKeepDays is a century, more than any history has.
const MaxKeepDays = 36500

// pruneBatch is how many rows one transaction of Prune looks at: answers wait for it.
const pruneBatch = 500

// prunePause is how long Prune leaves the disk to the answers between two transactions, when nobody waits for it.
const prunePause = 20 * time.Millisecond

// Prune removes what is older than before (milliseconds) from the history, in many short transactions, and returns how many
// entries went. They are counted first, and the newest one stays, so that its id is never given again. The file does not
// shrink; its free pages are used again.
func (s *Store) Prune(ctx context.Context, before int64) (removed int64, err error) {
	return s.prune(ctx, "history", before, 0)
}

// PruneAudit does the same with the audit log.
func (s *Store) PruneAudit(ctx context.Context, before int64) (removed int64, err error) {
	return s.prune(ctx, "audit", before, 0)
}

func (s *Store) prune(ctx context.Context, table string, before int64, pause time.Duration) (removed int64, err error) {
	if err := s.Tally(ctx); err != nil {
		return 0, err
	}
	var from, to int64
	if err := s.reads.get([]any{&from, &to}, `SELECT coalesce(min(id), 0), coalesce(max(id), -1) FROM `+table+` WHERE t < ?`, before); err != nil {
		return 0, err
	}
	removed, err = s.removeLines(ctx, table, from, to, before, pause)
	if err == nil && removed > 0 {
		err = s.Note(ctx, table+".prune", time.UnixMilli(before).UTC().Format(time.RFC3339), map[string]string{"removed": strconv.FormatInt(removed, 10)})
	}
	return removed, err
}

// removeLines removes the rows from from to to (ids, both inclusive) that are older than before, in short transactions with
// pauses between them.
func (s *Store) removeLines(ctx context.Context, table string, from, to, before int64, pause time.Duration) (removed int64, err error) {
	for ; err == nil && from <= to; from += pruneBatch {
		var n int64
		err = s.write(ctx, func(t *tx) error {
			var err error
			n, err = t.change(`DELETE FROM `+table+` WHERE id BETWEEN ? AND ? AND t < ? AND id < (SELECT max(id) FROM `+table+`)`,
				from, min(from+pruneBatch-1, to), before)
			return err
		})
		removed += n
		if n > 0 && pause > 0 {
			select {
			case <-ctx.Done():
				return removed, ctx.Err()
			case <-time.After(pause):
			}
		}
	}
	return removed, err
}

// shortenHistory removes the oldest lines beyond the limit that is set. Ids have few gaps, so their span stands for the number.
func (s *Store) shortenHistory(ctx context.Context) error {
	limit, err := s.KeepDays(SettingHistoryLines)
	if err != nil || limit < 1 {
		return err
	}
	var from, top int64
	if err := s.reads.get([]any{&from, &top}, `SELECT coalesce(min(id), 0), coalesce(max(id), -1) FROM history`); err != nil || top-from < int64(limit) {
		return err
	}
	if err := s.Tally(ctx); err != nil {
		return err
	}
	removed, err := s.removeLines(ctx, "history", from, top-int64(limit), math.MaxInt64, prunePause)
	if err == nil && removed > 0 {
		err = s.Note(ctx, "history.prune", strconv.Itoa(limit), map[string]string{"removed": strconv.FormatInt(removed, 10)})
	}
	return err
}

// KeepDays returns a setting of days or lines, 0 for no limit.
func (s *Store) KeepDays(setting string) (int, error) {
	text, err := s.Setting(setting)
	if err != nil || text == "" {
		return 0, err
	}
	return strconv.Atoi(text)
}

// Retain removes what the settings say is too old, in short transactions with pauses between them.
func (s *Store) Retain(ctx context.Context) error {
	if err := s.shortenHistory(ctx); err != nil {
		return err
	}
	for setting, table := range map[string]string{SettingKeepHistory: "history", SettingKeepAudit: "audit"} {
		days, err := s.KeepDays(setting)
		if err != nil {
			return err
		}
		if days < 1 {
			continue
		}
		if _, err := s.prune(ctx, table, s.now().AddDate(0, 0, -days).UnixMilli(), prunePause); err != nil {
			return err
		}
	}
	return nil
}
