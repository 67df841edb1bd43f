package pamconf

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Problem is the reason why a place does not suit our line.
type Problem int

// Problems, in the order in which they are reported when no place is good.
const (
	Good                   Problem = iota
	AlreadyPresent                 // the phase has our line already
	Empty                          // our module would be the only one in the phase
	BreaksJump                     // a jump would end at another rule
	ReachedWithoutPassword         // a login without a correct secret reaches our line
	AltersResult                   // our line changes the result although the latch is open
	RefusesIgnored                 // an unpaired or exempt user is refused where an open latch lets in
	Bypassed                       // a login succeeds without reaching our line
	DenialIgnored                  // a closed latch does not refuse the login
	TooComplex                     // the simulation has too many states
)

func (p Problem) String() string {
	return [...]string{"good", "the phase has our line already", "there is no other rule in this phase",
		"a jump would end at another rule", "a login without a correct password reaches it",
		"it would change the result although the latch is open",
		"an unpaired or exempt user is refused where an open latch lets in", "a login can succeed without reaching it",
		"a closed latch would not refuse the login", "the stack is too complex to simulate"}[p]
}

// Finding is a problem with the rule that causes it.
type Finding struct {
	Problem Problem
	Step    *Step // nil where no single rule does
}

func (f Finding) String() string {
	if f.Step == nil {
		return f.Problem.String()
	}
	r := f.Step.Rule
	return fmt.Sprintf("%v, because of %s: %s", f.Problem, f.Step.Where(), strings.Join(append([]string{string(r.Phase), shown(r), r.Module}, r.Args...), " "))
}

func shown(r Rule) string {
	if r.Bracketed {
		return "[" + r.Control + "]"
	}
	return r.Control
}

// Judge returns the problems of a stack that has our line, each once.
func (s *Stack) Judge() []Finding {
	asks := s.Asks()
	if asks < 0 {
		return []Finding{{Problem: Bypassed}}
	}
	found := problems{}
	if s.Phase == Auth && s.lastChecker(len(s.Steps)) >= 0 {
		guess := s.run(s.wrongSecret(), true)
		found.noteIf(guess.tooComplex, TooComplex, nil)
		for _, o := range guess.ends {
			// Whom the other modules let in without a known secret has shown one to a module that is not known here.
			if o.Asked && o.Latch == Ignore && !letsIn(o.Without) {
				found.note(ReachedWithoutPassword, s.step(s.lastChecker(asks)))
			}
		}
	}
	login := s.run(anything, true)
	found.noteIf(login.tooComplex, TooComplex, nil)
	for _, o := range login.ends {
		switch p := o.problem(); p {
		case Good:
		case Bypassed:
			found.note(p, s.step(o.By))
		default:
			found.note(p, nil)
		}
	}
	if _, alters := found[AltersResult]; alters || s.latchLeads() {
		refuses, tooComplex := s.refusesIgnored()
		found.noteIf(tooComplex, TooComplex, nil)
		if refuses {
			found.note(RefusesIgnored, nil)
			delete(found, AltersResult) // is the same, less exactly
		}
	}
	return found.list()
}

// problems are those of a stack, with the rule that causes each, nil for none.
type problems map[Problem]*Step

// note keeps the first rule that causes a problem.
func (f problems) note(p Problem, by *Step) {
	if f[p] == nil {
		f[p] = by
	}
}

func (f problems) noteIf(yes bool, p Problem, by *Step) {
	if yes {
		f.note(p, by)
	}
}

func (f problems) list() []Finding {
	var all []Finding
	for _, p := range slices.Sorted(maps.Keys(f)) {
		all = append(all, Finding{p, f[p]})
	}
	return all
}

// step returns a step, nil for -1.
func (s *Stack) step(i int) *Step {
	if i < 0 {
		return nil
	}
	return &s.Steps[i]
}

// problem returns what is wrong with one outcome of a stack that has our line.
func (o Outcome) problem() Problem {
	switch {
	case !o.Asked && o.LetIn() && !o.Excused:
		return Bypassed
	case o.Asked && o.LetIn() && (o.Latch == AuthErr || o.Latch == PermDenied):
		return DenialIgnored
	case o.Asked && (o.Latch == Success || o.Latch == Ignore) && o.Status != o.Without:
		return AltersResult
	}
	return Good
}

// lastChecker is the checker that lets a wrong secret through to step at: the last one before it, or -1.
func (s *Stack) lastChecker(at int) int {
	checks := s.checks()
	for i := at - 1; i >= 0; i-- {
		if checks(s.Steps[i]) {
			return i
		}
	}
	return -1
}

// The controls of our rule.
const (
	Required = "required"
	// DenyOnly is for stacks in which no other rule may return success: there an open latch would let everybody in.
	DenyOnly = "[success=ignore ignore=ignore default=bad]"
)

// Line is the text of our rule.
func Line(phase Phase, control string, args []string) string {
	words := append([]string{fmt.Sprintf("%-10s %-12s %s", phase, control, ModuleFile)}, args...)
	return strings.Join(words, " ")
}

// Insert returns the file with our rule in the best place of the phase: one where the stack, judged as a whole, has no
// problem, or none but those that allowed lists. Without such a place it returns the findings of the one that would have
// been best.
func Insert(f *File, phase Phase, tree Tree, args []string, allowed ...Problem) (*File, []Finding, error) {
	before, err := Load(f, phase, tree)
	if err != nil {
		return nil, nil, err
	}
	if len(before.Steps) == 0 {
		return nil, []Finding{{Problem: Empty}}, nil
	}
	if at := before.Asks(); at >= 0 {
		return nil, []Finding{{AlreadyPresent, &before.Steps[at]}}, nil
	}
	after, findings, err := before.insert(f, tree, Required, args, allowed)
	if after != nil || err != nil {
		return after, nil, err
	}
	after, _, err = before.insert(f, tree, DenyOnly, args, allowed)
	if after != nil || err != nil {
		return after, nil, err
	}
	return nil, findings, nil
}

// insert tries every place with one control.
func (s *Stack) insert(f *File, tree Tree, control string, args []string, allowed []Problem) (*File, []Finding, error) {
	var best []Finding
	var aboveRoot *File // good, but above a rule that lets root in without a password
	for _, line := range s.places(f) {
		after := f.with(line, Line(s.Phase, control, args))
		findings, root, err := s.compare(after, tree)
		if err != nil {
			return nil, nil, err
		}
		findings = slices.DeleteFunc(findings, func(x Finding) bool { return slices.Contains(allowed, x.Problem) })
		switch {
		case len(findings) == 0 && !root:
			return after, nil, nil
		case len(findings) == 0 && aboveRoot == nil:
			aboveRoot = after
		case best == nil, best[0].Problem == BreaksJump:
			best = findings
		}
	}
	return aboveRoot, best, nil
}

// places are the lines before which our rule could stand, best first.
func (s *Stack) places(f *File) []int {
	if s.Phase == Account {
		return s.accountPlaces(f)
	}
	return s.authPlaces(f)
}

// accountPlaces goes from the top down to the first rule that includes a file or may end the stack. An included file
// may change at any time to one that does. A rule that lets root by is passed.
func (s *Stack) accountPlaces(f *File) []int {
	lines := []int{f.above(s.Steps[0].Top)}
	for _, step := range s.Steps {
		r := f.Rules[step.Top]
		if r.Inclusion != NotIncluding || slices.Contains(step.control[:], ActDone) && !excuses(step) {
			break
		}
		lines = append(lines, r.Last+1)
	}
	return lines
}

// authPlaces begins directly behind the last check of a secret, goes down from there, and then up. Without any check it
// goes from the bottom up: whom others refuse is better not asked about.
func (s *Stack) authPlaces(f *File) []int {
	var rules []int // of the service's own file that bring something to this phase
	for _, step := range s.Steps {
		if !slices.Contains(rules, step.Top) {
			rules = append(rules, step.Top)
		}
	}
	lines := []int{f.Rules[rules[0]].First}
	for _, rule := range rules {
		lines = append(lines, f.Rules[rule].Last+1)
	}
	split := len(lines)
	if last := s.lastChecker(len(s.Steps)); last >= 0 {
		split = 1 + slices.Index(rules, s.Steps[last].Top)
	}
	up := slices.Clone(lines[:split])
	slices.Reverse(up)
	return append(slices.Clone(lines[split:]), up...)
}

// above is the first line of the comment that stands directly above a rule, or the rule's own.
func (f *File) above(rule int) int {
	line := f.Rules[rule].First
	for line > 0 && bytes.HasPrefix(bytes.TrimLeft(f.lines[line-1], " \t"), []byte("#")) {
		line--
	}
	if line == 0 {
		return f.Rules[rule].First // a comment at the head belongs to the file
	}
	return line
}

// compare judges the file with our rule in it, against the stack without. root tells that the rule stands directly above
// one that lets root by, in the account phase.
func (s *Stack) compare(after *File, tree Tree) (findings []Finding, root bool, err error) {
	stack, err := Load(after, s.Phase, tree)
	if err != nil {
		return nil, false, err
	}
	if at := s.displaced(stack); at >= 0 {
		return []Finding{{BreaksJump, &s.Steps[at]}}, false, nil
	}
	asks := stack.Asks()
	return stack.Judge(), s.Phase == Account && asks < len(s.Steps) && excuses(s.Steps[asks]), nil
}

// displaced finds a step with a jump that would end elsewhere once our rule is in the stack. Ours is the only new step.
func (s *Stack) displaced(after *Stack) int {
	ours := after.Asks()
	for i, step := range s.Steps {
		if step.opens || step.fails {
			continue
		}
		for _, action := range step.control {
			if action <= 0 {
				continue
			}
			target, ok := s.jump(i, int(action))
			at := i
			if i >= ours {
				at++
			}
			now, okNow := after.jump(at, int(action))
			if now > ours {
				now--
			}
			if ok != okNow || now != target {
				return i
			}
		}
	}
	return -1
}

// with returns the file with a line put before line number at.
func (f *File) with(at int, text string) *File {
	var b bytes.Buffer
	for i, line := range f.lines {
		if i == at {
			b.WriteString(text + "\n")
		}
		b.Write(line)
	}
	if at >= len(f.lines) {
		if n := len(f.lines); n > 0 && !bytes.HasSuffix(f.lines[n-1], []byte("\n")) {
			b.WriteString("\n" + text) // and Without finds it without a line end
		} else {
			b.WriteString(text + "\n")
		}
	}
	return Parse(f.Name, b.Bytes())
}

// Without returns the file without any rule that calls our module, and how many there were. It takes back what Insert
// did, byte for byte.
func (f *File) Without() (*File, int) {
	var kept [][]byte
	gone, next := 0, 0
	for _, r := range f.Rules {
		if !r.IsLatch() {
			continue
		}
		kept = append(kept, f.lines[next:r.First]...)
		gone, next = gone+1, r.Last+1
		if last := f.lines[r.Last]; r.Last == len(f.lines)-1 && !bytes.HasSuffix(last, []byte("\n")) && len(kept) > 0 {
			kept[len(kept)-1] = bytes.TrimSuffix(kept[len(kept)-1], []byte("\n"))
		}
	}
	return Parse(f.Name, bytes.Join(append(kept, f.lines[next:]...), nil)), gone
}
