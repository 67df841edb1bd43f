package store

import (
	"context"
	"crypto/subtle"
	"time"
)

// TokenLife is how long a one-time token may be used.
const TokenLife = 5 * time.Minute

// Token is a live one-time token, as the phone shows it.
type Token struct {
	ID                        int64
	App, Node, Token, Message string
	Made, Expires             int64
	IP                        string            // of the host that asked
	Context                   map[string]string // what it told about the login; nil for nothing
}

// Tokens lists a person's live one-time tokens, oldest first: neither expired nor typed, as far as the host has told.
func (s *Store) Tokens(user string) ([]Token, error) {
	u, err := findUser(s.reads, user)
	if err != nil {
		return nil, err
	}
	return s.liveTokens(s.reads, `p.user = ?`, u.Row)
}

func (s *Store) liveTokens(q source, where string, who int64) ([]Token, error) {
	var list []Token
	now := s.millis()
	err := q.each(func(scan func(...any) error) error {
		var k Token
		var context string
		var sealed []byte
		if err := scan(&k.ID, &k.App, &k.Node, &sealed, &k.Message, &k.Made, &k.IP, &context); err != nil {
			return err
		}
		plain, err := s.box.Open(sealed, tokenAD(k.ID))
		if err != nil {
			return err
		}
		k.Token, k.Expires = string(plain), k.Made+TokenLife.Milliseconds()
		k.Context, err = readContext(context)
		list = append(list, k)
		return err
	}, `SELECT k.id, a.name, k.node, k.sealed, k.message, k.made, k.ip, coalesce(k.context, '') FROM pairings p
		JOIN tokens k ON k.pairing = p.id JOIN applications a ON a.id = p.app
		WHERE `+where+` AND k.used IS NULL AND k.made > ? AND k.made <= ? ORDER BY k.id`,
		who, now-TokenLife.Milliseconds(), now+TokenLife.Milliseconds())
	return list, err
}

// SpendToken takes a one-time token off the person's page, because its login has come to an end: a host takes each once. A
// token that is none, or was spent before, changes nothing.
func (s *Store) SpendToken(ctx context.Context, app Application, accountID, token string, right bool, a Attempt) error {
	return s.write(ctx, func(t *tx) error {
		p, err := findPairing(t, app.Row, accountID)
		if err != nil {
			return err
		}
		live, err := s.liveTokens(t, `p.id = ?`, p.row)
		if err != nil {
			return err
		}
		for _, k := range live {
			if subtle.ConstantTimeCompare([]byte(k.Token), []byte(token)) != 1 {
				continue
			}
			if err := t.exec(`UPDATE tokens SET used = ? WHERE id = ?`, s.millis(), k.ID); err != nil {
				return err
			}
			value := "wrong"
			if right {
				value = "used"
			}
			return s.record(t, event{pairing: p, action: ActionDeveloper, what: "token", value: value, was: "-", name: k.App, node: k.Node, attempt: a})
		}
		return nil
	})
}
