package main

import (
	"context"
	"time"

	"github.com/latch-linux/latch/pkg/server/store"
)

// How often the database is looked after.
const (
	timersEvery = 15 * time.Second // schedules change at whole minutes
	tallyEvery  = time.Minute
	retainEvery = time.Hour
)

// upkeep writes down what latches did by themselves, counts the answers, and removes what the settings say is too old and what nobody will ask for again, until ctx is
// done. Several processes may do so at once.
func upkeep(ctx context.Context, s store.Backend, problem func(error)) {
	ctx = store.WithActor(ctx, store.Actor{Via: store.ViaServer})
	tasks := []struct {
		every time.Duration
		run   func(context.Context) error
		due   time.Time
	}{
		{every: timersEvery, run: s.RecordTimers},
		{every: tallyEvery, run: s.RecordSchedules},
		{every: tallyEvery, run: s.Tally},
		{every: retainEvery, run: s.Retain},
		{every: retainEvery, run: s.Sweep},
		{every: retainEvery, run: s.TidyNotices},
	}
	for tick := time.NewTicker(timersEvery); ; {
		for i := range tasks {
			task := &tasks[i]
			if time.Now().Before(task.due) {
				continue
			}
			task.due = time.Now().Add(task.every)
			if err := task.run(ctx); err != nil && ctx.Err() == nil {
				problem(err)
			}
		}
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
	}
}
