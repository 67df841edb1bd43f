// Latch-server is a Latch server of one's own: it answers the Latch API and keeps people's latches.
package main

import (
	"os"

	"github.com/latch-linux/latch/pkg/cli"
)

func main() {
	cli.NoCoreDump()
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}
