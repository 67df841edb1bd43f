package store

import (
	"context"
	"encoding/hex"
	"net/netip"
	"time"
)

// pace is how many wrong guesses a subject has in a window.
type pace struct {
	window time.Duration
	limit  int64
}

// The paces. With 54^6 pairing codes and a life of 120 s, one secret finds one of 1,000 live codes with a chance of about
// one in a million per minute. Somebody who has a password and tries its second step from many browsers finds one of the three
// live codes of 10^6 with a chance of 6 in 100,000 a day.
var (
	codePace      = pace{time.Minute, 10}       // a host's pairing codes; an application's one-time passwords
	passwordPace  = pace{15 * time.Minute, 10}  // passwords of one account
	passwordDaily = pace{24 * time.Hour, 200}   // the same, slowly
	stepPace      = pace{15 * time.Minute, 5}   // second steps of one account
	stepDaily     = pace{24 * time.Hour, 20}    // the same, slowly
	addressPace   = pace{15 * time.Minute, 30}  // whatever one address guesses at the pages
	areaPace      = pace{15 * time.Minute, 300} // the same for the /48 that a site of IPv6 has: its 65,536 /64s must not fill the table
	testPace      = pace{10 * time.Minute, 10}  // test notices that one person sends; each makes the server call an address
)

// mayGuess fails with a *TooManyError while a subject has used up its wrong guesses.
func (s *Store) mayGuess(t *tx, p pace, subject string) error {
	var since, count int64
	err := t.get([]any{&since, &count}, `SELECT since, count FROM guesses WHERE subject = ?`, subject)
	if isNoRows(err) {
		return nil
	}
	if err != nil {
		return err
	}
	left := since + p.window.Milliseconds() - s.millis()
	// A clock that was set back must not stop a subject for longer than one window.
	if count >= p.limit && left > 0 && left <= p.window.Milliseconds() {
		return &TooManyError{After: time.Duration(left) * time.Millisecond}
	}
	return nil
}

func (s *Store) countGuess(t *tx, p pace, subject string) error {
	now := s.millis()
	return t.exec(`INSERT INTO guesses (subject, since, count) VALUES (?1, ?2, 1)
		ON CONFLICT (subject) DO UPDATE SET
			count = CASE WHEN abs(?2 - since) >= ?3 THEN 1 ELSE count + 1 END,
			since = CASE WHEN abs(?2 - since) >= ?3 THEN ?2 ELSE since END`,
		subject, now, p.window.Milliseconds())
}

// What is guessed at, for Guess.
const (
	GuessPassword = "password"
	GuessStep     = "step" // codes of an authenticator and recovery codes, of whoever typed the password
	// GuessRecovery are recovery codes where nobody has typed a password: 50 random bits, which nobody guesses. What one account has
	// is not counted, since strangers would use it up and keep its owner from saying that the phone is lost.
	GuessRecovery = "recovery"
)

// Guess is one try to sign in. Account is what was typed, whether or not there is such an account, so that the answers do not
// tell. Browser is the ticket of a browser in which this account is known, else "": its tries count apart, so that no stranger
// can use up the owner's.
type Guess struct {
	What    string
	Account string
	Address string // as counted: one IPv4 address, or the /64 of an IPv6 address
	Browser string
}

type counted struct {
	pace
	subject string
}

// subjects are all that a guess counts for. Names are typed in a hurry, passwords among them: only digests are kept.
func (s *Store) subjects(g Guess) []counted {
	short, daily := passwordPace, passwordDaily
	if g.What == GuessStep {
		short, daily = stepPace, stepDaily
	}
	who := g.What + ":" + hex.EncodeToString(s.box.Digest([]byte("guess:" + g.Account + "\x00" + g.Browser))[:16])
	list := []counted{{short, who}, {daily, who + ":day"}}
	if g.What == GuessRecovery {
		list = nil
	}
	if g.Browser == "" || list == nil {
		list = append(list, counted{addressPace, "address:" + g.Address})
		if net, err := netip.ParsePrefix(g.Address); err == nil && net.Addr().Is6() {
			list = append(list, counted{areaPace, "area:" + netip.PrefixFrom(net.Addr(), 48).Masked().String()})
		}
	}
	return list
}

// BeginGuess counts a try before it is judged, so that many at once do not get past the limit. A *TooManyError says that the
// try must not be judged; it was not counted.
func (s *Store) BeginGuess(ctx context.Context, g Guess) error {
	return s.write(ctx, func(t *tx) error {
		list := s.subjects(g)
		for _, c := range list {
			if err := s.mayGuess(t, c.pace, c.subject); err != nil {
				return err
			}
		}
		for _, c := range list {
			if err := s.countGuess(t, c.pace, c.subject); err != nil {
				return err
			}
		}
		return nil
	})
}

// GuessedRight takes back what BeginGuess counted: it was no wrong one.
func (s *Store) GuessedRight(ctx context.Context, g Guess) error {
	return s.write(ctx, func(t *tx) error {
		for _, c := range s.subjects(g) {
			if err := t.exec(`UPDATE guesses SET count = max(count - 1, 0) WHERE subject = ?`, c.subject); err != nil {
				return err
			}
		}
		return nil
	})
}
