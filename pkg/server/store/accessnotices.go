package store

import (
	"context"
	"slices"
)

// AccessNewBrowser is the act of a sign-in with a browser that the person never used before.
const AccessNewBrowser = "session.new_browser"

// accessActs are the acts on a person's access that they get a notice of, whatever their rules say: each may be the work of a
// thief.
var accessActs = []string{
	AccessNewBrowser, "password.change", "recovery.renew", "recovery.use", "authenticator.set", "authenticator.remove", "passkey.add",
	"passkey.remove", "channel.add", "channel.remove", "link.make", "link.use", "person.come_back", "phone.lose", "totp.enrol", "totp.remove",
}

// AccessActs lists the acts that access notices can be about: Notice.What.
func AccessActs() []string { return slices.Clone(accessActs) }

// noticeAccess puts a notice of an act on a person's access into the outbox, in the transaction that does it. The receiver
// except, a row, gets none: it was added just now and gets a test.
func (s *Store) noticeAccess(ctx context.Context, t *tx, u User, act string, except int64) error {
	if !slices.Contains(accessActs, act) {
		return nil
	}
	n := Notice{Kind: NoticeAccess, User: u.Row, T: s.millis(), What: act}
	actor := actorOf(ctx)
	n.Address = actor.IP
	if actor.Name != u.Name {
		n.By = actor.Name
	}
	channels, err := s.live(t, &receivers{channels: map[[2]int64][]Channel{}}, u.Row, 0, n.T)
	channels = slices.DeleteFunc(channels, func(row int64) bool { return row == except })
	if err != nil || len(channels) == 0 {
		return err
	}
	if tell, err := s.limit(t, n, false, 1); err != nil || !tell {
		return err
	}
	return s.addNotice(t, n, channels)
}
