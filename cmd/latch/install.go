package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/latch-linux/latch/pkg/host/config"
)

// installCredentials copies app_id and secret_key of the file that a how-to guide tells to hand over into the
// profile's own configuration, with latch_host and ca_file where the file names them, since that is where the
// credentials are valid. paired is how many users the profile has by now.
func (a *app) installCredentials(ctx context.Context, from string, paired int) error {
	data, err := a.readInput(from)
	if err != nil {
		return err
	}
	given, err := config.Parse(from, data)
	if err != nil {
		return err
	}
	set := map[string]string{"app_id": given.AppID, "secret_key": given.SecretKey.Reveal()}
	if names(data, "latch_host") {
		set["latch_host"] = given.Host.String()
	}
	if names(data, "ca_file") {
		set["ca_file"] = given.CAFile
	}
	p, err := config.ProfileByName(a.profile)
	if err != nil {
		return err
	}
	before := ""
	err = a.changeConfig(ctx, p.Config, func(now []byte) ([]byte, error) {
		if old, err := config.Parse(p.Config, now); err == nil {
			before = old.AppID
		}
		return config.SetKeys(now, set)
	})
	if err != nil {
		return fmt.Errorf("installing the credentials: %w", err)
	}
	a.Say("the credentials of %s are now in %s", from, p.Config)
	if paired > 0 && before != "" && before != given.AppID {
		a.Say("users paired with the application %s, which stood there before: %d; unpair them with --local and pair them anew, "+
			"or they are refused", before, paired)
	}
	return nil
}

// names reports whether a configuration text sets a key outside [operations].
func names(data []byte, key string) bool {
	for _, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			return false
		}
		if name, _, found := strings.Cut(line, "="); found && strings.TrimSpace(name) == key {
			return true
		}
	}
	return false
}
