package pages

import (
	"net/url"
	"strings"

	"github.com/latch-linux/latch/pkg/server/store"
)

func (s *Site) adminOperationRoutes() {
	s.admin("POST /admin/apps/{app}/operations", withApp((*exchange).addOperation))
	s.auditor("GET /admin/apps/{app}/operations/{op}", withOperation((*exchange).operationPage))
	s.admin("POST /admin/apps/{app}/operations/{op}", withOperation((*exchange).changeOperation))
	s.admin("GET /admin/apps/{app}/operations/{op}/remove", withOperation((*exchange).askRemoveOperation))
	s.admin("POST /admin/apps/{app}/operations/{op}/remove", withOperation((*exchange).removeOperation))
}

func operationAddress(a store.Application, o store.Operation) string {
	return appAddress(a) + "/operations/" + url.PathEscape(o.ID)
}

// withOperation wraps a handler that is about one operation, found by its id alone.
func withOperation(h func(*exchange, store.Application, store.Operation) error) handler {
	return withApp(func(x *exchange, a store.Application) error {
		id := x.r.PathValue("op")
		o, err := x.site.store.Operation(a.Row, id)
		if err == nil && o.ID != id {
			err = store.ErrNoOperation
		}
		if err != nil {
			return err
		}
		return h(x, a, o)
	})
}

// operationNode is an operation with those below it.
type operationNode struct {
	store.Operation
	Address  string
	Children []operationNode
}

func (x *exchange) operationTree(a store.Application) ([]operationNode, error) {
	list, err := x.site.store.Operations(a.Row)
	if err != nil {
		return nil, err
	}
	return operationsBelow(a, list, 0), nil
}

func operationsBelow(a store.Application, list []store.Operation, parent int64) []operationNode {
	var nodes []operationNode
	for _, o := range list {
		if o.Parent == parent {
			nodes = append(nodes, operationNode{o, operationAddress(a, o), operationsBelow(a, list, o.Row)})
		}
	}
	return nodes
}

func countOperations(nodes []operationNode) int {
	n := len(nodes)
	for _, node := range nodes {
		n += countOperations(node.Children)
	}
	return n
}

func (x *exchange) addOperation(a store.Application) error {
	parent := x.r.PostFormValue("parent")
	if parent == "" {
		parent = a.ID
	}
	name := strings.TrimSpace(x.r.PostFormValue("name"))
	back := appAddress(a)
	if parent != a.ID {
		back += "/operations/" + url.PathEscape(parent)
	}
	_, err := x.site.store.AddOperation(x.context(), a, parent, store.Operation{Name: name})
	return x.done(err, back, back, "admin.operation.added", name)
}

type operationForm struct {
	App               store.Application
	Operation         store.Operation
	Back, Address     string
	Modes             []modeField
	Children          []operationNode
	Parent, ParentURL string
}

func (x *exchange) operationPage(a store.Application, o store.Operation) error {
	list, err := x.site.store.Operations(a.Row)
	if err != nil {
		return err
	}
	f := operationForm{App: a, Operation: o, Back: appAddress(a), Address: operationAddress(a, o), Modes: modeFields("op-", o.TwoFactor, o.LockOnUse),
		Children: operationsBelow(a, list, o.Row)}
	for _, p := range list {
		if p.Row == o.Parent {
			f.Parent, f.ParentURL = p.Name, operationAddress(a, p)
		}
	}
	return x.page("admin_operation", f)
}

func (x *exchange) changeOperation(a store.Application, o store.Operation) error {
	name := strings.TrimSpace(x.r.PostFormValue("name"))
	twoFactor, err := x.mode("two_factor")
	if err != nil {
		return err
	}
	lock, err := x.mode("lock_on_request")
	if err != nil {
		return err
	}
	err = x.site.store.ChangeOperation(x.context(), a.Row, o.ID, store.OperationChange{Name: &name, TwoFactor: &twoFactor, LockOnUse: &lock})
	return x.done(err, operationAddress(a, o), operationAddress(a, o), "admin.operation.changed", name)
}

func (x *exchange) askRemoveOperation(a store.Application, o store.Operation) error {
	list, err := x.site.store.Operations(a.Row)
	if err != nil {
		return err
	}
	below := countOperations(operationsBelow(a, list, o.Row))
	return x.confirm(confirmation{
		Title: x.text("admin.operation.remove.title", o.Name), Text: x.count("admin.operation.remove.text", below, a.Name),
		Button: x.text("admin.operation.remove.button"), Action: operationAddress(a, o) + "/remove", Back: operationAddress(a, o),
	})
}

func (x *exchange) removeOperation(a store.Application, o store.Operation) error {
	return x.done(x.site.store.RemoveOperation(x.context(), a.Row, o.ID), appAddress(a), appAddress(a), "admin.operation.removed", o.Name)
}
