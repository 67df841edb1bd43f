package installer

import (
	"bytes"
	"slices"
	"strings"

	"github.com/latch-linux/latch/pkg/setup/sshd"
)

// SSHD is the kind of our drop-in for sshd.
const SSHD Kind = "sshd"

// planSSHD plans the drop-in that makes sshd ask PAM, and for a code, nil where it does or where there is no sshd.
func planSSHD(state *sshd.State, service string, code sshd.Code) (*Change, error) {
	if state == nil {
		return nil, nil
	}
	lines, err := state.Need(code)
	if err != nil {
		return nil, refuse("%w", err)
	}
	if len(lines) == 0 {
		return nil, nil
	}
	if err := state.IncludesDropIns(); err != nil {
		return nil, refuse("%w", err)
	}
	c := &Change{Service: service, Kind: SSHD, Path: sshd.DropIn, Mode: 0o644}
	if strings.HasPrefix(lines[0], "UsePAM") {
		c.Notes = append(c.Notes, "with UsePAM yes sshd leaves it to PAM whether somebody whose password is locked (passwd -l) may come in by a key")
	}
	text, err := state.Present()
	if err != nil {
		return nil, err
	}
	if text != nil {
		if err := c.existing(text); err != nil {
			return nil, err
		}
	}
	if bytes.HasPrefix(text, []byte(sshd.Head)) { // sshd relies on what an earlier installation wrote
		old := strings.Split(strings.TrimSpace(strings.TrimPrefix(string(text), sshd.Head)), "\n")
		lines = append(slices.DeleteFunc(old, func(line string) bool { return slices.Contains(lines, line) }), lines...)
	}
	c.After = sshd.Text(lines)
	return c, nil
}
