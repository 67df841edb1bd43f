package api

import (
	"slices"
	"strings"
)

// HeaderServer is on every answer of latch-server to a request whose signature was right: its version, then the words of
// what it can beyond the Latch API. Other servers do not send it. A client does nothing of that towards a server without it.
const HeaderServer = "X-Latch-Server"

// What a server can beyond the Latch API. docs/extension.md describes the calls.
const (
	CanPairByLink  = "pair-by-link" // POST, GET and DELETE host/pairing
	CanSpendTokens = "spend-tokens" // POST host/token/{account}
	CanOwnTOTP     = "own-totp"     // POST host/totp/{account}/validate
	CanAwait       = "await"        // GET host/await/{account}…
	CanContext     = "host-context" // shows people what the headers of host context tell
)

// ServerHeader is the value of HeaderServer.
func ServerHeader(version string) string {
	return strings.Join([]string{version, CanPairByLink, CanSpendTokens, CanOwnTOTP, CanAwait, CanContext}, " ")
}

// Can tells whether a value of HeaderServer has a word.
func Can(header, word string) bool {
	words := strings.Fields(header)
	return len(words) > 1 && slices.Contains(words[1:], word)
}

// States of a pairing request.
const (
	PairingWaiting   = "waiting"
	PairingConfirmed = "confirmed"
	PairingRefused   = "refused"
)

// PairingRequest answers the calls of host/pairing. URL and Check come with the creation alone, AccountID with
// PairingConfirmed.
type PairingRequest struct {
	RequestID string `json:"requestId"`
	URL       string `json:"url,omitempty"`   // what the phone opens
	Check     string `json:"check,omitempty"` // what the page shows too
	State     string `json:"state"`
	Expires   int64  `json:"expires"`          // ms since 1970 UTC
	Seconds   int64  `json:"seconds"`          // until then
	Person    string `json:"person,omitempty"` // who decided
	AccountID string `json:"accountId,omitempty"`
	Known     bool   `json:"known,omitempty"` // the person was paired with the application before
}
