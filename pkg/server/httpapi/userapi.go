package httpapi

import (
	"errors"
	"fmt"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/server/store"
)

// subscription reports what an API user's applications use; nothing is limited here.
func (s *Server) subscription(r *request) (any, error) {
	u, err := s.store.Usage(r.signer.user.Row)
	if err != nil {
		return nil, err
	}
	unlimited := func(n int) api.Use { return api.Use{InUse: n, Limit: -1} }
	operations := make(map[string]api.Use, len(u.Operations))
	for app, n := range u.Operations {
		operations[app] = unlimited(n)
	}
	return api.SubscriptionData{Subscription: api.Subscription{
		ID: "self-hosted", Applications: unlimited(u.Applications), Operations: operations, Users: unlimited(u.Users),
	}}, nil
}

// listApplications answers an API user's own applications, with the oldest usable secret of each,
// as the call has always done.
func (s *Server) listApplications(r *request) (any, error) {
	list, err := s.store.Applications(r.signer.user.Row)
	if err != nil {
		return nil, err
	}
	all := make(map[string]api.Application, len(list))
	for _, a := range list {
		secret, err := s.oldestSecret(a.ID)
		if err != nil {
			return nil, err
		}
		operations, err := s.store.Operations(a.Row)
		if err != nil {
			return nil, err
		}
		image, err := s.imageURL(a)
		if err != nil {
			return nil, err
		}
		all[a.ID] = api.Application{
			Name: a.Name, TwoFactor: a.TwoFactor.String(), LockOnRequest: a.LockOnUse.String(), Secret: secret,
			ContactPhone: a.ContactPhone, ContactEmail: a.ContactEmail, ImageURL: image,
			Operations: operationTree(operations, 0),
		}
	}
	return api.ApplicationsData{Operations: all}, nil
}

// oldestSecret is "" when all were revoked.
func (s *Server) oldestSecret(appID string) (string, error) {
	_, secrets, err := s.store.Credentials(appID)
	if errors.Is(err, store.ErrNoApplication) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return secrets[0].Secret, nil
}

func (s *Server) createApplication(r *request) (any, error) {
	if r.params.Get("name") == "" {
		return nil, errorCode(api.ErrCodeMissingParameter)
	}
	twoFactor, err := r.mode("two_factor")
	if err != nil {
		return nil, err
	}
	lock, err := r.mode("lock_on_request")
	if err != nil {
		return nil, err
	}
	a, secret, err := s.store.AddApplication(r.ctx, store.Application{
		Name: r.params.Get("name"), ContactPhone: store.OneLine(r.params.Get("contactPhone")), ContactEmail: store.OneLine(r.email()),
		TwoFactor: orDisabled(twoFactor), LockOnUse: orDisabled(lock), Owner: r.signer.user.Row,
	})
	if err != nil {
		return nil, err
	}
	return api.ApplicationCreated{ApplicationID: a.ID, Secret: secret}, nil
}

// email is contactEmail, or email as the Python SDK calls it.
func (r *request) email() string {
	if r.params.Has("contactEmail") {
		return r.params.Get("contactEmail")
	}
	return r.params.Get("email")
}

// ownApplication finds an application that the API user made.
func (s *Server) ownApplication(r *request) (store.Application, error) {
	id := r.http.PathValue("app")
	a, err := s.store.Application(id)
	if err != nil {
		return a, err
	}
	if a.ID != id || a.Owner != r.signer.user.Row {
		return a, fmt.Errorf("%w: %q", store.ErrNoApplication, id)
	}
	return a, nil
}

func (s *Server) changeApplication(r *request) (any, error) {
	a, err := s.ownApplication(r)
	if err != nil {
		return nil, err
	}
	c := store.ApplicationChange{Name: r.text("name")}
	if r.params.Has("contactPhone") {
		phone := store.OneLine(r.params.Get("contactPhone"))
		c.ContactPhone = &phone
	}
	if r.params.Has("contactEmail") || r.params.Has("email") {
		email := store.OneLine(r.email())
		c.ContactEmail = &email
	}
	if c.TwoFactor, err = r.mode("two_factor"); err != nil {
		return nil, err
	}
	if c.LockOnUse, err = r.mode("lock_on_request"); err != nil {
		return nil, err
	}
	return nil, s.store.ChangeApplication(r.ctx, a.Row, c)
}

func (s *Server) removeApplication(r *request) (any, error) {
	a, err := s.ownApplication(r)
	if err != nil {
		return nil, err
	}
	return nil, s.store.RemoveApplication(r.ctx, a.Row)
}
