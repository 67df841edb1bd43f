package httpapi

import (
	"strings"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/server/store"
)

// historyAnswer (image is the address of the application's picture) is an object with the application's id as one of its keys.
func historyAnswer(app store.Application, image string, h store.AccountHistory) api.History {
	a := h.Account
	entries := make([]api.HistoryEntry, 0, len(h.Entries))
	for _, e := range h.Entries {
		count := e.Count
		if count == 1 {
			count = 0
		}
		entries = append(entries, api.HistoryEntry{
			Time: e.T, Action: wireAction(e.Action), What: e.What, Value: e.Value, Was: e.Was, Name: e.Name,
			UserAgent: e.UserAgent, IP: e.IP, Count: count,
		})
	}
	return api.History{
		AppID: app.ID,
		Application: api.HistoryApplication{
			Status: statusWord(a.Status.Open), PairedOn: a.Paired, Name: app.Name, ImageURL: image,
			ContactPhone: app.ContactPhone, ContactEmail: app.ContactEmail,
			TwoFactor: app.TwoFactor.String(), LockOnRequest: app.LockOnUse.String(),
			StatusLastModified: a.Changed, Operations: historyOperations(a.Status.Children),
		},
		LastSeen: h.LastSeen, ClientVersion: []api.ClientVersion{}, Count: h.Count, Entries: entries,
	}
}

// wireAction gives clients the words they know: what a timer or a schedule did was the person's wish.
func wireAction(action string) string {
	if action == store.ActionTimer || action == store.ActionSchedule {
		return store.ActionUser
	}
	return action
}

func historyOperations(nodes []store.NodeState) map[string]api.HistoryOperation {
	all := make(map[string]api.HistoryOperation, len(nodes))
	for _, n := range nodes {
		all[n.ID] = api.HistoryOperation{
			Name: n.Name, Status: statusWord(n.Open), TwoFactor: n.TwoFactor.String(), LockOnRequest: n.LockOnUse.String(),
			Operations: historyOperations(n.Children),
		}
	}
	return all
}

// imageURL is the whole address of an application's picture: an uploaded one is kept as a path of the pages.
func (s *Server) imageURL(a store.Application) (string, error) {
	if !strings.HasPrefix(a.ImageURL, store.PicturePath) {
		return a.ImageURL, nil
	}
	base, err := s.store.Setting(store.SettingURL)
	if err != nil || base == "" {
		return "", err
	}
	return base + a.ImageURL, nil
}
