package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestOneFailingChangeSpoilsNoOther(t *testing.T) {
	b := newBed(t)
	broken := errors.New("broken")
	hold, held := make(chan struct{}), make(chan struct{})
	go b.sqlite().write(b.ctx, func(*tx) error { close(held); <-hold; return nil })
	<-held // the others gather into one batch
	errs := make([]error, 21)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			errs[i] = b.sqlite().write(b.ctx, func(t *tx) error {
				if err := t.exec(`INSERT INTO settings (name, value) VALUES (?, '')`, fmt.Sprint("n", i)); err != nil {
					return err
				}
				switch i {
				case 5:
					return broken
				case 11:
					panic("boom")
				case 17:
					return t.exec(`INSERT INTO settings (name, value) VALUES ('n17', '')`)
				}
				return nil
			})
		})
	}
	for len(b.sqlite().jobs) < len(errs) {
		time.Sleep(time.Millisecond)
	}
	close(hold)
	wg.Wait()
	for i, err := range errs {
		failed := i == 5 || i == 11 || i == 17
		if (err != nil) != failed {
			t.Errorf("change %d: %v", i, err)
		}
		var n int
		b.must(b.sqlite().reads.get([]any{&n}, `SELECT count(*) FROM settings WHERE name = ?`, fmt.Sprint("n", i)))
		if (n == 1) == failed {
			t.Errorf("change %d left %d rows", i, n)
		}
	}
	if !errors.Is(errs[5], broken) || !strings.Contains(errs[11].Error(), "boom") {
		t.Errorf("errors are %v and %v", errs[5], errs[11])
	}
}

func TestACallerThatGaveUpChangesNothing(t *testing.T) {
	b := newBed(t)
	ctx, cancel := context.WithCancel(b.ctx)
	hold, held := make(chan struct{}), make(chan struct{})
	go b.sqlite().write(b.ctx, func(*tx) error { close(held); <-hold; return nil })
	<-held
	gaveUp := make(chan error)
	go func() {
		gaveUp <- b.sqlite().write(ctx, func(t *tx) error { return t.exec(`INSERT INTO settings VALUES ('late', '')`) })
	}()
	for len(b.sqlite().jobs) == 0 { // until it stands in line
		time.Sleep(time.Millisecond)
	}
	cancel()
	close(hold)
	if err := <-gaveUp; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if v, _ := b.Setting("late"); v != "" {
		t.Error("the change was made")
	}
}

func TestCloseEndsEverybody(t *testing.T) {
	b := newBed(t)
	var wg, begun sync.WaitGroup
	for i := range 20 {
		begun.Add(1)
		wg.Go(func() {
			begin := sync.OnceFunc(begun.Done)
			defer begin()
			for j := 0; ; j++ {
				if j == 1 {
					begin()
				}
				err := b.SetSetting(b.ctx, fmt.Sprint(i), fmt.Sprint(j))
				if errors.Is(err, ErrClosed) {
					return
				}
				if err != nil {
					t.Errorf("unexpected: %v", err)
					return
				}
			}
		})
	}
	begun.Wait()
	b.must(b.Close())
	wg.Wait()
}

// TestMain lets the test binary play another process.
func TestMain(m *testing.M) {
	busyLimit = 24 * time.Hour // no change fails because another process is slow
	switch os.Getenv("LATCH_STORE_TEST") {
	case "writer":
		childWriter()
	case "":
		os.Exit(suite(m))
	}
}

// childWriter asks for one account until it is killed and prints a line after each answer.
func childWriter() {
	s, err := Open(os.Getenv("LATCH_STORE_DIR"), Options{})
	if err != nil {
		fmt.Println("open:", err)
		os.Exit(1)
	}
	app, err := s.Application("servers")
	if err != nil {
		fmt.Println("application:", err)
		os.Exit(1)
	}
	var mu sync.Mutex
	for i := range 8 {
		go func() {
			for j := 0; ; j++ {
				tag := fmt.Sprintf("%d-%d", i, j)
				_, err := s.Status(context.Background(), StatusRequest{App: app, AccountID: os.Getenv("LATCH_STORE_ACCOUNT"), Attempt: Attempt{UserAgent: tag}})
				mu.Lock()
				if err != nil {
					fmt.Println("status:", err)
					os.Exit(1)
				}
				fmt.Println(tag)
				mu.Unlock()
			}
		}()
	}
	select {}
}

func (b *bed) child(account string) (*exec.Cmd, *bufio.Scanner) {
	b.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "LATCH_STORE_TEST=writer", "LATCH_STORE_DIR="+b.dir, "LATCH_STORE_ACCOUNT="+account)
	out, err := cmd.StdoutPipe()
	b.must(err)
	b.must(cmd.Start())
	b.t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd, bufio.NewScanner(out)
}

func TestKilledInTheMiddleNothingAnsweredIsLost(t *testing.T) {
	b := newBed(t)
	account := b.pair("ana")
	for round := range 3 {
		cmd, lines := b.child(account)
		answered := map[string]bool{}
		for len(answered) < 150+50*round && lines.Scan() {
			answered[lines.Text()] = true
		}
		b.must(cmd.Process.Kill())
		for lines.Scan() {
			answered[lines.Text()] = true
		}
		cmd.Wait()
		if len(answered) < 150 {
			t.Fatalf("the child answered only %v", answered)
		}
		b.reopen()
		entries, err := b.Log("ana", 1<<20)
		b.must(err)
		for _, e := range entries {
			delete(answered, e.UserAgent)
		}
		if len(answered) > 0 {
			t.Errorf("round %d: answered and not in the history: %v", round, answered)
		}
		var whole string
		b.must(b.sqlite().reads.get([]any{&whole}, `PRAGMA integrity_check`))
		if whole != "ok" {
			t.Errorf("round %d: integrity check says %q", round, whole)
		}
		b.must(b.sqlite().write(b.ctx, func(t *tx) error { return t.exec(`DELETE FROM history`) }))
	}
}

func TestAnotherProcessWritesBesideABusyServer(t *testing.T) {
	b := newBed(t)
	account := b.pair("ana")
	_, lines := b.child(account)
	for range 50 {
		lines.Scan()
	}
	go func() {
		for lines.Scan() {
		}
	}()
	for i := range 30 {
		b.set("ana", "", i%2 == 1) // waits for ever where the other never lets go of the lock
		b.reads(account, i%2 == 1)
	}
	// SQLite's own waiting, with its sleeps of up to 100 ms, takes seconds here now and then.
	if timeout := b.pragma("busy_timeout"); timeout != 0 {
		t.Errorf("SQLite waits %d ms for the write lock, in place of begin", timeout)
	}
}

func TestAChangeOfAnotherProcessIsSeenAtOnce(t *testing.T) {
	b := newBed(t)
	account := b.pair("ana")
	other, err := Open(b.dir, Options{Now: b.clock.now})
	b.must(err)
	defer other.Close()
	for i := range 10 {
		open := i%2 == 1
		_, err := other.SetByUser(b.ctx, "ana", "", "", open)
		b.must(err)
		b.reads(account, open)
	}
	_, err = other.AddSecret(b.ctx, b.app.Row, "new")
	b.must(err)
	if _, list, err := b.Credentials(b.app.ID); err != nil || len(list) != 2 {
		t.Errorf("credentials are %v, %v", list, err)
	}
	b.must(other.RevokeSecret(b.ctx, b.app.Row, "new"))
	if _, list, err := b.Credentials(b.app.ID); err != nil || len(list) != 1 {
		t.Errorf("credentials are %v, %v", list, err)
	}
}

// TestAFullDiskIsSurvived: SQLite's own limit of the file's size acts as a full disk does.
func TestAFullDiskIsSurvived(t *testing.T) {
	b := newBed(t)
	account := b.pair("ana")
	limit := func(pages int) {
		t.Helper()
		_, err := b.sqlite().conn.ExecContext(b.ctx, fmt.Sprint("PRAGMA max_page_count = ", pages))
		b.must(err)
	}
	answered := 0
	limit(1) // as it is now
	var err error
	for ; err == nil && answered < 100_000; answered++ {
		_, err = b.ask(account)
	}
	if err == nil || !strings.Contains(err.Error(), "full") || strings.Contains(err.Error(), "rollback") {
		t.Fatalf("after %d answers: %v", answered, err)
	}
	limit(1 << 30)
	b.set("ana", "", false)
	b.reads(account, false)
	h, err := b.History(b.ctx, b.app, account, 0, b.millis())
	// The last of them failed. The pairing, the closing and the answer after it are entries too.
	if want := answered - 1 + 3; err != nil || h.Count != want {
		t.Errorf("%d entries, want %d, %v", h.Count, want, err)
	}
}

func (b *bed) pragma(name string) (value int) {
	b.t.Helper()
	b.must(b.sqlite().conn.QueryRowContext(b.ctx, "PRAGMA "+name).Scan(&value))
	return value
}

// TestCommitsAreSynced: no test can pull the plug, so this one reads the setting that makes SQLite wait for the disk.
func TestCommitsAreSynced(t *testing.T) {
	b := newBed(t)
	if got := b.pragma("synchronous"); got != 2 {
		t.Errorf("synchronous is %d, want 2 (FULL)", got)
	}
	if b.reopen(); b.pragma("synchronous") != 2 {
		t.Error("not synchronous after a restart")
	}
}

func TestMigrations(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, DatabaseFile)
	db, err := openDatabase(path, 100, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx := context.Background()
	conn, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	steps := []string{`CREATE TABLE a (x); INSERT INTO a VALUES (1)`, `CREATE TABLE b (x); CREATE TABLE a (x)`}
	if err := migrateTo(conn, steps[:1]); err != nil {
		t.Fatal(err)
	}
	if err := migrateTo(conn, steps); err == nil {
		t.Error("a broken step went through")
	}
	var tables, version int
	if err := conn.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_master`).Scan(&tables); err != nil || tables != 1 {
		t.Errorf("a broken step left %d tables, %v", tables, err)
	}
	if version, err = schemaVersion(conn); err != nil || version != 1 {
		t.Errorf("version is %d, %v", version, err)
	}
	steps[1] = `CREATE TABLE b AS SELECT x FROM a`
	if err := migrateTo(conn, steps); err != nil {
		t.Fatal(err)
	}
	if err := conn.QueryRowContext(ctx, `SELECT x FROM b`).Scan(&version); err != nil || version != 1 {
		t.Errorf("data of the first step: %d, %v", version, err)
	}
	err = migrateTo(conn, steps[:1])
	if err == nil || !strings.Contains(err.Error(), "newer latch-server") {
		t.Errorf("a newer schema: %v", err)
	}
}

func TestManyProcessesOpenAtOnce(t *testing.T) {
	b := newBed(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			s, err := Open(b.dir, Options{})
			if err != nil {
				t.Errorf("open %d: %v", i, err)
				return
			}
			defer s.Close()
			if _, err := s.AddUser(b.ctx, fmt.Sprint("user", i)); err != nil {
				t.Errorf("add %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if list, err := b.Users(); err != nil || len(list) != 8 {
		t.Errorf("%d people, %v", len(list), err)
	}
}

func TestBackupAndRestore(t *testing.T) {
	b := newBed(t)
	account := b.pair("ana")
	b.set("ana", "", false)
	file := filepath.Join(t.TempDir(), "backup.tar")
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	b.must(err)
	b.must(b.Backup(b.ctx, f))
	b.must(f.Close())
	b.set("ana", "", true) // after the backup

	restore := func(dir string) error {
		f, err := os.Open(file)
		b.must(err)
		defer f.Close()
		return Restore(b.ctx, dir, f)
	}
	dir := t.TempDir()
	b.must(restore(dir))
	s, err := Open(dir, Options{Now: b.clock.now})
	b.must(err)
	defer s.Close()
	if got, err := s.Status(b.ctx, StatusRequest{App: b.app, AccountID: account}); err != nil || got.Open {
		t.Errorf("the restored latch reads %+v, %v", got, err)
	}
	if _, list, err := s.Credentials(b.app.ID); err != nil || len(list) != 1 {
		t.Errorf("the restored secret: %v, %v", list, err)
	}
	if err := restore(b.dir); err == nil {
		t.Error("a backup was restored over a database")
	}
	b.reads(account, true)
	b.must(os.Truncate(file, 5000))
	empty := t.TempDir()
	if err := restore(empty); err == nil {
		t.Error("a backup cut short was restored")
	}
	if left, _ := os.ReadDir(empty); len(left) != 0 {
		t.Errorf("a failed restore left %v", left)
	}
	if left, _ := filepath.Glob(filepath.Join(b.dir, ".backup-*")); len(left) != 0 {
		t.Errorf("a backup left %v", left)
	}
}

func TestWhatAKilledBackupLeftIsRemoved(t *testing.T) {
	b := newBed(t)
	dead := filepath.Join(b.dir, scratchPrefix+"dead")
	b.must(os.Mkdir(dead, 0o700))
	b.must(os.WriteFile(filepath.Join(dead, DatabaseFile), []byte("half"), 0o600))
	live, done, err := b.sqlite().scratch()
	b.must(err)
	other, doneToo, err := b.sqlite().scratch()
	b.must(err)
	for path, want := range map[string]bool{dead: false, live: true, other: true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s: %v, want it there: %v", path, err, want)
		}
	}
	done()
	doneToo()
	if left, _ := filepath.Glob(filepath.Join(b.dir, scratchPrefix+"*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestRestoredFilesAreAsClosedAsBefore(t *testing.T) {
	b := newBed(t)
	want := map[string]fs.FileMode{DatabaseFile: 0o600, KeyFile: 0o600, "ca.key": 0o600, "ca.pem": 0o644}
	for _, name := range []string{"ca.key", "ca.pem"} {
		b.must(os.WriteFile(filepath.Join(b.dir, name), []byte(name), want[name]))
	}
	f, err := os.CreateTemp(t.TempDir(), "")
	b.must(err)
	defer f.Close()
	b.must(b.Backup(b.ctx, f))
	_, err = f.Seek(0, 0)
	b.must(err)
	dir := t.TempDir()
	b.must(Restore(b.ctx, dir, f))
	for name, mode := range want {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v, want mode %v", name, info, err, mode)
		}
	}
}
