package httpapi

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/server/store"
)

// BenchmarkStatus sends signed status requests over TLS, connections kept, 32 at a time, from this
// same process. LATCH_BENCH_ACCOUNTS sets how many accounts there are (default 1000).
func BenchmarkStatus(b *testing.B) {
	accounts := 1000
	if n, err := strconv.Atoi(os.Getenv("LATCH_BENCH_ACCOUNTS")); err == nil {
		accounts = n
	}
	dir := b.TempDir()
	if err := store.Create(dir); err != nil {
		b.Fatal(err)
	}
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	app, secret, err := s.AddApplication(context.Background(), store.Application{Name: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	ids := benchAccounts(b, s, app, accounts)
	bed := &bed{t: b, store: s, ctx: context.Background(), start: time.Now()}
	addr, _, _ := bed.serve(dir)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // the chain is checked once per connection elsewhere
	c := api.Credentials{ID: app.ID, Secret: secret}
	var next atomic.Int64
	times := make([]time.Duration, b.N+1)
	b.SetParallelism(16)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			n := next.Add(1)
			start := time.Now()
			if err := askOnce(client, addr, c, ids[int(n*7919)%len(ids)], bed.now()); err != nil {
				b.Error(err)
				return
			}
			times[n] = time.Since(start)
		}
	})
	b.StopTimer()
	slices.Sort(times)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "p99-ms")
}

func benchAccounts(b *testing.B, s store.Backend, app store.Application, n int) []string {
	var ids []string
	for len(ids) < n {
		var names []string
		for i := len(ids); i < min(n, len(ids)+5000); i++ {
			names = append(names, fmt.Sprintf("user%07d", i))
		}
		part, err := s.Import(context.Background(), app, names)
		if err != nil {
			b.Fatal(err)
		}
		ids = append(ids, part...)
	}
	return ids
}

func askOnce(client *http.Client, addr string, c api.Credentials, account string, now time.Time) error {
	path := "/api/1.3/status/" + account
	r, err := http.NewRequest("GET", "https://"+addr+path, nil)
	if err != nil {
		return err
	}
	date := now.UTC().Format(api.DateLayout)
	r.Header.Set(api.HeaderDate, date)
	r.Header.Set("Authorization", api.Sign(c, "GET", path, nil, nil, date))
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(body), `"status":"on"`) {
		return fmt.Errorf("%s, %v", body, err)
	}
	return nil
}
