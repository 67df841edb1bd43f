package httpapi

import (
	"net/http"

	"github.com/latch-linux/latch/pkg/api"
)

// maxInstances bounds one creation.
const maxInstances = 100

func (s *Server) createInstance(r *request) (any, error) {
	to, err := target(r.http, 0)
	if err != nil {
		return nil, err
	}
	names := r.params[repeatable]
	if len(names) == 0 || names[0] == "" {
		return nil, errorCode(api.ErrCodeMissingParameter)
	}
	if len(names) > maxInstances {
		return nil, errorCode(api.ErrCodeBadParameter)
	}
	list, err := s.store.AddInstances(r.ctx, r.signer.app, r.http.PathValue("account"), to.OperationID, names)
	if err != nil {
		return nil, err
	}
	made := make(map[string]string, len(list))
	for _, i := range list {
		made[i.ID] = i.Name
	}
	return api.InstancesCreated{Instances: made}, nil
}

func (s *Server) listInstances(r *request) (any, error) {
	to, err := target(r.http, 0)
	if err != nil {
		return nil, err
	}
	list, err := s.store.Instances(r.signer.app, r.http.PathValue("account"), to.OperationID)
	if err != nil {
		return nil, err
	}
	all := make(map[string]api.Instance, len(list))
	for _, i := range list {
		all[i.ID] = api.Instance{Name: i.Name, TwoFactor: i.TwoFactor.String(), LockOnRequest: i.LockOnUse.String()}
	}
	return all, nil
}

// changeInstance is also how old SDKs create.
func (s *Server) changeInstance(r *request) (any, error) {
	if r.params.Has(repeatable) {
		return s.createInstance(r)
	}
	to, err := oneInstance(r)
	if err != nil {
		return nil, err
	}
	c, err := r.nodeChange()
	if err != nil {
		return nil, err
	}
	return nil, s.store.ChangeInstance(r.ctx, r.signer.app, r.http.PathValue("account"), to.OperationID, to.InstanceID, c)
}

func (s *Server) removeInstance(r *request) (any, error) {
	to, err := oneInstance(r)
	if err != nil {
		return nil, err
	}
	return nil, s.store.RemoveInstance(r.ctx, r.signer.app, r.http.PathValue("account"), to.OperationID, to.InstanceID)
}

func oneInstance(r *request) (asked, error) {
	to, err := target(r.http, allowInstance)
	if err == nil && to.InstanceID == "" {
		err = statusError(http.StatusNotFound)
	}
	return to, err
}
