package pages

import (
	"errors"
	"html/template"

	"github.com/latch-linux/latch/pkg/otp"
	"github.com/latch-linux/latch/pkg/server/store"
)

// hostcodePath is the page of the TOTP that hosts with otp = server-totp ask a person for.
const hostcodePath = "/services/authenticator"

func (s *Site) hostcodeRoutes() {
	s.person("GET "+hostcodePath, s.hostcodePage)
	s.person("POST "+hostcodePath+"/begin", afresh(hostcodePath, s.beginHostcode))
	s.person("POST "+hostcodePath+"/prove", s.proveHostcode)
	s.person("POST "+hostcodePath+"/remove", afresh(hostcodePath, s.removeHostcode))
}

// hostcode is what the page shows: what is in use, and a seed that waits for its first code.
type hostcode struct {
	Rules    store.TOTPRules
	Enrolled *moment // since when
	Expires  *moment // nil for never
	Pending  bool
	QR, URI  template.URL
	Secret   string // in groups of four
}

func (s *Site) hostcodePage(x *exchange) error {
	d, err := x.hostcode()
	if err != nil {
		return err
	}
	return x.page("hostcode", d)
}

func (x *exchange) hostcode() (d hostcode, err error) {
	me := x.visitor.User.Name
	if d.Rules, err = x.site.store.TOTPRules(); err != nil {
		return d, err
	}
	used, err := x.site.store.OwnTOTP(me, true)
	if err == nil {
		since := x.moment(used.Created)
		d.Enrolled = &since
		if used.Expires != 0 {
			until := x.moment(used.Expires)
			d.Expires = &until
		}
	} else if !errors.Is(err, store.ErrNotEnrolled) {
		return d, err
	}
	if !d.Rules.Enrol {
		return d, nil
	}
	waiting, err := x.site.store.OwnTOTP(me, false)
	if errors.Is(err, store.ErrNotEnrolled) {
		return d, nil
	}
	if err != nil {
		return d, err
	}
	uri := otp.Standard().URI(waiting.Secret, d.Rules.Issuer, d.Rules.LabelFor(me), 0)
	qr, err := otp.QR(uri)
	d.Pending, d.QR, d.URI, d.Secret = true, template.URL(qr), template.URL(uri), otp.InFours(waiting.Secret)
	return d, err
}

func (s *Site) beginHostcode(x *exchange) error {
	err := s.store.BeginOwnTOTP(x.context(), x.visitor.User.Name, otp.Standard().NewSecret())
	return x.hostcodeDone(err, "")
}

func (s *Site) proveHostcode(x *exchange) error {
	code := otp.Typed(x.r.PostFormValue("code"))
	err := s.store.ProveOwnTOTP(x.context(), x.visitor.User.Name, func(secret string, last int64) (int64, bool) {
		return otp.Match(secret, code, s.now(), last)
	})
	return x.hostcodeDone(err, "hostcode.enrolled")
}

func (s *Site) removeHostcode(x *exchange) error {
	return x.hostcodeDone(s.store.RemoveOwnTOTP(x.context(), x.visitor.User.Name), "hostcode.removed")
}

// hostcodeDone goes back to the page, which says what came of it.
func (x *exchange) hostcodeDone(err error, done string) error {
	switch {
	case errors.Is(err, store.ErrTOTPWrong):
		x.flashBad("hostcode.wrong")
	case errors.Is(err, store.ErrSwitchedOff):
		x.flashBad("hostcode.off")
	case errors.Is(err, store.ErrNotEnrolled):
		x.flashBad("hostcode.late")
	case err != nil:
		return err
	case done != "":
		x.flash(done)
	}
	return x.redirect(hostcodePath)
}
