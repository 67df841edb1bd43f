package pamconf

import (
	"errors"
	"fmt"
	"io/fs"
)

// maxDepth is how deep libpam follows inclusions.
const maxDepth = 16

// maxRules bounds the rules of a service, inclusions among them. libpam knows no such bound: files that include each
// other many times keep it busy for ever.
const maxRules = 2000

// ErrTooMany tells of a service with more rules than anybody needs.
var ErrTooMany = fmt.Errorf("more than %d rules", maxRules)

// Tree is a directory of service files, as libpam finds them: Read returns the text that the name stands for
// (/etc/pam.d before /usr/lib/pam.d), or an error that is fs.ErrNotExist.
type Tree interface {
	Read(name string) ([]byte, error)
}

// Step is one entry of a stack: a module that libpam calls, or the place of a substack.
type Step struct {
	Rule    Rule
	File    string // the file that the rule stands in
	Top     int    // index of the rule of the service's own file that brought it here
	level   int
	control Control
	fails   bool // libpam fails here without calling anything
	opens   bool // the head of a substack, which counts as one module for a jump
}

// Where names file and line.
func (s Step) Where() string { return fmt.Sprintf("%s:%d", s.File, s.Rule.First+1) }

// Stack is what libpam runs in one phase of a service.
type Stack struct {
	Phase Phase
	Steps []Step
}

// BrokenError tells of a file that libpam gives up on: nobody can log in through the service.
type BrokenError struct {
	File string
	Line int // from 1
	Why  string
}

func (e *BrokenError) Error() string {
	return fmt.Sprintf("%s:%d: libpam cannot read this: %s", e.File, e.Line, e.Why)
}

func broken(f *File, r Rule, why string) error { return &BrokenError{f.Name, r.First + 1, why} }

// Load expands one phase of a service file. What libpam cannot read it makes fail, and so does this: one line, one
// phase, or, with a *BrokenError, the service. An error of the tree other than "does not exist" is returned, as
// is ErrTooMany.
func Load(f *File, phase Phase, tree Tree) (*Stack, error) {
	b := builder{steps: map[Phase][]Step{}, tree: tree}
	err := b.add(f, "", 0, 0, -1)
	return &Stack{Phase: phase, Steps: b.steps[phase]}, err
}

// builder expands all phases at once: libpam reads a service as a whole.
type builder struct {
	steps map[Phase][]Step
	tree  Tree
	rules int // that were read so far
}

// add expands a file. only is the phase that the file is included for, "" for all of them.
func (b *builder) add(f *File, only Phase, depth, level, top int) error {
	for i, r := range f.Rules {
		if depth == 0 {
			top = i
		}
		if r.Phase == "" && r.Inclusion != IncludeAll {
			// One of no known phase is filed under the phase that the file is read for, or the most sensitive one.
			if r.Phase = only; only == "" {
				r.Phase = Auth
			}
		}
		if r.Inclusion != IncludeAll && only != "" && r.Phase != only && !r.Fatal {
			continue
		}
		if r.Fatal {
			return broken(f, r, r.Broken)
		}
		if b.rules++; b.rules > maxRules {
			return fmt.Errorf("%s:%d: %w", f.Name, r.First+1, ErrTooMany)
		}
		step := Step{Rule: r, File: f.Name, Top: top, level: level}
		if r.Inclusion != NotIncluding {
			if err := b.include(f, step, only, depth); err != nil {
				return err
			}
			continue
		}
		step.control, step.fails = r.control(), r.Broken != ""
		b.put(r.Phase, step)
	}
	return nil
}

func (b *builder) put(phase Phase, step Step) { b.steps[phase] = append(b.steps[phase], step) }

func (b *builder) include(f *File, step Step, only Phase, depth int) error {
	r, level := step.Rule, step.level
	switch r.Inclusion {
	case Include, Substack:
		only = r.Phase
	}
	if r.Inclusion == Substack {
		head := step
		head.opens = true
		b.put(only, head)
		level++
	}
	err := b.follow(f, step, only, depth, level)
	var unreadable *BrokenError
	if !errors.As(err, &unreadable) || only == "" {
		return err
	}
	// Debian's "@include" has the control of whatever line came before; bad is what it should be.
	step.fails, step.control = true, controlOf(ActBad, nil)
	b.put(only, step)
	return nil
}

func (b *builder) follow(f *File, step Step, only Phase, depth, level int) error {
	r := step.Rule
	if r.Broken != "" {
		return broken(f, r, r.Broken)
	}
	if depth+1 >= maxDepth {
		return broken(f, r, "inclusions that are nested too deep")
	}
	text, err := b.tree.Read(r.Module)
	if errors.Is(err, fs.ErrNotExist) {
		return broken(f, r, "there is no "+r.Module)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", step.Where(), err)
	}
	return b.add(Parse(r.Module, text), only, depth+1, level, step.Top)
}

// Asks returns the index of the first step that calls our module, or -1.
func (s *Stack) Asks() int {
	for i, step := range s.Steps {
		if !step.opens && step.Rule.IsLatch() {
			return i
		}
	}
	return -1
}
