package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/latch-linux/latch/pkg/host/config"
)

// installCredentials copies app_id and secret_key of the file that a how-to guide tells to hand over into the
// profile's own configuration, with latch_host and ca_file where the file names them, since that is where the
// credentials are valid. Users who are paired with another application there would be refused: yes says that this is meant.
func (a *app) installCredentials(ctx context.Context, from string, yes bool) error {
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
	before, err := readConfig(p.Config)
	if err != nil {
		return err
	}
	after, err := config.SetKeys(before, set)
	if err != nil {
		return err
	}
	if err := a.confirmConfig(ctx, p.Config, before, after, yes); err != nil {
		return err
	}
	if err := a.replaceConfig(ctx, p.Config, before, after); err != nil {
		return fmt.Errorf("installing the credentials: %w", err)
	}
	a.Say("the credentials of %s are now in %s", from, p.Config)
	return nil
}

// confirmConfig asks before a new text of the configuration refuses people.
func (a *app) confirmConfig(ctx context.Context, path string, before, after []byte, yes bool) error {
	now, err := config.Parse(path, after)
	if err != nil {
		return err
	}
	old, err := config.Parse(path, before)
	if err != nil {
		return nil // no login could read it before
	}
	named := *a
	named.config = path
	refusals, err := named.configRefusals(old, now)
	if err == nil && len(refusals) == 0 {
		refusals, err = named.credentialRefusals(ctx, old, now)
	}
	if err != nil {
		return err
	}
	return a.confirmRefusals(ctx, refusals, "Change the configuration?", yes)
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
