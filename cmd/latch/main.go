// Command latch pairs people with a Latch server, shows and moves their latches, and keeps latch.conf.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/latch-linux/latch/pkg/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	a := &app{
		Printer: cli.Printer{Program: "latch", Out: os.Stdout, Err: os.Stderr},
		in:      os.Stdin, getenv: os.Getenv, uid: os.Getuid(), find: findPerson,
	}
	os.Exit(a.run(ctx, os.Args))
}
