package httpapi

import (
	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/otp"
	"github.com/latch-linux/latch/pkg/server/store"
)

// createTOTP is the only answer that holds the seed.
func (s *Server) createTOTP(r *request) (any, error) {
	user, name := r.params.Get("userId"), r.params.Get("commonName")
	if user == "" {
		return nil, errorCode(api.ErrCodeMissingParameter)
	}
	if name == "" {
		name = user
	}
	key, err := otp.NewTOTP(r.signer.app.Name, store.OneLine(name))
	if err != nil {
		return nil, err
	}
	qr, err := otp.QR(key.URI)
	if err != nil {
		return nil, errorCode(api.ErrCodeBadParameter) // names too long for a QR code
	}
	k, err := s.store.AddTOTP(r.ctx, r.signer.app, store.TOTP{UserID: user, CommonName: store.OneLine(name), Secret: key.Secret})
	if err != nil {
		return nil, err
	}
	t := describeTOTP(r.signer.app, k)
	t.Secret, t.URI, t.QR = key.Secret, key.URI, qr
	return t, nil
}

func describeTOTP(app store.Application, k store.TOTP) api.TOTP {
	return api.TOTP{
		TOTPID: k.ID, Issuer: app.Name, Digits: otp.Digits, Period: int(otp.Period.Seconds()), Algorithm: "SHA1",
		Identity: &api.TOTPIdentity{ID: k.UserID, Name: k.CommonName}, CreatedAt: k.Created,
	}
}

func (s *Server) showTOTP(r *request) (any, error) {
	k, err := s.store.TOTP(r.signer.app, r.http.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return describeTOTP(r.signer.app, k), nil
}

func (s *Server) validateTOTP(r *request) (any, error) {
	code := r.params.Get("code")
	if code == "" {
		return nil, errorCode(api.ErrCodeMissingParameter)
	}
	return nil, s.store.CheckTOTP(r.ctx, r.signer.app, r.http.PathValue("id"), func(secret string, last int64) (int64, bool) {
		return otp.Match(secret, code, s.now(), last)
	})
}

func (s *Server) removeTOTP(r *request) (any, error) {
	if err := s.store.RemoveTOTP(r.ctx, r.signer.app, r.http.PathValue("id")); err != nil {
		return nil, err
	}
	return noContent{}, nil
}

func (s *Server) controlStatus(r *request) (any, error) {
	c, err := s.store.Control(r.signer.app, r.http.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return api.ControlStatus{Status: statusWord(c.Open)}, nil
}
