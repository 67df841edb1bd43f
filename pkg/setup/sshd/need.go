package sshd

import (
	"fmt"
	"strings"
)

// Code says whether logins are to be asked for a code.
type Code int

// Whether a code is asked for: never, where a password is taken and the configuration says so, or because the person who
// installs said so.
const (
	NoCode Code = iota
	ConfiguredCode
	WantedCode
)

// Obstacle is why sshd cannot be made to ask, with what to do first.
type Obstacle struct {
	Problem string
	Remedy  string // a command, or what to change in the Match block that Problem names
	without string // how to do without a code, "" where that is no way out
}

func (o *Obstacle) Error() string {
	if o.without == "" {
		return o.Problem + "; first: " + o.Remedy
	}
	return o.Problem + "; " + o.without + ", or first: " + o.Remedy
}

// Need returns the lines of the drop-in by which sshd asks PAM, and for a code where one is wanted: no more than it has to
// say, nil for none. A method of logging in that was closed stays closed, and nobody is left without a method that can ask:
// an *Obstacle says what has to change first.
func (s *State) Need(code Code) (lines []string, err error) {
	before := s.view(nil)
	passwords := before(password) == "yes"
	open := passwords || !withoutKey(before(methods)) // so keyboard-interactive lets in nobody who was kept out
	on := before(interactive) == "yes"
	if before(usePAM) != "yes" {
		lines = append(lines, "UsePAM yes")
		if on && !open {
			return nil, &Obstacle{Problem: "with UsePAM yes sshd would take passwords again, which PasswordAuthentication no keeps out",
				Remedy: s.First("KbdInteractiveAuthentication no")}
		}
	}
	if code != NoCode && !on && (open || code == WantedCode) {
		if !open {
			return nil, &Obstacle{Problem: "a code needs KbdInteractiveAuthentication yes, which would let passwords in again", without: "leave --otp out",
				Remedy: s.First("AuthenticationMethods publickey,keyboard-interactive:pam", "KbdInteractiveAuthentication yes")}
		}
		lines = append(lines, "KbdInteractiveAuthentication yes")
		on = true
	}
	if code != NoCode {
		if err := s.canAsk(on, map[Code]string{ConfiguredCode: "say --otp no", WantedCode: "leave --otp out"}[code]); err != nil {
			return nil, err
		}
	}
	if len(lines) == 0 {
		return nil, nil
	}
	if where, found := s.opened(on); found {
		return nil, &Obstacle{Problem: where + " keeps passwords out, and keyboard-interactive would take them again there",
			Remedy: "set KbdInteractiveAuthentication no in that block"}
	}
	return lines, nil
}

// canAsk returns an error where users have no method by which sshd could ask them for a code. on is whether
// keyboard-interactive will be, outside of blocks that set it; without is how to do without codes.
func (s *State) canAsk(on bool, without string) error {
	b, found := s.passwordOnly(on)
	switch {
	case !found:
		return nil
	case b == nil:
		value := s.Set[methods]
		return &Obstacle{Problem: fmt.Sprintf("AuthenticationMethods %s: every list contains password, and that method cannot ask for a code: "+
			"everybody who has one would be refused", value), without: without,
			Remedy: s.First("AuthenticationMethods "+interactiveLists(value), "KbdInteractiveAuthentication yes")}
	}
	advice := "KbdInteractiveAuthentication yes"
	if own, found := b.get(methods); found {
		advice += " and AuthenticationMethods " + interactiveLists(own)
	}
	return &Obstacle{Problem: b.Where + " leaves only the password method, which cannot ask for a code: everybody there who has one would be refused",
		without: without, Remedy: "set " + advice + " in that block"}
}

// PasswordOnly reports whether a password comes in by sshd's password method alone, which cannot ask for a code, and where:
// "" outside of Match blocks.
func (s *State) PasswordOnly() (where string, found bool) {
	b, found := s.passwordOnly(s.Set[interactive] == "yes")
	if b != nil {
		where = b.Where
	}
	return where, found
}

// passwordOnly returns the first such block, nil for what is outside of all of them.
func (s *State) passwordOnly(on bool) (where *Block, found bool) {
	for _, b := range append([]*Block{nil}, s.Blocks...) {
		here := on
		if own, set := b.get(interactive); set {
			here = own == "yes"
		}
		if onlyPassword(s.view(b), here) {
			return b, true
		}
	}
	return nil, false
}

// onlyPassword judges one set of settings. A key alone types nothing, and is another matter.
func onlyPassword(set func(string) string, on bool) bool {
	lists := methodLists(set(methods))
	if len(lists) == 0 {
		return set(password) == "yes" && !on
	}
	for _, list := range lists {
		if !list.contains("password") && (on || !list.contains("keyboard-interactive")) {
			return false
		}
	}
	return true
}

// methodList is one list of AuthenticationMethods, of which all have to succeed.
type methodList []string

// methodLists splits AuthenticationMethods; nil where any method is enough.
func methodLists(value string) []methodList {
	var lists []methodList
	for _, list := range strings.Fields(value) {
		if list != "any" {
			lists = append(lists, strings.Split(list, ","))
		}
	}
	return lists
}

func (l methodList) contains(method string) bool {
	for _, one := range l {
		if name, _, _ := strings.Cut(one, ":"); name == method {
			return true
		}
	}
	return false
}

// interactiveLists are the same lists with keyboard-interactive in the place of password.
func interactiveLists(value string) string {
	var all []string
	for _, list := range methodLists(value) {
		for i, one := range list {
			if one == "password" {
				list[i] = "keyboard-interactive:pam"
			}
		}
		all = append(all, strings.Join(list, ","))
	}
	return strings.Join(all, " ")
}

// withoutKey reports whether keyboard-interactive is a way in that begins without a key.
func withoutKey(value string) bool {
	lists := methodLists(value)
	for _, list := range lists {
		if name, _, _ := strings.Cut(list[0], ":"); name != "publickey" && list.contains("keyboard-interactive") {
			return true
		}
	}
	return len(lists) == 0
}

// KeyAlone reports whether a key alone lets in: one of the lists asks for nothing else, or there is none.
func (s *State) KeyAlone() bool {
	lists := methodLists(s.Set[methods])
	for _, list := range lists {
		if !list.contains("keyboard-interactive") && !list.contains("password") {
			return true
		}
	}
	return len(lists) == 0
}

// opened finds a Match block, or two that may match at once, that keep passwords out, which keyboard-interactive would take
// again once PAM is asked or that method is on. on is whether it will be, outside of blocks that set it.
func (s *State) opened(on bool) (where string, found bool) {
	somewhere := on
	for _, b := range s.Blocks {
		own, _ := b.get(interactive)
		somewhere = somewhere || own == "yes"
	}
	for i, b := range s.Blocks {
		if s.opens(b, somewhere) {
			return b.Where, true
		}
		for _, later := range s.Blocks[i+1:] {
			both := &Block{Where: b.Where + " with " + later.Where, set: b.all(), outer: later}
			if s.opens(both, somewhere) {
				return both.Where, true
			}
		}
	}
	return "", false
}

func (s *State) opens(b *Block, somewhere bool) bool {
	set := s.view(b)
	own, _ := b.get(interactive)
	closed := set(password) != "yes" && withoutKey(set(methods))
	already := s.Set[usePAM] == "yes" && set(interactive) == "yes"
	return closed && !already && (own == "yes" || own == "" && somewhere)
}

// all returns what a block and those around it set.
func (b *Block) all() map[string]string {
	set := map[string]string{}
	for ; b != nil; b = b.outer {
		for keyword, value := range b.set {
			if _, known := set[keyword]; !known {
				set[keyword] = value
			}
		}
	}
	return set
}
