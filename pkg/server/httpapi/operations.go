package httpapi

import (
	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/server/store"
)

// mode reads a parameter that holds DISABLED, OPT_IN or MANDATORY; nil when it is missing or empty,
// as some clients send it.
func (r *request) mode(name string) (*store.Mode, error) {
	if r.params.Get(name) == "" {
		return nil, nil
	}
	m, err := store.ParseMode(r.params.Get(name))
	if err != nil {
		return nil, errorCode(api.ErrCodeBadParameter)
	}
	return &m, nil
}

func (r *request) text(name string) *string {
	if !r.params.Has(name) {
		return nil
	}
	v := r.params.Get(name)
	return &v
}

// nodeChange reads the parameters that operations and instances share.
func (r *request) nodeChange() (c store.OperationChange, err error) {
	c.Name = r.text("name")
	if c.TwoFactor, err = r.mode("two_factor"); err != nil {
		return c, err
	}
	c.LockOnUse, err = r.mode("lock_on_request")
	return c, err
}

func orDisabled(m *store.Mode) store.Mode {
	if m == nil {
		return store.Disabled
	}
	return *m
}

func (s *Server) createOperation(r *request) (any, error) {
	parent := r.params.Get("parentId")
	if parent == "" || r.params.Get("name") == "" {
		return nil, errorCode(api.ErrCodeMissingParameter)
	}
	c, err := r.nodeChange()
	if err != nil {
		return nil, err
	}
	o, err := s.store.AddOperation(r.ctx, r.signer.app, parent, store.Operation{
		Name: *c.Name, TwoFactor: orDisabled(c.TwoFactor), LockOnUse: orDisabled(c.LockOnUse),
	})
	if err != nil {
		return nil, err
	}
	return api.OperationCreated{OperationID: o.ID}, nil
}

// listOperations answers the children of the application, or of the operation that was named.
func (s *Server) listOperations(r *request) (any, error) {
	all, err := s.store.Operations(r.signer.app.Row)
	if err != nil {
		return nil, err
	}
	id := r.http.PathValue("op")
	if id == "" || id == r.signer.app.ID {
		return api.OperationsData{Operations: operationTree(all, 0)}, nil
	}
	for _, o := range all {
		if o.ID == id {
			return api.OperationsData{Operations: operationTree(all, o.Row)}, nil
		}
	}
	return nil, store.ErrNoOperation
}

// operationTree is never nil: clients look for the key.
func operationTree(all []store.Operation, parent int64) map[string]api.Operation {
	tree := map[string]api.Operation{}
	for _, o := range all {
		if o.Parent == parent {
			tree[o.ID] = api.Operation{
				Name: o.Name, TwoFactor: o.TwoFactor.String(), LockOnRequest: o.LockOnUse.String(),
				Operations: operationTree(all, o.Row),
			}
		}
	}
	return tree
}

func (s *Server) changeOperation(r *request) (any, error) {
	c, err := r.nodeChange()
	if err != nil {
		return nil, err
	}
	return nil, s.store.ChangeOperation(r.ctx, r.signer.app.Row, r.http.PathValue("op"), c)
}

func (s *Server) removeOperation(r *request) (any, error) {
	return nil, s.store.RemoveOperation(r.ctx, r.signer.app.Row, r.http.PathValue("op"))
}
