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
func (o Outcome) LetIn() bool { return letsIn(o.Status) }

func letsIn(status Code) bool { return status == Success || status == NewAuthtokReqd }

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

// position is a point in a stack with what libpam makes of the steps before it.
type position struct {
	next, level int // the step to come and its level
	now         pair
	entered     [maxDepth + 1]pair // as it was when a level was entered; of the levels that are open
}

// state is a point in the run of a stack. It is comparable: a state that was seen before leads nowhere new.
type state struct {
	position
	asked   bool
	latch   Code
	excused bool
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
	r.from(state{position: begin()}, -1)
	return r
}

// begin is the position before the first step.
func begin() position {
	p := position{now: pair{nothing, nothing}}
	p.entered[0] = p.now
	return p
}

// enter comes to a step: whatever is deeper than it was left.
func (p *position) enter(level int) {
	if p.level < level {
		p.entered[level] = p.now
	}
	p.level = level
	clear(p.entered[level+1:])
}

// arrive goes on to the next step that is no head of a substack, and reports whether there is one.
func (p *position) arrive(s *Stack) bool {
	for p.next < len(s.Steps) {
		step := s.Steps[p.next]
		p.enter(step.level)
		if !step.opens {
			return true
		}
		p.next++
	}
	return false
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
	if !s.arrive(r.stack) {
		r.end(s, s.now.with.result(), s.now.without.result(), by)
		return
	}
	if r.seen[s] || r.tooComplex {
		return
	}
	r.seen[s] = true
	r.tooComplex = r.coarse && len(r.seen) > maxStates
	for _, code := range r.stack.Steps[s.next].returns(r.answers) {
		r.after(s, code, by)
	}
}

// returns are the codes that a step may return to libpam.
func (step Step) returns(answers Answers) []Code {
	if step.fails {
		return []Code{mustFail}
	}
	return answers(step)
}

// after goes on with what a step returned.
func (r *run) after(s state, code Code, by int) {
	at := s.next
	step := r.stack.Steps[at]
	if step.ours() {
		s.asked, s.latch = true, code
	}
	if excuses(step) && code == Success {
		s.excused = true
	}
	if code == Incomplete {
		// The module wants to be called again; until then the host has this code.
		r.end(s, code, code, at)
		return
	}
	if s.take(r.stack, code, r.coarse) {
		by = at
	}
	r.from(s, by)
}

// ours reports whether libpam calls our module at the step.
func (step Step) ours() bool { return step.Rule.IsLatch() && !step.fails && !step.opens }

// take moves the position by what its step returned, as libpam's dispatcher does. ends reports that the step ended its level.
func (p *position) take(s *Stack, code Code, coarse bool) (ends bool) {
	at := p.next
	step := s.Steps[at]
	p.next = at + 1
	apply := func(change func(*impression)) {
		change(&p.now.with)
		if !step.ours() {
			change(&p.now.without)
		}
	}
	action := ActBad
	if int(code) < len(step.control) {
		action = step.control[code]
	} else {
		code = mustFail
	}
	if coarse && code != Success && code != NewAuthtokReqd {
		code = mustFail
	}
	switch {
	case action == ActReset:
		p.now = p.entered[step.level]
	case action == ActOK || action == ActDone:
		apply(func(m *impression) { m.good(code) })
		ends = action == ActDone && p.now.with.sign > 0
	case action == ActBad || action == ActDie:
		apply(func(m *impression) { m.bad(code) })
		ends = action == ActDie
	case action > 0:
		target, ok := s.jump(at, int(action))
		p.next = target
		if !ok {
			apply(func(m *impression) { *m = impression{-1, mustFail} })
		}
	}
	if ends {
		p.next = s.leave(at)
	}
	return ends
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
