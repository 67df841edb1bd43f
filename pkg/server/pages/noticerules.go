package pages

import (
	"net/http"

	"github.com/latch-linux/latch/pkg/server/store"
)

// ruleGroup is the rules of one account's latches, the application's first.
type ruleGroup struct {
	Account, Name string
	Rows          []ruleRow
}

// ruleRow is what a person is told of one latch.
type ruleRow struct {
	store.Rule
	ID, Name string
	Inside   string // the latch that it hangs on, "" for the application's
}

func (s *Site) rulesPage(x *exchange) error {
	groups, err := s.ruleGroups(x)
	if err != nil {
		return err
	}
	return x.page("rules", struct{ Groups []ruleGroup }{groups})
}

func (s *Site) ruleGroups(x *exchange) ([]ruleGroup, error) {
	accounts, err := x.latchTree()
	if err != nil {
		return nil, err
	}
	var groups []ruleGroup
	for _, a := range accounts {
		rules, err := s.store.Rules(a.AccountID)
		if err != nil {
			return nil, err
		}
		groups = append(groups, ruleGroup{a.AccountID, a.Status.Name, ruleRows(rules, a.Status, "")})
	}
	return groups, nil
}

func ruleRows(rules map[string]store.Rule, n store.NodeState, inside string) []ruleRow {
	rows := []ruleRow{{store.RuleFor(rules, n.ID, n.App), n.ID, n.Name, inside}}
	for _, child := range n.Children {
		rows = append(rows, ruleRows(rules, child, n.Name)...)
	}
	return rows
}

// setRules keeps what differs from the application's rule, so that a later change of that one is still one for all.
func (s *Site) setRules(x *exchange) error {
	groups, err := s.ruleGroups(x)
	if err != nil {
		return err
	}
	for _, g := range groups {
		if g.Account != x.r.PathValue("account") {
			continue
		}
		rules := map[string]store.Rule{}
		for i, row := range g.Rows {
			on := func(what string) bool { return x.r.PostFormValue(what+"."+row.ID) != "" }
			r := store.Rule{Refused: on("refused"), LetIn: on("let_in"), Changes: on("changes"), Quiet: on("quiet")}
			if i == 0 || r != rules[g.Rows[0].ID] {
				rules[row.ID] = r
			}
		}
		if err := s.store.SetRules(x.r.Context(), x.visitor.User.Row, g.Account, rules); err != nil {
			return err
		}
		x.flash("notices.rulessaved", g.Name)
		return x.redirect("/notices/rules")
	}
	return statusError(http.StatusNotFound)
}
