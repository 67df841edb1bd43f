package client

import "github.com/latch-linux/latch/pkg/client/pollnet"

// Local is what calls need of this machine's files. It is read before the time of a call begins, since a slow disk is a fault of
// this machine and no server's silence.
type Local struct {
	trust authorities
	names *pollnet.Names
	err   error // a call fails with it
}

// ReadLocal reads the CA certificates and the files of name lookups that a client with these options needs.
func ReadLocal(o Options) *Local {
	l := &Local{}
	hosts := []string{o.Host.Hostname()}
	if o.Proxy != nil {
		hosts = append(hosts, o.Proxy.Hostname())
	}
	var err error
	if l.trust, err = readAuthorities(o.CAFile, o.ReadCAFile); err == nil {
		l.names, err = pollnet.ReadNames(hosts...)
	}
	if err != nil {
		l.err = &Error{Kind: KindLocal, Err: err}
	}
	return l
}

// Err returns why what calls need could not be read.
func (l *Local) Err() error { return l.err }
