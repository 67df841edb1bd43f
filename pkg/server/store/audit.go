package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Ways by which somebody acts.
const (
	ViaWeb     = "web"     // signed in to the web app
	ViaCommand = "command" // latch-server on the server's own command line
	ViaAPI     = "api"     // an API user, or an application by its secret
	ViaServer  = "server"  // the server by itself, as it was set to
)

// Actor is who acts and from where, for the audit log.
type Actor struct {
	Via  string
	Name string
	IP   string // "" on the server itself
}

type actorKey struct{}

// WithActor says in whose name the changes under ctx are made. Without it they are the server's own.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

func actorOf(ctx context.Context) Actor {
	if a, ok := ctx.Value(actorKey{}).(Actor); ok {
		return a
	}
	return Actor{Via: ViaServer}
}

// Act is one line of the audit log. Name is "thing.verb" ("application.add"), Target is what it was done to, by name, and
// Detail what else matters, never a secret. T is in milliseconds since 1970 UTC.
type Act struct {
	ID     int64
	T      int64
	Actor  Actor
	Name   string
	Target string
	Detail map[string]string
}

// audit writes one act in the transaction that does it.
func (s *Store) audit(ctx context.Context, t *tx, name, target string, detail map[string]string) error {
	text := ""
	if len(detail) > 0 {
		encoded, err := json.Marshal(detail)
		if err != nil {
			return err
		}
		text = string(encoded)
	}
	a := actorOf(ctx)
	return t.exec(`INSERT INTO audit (t, via, actor, ip, act, target, detail) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		s.millis(), a.Via, a.Name, a.IP, name, target, text)
}

// auditByCommand notes what the server's command line does in a person's place. What people do themselves, and applications
// with their accounts, is in the history.
func (s *Store) auditByCommand(ctx context.Context, t *tx, name, person string, detail map[string]string) error {
	if actorOf(ctx).Via != ViaCommand {
		return nil
	}
	return s.audit(ctx, t, name, person, detail)
}

// Note keeps an act that changes nothing in the database by itself, as an export does.
func (s *Store) Note(ctx context.Context, name, target string, detail map[string]string) error {
	return s.write(ctx, func(t *tx) error { return s.audit(ctx, t, name, target, detail) })
}

// AuditQuery says which acts are wanted, newest first. The zero value of a field does not limit.
type AuditQuery struct {
	Text     string // contained in actor, act, target, detail or address, in any case of A to Z
	Act      string // the whole name of the act
	From, To int64  // milliseconds, both inclusive
	Before   int64  // only ids below it: the next page
	Limit    int    // 0 means MaxHistory
}

// Acts searches the audit log, newest first.
func (s *Store) Acts(q AuditQuery) ([]Act, error) {
	if q.Limit <= 0 || q.Limit > MaxHistory {
		q.Limit = MaxHistory
	}
	return s.acts(`WHERE (?1 = '' OR instr(lower(actor || char(10) || act || char(10) || target || char(10) || detail || char(10) || ip), ?1) > 0)
		AND (?2 = '' OR act = ?2) AND (?3 = 0 OR t >= ?3) AND (?4 = 0 OR t <= ?4) AND (?5 = 0 OR id < ?5)
		ORDER BY id DESC LIMIT ?6`, asciiLower(q.Text), q.Act, q.From, q.To, q.Before, q.Limit)
}

// asciiLower lowers as SQLite's lower() does.
func asciiLower(text string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, text)
}

func (s *Store) acts(which string, args ...any) ([]Act, error) {
	var list []Act
	err := s.reads.each(func(scan func(...any) error) error {
		var a Act
		var detail string
		if err := scan(&a.ID, &a.T, &a.Actor.Via, &a.Actor.Name, &a.Actor.IP, &a.Name, &a.Target, &detail); err != nil {
			return err
		}
		list = append(list, a)
		if detail == "" {
			return nil
		}
		return json.Unmarshal([]byte(detail), &list[len(list)-1].Detail)
	}, `SELECT id, t, via, actor, ip, act, target, detail FROM audit `+which, args...)
	if err != nil {
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	return list, nil
}

// ActNames lists the names of acts that the audit log holds, in order.
func (s *Store) ActNames() ([]string, error) {
	var list []string
	err := s.reads.each(func(scan func(...any) error) error {
		list = append(list, "")
		return scan(&list[len(list)-1])
	}, `SELECT DISTINCT act FROM audit`)
	slices.Sort(list)
	return list, err
}

// changed puts what was given of a change into a detail; nil pointers were not given.
func changed(fields map[string]any) map[string]string {
	detail := map[string]string{}
	for name, field := range fields {
		switch v := field.(type) {
		case *string:
			if v != nil {
				detail[name] = *v
			}
		case *bool:
			if v != nil {
				detail[name] = map[bool]string{true: "yes", false: "no"}[*v]
			}
		case *Mode:
			if v != nil {
				detail[name] = v.String()
			}
		}
	}
	return detail
}
