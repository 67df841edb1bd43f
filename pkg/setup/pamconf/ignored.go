package pamconf

import "slices"

// comparison is one login in two versions: in one the latch is open, in the other our module answers "ignore", as it does
// about users who are unpaired or exempt. All other modules answer the same in both.
type comparison struct {
	open, ignored position
	asked         bool
}

// comparer looks for a login that succeeds only because the latch is open.
type comparer struct {
	stack      *Stack
	seen       map[comparison]bool
	found      bool
	tooComplex bool
}

// refusesIgnored reports whether a user whom our module ignores can be refused where an open latch lets in: behind a
// "sufficient" line, or where no other module says yes.
func (s *Stack) refusesIgnored() (found, tooComplex bool) {
	c := comparer{stack: s, seen: map[comparison]bool{}}
	c.from(comparison{open: begin(), ignored: begin()})
	return c.found, c.tooComplex
}

func (c *comparer) from(now comparison) {
	open, ignored := now.open.arrive(c.stack), now.ignored.arrive(c.stack)
	switch {
	case !open && !ignored:
		c.found = c.found || now.asked && letsIn(now.open.now.with.result()) && !letsIn(now.ignored.now.with.result())
		return
	case c.found || c.tooComplex || c.seen[now]:
		return
	}
	c.seen[now] = true
	c.tooComplex = len(c.seen) > maxStates
	// The version that is behind goes on. A step that the other one has passed answers to this one alone.
	both := open && ignored && now.open.next == now.ignored.next
	openFirst := open && (!ignored || now.open.next < now.ignored.next)
	at := now.ignored.next
	if openFirst {
		at = now.open.next
	}
	step := c.stack.Steps[at]
	if step.ours() {
		now.asked = true
		c.goOn(now, Success, Ignore, both || openFirst, both || !openFirst)
		return
	}
	for _, code := range step.returns(anything) {
		if code != Incomplete { // the host calls again, and the module answers then
			c.goOn(now, code, code, both || openFirst, both || !openFirst)
		}
	}
}

// goOn moves the versions that are at the step by what it answers to each.
func (c *comparer) goOn(now comparison, toOpen, toIgnored Code, open, ignored bool) {
	if open {
		now.open.take(c.stack, toOpen, true)
	}
	if ignored {
		now.ignored.take(c.stack, toIgnored, true)
	}
	c.from(now)
}

// latchLeads reports whether success of our module, or its "ignore", does more than count or not count.
func (s *Stack) latchLeads() bool {
	return slices.ContainsFunc(s.Steps, func(step Step) bool {
		return step.ours() && (step.control[Success] != ActOK || step.control[Ignore] != ActIgnore)
	})
}

// Admits reports whether anybody who is not root gets in by way of our line where our module answers latch; by any way where
// the stack has none of our lines.
func (s *Stack) Admits(latch Code) bool {
	all := s.run(func(step Step) []Code {
		if step.ours() {
			return []Code{latch}
		}
		return anything(step)
	}, true)
	bare := s.Asks() < 0
	return all.tooComplex || slices.ContainsFunc(all.ends, func(o Outcome) bool { return o.LetIn() && !o.Excused && (o.Asked || bare) })
}
