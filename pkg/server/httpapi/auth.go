package httpapi

import (
	"context"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/server/store"
)

// dateWindow is how far a request's date may be from the server's clock, either way.
const dateWindow = 300 * time.Second

// request is a verified request.
type request struct {
	http   *http.Request
	ctx    context.Context
	params url.Values // of the body; empty, never nil
	signer signer
}

// signer is who signed: an application with one of its secrets, or an API user.
type signer struct {
	app    store.Application
	secret store.Credential
	user   store.APIUser
}

// secretsOf finds who an id stands for and the secrets that may have signed. An unknown id gives
// one secret that nobody has, so that it costs the same time as a wrong signature.
type secretsOf func(id string) (secrets []string, pick func(i int) signer, err error)

func (s *Server) applicationSigner(id string) ([]string, func(int) signer, error) {
	app, list, err := s.store.Credentials(id)
	if errors.Is(err, store.ErrNoApplication) {
		return []string{s.store.DummySecret(id)}, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	secrets := make([]string, len(list))
	for i, c := range list {
		secrets[i] = c.Secret
	}
	return secrets, func(i int) signer {
		s.store.Used(list[i])
		return signer{app: app, secret: list[i]}
	}, nil
}

func (s *Server) userSigner(id string) ([]string, func(int) signer, error) {
	user, secret, err := s.store.APIUserCredential(id)
	if errors.Is(err, store.ErrNoAPIUser) {
		return []string{s.store.DummySecret(id)}, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	return []string{secret}, func(int) signer { return signer{user: user} }, nil
}

// eitherSigner takes an application's credentials or an API user's.
func (s *Server) eitherSigner(id string) ([]string, func(int) signer, error) {
	secrets, pick, err := s.applicationSigner(id)
	if err == nil && pick == nil {
		return s.userSigner(id)
	}
	return secrets, pick, err
}

// guard lets only verified requests through to h.
func (s *Server) guard(find secretsOf, h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := outcome{started: time.Now()}
		defer func() {
			if p := recover(); p != nil {
				out = s.crashed(r, out, p)
				s.render(w, r, out)
			}
		}()
		s.answer(&out, w, r, find, h)
		s.render(w, r, out)
	})
}

func (s *Server) answer(out *outcome, w http.ResponseWriter, r *http.Request, find secretsOf, h handler) {
	if !knownVersion(r.PathValue("version")) {
		out.status = http.StatusNotFound
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	req, err := s.verify(r, find)
	if err == nil {
		out.signer = req.signer
		out.data, err = h(req)
	}
	out.fail(err)
}

// verify checks, in this order: Authorization there (103) and well formed (101), date there (104)
// and well formed (108), signature (102), date near enough (109).
func (s *Server) verify(r *http.Request, find secretsOf) (*request, error) {
	id, signature, err := authorization(r.Header.Values(api.HeaderAuthorization))
	if err != nil {
		return nil, err
	}
	date, err := requestDate(r.Header.Values(api.HeaderDate))
	if err != nil {
		return nil, err
	}
	body, err := requestBody(r)
	if err != nil {
		return nil, err
	}
	secrets, pick, err := find(id)
	if err != nil {
		return nil, err
	}
	signed := api.SignedRequest{
		Method: r.Method, Path: rawPath(r), Date: r.Header.Get(api.HeaderDate), Header: r.Header, Body: body, Signature: signature,
	}
	which := -1
	for i, secret := range secrets {
		if signed.Verify(secret) {
			which = i
			break
		}
	}
	if which < 0 || pick == nil {
		return nil, errorCode(api.ErrCodeSignature)
	}
	if d := s.now().Sub(date); d > dateWindow || d < -dateWindow {
		return nil, errorCode(api.ErrCodeExpired)
	}
	params, err := url.ParseQuery(body)
	if err != nil || ambiguous(params) {
		return nil, errorCode(api.ErrCodeBadParameter)
	}
	by := pick(which)
	return &request{http: r, ctx: store.WithActor(r.Context(), by.actor(r)), params: params, signer: by}, nil
}

// actor is the signer, for the audit log.
func (s signer) actor(r *http.Request) store.Actor {
	a := store.Actor{Via: store.ViaAPI, Name: s.user.Name, IP: remoteIP(r)}
	if s.app.ID != "" {
		a.Name = s.app.Name + "/" + s.secret.Name
	}
	return a
}

// remoteIP is the address of the connection: a forwarded one can be made up.
func remoteIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// repeatable is the one parameter that may be given more than once.
const repeatable = "instances"

// ambiguous tells whether a parameter is repeated: the signature covers its values sorted, not which one came first.
func ambiguous(params url.Values) bool {
	for name, values := range params {
		if len(values) > 1 && name != repeatable {
			return true
		}
	}
	return false
}

// authorization reads "11PATHS <id> <signature>", once.
func authorization(headers []string) (id, signature string, err error) {
	if len(headers) == 0 || headers[0] == "" {
		return "", "", errorCode(api.ErrCodeNoAuthorization)
	}
	fields := strings.Split(headers[0], " ")
	if len(headers) > 1 || len(fields) != 3 || fields[0] != "11PATHS" || fields[1] == "" || fields[2] == "" {
		return "", "", errorCode(api.ErrCodeBadAuthorization)
	}
	return fields[1], fields[2], nil
}

// requestDate reads the date header, once; the Ruby SDK appends " UTC".
func requestDate(headers []string) (time.Time, error) {
	if len(headers) == 0 || headers[0] == "" {
		return time.Time{}, errorCode(api.ErrCodeNoDate)
	}
	text := strings.TrimSuffix(headers[0], " UTC")
	date, err := time.Parse(api.DateLayout, text) // takes fractions of a second too
	if err != nil || len(text) != len(api.DateLayout) || len(headers) > 1 {
		return time.Time{}, errorCode(api.ErrCodeBadDate)
	}
	return date, nil
}

// requestBody returns the body of a POST or PUT; other methods have no parameters.
func requestBody(r *http.Request) (string, error) {
	if r.Method != http.MethodPost && r.Method != http.MethodPut {
		return "", nil
	}
	body, err := readAll(r)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return "", statusError(http.StatusRequestEntityTooLarge)
	}
	if err != nil {
		return "", statusError(http.StatusBadRequest)
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); len(body) > 0 && r.Header.Get("Content-Type") != "" &&
		(err != nil || kind != "application/x-www-form-urlencoded") {
		return "", statusError(http.StatusUnsupportedMediaType)
	}
	return string(body), nil
}

// readAll reads a body of known length into a buffer of that length: one that grows takes three times as much, from
// everybody who has not been verified yet.
func readAll(r *http.Request) ([]byte, error) {
	if r.ContentLength < 0 || r.ContentLength > maxBody {
		return io.ReadAll(r.Body)
	}
	body := make([]byte, r.ContentLength)
	_, err := io.ReadFull(r.Body, body)
	return body, err
}

// rawPath is the path as it stood on the request line, which is what was signed.
func rawPath(r *http.Request) string {
	raw := r.RequestURI
	if strings.HasPrefix(raw, "/") {
		return raw
	}
	// The absolute form, as sent to a proxy.
	if _, rest, ok := strings.Cut(raw, "://"); ok {
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			return rest[i:]
		}
	}
	return raw
}

// contextHeaders are what a host may tell about itself, when its administrator says so.
var contextHeaders = map[string]string{
	"host": api.HeaderHost, "service": api.HeaderService, "phase": api.HeaderPhase, "rhost": api.HeaderRhost, "user": api.HeaderUser,
}

// attempt says who asks, for the history.
func (r *request) attempt(silent bool) store.Attempt {
	a := store.Attempt{UserAgent: store.OneLine(r.http.UserAgent()), IP: remoteIP(r.http), Silent: silent}
	for name, header := range contextHeaders {
		if v := r.http.Header.Get(header); v != "" {
			if a.Context == nil {
				a.Context = map[string]string{}
			}
			a.Context[name] = store.OneLine(v)
		}
	}
	return a
}
