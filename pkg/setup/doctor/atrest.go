package doctor

import (
	"strings"

	"github.com/latch-linux/latch/pkg/host/otpstore"
)

// atRest looks at how records lie on the disk, and whether what opens them could be had again.
func (e *examination) atRest(store otpstore.Store, users []string) {
	var clear, sealed []string
	for _, user := range users {
		switch r, err := store.Load(user); {
		case err != nil: // which records tells
		case r.IsClear():
			clear = append(clear, user)
		default:
			sealed = append(sealed, user)
		}
	}
	if len(sealed) > 0 {
		e.backup(store)
	}
	switch {
	case len(clear) > 0 && store.Clear:
		e.warn("codes", "leave otp_encrypt out of the configuration, and run "+e.latch("otp encrypt --all"),
			"otp_encrypt = no: everybody who can read %s or a backup of it has the codes of %s", store.Dir, strings.Join(clear, ", "))
	case len(clear) > 0:
		e.warn("codes", e.latch("otp encrypt --all"), "records that are not sealed: %s", strings.Join(clear, ", "))
	}
}

// backup wants somebody to have said that the key is in one.
func (e *examination) backup(store otpstore.Store) {
	switch b, err := store.Backup(); {
	case err != nil:
		e.fail("codes", orElse(fixOf(err), e.latch("otp key --backed-up")), "the note about the key's backup: %v", err)
	case b == nil:
		e.warn("codes", "copy it to where no copy of "+store.Dir+" is, then "+e.latch("otp key --backed-up"),
			"%s is in no confirmed backup: without it every user has to be enrolled again", store.KeyFile)
	}
}
