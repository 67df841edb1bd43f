package doctor

import (
	"slices"
	"strings"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/pairings"
)

// enrolled is what a user could type: something that this machine checks, or a code that the server checks.
type enrolled struct{ here, atServer bool }

// modes are the values of otp that are in force for these files: those of the lines, the configuration's where a line has none.
func (e *examination) modes() (modes []string) {
	for _, l := range e.ours {
		switch {
		case l.profile != e.profile:
		case l.otp != "":
			modes = append(modes, l.otp)
		default:
			modes = append(modes, e.config.OTP)
		}
	}
	if modes == nil {
		return []string{e.config.OTP}
	}
	return modes
}

// unenrolled names paired users who have nothing to type, by what comes of it, as the table in docs/otp.md has it. It returns
// how many have a warning.
func (e *examination) unenrolled(modes []string, has map[string]enrolled) (warned int) {
	f, err := pairings.Load(e.profile.Accounts)
	if err != nil {
		return 0 // the check of the pairings says why
	}
	c := e.config
	totp := slices.Contains(modes, "totp")
	always := c.Action == config.OTP || c.OnError == config.OTP || c.UnpairedByServer == config.OTP ||
		c.OTPRequired && (totp || slices.Contains(modes, "yes"))
	var refused, spared, atServer []string
	for _, p := range f.All() {
		user := has[p.User]
		switch {
		case e.exempted(p.User):
			continue
		case user.here:
		case always, totp && user.atServer: // who has another kind of code is not taken for unenrolled
			refused = append(refused, p.User)
		case totp:
			spared = append(spared, p.User)
		}
		if slices.Contains(modes, "server-totp") && !user.atServer {
			atServer = append(atServer, p.User)
		}
	}
	e.refused(refused)
	return len(refused) + e.spared(spared) + e.withoutServerCode(atServer)
}

func (e *examination) refused(users []string) {
	if len(users) > 0 {
		e.warn("codes", e.latch("otp enroll --user NAME"), "refused where this machine asks for a code, since they have none: %s", strings.Join(users, ", "))
	}
}

// spared are let in without a code. A line otp_required = no is a decision on record.
func (e *examination) spared(users []string) (warned int) {
	const text = "let in without a code while otp_required is no, since they have none: %s"
	names := strings.Join(users, ", ")
	line, err := config.FindLine(e.profile.Config, "otp_required")
	switch {
	case len(users) == 0:
	case err == nil && line > 0:
		e.ok("codes", text, names)
	default:
		e.warn("codes", e.latch("otp enroll --user NAME")+", or set otp_required in "+e.profile.Config, text, names)
		return len(users)
	}
	return 0
}

// withoutServerCode is about otp = server-totp. People can enrol at latch-server's page, of which this machine keeps nothing,
// and which no query shows without counting as a guess.
func (e *examination) withoutServerCode(users []string) (warned int) {
	names := strings.Join(users, ", ")
	switch {
	case len(users) == 0:
		return 0
	case e.config.Cloud() || e.remote != nil && !e.remote.Can(api.CanOwnTOTP):
		e.warn("codes", e.latch("otp enroll --server --user NAME"), "server-totp: refused while the server answers, since it has no authenticator of theirs: %s", names)
		return len(users)
	}
	e.ok("codes", "server-totp: asked for the code that they have enrolled at latch-server's page, which this machine cannot see; refused if they have none: %s", names)
	return 0
}
