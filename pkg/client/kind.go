package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"syscall"
	"time"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/client/pollnet"
)

// Kind says what sort of failure an error is; latch.conf has a policy for each.
type Kind int8

// Kinds. The zero value is a fault of this machine, which never opens.
const (
	KindLocal       Kind = iota // descriptors, memory, ports, permissions, files of this machine
	KindNoAnswer                // refused, reset, unreachable, timed out, name server silent, 5xx
	KindErrorAnswer             // an error object, 3xx, 4xx, 429 after the retries
	KindBadAnswer               // something that is no answer
	KindCertificate             // the server's certificate does not verify
	KindNotPaired               // error 201
)

func (k Kind) String() string {
	names := []string{"local failure", "no answer", "error answer", "wrong answer", "bad certificate", "not paired"}
	if int(k) < len(names) && k >= 0 {
		return names[k]
	}
	return fmt.Sprintf("Kind(%d)", int8(k))
}

// Error is a call that failed.
type Error struct {
	Kind Kind
	Code int // of the Latch API, 0 if the failure is none of its
	HTTP int // status of an answer that is not 2xx, else 0
	Err  error

	date time.Time // the server's clock, on an error answer
}

func (e *Error) Error() string { return e.Kind.String() + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of an error from this package. Any other error is a fault of this machine.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindLocal
}

// certificateError marks what the check of the chain returned.
type certificateError struct{ err error }

func (e certificateError) Error() string { return e.err.Error() }
func (e certificateError) Unwrap() error { return e.err }

func isCertificate(err error) bool {
	var own certificateError
	var std *tls.CertificateVerificationError
	return errors.As(err, &own) || errors.As(err, &std)
}

// localErrnos are failures of this machine; whoever may log in can cause some of them.
var localErrnos = []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS,
	syscall.EADDRNOTAVAIL, syscall.EADDRINUSE, syscall.EACCES, syscall.EPERM, syscall.EAGAIN, syscall.EINVAL, syscall.EAFNOSUPPORT}

// remoteErrnos are the network's way of giving no answer.
var remoteErrnos = []syscall.Errno{syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE,
	syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.ENETDOWN, syscall.ETIMEDOUT}

func hasErrno(err error, list []syscall.Errno) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && slices.Contains(list, errno)
}

// isFault reports whether err has an error number of this machine's own.
func isFault(err error) bool { return hasErrno(err, localErrnos) && !lacksIPv6(err) }

func isLocal(err error) bool { return isFault(err) || isLate(err) || errors.Is(err, context.Canceled) }

// errStuck is for what has not come back after the deadline.
var errStuck = errors.New("this machine was still busy after the deadline")

// isSilence reports whether the network owed the next packet when the time was over. Any other end of the time is a fault of
// this machine: it had not sent yet, or had not read yet.
func isSilence(err error) bool { return errors.Is(err, pollnet.ErrSilent) }

// IsSilence reports whether a call ended at its deadline, when everything was sent and nothing more had arrived.
func IsSilence(err error) bool { return KindOf(err) == KindNoAnswer && isSilence(err) }

func isLate(err error) bool {
	return errors.Is(err, pollnet.ErrUnsent) || errors.Is(err, errStuck) || errors.Is(err, context.DeadlineExceeded)
}

// classify judges a request that brought no HTTP answer.
func (c *Client) classify(err error, t *try) *Error {
	err = t.cause(err)
	kind := kindOfTransport(err, t.reached.Load())
	if fault := t.fault.Load(); fault != nil && !t.reached.Load() {
		kind, err = KindLocal, *fault
	}
	if kind == KindNoAnswer && !t.reached.Load() && isSilence(err) && tableFull(connectionTable) {
		kind, err = KindLocal, fmt.Errorf("this machine's table of connections is full (nf_conntrack): %w", err)
	}
	var where *url.Error
	if errors.As(err, &where) {
		err = where.Err // the address holds the account's id or a pairing code
	}
	return &Error{Kind: kind, Err: fmt.Errorf("asking %s: %w", c.options.Host.Host, err)}
}

// kindOfTransport judges an error of net or net/http. reached tells that there was a peer to talk to.
func kindOfTransport(err error, reached bool) Kind {
	var own *Error
	var dns *net.DNSError
	switch {
	case errors.As(err, &own):
		return own.Kind // of the certificates' file, or of what the proxy said
	case isLocal(err):
		return KindLocal
	case isCertificate(err):
		return KindCertificate
	case isSilence(err), hasErrno(err, remoteErrnos), lacksIPv6(err):
		return KindNoAnswer
	case errors.As(err, &dns):
		return kindOfDNS(dns)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return KindNoAnswer // hung up without a word
	case reached:
		return KindBadAnswer // no TLS of ours, no HTTP
	}
	return KindLocal
}

// kindOfDNS takes a name server that fails (SERVFAIL, REFUSED) for a silent one. A firm "no such name" is an
// answer, and a wrong one.
func kindOfDNS(err *net.DNSError) Kind {
	if err.IsNotFound {
		return KindBadAnswer
	}
	return KindNoAnswer
}

// classifyBody judges an answer that began and did not end.
func (t *try) classifyBody(err error) *Error {
	err = t.cause(err)
	kind := KindBadAnswer
	switch {
	case isLocal(err):
		kind = KindLocal
	case isSilence(err), hasErrno(err, remoteErrnos):
		kind = KindNoAnswer
	}
	return &Error{Kind: kind, Err: fmt.Errorf("the answer broke off: %w", err)}
}

// answerError is the error object of an answer.
func answerError(e *api.Error, date time.Time) error {
	kind := KindErrorAnswer
	if e.Code == api.ErrCodeNotPaired {
		kind = KindNotPaired
	}
	return &Error{Kind: kind, Code: e.Code, Err: e, date: date}
}

// badStatus judges an HTTP status that is none of success.
func badStatus(status int, who string) error {
	kind := KindErrorAnswer
	if status >= 500 && status <= 599 {
		kind = KindNoAnswer
	}
	return &Error{Kind: kind, HTTP: status, Err: fmt.Errorf("%sHTTP status %d", who, status)}
}

func badAnswer(format string, args ...any) error {
	return &Error{Kind: KindBadAnswer, Err: fmt.Errorf(format, args...)}
}
