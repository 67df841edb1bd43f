// Command latch pairs people with a Latch server, shows and moves their latches, and keeps latch.conf.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/setup/installer"
)

func main() {
	cli.NoCoreDump()
	// A pairing must not break off between the server's answer and the file because a terminal closed.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // a second interrupt ends the program at once
	a := &app{
		Printer: cli.Printer{Program: "latch", Out: os.Stdout, Err: os.Stderr},
		in:      os.Stdin, getenv: os.Getenv, now: time.Now, uid: os.Getuid(), find: findPerson, login: loginName,
		pam: installer.Default(),
	}
	os.Exit(int(a.run(ctx, os.Args)))
}
