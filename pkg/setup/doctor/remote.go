package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/client"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/pairings"
	"github.com/latch-linux/latch/pkg/host/securefile"
)

// remoteTimeout bounds the queries of one check, and remoteAtOnce how many of them run at a time.
const (
	remoteTimeout = 20 * time.Second
	remoteAtOnce  = 4
)

// nobodysOperation is an operation id that no application has.
var nobodysOperation = strings.Repeat("2", api.OperationLength)

// codeOf returns the Latch API's code of an error, 0 for none.
func codeOf(err error) int {
	var e *client.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// operations compares the operations of the configuration with the server's, and the PAM lines with both.
func (e *examination) operations() {
	if e.config == nil {
		return
	}
	lines := map[string][]string{} // the services whose lines name an operation
	for _, l := range e.ours {
		if l.profile != e.profile || l.operation == "" {
			continue
		}
		lines[l.operation] = append(lines[l.operation], l.service)
		if _, err := e.config.Operation(l.operation); err != nil && len(lines[l.operation]) == 1 {
			e.fail("operation", e.latch("operation add "+securefile.ShellWord(l.operation)+" --save"), "%s: %v: everybody is refused there", l.where, err)
		}
	}
	if e.remote == nil {
		return
	}
	ctx, cancel := context.WithTimeout(e.ctx, remoteTimeout)
	defer cancel()
	known := 0
	for _, name := range slices.Sorted(maps.Keys(e.config.Operations)) {
		switch _, err := e.remote.Operations(ctx, e.config.Operations[name]); {
		case err == nil:
			known++
		case codeOf(err) == api.ErrCodeNoOperation:
			e.unknownOperation(name, lines[name])
		default:
			e.warn("operation", "look at the server's log", "the server was asked about %q: %v", name, err)
		}
	}
	if known > 0 {
		e.ok("operation", "operations that the server knows: %d of %d", known, len(e.config.Operations))
	}
}

func (e *examination) unknownOperation(name string, lines []string) {
	place := e.profile.Config
	if n, err := config.FindLine(e.profile.Config, name); err == nil && n > 0 {
		place = fmt.Sprintf("%s:%d", place, n)
	}
	add := e.latch("operation add " + securefile.ShellWord(name) + " --save")
	text := fmt.Sprintf("%s: the application has no operation %s (error 301)", place, e.config.Operations[name])
	if len(lines) == 0 {
		e.warn("operation", "remove the line, or "+add, "%s; no PAM line names it", text)
		return
	}
	effect := fmt.Sprintf("on_error = %v decides about", e.config.OnError)
	if e.config.OnError == config.Close {
		effect = "everybody who is paired is refused by"
	}
	e.fail("operation", add, "%s: %s %s", text, effect, strings.Join(slices.Compact(lines), ", "))
}

// pairedThere asks the server whether it still knows the pairings, by queries that count as no attempt: about an operation
// that nobody has the answer is 201 (not paired) before it is 301 (unknown operation), and neither is recorded or shown.
func (e *examination) pairedThere(f *pairings.File) {
	all := f.All()
	if e.remote == nil || len(all) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(e.ctx, remoteTimeout)
	defer cancel()
	answers := make([]error, len(all))
	var wait sync.WaitGroup
	free := make(chan struct{}, remoteAtOnce)
	for i, p := range all {
		free <- struct{}{}
		wait.Go(func() {
			defer func() { <-free }()
			_, answers[i] = e.remote.Status(ctx, client.Query{AccountID: p.AccountID, OperationID: nobodysOperation, NoOTP: true, Silent: true})
		})
	}
	wait.Wait()
	e.judgePaired(all, answers)
}

func (e *examination) judgePaired(all []pairings.Pairing, answers []error) {
	paired, effect := 0, "logins are refused"
	if e.config.UnpairedByServer != config.Close {
		effect = fmt.Sprintf("unpaired_by_server = %v decides", e.config.UnpairedByServer)
	}
	unclear := ""
	for i, p := range all {
		switch codeOf(answers[i]) {
		case api.ErrCodeNotPaired:
			user := forUser(p.User)
			e.warn("pairings", e.latch("unpair"+user)+", then "+e.latch("pair CODE"+user), "%q is paired here and not at the server (error 201): %s", p.User, effect)
		case api.ErrCodeNoOperation:
			paired++
		default:
			unclear = fmt.Sprint(answers[i])
		}
	}
	switch {
	case unclear != "":
		e.ok("pairings", "at the server: %d of %d; the query about others brought: %s", paired, len(all), unclear)
	case paired > 0:
		e.ok("pairings", "at the server: %d of %d", paired, len(all))
	}
}
