package main

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/client"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/otpstore"
)

// enrollAtServer has the server make a TOTP. What no code has proven is removed there again.
func (a *app) enrollAtServer(ctx context.Context, store otpstore.Store, c *config.Config, who person, o enrollOptions, before *otpstore.Record) error {
	if err := a.terminal.Show(""); err != nil {
		return err
	}
	server, _, asking, done, err := a.connect(ctx)
	if err != nil {
		return err
	}
	made, err := server.CreateTOTP(asking, who.name+"@"+hostname(), o.label)
	done()
	if err != nil {
		return err
	}
	if err := a.proveAtServer(ctx, store, c, server, who, o, made); err != nil {
		return errors.Join(err, a.forgetTOTP(ctx, server, made.TOTPID))
	}
	if old := before.Remotes[c.AppID]; old != nil {
		return a.forgetTOTP(ctx, server, old.ID)
	}
	return nil
}

func (a *app) proveAtServer(ctx context.Context, store otpstore.Store, c *config.Config, server *client.Client, who person, o enrollOptions, made api.TOTP) error {
	prove := func() error {
		right := ""
		if err := a.proveCode(ctx, "Code that the app shows", func(code string) (bool, error) {
			asking, cancel := context.WithTimeout(ctx, c.Timeout)
			defer cancel()
			right = code
			return server.ValidateTOTP(asking, made.TOTPID, code)
		}); err != nil {
			return err
		}
		ctx, cancel := storing(ctx)
		defer cancel()
		return store.EnrolRemote(ctx, who.name, who.uid, c.AppID, made.TOTPID, right)
	}
	if made.URI != "" {
		return a.showSeed(who, made.URI, o.picture, prove)
	}
	coded, isPNG := strings.CutPrefix(made.QR, "data:image/png;base64,")
	data, err := base64.StdEncoding.DecodeString(coded)
	if o.picture != "" && (!isPNG || err != nil) {
		return errors.New("the server gave no PNG; leave --png out")
	}
	return a.withPicture(o.picture, data, func() error {
		if err := a.terminal.Show("Open this in a browser and scan it:\n" + cli.Clean(made.QR) + "\n"); err != nil {
			return err
		}
		return prove()
	})
}

// forgetTOTP removes a TOTP at the server, also after an interrupt. One that is gone already is fine.
func (a *app) forgetTOTP(ctx context.Context, server *client.Client, id string) error {
	ctx, cancel := storing(ctx)
	defer cancel()
	err := server.DeleteTOTP(ctx, id)
	var e *client.Error
	if errors.As(err, &e) && e.Code == api.ErrCodeNoTOTP {
		return nil
	}
	return err
}
