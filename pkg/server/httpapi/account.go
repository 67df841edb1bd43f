package httpapi

import (
	"errors"
	"strconv"
	"time"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/server/store"
)

// pair uses up a code. "Already paired" carries the account id as well: a host that lost it gets it
// back this way.
func (s *Server) pair(r *request) (any, error) {
	return paired(s.store.Pair(r.ctx, store.PairRequest{
		App: r.signer.app, Code: r.http.PathValue("code"), CommonName: store.OneLine(r.params.Get("commonName")),
		Subject: r.signer.secret.Subject(), Attempt: r.attempt(false),
	}))
}

// pairByName pairs a person who is known by name, without a code, where the application may.
func (s *Server) pairByName(r *request) (any, error) {
	if !r.signer.app.PairByName {
		return nil, switchedOff("--pair-by-name=yes")
	}
	return paired(s.store.PairByName(r.ctx, store.PairRequest{
		App: r.signer.app, CommonName: store.OneLine(r.params.Get("commonName")), Attempt: r.attempt(false),
	}, r.http.PathValue("name")))
}

func paired(accountID string, err error) (any, error) {
	if err != nil && !errors.Is(err, store.ErrAlreadyPaired) {
		return nil, err
	}
	return api.Pairing{AccountID: accountID}, err
}

func (s *Server) unpair(r *request) (any, error) {
	return nil, s.store.Unpair(r.ctx, r.signer.app, r.http.PathValue("account"), r.attempt(false))
}

func (s *Server) status(r *request) (any, error) {
	to, err := target(r.http, allowInstance|allowFlags)
	if err != nil {
		return nil, err
	}
	token := r.params.Get("otp")
	if token != "" && !validToken(token) {
		return nil, errorCode(api.ErrCodeBadParameter)
	}
	answer, err := s.store.Status(r.ctx, store.StatusRequest{
		App: r.signer.app, AccountID: r.http.PathValue("account"), Target: to.Target, NoOTP: to.noOTP,
		Token: token, Message: store.OneLine(r.params.Get("msg")), Attempt: r.attempt(to.silent), Subject: r.signer.secret.Subject(),
	})
	if err != nil {
		return nil, err
	}
	return api.StatusData{Operations: map[string]api.StatusNode{answer.ID: statusNode(answer)}}, nil
}

// awaitLimit is how long an answer is held: less than the time that hosts give one question.
const awaitLimit = 5 * time.Second

// await answers as a silent status call does, but a latch that is closed only after it opened or awaitLimit has passed.
func (s *Server) await(r *request) (any, error) {
	to, err := target(r.http, allowInstance)
	if err != nil {
		return nil, err
	}
	answer, err := s.store.AwaitOpen(r.ctx, store.StatusRequest{
		App: r.signer.app, AccountID: r.http.PathValue("account"), Target: to.Target, NoOTP: true, Attempt: r.attempt(true),
		Subject: r.signer.secret.Subject(),
	}, awaitLimit)
	if err != nil {
		return nil, err
	}
	return api.StatusData{Operations: map[string]api.StatusNode{answer.ID: statusNode(answer)}}, nil
}

// maxToken bounds a one-time token that the application brings along.
const maxToken = 64

func validToken(token string) bool {
	for _, c := range []byte(token) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return len(token) <= maxToken
}

func statusNode(n store.Status) api.StatusNode {
	node := api.StatusNode{Status: statusWord(n.Open)}
	if n.Token != "" {
		node.TwoFactor = &api.TwoFactor{Token: n.Token, Generated: n.Made}
	}
	if len(n.Children) > 0 {
		node.Operations = make(map[string]api.StatusNode, len(n.Children))
		for _, child := range n.Children {
			node.Operations[child.ID] = statusNode(child)
		}
	}
	return node
}

func statusWord(open bool) string {
	if open {
		return api.StatusOn
	}
	return api.StatusOff
}

func (s *Server) lock(r *request) (any, error) { return s.setLatch(r, false) }

// unlock opens only for an application that may; whoever holds a host's secret could otherwise open
// what a person closed.
func (s *Server) unlock(r *request) (any, error) { return s.setLatch(r, true) }

func (s *Server) setLatch(r *request, open bool) (any, error) {
	to, err := target(r.http, allowInstance)
	if err != nil {
		return nil, err
	}
	return nil, s.store.SetByApplication(r.ctx, r.signer.app, r.http.PathValue("account"), to.Target, open, r.attempt(false))
}

func (s *Server) history(r *request) (any, error) {
	from, err := millis(r.http.PathValue("from"), 0)
	if err != nil {
		return nil, err
	}
	to, err := millis(r.http.PathValue("to"), s.now().UnixMilli())
	if err != nil {
		return nil, err
	}
	h, err := s.store.History(r.ctx, r.signer.app, r.http.PathValue("account"), from, to)
	if err != nil {
		return nil, err
	}
	image, err := s.imageURL(r.signer.app)
	if err != nil {
		return nil, err
	}
	return historyAnswer(r.signer.app, image, h), nil
}

func millis(text string, missing int64) (int64, error) {
	if text == "" {
		return missing, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, errorCode(api.ErrCodeBadParameter)
	}
	return n, nil
}
