package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/server/store"
	"github.com/latch-linux/latch/pkg/version"
)

// outcome is what becomes of a request: data, an API error or both, or an HTTP status.
type outcome struct {
	started    time.Time
	signer     signer
	data       any
	apiError   *api.Error
	status     int           // 0 means 200
	retryAfter time.Duration // with 429 and 503
	cause      error         // for the log, when the server is to blame
}

// noContent is the data of an answer without a body.
type noContent struct{}

// httpError is an answer that has no API code.
type httpError int

func statusError(status int) error { return httpError(status) }

func (e httpError) Error() string { return http.StatusText(int(e)) }

// errorCode is an API error with its usual text.
func errorCode(code int) *api.Error { return &api.Error{Code: code, Message: api.Message(code)} }

// switchedOff is an error 110 that names the switch by which the admin allows the call.
func switchedOff(flag string) *api.Error {
	return &api.Error{Code: api.ErrCodeUnauthorized,
		Message: api.Message(api.ErrCodeUnauthorized) + ": the server's admin allows it by latch-server app set APP " + flag}
}

// serverHeader tells hosts that this is latch-server, and what it can.
var serverHeader = api.ServerHeader(version.String())

// storeCodes says which API error stands for which of the store's.
var storeCodes = []struct {
	is   error
	code int
}{
	{store.ErrNotPaired, api.ErrCodeNotPaired},
	{store.ErrAlreadyPaired, api.ErrCodeAlreadyPaired},
	{store.ErrCodeUnknown, api.ErrCodeToken},
	{store.ErrNoUser, api.ErrCodeAccountName},
	{store.ErrUserDisabled, api.ErrCodeAccountDisabled},
	{store.ErrNoApplication, api.ErrCodeNoOperation},
	{store.ErrNoOperation, api.ErrCodeNoOperation},
	{store.ErrNoInstance, api.ErrCodeNoInstance},
	{store.ErrNoTOTP, api.ErrCodeNoTOTP},
	{store.ErrNoRequest, api.ErrCodeToken},
	{store.ErrTOTPWrong, api.ErrCodeTOTP},
	{store.ErrNoControl, api.ErrCodeNoControl},
	{store.ErrBadName, api.ErrCodeBadParameter},
	{store.ErrExists, api.ErrCodeBadParameter},
	{store.ErrTooMany, api.ErrCodeBadParameter},
}

// fail sorts an error into the outcome. What is not known here is the server's own fault.
func (o *outcome) fail(err error) {
	var known *api.Error
	var status httpError
	var many *store.TooManyError
	switch {
	case err == nil:
	case errors.As(err, &known):
		o.apiError = known
	case errors.Is(err, store.ErrNotAllowed):
		o.apiError = switchedOff("--open-by-api=yes")
	case errors.As(err, &status):
		o.status = int(status)
	case errors.As(err, &many):
		o.status, o.retryAfter = http.StatusTooManyRequests, many.After
	default:
		for _, c := range storeCodes {
			if errors.Is(err, c.is) {
				o.apiError = errorCode(c.code)
				return
			}
		}
		o.status, o.cause = http.StatusServiceUnavailable, err
		o.retryAfter = time.Second
	}
}

// crashed turns a panic into a 500 that says nothing about it.
func (s *Server) crashed(r *http.Request, o outcome, p any) outcome {
	if p == http.ErrAbortHandler {
		panic(p)
	}
	return outcome{started: o.started, signer: o.signer, status: http.StatusInternalServerError,
		cause: fmt.Errorf("panic: %v\n%s", p, debug.Stack())}
}

// render writes the answer and the log line. API errors come with HTTP 200: clients read an error
// object only there.
func (s *Server) render(w http.ResponseWriter, r *http.Request, o outcome) {
	defer s.logRequest(r, &o)
	if _, none := o.data.(noContent); none && o.apiError == nil && o.status == 0 {
		o.status = http.StatusNoContent
		w.WriteHeader(o.status)
		return
	}
	body, err := marshal(api.Answer{Data: o.data, Error: o.apiError})
	if err != nil || o.status != 0 {
		body = []byte("{}")
	}
	if err != nil {
		o.status, o.cause = http.StatusInternalServerError, err
	}
	if o.status == 0 {
		o.status = http.StatusOK
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if o.signer.app.ID != "" {
		h.Set(api.HeaderServer, serverHeader)
	}
	if o.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((o.retryAfter+time.Second-1)/time.Second)))
	}
	w.WriteHeader(o.status)
	w.Write(body) // an error means that the client has gone
}

// marshal writes compact JSON as the service does: no spaces, no newline, & < > as they are.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("render answer: %w", err)
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// logRequest writes one line for what did not go well and what changed something. Questions that
// were answered stand in the history. The pattern stands for the path, which may hold a pairing
// code.
func (s *Server) logRequest(r *http.Request, o *outcome) {
	level := o.level(r.Method)
	if !s.log.Enabled(r.Context(), level) {
		return
	}
	unsaid := 0
	if stranger := o.signer.app.ID == "" && o.signer.user.ID == ""; stranger && o.status < 500 {
		var ok bool
		if ok, unsaid = s.strangers.may(); !ok {
			return
		}
	}
	attrs := []slog.Attr{
		slog.String("request", store.OneLine(r.Pattern)), slog.String("from", r.RemoteAddr), slog.Int("status", o.status),
	}
	if o.signer.app.ID != "" {
		attrs = append(attrs, slog.String("app", o.signer.app.Name), slog.String("secret", o.signer.secret.Name))
	}
	if o.signer.user.ID != "" {
		attrs = append(attrs, slog.String("api_user", o.signer.user.Name))
	}
	if o.apiError != nil {
		attrs = append(attrs, slog.Int("code", o.apiError.Code))
	}
	if o.cause != nil {
		attrs = append(attrs, slog.String("error", o.cause.Error()))
	}
	if unsaid > 0 {
		attrs = append(attrs, slog.Int("unsaid", unsaid))
	}
	if !o.started.IsZero() {
		attrs = append(attrs, slog.Int64("ms", time.Since(o.started).Milliseconds()))
	}
	s.log.LogAttrs(r.Context(), level, "request", attrs...)
}

func (o *outcome) level(method string) slog.Level {
	switch {
	case o.status >= 500:
		return slog.LevelError
	case o.apiError != nil || o.status >= 400:
		return slog.LevelWarn
	case method == http.MethodGet:
		return slog.LevelDebug
	}
	return slog.LevelInfo
}
