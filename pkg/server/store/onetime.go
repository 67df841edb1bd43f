package store

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"time"
)

// ticketBytes is the length of what a cookie or a link carries: nobody guesses it, so nothing slows guessing down.
const ticketBytes = 32

// clockSlack is how far a clock may be set back before what was made earlier stops to count.
const clockSlack = 5 * time.Minute

// newTicket draws what a cookie or a link carries (43 characters of URL-safe Base64) and what is stored of it.
func newTicket() (ticket string, digest []byte) {
	b := make([]byte, ticketBytes)
	rand.Read(b)
	ticket = base64.RawURLEncoding.EncodeToString(b)
	return ticket, ticketDigest(ticket)
}

func ticketDigest(ticket string) []byte {
	sum := sha256.Sum256([]byte(ticket))
	return sum[:]
}

// lives tells whether something made at created and good until expires is good now. A clock that was set back does not
// give it a longer life.
func (s *Store) lives(created, expires int64) bool {
	now := s.millis()
	return now < expires && created-now <= clockSlack.Milliseconds()
}
