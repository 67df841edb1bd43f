package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/client"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/pairings"
	"github.com/latch-linux/latch/pkg/otp"
)

// pollPairing is the pace of asking what became of a link.
const pollPairing = time.Second

// pairByLink shows a link that the phone opens and confirms, and waits for that.
func (a *app) pairByLink(ctx context.Context, who person, path string) (pairedBy, error) {
	server, c, asking, done, err := a.connect(ctx)
	if err != nil {
		return pairedBy{}, err
	}
	defer done()
	if err := storable(asking, path, who.name); err != nil {
		return pairedBy{}, fmt.Errorf("the pairing could not be stored, so none was asked for: %w", err)
	}
	made, err := askForLink(asking, server, c, who)
	if err != nil {
		return pairedBy{}, err
	}
	if err := a.showLink(made, who); err != nil {
		return pairedBy{}, err
	}
	got, err := a.awaitPhone(ctx, server, c, made)
	if err != nil {
		return pairedBy{}, err
	}
	return pairedBy{client: server, config: c, id: got.AccountID, known: got.Known, person: got.Person}, nil
}

// askForLink asks nothing beyond the Latch API before the server has said that it is latch-server: first about an account that
// nobody can have, as setup does.
func askForLink(ctx context.Context, server *client.Client, c *config.Config, who person) (api.PairingRequest, error) {
	if _, err := server.Status(ctx, client.Query{AccountID: nobodysAccount, NoOTP: true, Silent: true}); client.KindOf(err) != client.KindNotPaired && err != nil &&
		!server.Can(api.CanPairByLink) {
		return api.PairingRequest{}, err
	}
	if !server.Can(api.CanPairByLink) {
		return api.PairingRequest{}, cli.WithHint(cli.ExitUsage, fmt.Errorf("%s pairs by code alone; pairing by link needs latch-server", c.Host.Host),
			"add a service in the phone's app, and run latch pair CODE with the six characters that it shows")
	}
	made, err := server.RequestPairing(ctx, hostname(), who.name)
	var failed *client.Error
	if errors.As(err, &failed) && failed.Code == api.ErrCodePairing { // whose usual advice is about codes
		err = cli.WithHint(cli.ExitError, err, "see to that, or pair with a code: add a service on the server's page, and run latch pair CODE")
	}
	return made, err
}

// nobodysAccount has the form of an account's id and is none's.
var nobodysAccount = strings.Repeat("2", api.AccountIDLength)

// showLink needs no terminal: whoever calls this from elsewhere passes the link on.
func (a *app) showLink(made api.PairingRequest, who person) error {
	qr, err := otp.QRText(made.URL)
	if err != nil {
		return err
	}
	whose := fmt.Sprintf("%s on %s", who.name, hostname())
	minutes := max(1, made.Seconds/60)
	err = a.terminal.Show(fmt.Sprintf("%s\n%s\n\nScan it or open the link with the phone, and confirm there that it is for %s.\n"+
		"The page must show the check word %s. Waiting for %d minutes at most; Ctrl-C gives up.\n",
		qr, cli.Clean(made.URL), cli.Clean(whose), cli.Clean(made.Check), minutes))
	if errors.Is(err, cli.ErrNoTerminal) {
		a.Say("open %s with the phone, and confirm there that it is for %s; the page must show the check word %s", made.URL, whose, made.Check)
		a.Say("waiting for %d minutes at most", minutes)
		err = nil
	}
	return err
}

// awaitPhone asks until somebody has decided or the link has expired. A server that is started anew meanwhile is waited for.
func (a *app) awaitPhone(ctx context.Context, server *client.Client, c *config.Config, made api.PairingRequest) (api.PairingRequest, error) {
	expired := cli.WithHint(cli.ExitError, errors.New("nobody confirmed the link in time"), "run latch pair again")
	end := time.Now().Add(time.Duration(made.Seconds)*time.Second + c.Timeout)
	for time.Now().Before(end) {
		select {
		case <-ctx.Done():
			return api.PairingRequest{}, withdraw(ctx, server, c, made.RequestID)
		case <-time.After(pollPairing):
		}
		asking, cancel := context.WithTimeout(ctx, c.Timeout)
		r, err := server.PairingRequest(asking, made.RequestID)
		cancel()
		var failed *client.Error
		switch {
		case err == nil && r.State == api.PairingConfirmed:
			return r, nil
		case err == nil && r.State == api.PairingRefused:
			return r, cli.WithHint(cli.ExitError, fmt.Errorf("%s refused the pairing on the phone", r.Person), "run latch pair again, if it was meant to be")
		case ctx.Err() != nil, err == nil, client.KindOf(err) == client.KindNoAnswer:
		case errors.As(err, &failed) && failed.Code == api.ErrCodeToken:
			return r, expired
		default:
			return r, err
		}
	}
	return api.PairingRequest{}, expired
}

// withdraw makes the link useless after an interrupt, and says where the phone was faster.
func withdraw(ctx context.Context, server *client.Client, c *config.Config, id string) error {
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Timeout)
	defer cancel()
	r, err := server.WithdrawPairing(asking, id)
	if err == nil && r.State == api.PairingConfirmed {
		return cli.WithHint(cli.ExitError, errors.New("interrupted after the phone had confirmed: the server has the pairing, this machine has not"),
			"run latch pair again and confirm again, which finishes it; or unpair on the phone")
	}
	return context.Cause(ctx)
}

// pairedBy is a pairing that the server has made, before it is stored.
type pairedBy struct {
	client *client.Client
	config *config.Config
	id     string
	known  bool   // the server had it before
	person string // who confirmed a link, "" for a code
}

// keep stores what the server has made, or undoes it there.
func (a *app) keep(ctx context.Context, p pairedBy, who person, path string) error {
	// From here on an interrupt must not leave a pairing that only the server knows.
	ctx = context.WithoutCancel(ctx)
	if failed := storePairings(ctx, path, pairings.Pairing{User: who.name, AccountID: p.id, UID: who.uid}); failed != nil {
		return a.undo(ctx, p.client, path, p.id, failed, p.known)
	}
	if p.known {
		a.Say("the server had this pairing already")
	}
	fields, by := map[string]any{"user": who.name, "paired": true}, ""
	if p.person != "" {
		fields["person"], by = p.person, ", confirmed by "+p.person
	}
	return a.reportLatch(p.config, "", fields, "%s is paired%s", who.name, by)
}
