package cli

import "golang.org/x/sys/unix"

// NoCoreDump keeps this process, which holds secrets, out of core files. RLIMIT_CORE would not do: it does not stop a dump
// that goes to a program. The kernel forgets it at the next exec, so that children are as they would be.
func NoCoreDump() {
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) // refused for a wrong number alone
}
