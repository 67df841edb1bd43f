package otp

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestAgreesWithOathtool compares codes of random seeds, times and parameters with Debian's oathtool: 10,000 for `make test-all`.
func TestAgreesWithOathtool(t *testing.T) {
	t.Parallel()
	const workers = 4
	rounds := 500
	if os.Getenv("LATCH_TEST_ALL") != "" {
		rounds = 10_000
	}
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			draw := rand.New(rand.NewPCG(uint64(w), 6238))
			for range rounds / workers {
				if !agrees(t, draw) {
					return
				}
			}
		})
	}
	all.Wait()
}

func agrees(t *testing.T, draw *rand.Rand) bool {
	p := Parameters{Kind: TOTP, Algorithm: []Algorithm{SHA1, SHA256, SHA512}[draw.IntN(3)], Digits: 6 + 2*draw.IntN(2), Period: 1 + draw.IntN(300)}
	secret, unix := p.NewSecret(), draw.Int64N(1<<33)
	args := []string{"--base32", "--digits=" + strconv.Itoa(p.Digits)}
	n := unix / int64(p.Period)
	if draw.IntN(2) == 0 {
		p.Kind, p.Period, p.Algorithm = HOTP, 0, SHA1 // oathtool's HOTP knows no other
		n = draw.Int64N(1 << 40)
		args = append(args, "--hotp", "--counter="+strconv.FormatInt(n, 10))
	} else {
		args = append(args, "--totp="+strings.ToLower(string(p.Algorithm)), "--time-step-size="+strconv.Itoa(p.Period)+"s",
			"--now="+time.Unix(unix, 0).UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	cmd := exec.Command("oathtool", append(args, "-")...)
	cmd.Stdin = strings.NewReader(secret + "\n")
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("oathtool %q: %v", args, err)
		return false
	}
	got, err := p.Code(secret, n)
	if err != nil || got != strings.TrimSpace(string(out)) {
		t.Errorf("%+v, step %d: %s (%v), oathtool says %s", p, n, got, err, out)
		return false
	}
	return true
}
