package pamconf

import "strings"

// Code is what a module returns, by its number in <security/_pam_types.h>.
type Code uint8

// The codes that matter here.
const (
	Success         Code = 0
	PermDenied      Code = 6
	AuthErr         Code = 7
	AuthinfoUnavail Code = 9
	UserUnknown     Code = 10
	NewAuthtokReqd  Code = 12
	AcctExpired     Code = 13
	Ignore          Code = 25
	ModuleUnknown   Code = 28
	Incomplete      Code = 31
)

// codes are the names of pam.conf(5) in the order of their numbers.
var codes = []string{
	"success", "open_err", "symbol_err", "service_err", "system_err", "buf_err", "perm_denied", "auth_err",
	"cred_insufficient", "authinfo_unavail", "user_unknown", "maxtries", "new_authtok_reqd", "acct_expired",
	"session_err", "cred_unavail", "cred_expired", "cred_err", "no_module_data", "conv_err", "authtok_err",
	"authtok_recover_err", "authtok_lock_busy", "authtok_disable_aging", "try_again", "ignore", "abort",
	"authtok_expired", "module_unknown", "bad_item", "conv_again", "incomplete",
}

func (c Code) String() string {
	if int(c) < len(codes) {
		return codes[c]
	}
	return "?"
}

// Action is what a control makes of a code: one of the words, or a number of modules to skip.
type Action int

// The words of pam.conf(5).
const (
	ActIgnore Action = -iota
	ActOK
	ActDone
	ActBad
	ActDie
	ActReset
)

var actions = []string{"ignore", "ok", "done", "bad", "die", "reset"}

// Control maps each code to an action.
type Control [32]Action

func controlOf(fallback Action, set map[Code]Action) Control {
	var c Control
	for code := range c {
		c[code] = fallback
	}
	for code, action := range set {
		c[code] = action
	}
	return c
}

// control works out what libpam makes of the rule's control; pam.conf(5) gives the words in brackets.
func (r Rule) control() Control {
	if !r.Bracketed {
		switch strings.ToLower(r.Control) {
		case "required":
			return controlOf(ActBad, map[Code]Action{Success: ActOK, NewAuthtokReqd: ActOK, Ignore: ActIgnore})
		case "requisite":
			return controlOf(ActDie, map[Code]Action{Success: ActOK, NewAuthtokReqd: ActOK, Ignore: ActIgnore})
		case "optional":
			return controlOf(ActIgnore, map[Code]Action{Success: ActOK, NewAuthtokReqd: ActOK})
		case "sufficient":
			return controlOf(ActIgnore, map[Code]Action{Success: ActDone, NewAuthtokReqd: ActDone})
		}
	}
	// libpam reads a word that it does not know as if it stood in brackets.
	return parseControl(r.Control)
}

func parseControl(text string) Control {
	set, fallback := map[Code]Action{}, ActBad
	given := false
	for text = strings.TrimLeft(text, " \t\n\v\f\r"); text != ""; text = strings.TrimLeft(text, " \t\n\v\f\r") {
		code, rest, ok := codePrefix(text)
		if !ok {
			return controlOf(ActBad, nil)
		}
		rest = strings.TrimLeft(rest, " \t\n\v\f\r")
		if !strings.HasPrefix(rest, "=") {
			return controlOf(ActBad, nil)
		}
		action, rest, ok := actionPrefix(strings.TrimLeft(rest[1:], " \t\n\v\f\r"))
		if !ok {
			return controlOf(ActBad, nil)
		}
		switch {
		case code < 0 && !given:
			// What comes after "default" for a code that has none yet finds it set: the first default wins.
			fallback, given = action, true
			for c := range codes {
				if _, there := set[Code(c)]; !there {
					set[Code(c)] = action
				}
			}
		case code >= 0:
			set[Code(code)] = action
		}
		text = rest
	}
	return controlOf(fallback, set)
}

// codePrefix finds the code that the text begins with; -1 is "default". libpam compares beginnings in this order.
func codePrefix(text string) (code int, rest string, ok bool) {
	for i, name := range codes {
		if strings.HasPrefix(text, name) {
			return i, text[len(name):], true
		}
	}
	rest, ok = strings.CutPrefix(text, "default")
	return -1, rest, ok
}

func actionPrefix(text string) (action Action, rest string, ok bool) {
	for i, name := range actions {
		if strings.HasPrefix(text, name) {
			return Action(-i), text[len(name):], true
		}
	}
	n := 0
	for n < len(text) && text[n] >= '0' && text[n] <= '9' {
		action = min(action*10+Action(text[n]-'0'), 1<<20)
		n++
	}
	return action, text[n:], action > 0
}
