package main

import (
	"context"
	"errors"
	"io/fs"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/client"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/host/pairings"
	"github.com/latch-linux/latch/pkg/host/securefile"
)

// closedError ends a command whose result has been printed and was "closed".
type closedError struct{}

func (*closedError) Error() string { return "closed" }

// explain gives an error its exit status and its hint, both by its type alone.
func explain(err error) error {
	var known *cli.Error
	var failed *client.Error
	var untrusted *securefile.TrustError
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted")
	case errors.As(err, &failed):
		return explainServer(err, failed)
	case errors.As(err, &untrusted) && untrusted.Fix != "":
		return cli.WithHint(cli.ExitError, err, "run: "+untrusted.Fix)
	case errors.Is(err, otpstore.ErrNotEnrolled):
		return cli.WithHint(cli.ExitError, err, "run latch otp enroll")
	case errors.Is(err, pairings.ErrNotPaired):
		return cli.WithHint(cli.ExitNotPaired, err, "run latch pair CODE with the code that the phone shows")
	case errors.Is(err, pairings.ErrExists):
		return cli.WithHint(cli.ExitError, err, "run latch unpair first")
	case errors.Is(err, config.ErrNotSetUp):
		return cli.WithHint(cli.ExitError, err, "run latch setup")
	case errors.Is(err, errNoSuchUser):
		return cli.WithHint(cli.ExitError, err, "see getent passwd; for OpenVPN's own names say --profile openvpn")
	case errors.Is(err, cli.ErrNoTerminal):
		return cli.WithHint(cli.ExitError, err, "run it on a terminal; over SSH that takes ssh -t")
	case errors.Is(err, fs.ErrPermission):
		return cli.WithHint(cli.ExitError, err, "run it as root, with sudo")
	}
	return err
}

func explainServer(err error, failed *client.Error) error {
	status, hint := cli.ExitError, ""
	switch {
	case failed.Kind == client.KindNoAnswer:
		status, hint = cli.ExitNoAnswer, "check the network, and latch_host in the configuration"
	case failed.Kind == client.KindNotPaired:
		status, hint = cli.ExitNotPaired, api.Advice(failed.Code)
	case failed.Code != 0:
		hint = api.Advice(failed.Code)
	case failed.Kind == client.KindCertificate:
		hint = "if the server is your own, run latch setup URL to trust its CA, or name the CA with --ca-file there"
	case failed.Kind == client.KindBadAnswer, failed.Kind == client.KindErrorAnswer:
		hint = "check that latch_host in the configuration is a Latch server"
	}
	return cli.WithHint(status, err, hint)
}
