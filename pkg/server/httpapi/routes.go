package httpapi

import (
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/latch-linux/latch/pkg/api"
)

// handler answers a request whose signature was verified. nil data is an empty object.
type handler func(*request) (any, error)

// routes lists every call of the API. Paths that end in {rest...} hold optional pairs, which
// target() reads.
func (s *Server) routes() {
	app := map[string]handler{
		"GET pair/{code}":        s.pair,
		"POST pair/{code}":       s.pair,
		"GET pairWithId/{name}":  s.pairByName,
		"POST pairWithId/{name}": s.pairByName,
		"GET unpair/{account}":   s.unpair,

		"GET status/{account}":            s.status,
		"GET status/{account}/{rest...}":  s.status,
		"POST status/{account}":           s.status,
		"POST status/{account}/{rest...}": s.status,

		// Older clients send GET; the request is signed, so no browser can be made to send it.
		"POST lock/{account}":             s.lock,
		"POST lock/{account}/{rest...}":   s.lock,
		"GET lock/{account}":              s.lock,
		"GET lock/{account}/{rest...}":    s.lock,
		"POST unlock/{account}":           s.unlock,
		"POST unlock/{account}/{rest...}": s.unlock,
		"GET unlock/{account}":            s.unlock,
		"GET unlock/{account}/{rest...}":  s.unlock,

		"GET history/{account}":             s.history,
		"GET history/{account}/{from}":      s.history,
		"GET history/{account}/{from}/{to}": s.history,

		"PUT operation":         s.createOperation,
		"GET operation":         s.listOperations,
		"GET operation/{op}":    s.listOperations,
		"POST operation/{op}":   s.changeOperation,
		"DELETE operation/{op}": s.removeOperation,

		// The Java and Ruby SDKs of before 2016 created with POST; Python's changes an operation's instance under operation/.
		"POST instance/{account}":            s.createInstance,
		"POST operation/{account}/{rest...}": s.changeInstance,

		"PUT instance/{account}":              s.createInstance,
		"PUT instance/{account}/{rest...}":    s.createInstance,
		"GET instance/{account}":              s.listInstances,
		"GET instance/{account}/{rest...}":    s.listInstances,
		"POST instance/{account}/{rest...}":   s.changeInstance,
		"DELETE instance/{account}/{rest...}": s.removeInstance,

		"POST totps":               s.createTOTP,
		"GET totps/{id}":           s.showTOTP,
		"POST totps/{id}/validate": s.validateTOTP,
		"DELETE totps/{id}":        s.removeTOTP,

		"GET control-status/{id}": s.controlStatus,
	}
	user := map[string]handler{
		"GET subscription":         s.subscription,
		"GET application":          s.listApplications,
		"PUT application":          s.createApplication,
		"POST application/{app}":   s.changeApplication,
		"DELETE application/{app}": s.removeApplication,
	}
	maps.Copy(app, s.hostRoutes())
	prefixes := append(addWithoutParameter(app), addWithoutParameter(user)...)
	for pattern, h := range app {
		s.handle(pattern, s.guard(s.applicationSigner, h))
	}
	for pattern, h := range user {
		s.handle(pattern, s.guard(s.userSigner, h))
	}
	for _, prefix := range prefixes { // which ServeMux would answer with a redirect
		if app[prefix] == nil && user[prefix] == nil {
			s.handle(prefix, http.HandlerFunc(s.notFound))
		}
	}
	for _, call := range []string{"POST qsecrets", "POST applicationWeb3"} {
		s.handle(call, s.guard(s.eitherSigner, notOffered))
	}
	s.mux.HandleFunc("/", s.notFound)
}

// addWithoutParameter adds the calls whose last part is empty, as "GET pair/": the signature is checked, then a parameter is
// missing. The Jenkins plugin tests its credentials in this way. It returns the calls without the last slash, as "GET pair".
func addWithoutParameter(calls map[string]handler) (prefixes []string) {
	for _, pattern := range slices.Collect(maps.Keys(calls)) {
		prefix, parameter, found := strings.Cut(pattern, "{")
		if found && strings.HasSuffix(parameter, "}") && !strings.Contains(parameter, "/") {
			calls[prefix+"{$}"] = missingParameter
			prefixes = append(prefixes, strings.TrimSuffix(prefix, "/"))
		}
	}
	return prefixes
}

func missingParameter(*request) (any, error) { return nil, errorCode(api.ErrCodeMissingParameter) }

// notOffered answers the calls of the cloud that only some SDKs have and whose answers no public source shows.
func notOffered(*request) (any, error) {
	return nil, &api.Error{Code: api.ErrCodeUnauthorized, Message: "latch-server does not offer this call"}
}

func (s *Server) handle(pattern string, h http.Handler) {
	method, rest, _ := strings.Cut(pattern, " ")
	s.mux.Handle(method+" /api/{version}/"+rest, h)
}

func (s *Server) notFound(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, outcome{status: http.StatusNotFound})
}

// knownVersion takes every version that clients have used; all get the same answers.
func knownVersion(v string) bool { return slices.Contains(api.Versions(), v) }

// cleanPath refuses what ServeMux would answer with a redirect.
func cleanPath(p string) bool {
	return p != "" && p[0] == '/' && (path.Clean(p) == p || path.Clean(p)+"/" == p)
}
