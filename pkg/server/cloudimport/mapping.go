package cloudimport

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// LeaveOut stands in a mapping for an account that is not imported.
const LeaveOut = "-"

// prefixLength is how many characters of an account id a mapping shows, where they are enough.
const prefixLength = 8

// Mapping says whose each account is.
type Mapping map[string]Entry // by account id

// Entry is one line of a mapping.
type Entry struct {
	Person string // LeaveOut for nobody
	Line   int    // 0 for one that no file has
}

// Owners are the accounts that this server has already, by application id, and the names of their people, by account id.
type Owners map[string]map[string]string

// Propose suggests a person for every account: who has it already on this server, else the local name. Equal names that are
// different people get their host behind the name.
func Propose(apps []App, owners Owners) Mapping {
	m := Mapping{}
	for _, app := range apps {
		taken := map[string]int{}
		for _, person := range owners[app.Credentials.ID] {
			taken[person]++
		}
		for _, a := range app.Accounts {
			if _, known := owners[app.Credentials.ID][a.ID]; !known {
				taken[a.who().User]++
			}
		}
		used := map[string]bool{}
		for _, a := range app.Accounts {
			person, known := owners[app.Credentials.ID][a.ID]
			if who := a.who(); !known {
				person = who.User
				if taken[person] > 1 {
					person = who.String()
				}
				if used[person] {
					person += "-" + a.ID[:prefixLength]
				}
			}
			used[person] = true
			m[a.ID] = Entry{Person: person}
		}
	}
	return m
}

// who is the local user that an account is named after: one with a name of their own rather than root.
func (a Account) who() Local {
	for _, u := range a.Users {
		if u.User != "root" {
			return u
		}
	}
	return a.Users[0]
}

const mappingHead = `# Who is who. Each line: USER@HOST, the beginning of the account id, = and the person on this server.
# Check every line: equal user names on two hosts can be two people. A person that is not there yet is added.
# "= -" leaves an account out. A person can have one account of each application.
`

// Format writes a mapping. notes are comments about accounts, by account id.
func (m Mapping) Format(apps []App, notes map[string]string) string {
	var b strings.Builder
	b.WriteString(mappingHead)
	for _, app := range apps {
		fmt.Fprintf(&b, "\n# application %s, from %s\n", app.Credentials.ID, app.Config)
		for _, a := range app.Accounts {
			if note := notes[a.ID]; note != "" {
				fmt.Fprintf(&b, "# %s\n", note)
			}
			person := LeaveOut
			if e, known := m[a.ID]; known {
				person = e.Person
			}
			for _, u := range a.Users {
				fmt.Fprintf(&b, "%s %s = %s\n", u, prefix(apps, a.ID), person)
			}
		}
	}
	return b.String()
}

// prefix is the shortest beginning of an account id, of prefixLength at least, that no other account has.
func prefix(apps []App, id string) string {
	n := prefixLength
	for _, app := range apps {
		for _, a := range app.Accounts {
			for a.ID != id && n < len(id) && strings.HasPrefix(a.ID, id[:n]) {
				n++
			}
		}
	}
	return id[:n]
}

// mappingLine is a line that is no comment. The user's name may hold blanks.
var mappingLine = regexp.MustCompile(`^(\S.*?)\s+([0-9A-Za-z]{4,64})\s*=\s*(\S.*)$`)

// ParseMapping reads a mapping. name stands in the errors, which name the lines; all of them are reported.
func ParseMapping(name, text string, apps []App, owners Owners) (Mapping, error) {
	p := parsing{name: name, apps: apps, m: Mapping{}}
	n := 0
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		n++
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			p.line(n, line)
		}
	}
	p.complete(owners)
	return p.m, errors.Join(p.faults...)
}

type parsing struct {
	name   string
	apps   []App
	m      Mapping
	faults []error
}

func (p *parsing) fault(line int, format string, args ...any) {
	p.faults = append(p.faults, fmt.Errorf("%s:%d: %s", p.name, line, fmt.Sprintf(format, args...)))
}

func (p *parsing) line(n int, line string) {
	parts := mappingLine.FindStringSubmatch(line)
	if parts == nil {
		p.fault(n, "expected USER@HOST ACCOUNT = PERSON")
		return
	}
	who, begin, person := parts[1], parts[2], parts[3]
	found := p.find(who, begin)
	switch {
	case len(found) == 0:
		p.fault(n, "no file has an account of %s that begins with %s", who, begin)
	case len(found) > 1:
		p.fault(n, "%d accounts of %s begin with %s; write more characters", len(found), who, begin)
	default:
		id := found[0]
		if e, twice := p.m[id]; twice && e.Person != person {
			p.fault(n, "line %d gives the same account to %q; one account is one person", e.Line, e.Person)
			return
		}
		p.m[id] = Entry{person, n}
	}
}

func (p *parsing) find(who, begin string) (ids []string) {
	for _, app := range p.apps {
		for _, a := range app.Accounts {
			for _, u := range a.Users {
				if u.String() == who && strings.HasPrefix(a.ID, begin) {
					ids = append(ids, a.ID)
					break
				}
			}
		}
	}
	return ids
}

// complete finds accounts without a person, and people with two accounts of one application.
func (p *parsing) complete(owners Owners) {
	for _, app := range p.apps {
		has := owners[app.Credentials.ID]
		of := map[string]string{} // account by person
		line := map[string]int{}
		for id, person := range has {
			of[person] = id
		}
		for _, a := range app.Accounts {
			e, given := p.m[a.ID]
			owner, known := has[a.ID]
			switch {
			case !given && known:
				p.m[a.ID] = Entry{Person: owner}
			case !given:
				p.faults = append(p.faults, fmt.Errorf("%s: there is no line for %s; add %s %s = PERSON, or = %s to leave it out",
					p.name, a.label(), a.Users[0], prefix(p.apps, a.ID), LeaveOut))
			case e.Person == LeaveOut:
			case known && owner != e.Person:
				p.fault(e.Line, "the account is %q's on this server already", owner)
			case of[e.Person] != "" && of[e.Person] != a.ID:
				where := "on this server already"
				if line[e.Person] > 0 {
					where = fmt.Sprintf("in line %d", line[e.Person])
				}
				p.fault(e.Line, "%q has another account of application %s %s; name another person", e.Person, app.Credentials.ID, where)
			default:
				of[e.Person], line[e.Person] = a.ID, e.Line
			}
		}
	}
}
