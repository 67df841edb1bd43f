// Command latch-auth answers one question of pam_latch.so: may this person enter? The module starts it for each
// authentication with one end of a socket on descriptor 3, and it is gone afterwards.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"

	"github.com/latch-linux/latch/pkg/host/authlog"
	"github.com/latch-linux/latch/pkg/host/relay"
)

// conversation is the descriptor that the module leaves open.
const conversation = 3

func main() {
	// One login among TasksMax=10 threads: no parallelism, and no collection for so short a life.
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(64 << 20)
	if kind, err := syscall.GetsockoptInt(conversation, syscall.SOL_SOCKET, syscall.SO_TYPE); err != nil || kind != syscall.SOCK_STREAM {
		fmt.Fprintln(os.Stderr, "latch-auth: pam_latch.so starts this program; it is of no use by hand")
		os.Exit(2)
	}
	// RLIMIT_CORE does not stop a core dump that goes to a program; a process that is not dumpable makes none.
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_DUMPABLE, 0, 0)
	log := authlog.Log{}
	defer refuseOnPanic(log)
	if err := syscall.SetNonblock(conversation, true); err != nil {
		os.Exit(1)
	}
	// The host is gone or talks nonsense: there is nobody to answer, in mid-question or not. Both the reader and serve
	// may notice; the first one to do so ends the process.
	line := &record{log: log}
	var once sync.Once
	end := func(err error) {
		once.Do(func() {
			if errors.Is(err, relay.ErrProtocol) {
				log.Warn("refused: " + err.Error())
			} else {
				line.hostGone()
			}
			os.Exit(1)
		})
	}
	if err := serve(relay.NewConn(os.NewFile(conversation, "pam"), end), line); err != nil {
		end(err)
	}
}

// refuseOnPanic leaves without a verdict, which refuses.
func refuseOnPanic(log authlog.Log) {
	if p := recover(); p != nil {
		// The value may hold data of the login; the type and the place do not.
		log.Warn(fmt.Sprintf("refused: panic of type %T at %s", p, debug.Stack()))
		os.Exit(1)
	}
}
