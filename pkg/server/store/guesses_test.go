package store

import (
	"errors"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/api"
)

// TestPairingCodesAreUnguessable computes what guessing finds within a code's life: by one application's secret, which is let
// guess at its pace, while 1,000 people pair; and, if nothing slowed anybody down, by as many requests as a server answers that is
// ten times faster than ours.
func TestPairingCodesAreUnguessable(t *testing.T) {
	b := newBed(t)
	judged := 0
	for range int(CodeLife / time.Second) {
		for range codePace.limit + 1 {
			_, err := b.Pair(b.ctx, PairRequest{App: b.app, Code: "AAAAAA", Subject: "a host"})
			if errors.Is(err, ErrCodeUnknown) {
				judged++
			}
		}
		b.clock.pass(time.Second)
	}
	if want := int(codePace.limit) * int(CodeLife/codePace.window); judged != want {
		t.Errorf("%d guesses were judged within a code's life, want %d", judged, want)
	}
	codes := math.Pow(float64(len(api.Alphabet)), codeLen)
	if chance := float64(judged) * 1000 / codes; chance > 1e-6 {
		t.Errorf("one secret finds one of 1,000 live codes with a chance of %.1e", chance)
	}
	const perSecond = 100_000
	if chance := perSecond * CodeLife.Seconds() / codes; chance > 1e-3 {
		t.Errorf("%d guesses a second find a code within its life with a chance of %.1e", perSecond, chance)
	}
}

// TestCodesOfASecondStepAreUnguessable computes the same for whoever has a person's password: three codes of a million are right at a
// time, and all browsers that the person never signed in with share one count.
func TestCodesOfASecondStepAreUnguessable(t *testing.T) {
	b := newBed(t)
	judged := 0
	for i := range 7 * 24 * 60 {
		g := Guess{What: GuessStep, Account: "ana", Address: strconv.Itoa(i)} // an address for each minute
		for b.BeginGuess(b.ctx, g) == nil {
			judged++
		}
		b.clock.pass(time.Minute)
	}
	if chance := float64(judged) * 3 / 1e6; chance > 5e-4 {
		t.Errorf("a week of guessing tries %d codes, and finds one with a chance of %.1e", judged, chance)
	}
}
