package pages

import (
	"errors"

	"github.com/latch-linux/latch/pkg/server/store"
)

// The first run has three screens: what a latch does, one to try, and what to do when the phone is lost.
func (s *Site) welcomeRoutes() {
	s.person("GET /welcome", s.welcomePage(1))
	s.person("GET /welcome/try", s.welcomePage(2))
	s.person("GET /welcome/phone", s.welcomePage(3))
	s.person("POST /welcome/codes", afresh("/welcome/phone", s.welcomeCodes))
	s.person("POST /welcome/done", s.endWelcome)
}

type welcomeView struct {
	Step   int
	Steps  []int
	Open   bool     // the latch to try
	Codes  []string // on show
	Left   int      // recovery codes that are kept already
	Host   string
	Name   string
	IPhone bool
}

func (s *Site) welcomePage(step int) handler {
	return func(x *exchange) error {
		v := welcomeView{Step: step, Steps: []int{1, 2, 3}, Open: x.r.URL.Query().Get("latch") != "closed",
			Host: s.public.Host, Name: x.visitor.User.Name}
		if step < 3 {
			return x.page("welcome", v)
		}
		var err error
		if v.Codes, err = x.shownRecovery(); err != nil {
			return err
		}
		f, err := s.store.Factors(x.visitor.User.Row)
		if err != nil {
			return err
		}
		v.Left = f.RecoveryLeft
		return x.page("welcome", v)
	}
}

// welcomeCodes makes the recovery codes, which void those before them.
func (s *Site) welcomeCodes(x *exchange) error {
	if err := s.makeRecovery(x); err != nil {
		return err
	}
	return x.redirect("/welcome/phone")
}

// endWelcome notes that the person has been here, and takes the codes off the screen.
func (s *Site) endWelcome(x *exchange) error {
	if _, err := x.endStep(stepRecovery); err != nil && !errors.Is(err, store.ErrStepOver) {
		return err
	}
	if err := s.store.SetWelcomed(x.context(), x.visitor.User.Row); err != nil {
		return err
	}
	return x.redirect("/")
}
