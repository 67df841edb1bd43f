package store

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
)

// BenchmarkStatus asks for random accounts, 32 callers at a time, each answer on disk before the
// next question. LATCH_BENCH_ACCOUNTS sets how many accounts there are (default 1000).
func BenchmarkStatus(b *testing.B) {
	accounts := 1000
	if n, err := strconv.Atoi(os.Getenv("LATCH_BENCH_ACCOUNTS")); err == nil {
		accounts = n
	}
	dir := b.TempDir()
	if err := Create(dir); err != nil {
		b.Fatal(err)
	}
	s, err := Open(dir, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	app, _, err := s.AddApplication(context.Background(), Application{Name: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	ids := fill(b, s, app, accounts)
	var next atomic.Int64
	b.SetParallelism(16)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, _, err := s.Credentials(app.ID); err != nil {
				b.Error(err)
			}
			id := ids[int(next.Add(7919))%len(ids)]
			if _, err := s.Status(context.Background(), StatusRequest{App: app, AccountID: id, Attempt: Attempt{UserAgent: "bench", IP: "127.0.0.1"}}); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

// fill makes people with one account each, in a few large transactions.
func fill(b *testing.B, s *Store, app Application, n int) []string {
	ids := make([]string, n)
	for from := 0; from < n; from += 20000 {
		err := s.write(context.Background(), func(t *tx) error {
			for i := from; i < min(n, from+20000); i++ {
				user, err := t.insert(`INSERT INTO users (name, created) VALUES (?, ?)`, fmt.Sprintf("user%07d", i), s.millis())
				if err != nil {
					return err
				}
				ids[i] = random(accountIDLen)
				err = t.exec(`INSERT INTO pairings (id, account_id, app, user, paired, changed) VALUES (?, ?, ?, ?, 0, 0)`,
					pairingKey(ids[i]), ids[i], app.Row, user)
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return ids
}
