package pamconf

// Outcome is one way in which a stack may end.
type Outcome struct {
	Status  Code // what the host gets
	Without Code // what it would get if our module had had no say
	Asked   bool // our module was called
	Latch   Code // what it returned
	Excused bool // the caller was root and root is let by
	By      int  // the step that ended the stack before its end, or -1
}

// LetIn reports whether a host lets the person in: one whose password is to be changed comes in as well.
func (o Outcome) LetIn() bool { return o.Status == Success || o.Status == NewAuthtokReqd }

// Answers returns what a step may return.
type Answers func(Step) []Code

// impression is what libpam makes of a stack so far.
type impression struct {
	sign   int8 // 0 none, 1 good, -1 bad
	status Code
}

// maxStates bounds a simulation that judges. Real stacks have a few hundred states; only resets in many nested substacks
// come near.
const maxStates = 50_000

// mustFail is what libpam answers where nothing answered.
const mustFail = PermDenied

var nothing = impression{0, mustFail}

func (m *impression) good(code Code) {
	if m.sign == 0 || (m.sign > 0 && m.status == Success) {
		*m = impression{1, code}
	}
}

func (m *impression) bad(code Code) {
	if m.sign >= 0 {
		if code == Ignore {
			code = mustFail
		}
		*m = impression{-1, code}
	}
}

// result is what libpam returns: success only where somebody said so.
func (m impression) result() Code {
	if m.status == Success && m.sign <= 0 {
		return mustFail
	}
	return m.status
}

// pair keeps count of the stack as it is and as it would be without our module.
type pair struct{ with, without impression }

// state is a point in the run of a stack. It is comparable: a state that was seen before leads nowhere new.
type state struct {
	next, level int // the step to come and its level
	now         pair
	entered     [maxDepth + 1]pair // as it was when a level was entered; of the levels that are open
	asked       bool
	latch       Code
	excused     bool
}

type run struct {
	stack      *Stack
	answers    Answers
	coarse     bool // it does not matter which code refuses, and the states are bounded
	tooComplex bool // there were more
	seen       map[state]bool
	known      map[Outcome]bool
	ends       []Outcome
}

// Run returns every outcome of the stack under the answers that its steps may give, after the dispatcher of libpam
// (pam.conf(5), "default=bad" and so on). A stack without any step is refused by libpam. Of outcomes that differ only in
// By there is one.
func (s *Stack) Run(answers Answers) []Outcome { return s.run(answers, false).ends }

func (s *Stack) run(answers Answers, coarse bool) *run {
	r := &run{stack: s, answers: answers, coarse: coarse, seen: map[state]bool{}, known: map[Outcome]bool{}}
	start := state{now: pair{nothing, nothing}}
	start.entered[0] = start.now
	r.from(start, -1)
	return r
}

// enter comes to a step: whatever is deeper than it was left.
func (s *state) enter(level int) {
	if s.level < level {
		s.entered[level] = s.now
	}
	s.level = level
	clear(s.entered[level+1:])
}

// end notes an outcome. by is the step that ended the stack before its end, or -1.
func (r *run) end(s state, status, without Code, by int) {
	o := Outcome{Status: status, Without: without, Asked: s.asked, Latch: s.latch, Excused: s.excused}
	if !r.known[o] {
		r.known[o] = true
		o.By = by
		r.ends = append(r.ends, o)
	}
}

func (r *run) from(s state, by int) {
	for s.next < len(r.stack.Steps) && r.stack.Steps[s.next].opens {
		s.enter(r.stack.Steps[s.next].level)
		s.next++
	}
	if s.next >= len(r.stack.Steps) {
		r.end(s, s.now.with.result(), s.now.without.result(), by)
		return
	}
	step := r.stack.Steps[s.next]
	s.enter(step.level)
	if r.seen[s] || r.tooComplex {
		return
	}
	r.seen[s] = true
	r.tooComplex = r.coarse && len(r.seen) > maxStates
	if step.fails {
		r.after(s, step, mustFail, by)
		return
	}
	for _, code := range r.answers(step) {
		r.after(s, step, code, by)
	}
}

// after goes on with what a step returned.
func (r *run) after(s state, step Step, code Code, by int) {
	ours := step.Rule.IsLatch() && !step.fails
	if ours {
		s.asked, s.latch = true, code
	}
	if excuses(step) && code == Success {
		s.excused = true
	}
	at := s.next
	s.next = at + 1
	apply := func(change func(*impression)) {
		change(&s.now.with)
		if !ours {
			change(&s.now.without)
		}
	}
	if code == Incomplete {
		// The module wants to be called again; until then the host has this code.
		r.end(s, code, code, at)
		return
	}
	action := ActBad
	if int(code) < len(step.control) {
		action = step.control[code]
	} else {
		code = mustFail
	}
	if r.coarse && code != Success && code != NewAuthtokReqd {
		code = mustFail
	}
	switch {
	case action == ActReset:
		s.now = s.entered[step.level]
	case action == ActOK || action == ActDone:
		apply(func(m *impression) { m.good(code) })
		if action == ActDone && s.now.with.sign > 0 {
			s.next, by = r.stack.leave(at), at
		}
	case action == ActBad || action == ActDie:
		apply(func(m *impression) { m.bad(code) })
		if action == ActDie {
			s.next, by = r.stack.leave(at), at
		}
	case action > 0:
		target, ok := r.stack.jump(at, int(action))
		s.next = target
		if !ok {
			apply(func(m *impression) { *m = impression{-1, mustFail} })
		}
	}
	r.from(s, by)
}

// leave returns the step after the level of step at.
func (s *Stack) leave(at int) int {
	i := at + 1
	for i < len(s.Steps) && s.Steps[i].level >= s.Steps[at].level {
		i++
	}
	return i
}

// jump returns the step that comes after n skipped ones, a substack counting as one. Where fewer are left on this
// level libpam fails and goes on behind them.
func (s *Stack) jump(at, n int) (target int, ok bool) {
	i, level := at, s.Steps[at].level
	for n > 0 && i+1 < len(s.Steps) && s.Steps[i+1].level >= level {
		i++
		for i+1 < len(s.Steps) && s.Steps[i+1].level > level {
			i++
		}
		n--
	}
	return i + 1, n == 0
}
