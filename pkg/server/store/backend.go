package store

import (
	"context"
	"os"
	"time"

	"github.com/latch-linux/latch/pkg/server/schedule"
)

// Backend is all that latch-server keeps, matter by matter: whoever needs the store takes it, or the one matter that they need.
// *Store is the one over SQLite, and says what each call does; the tests of this package are a suite over an opener, which
// another backend has to pass. No call keeps anything in memory that another process would need.
type Backend interface {
	Applications
	People
	Identity
	Pairings
	Latches
	Codes
	Notices
	Records
	Keeping
}

var _ Backend = (*Store)(nil)

// The matters.
type (
	// Applications keeps applications, their secrets, operations, pictures and controls, and who may manage them by the API.
	Applications interface {
		AddAPIUser(ctx context.Context, name string) (APIUser, string, error)
		APIUserCredential(id string) (APIUser, string, error)
		APIUsers() ([]APIUser, error)
		RemoveAPIUser(ctx context.Context, name string) error
		Usage(owner int64) (Usage, error)

		AddApplication(ctx context.Context, a Application) (Application, string, error)
		Applications(owner int64) ([]Application, error)
		Application(idOrName string) (Application, error)
		ChangeApplication(ctx context.Context, row int64, c ApplicationChange) error
		RemoveApplication(ctx context.Context, row int64) error

		AddControl(ctx context.Context, app Application, name string) (Control, error)
		Controls(app Application) ([]Control, error)
		Control(app Application, id string) (Control, error)
		SetControl(ctx context.Context, app Application, id string, open bool) error
		RemoveControl(ctx context.Context, app Application, id string) error

		AddOperation(ctx context.Context, app Application, parentID string, o Operation) (Operation, error)
		Operations(app int64) ([]Operation, error)
		Operation(app int64, idOrName string) (Operation, error)
		ChangeOperation(ctx context.Context, app int64, id string, c OperationChange) error
		RemoveOperation(ctx context.Context, app int64, id string) error

		SetPicture(ctx context.Context, app Application, png []byte) error
		RemovePicture(ctx context.Context, app Application) error
		Picture(appID, file string) (png []byte, err error)

		AddSecret(ctx context.Context, app int64, name string) (string, error)
		RotateSecret(ctx context.Context, app int64, name string, ends int64) (string, error)
		RevokeSecret(ctx context.Context, app int64, name string) error
		Secrets(app int64) ([]SecretInfo, error)
		Credentials(appID string) (Application, []Credential, error)
		Used(c Credential)
		DummySecret(id string) string
	}

	// People keeps people, what is known about them, and who they are for the admins.
	People interface {
		People(q PeopleQuery) ([]User, error)
		PairedPeople() (map[int64]int64, error)
		Invitation(user int64, purpose string) (expires int64, err error)
		VoidLinks(ctx context.Context, user int64) error
		UnpairPerson(ctx context.Context, user int64, app string, a Attempt) error

		UserByRow(row int64) (User, error)
		ChangeProfile(ctx context.Context, user int64, ch ProfileChange) error
		SetWelcomed(ctx context.Context, user int64) error
		Password(user int64) (phc string, err error)
		SetPassword(ctx context.Context, user int64, phc string, keep int64) error
		Rehash(ctx context.Context, user int64, old, phc string) error
		Factors(user int64) (Factors, error)

		AddUser(ctx context.Context, name string) (User, error)
		User(name string) (User, error)
		Users() ([]User, error)
		SetUserDisabled(ctx context.Context, name string, disabled bool) error
		RemoveUser(ctx context.Context, name string) error
	}

	// Identity keeps how people sign in: factors, sessions, one-time links, steps under way, what only their browsers
	// can read, and what happens when a phone is lost.
	Identity interface {
		SetAuthenticator(ctx context.Context, user int64, secret string, step, keep int64) error
		RemoveAuthenticator(ctx context.Context, user int64) error
		UseAuthenticator(ctx context.Context, user int64, match func(secret string, last int64) (step int64, ok bool)) error
		SetRecovery(ctx context.Context, user int64, codes []string) error
		UseRecovery(ctx context.Context, user int64, normal string) error
		UserHandle(user int64) []byte
		Added(user int64) ([]Added, error)
		EndAdded(ctx context.Context, user, keep, until int64) error
		KeepAdded(ctx context.Context, user, until int64) error
		AddPasskey(ctx context.Context, k Passkey, keep int64) error
		Passkeys(user int64) ([]Passkey, error)
		Passkey(credentialID []byte) (Passkey, error)
		PasskeyUsed(ctx context.Context, passkey int64, credential string) error
		RenamePasskey(ctx context.Context, user, passkey int64, name string) error
		RemovePasskey(ctx context.Context, user, passkey int64) error

		BeginGuess(ctx context.Context, g Guess) error
		GuessedRight(ctx context.Context, g Guess) error

		NewLink(ctx context.Context, l Link, life time.Duration) (ticket string, expires time.Time, err error)
		Link(ticket string) (Link, error)
		TakeLink(ctx context.Context, ticket, purpose string) (l Link, err error)
		SetPasswordByLink(ctx context.Context, ticket, purpose, phc string) (user int64, err error)

		Vault(user int64) (version int64, sealed []byte, err error)
		SetVault(ctx context.Context, user, from int64, sealed []byte) (version int64, err error)
		RemoveVault(ctx context.Context, user int64) error

		LosePhone(ctx context.Context, user int64, a Attempt) error
		ComeBack(ctx context.Context, user int64, phc string) error

		StartSession(ctx context.Context, in SignIn) (ticket string, err error)
		Session(ticket string) (Session, User, error)
		Seen(ctx context.Context, e Session, address string) error
		Prove(ctx context.Context, session int64, strong bool) error
		Proven(e Session, span time.Duration) bool
		Sessions(user int64) ([]Session, error)
		EndSession(ctx context.Context, user, session int64) error
		EndSessions(ctx context.Context, user, keep int64) error
		KnowBrowser(ctx context.Context, user int64, ticket string) (string, error)
		BrowserKnown(user int64, ticket string) (bool, error)

		BeginStep(ctx context.Context, p Step, life time.Duration) (ticket string, err error)
		Step(ticket, purpose string) (Step, error)
		EndStep(ctx context.Context, ticket, purpose string) (p Step, err error)
		SealStep(p Step, life time.Duration) (ticket string, err error)
		OpenStep(ticket, purpose string) (Step, error)
		SpendStep(ctx context.Context, ticket, purpose string) error

		Sweep(ctx context.Context) error
	}

	// Pairings keeps accounts: who is paired with which application, by code, by link or by name.
	Pairings interface {
		NewCode(ctx context.Context, user string) (code string, expires time.Time, err error)
		LiveCode(user string) (code string, expires time.Time, err error)
		Pair(ctx context.Context, r PairRequest) (accountID string, err error)
		PairByName(ctx context.Context, r PairRequest, user string) (accountID string, err error)
		Unpair(ctx context.Context, app Application, accountID string, a Attempt) error
		LastPaired(user string, since int64) (e Entry, ok bool, err error)
		RenamePairing(ctx context.Context, user, app, name string) error
		UnpairUser(ctx context.Context, user, app string) error
		Import(ctx context.Context, app Application, names []string) ([]string, error)
		AccountOwners(app int64) (map[string]string, error)
		ImportApplication(ctx context.Context, in ApplicationImport) (Imported, error)

		RequestPairing(ctx context.Context, r PairingRequest, subject string) (PairingRequest, error)
		PairingByID(app Application, id string) (PairingRequest, error)
		PairingByLink(link string) (PairingRequest, error)
		ConfirmPairing(ctx context.Context, link, person string) (PairingRequest, error)
		RefusePairing(ctx context.Context, link, person string) error
		WithdrawPairing(ctx context.Context, app Application, id string) (PairingRequest, error)
	}

	// Latches keeps what latches are, and answers hosts.
	Latches interface {
		AwaitOpen(ctx context.Context, r StatusRequest, limit time.Duration) (Status, error)

		AddInstances(ctx context.Context, app Application, accountID, operationID string, names []string) ([]Instance, error)
		Instances(app Application, accountID, operationID string) ([]Instance, error)
		ChangeInstance(ctx context.Context, app Application, accountID, operationID, id string, c OperationChange) error
		RemoveInstance(ctx context.Context, app Application, accountID, operationID, id string) error

		SetByApplication(ctx context.Context, app Application, accountID string, to Target, open bool, a Attempt) error
		SetByUser(ctx context.Context, user, app, operation string, open bool) ([]string, error)
		SwitchByName(ctx context.Context, user, operation string, sw Switch) (Switched, error)
		LatchTree(user int64) ([]Account, error)
		SetChoice(ctx context.Context, user, app, operation string, twoFactor, lock *bool) error
		Choose(ctx context.Context, user int64, app string, to Target, twoFactor, lock *bool) error
		Accounts(user string) ([]Account, error)

		SetSchedule(ctx context.Context, user int64, app string, to Target, w schedule.Week, a Attempt) error
		HoldSchedule(ctx context.Context, user int64, app string, to Target, hold bool, a Attempt) error
		RecordTimers(ctx context.Context) error
		RecordSchedules(ctx context.Context) error
		Settle(ctx context.Context, user int64) error

		Status(ctx context.Context, r StatusRequest) (Status, error)

		Switch(ctx context.Context, a Switch) (Switched, error)
		Undo(ctx context.Context, user, act int64, a Attempt) error

		Tokens(user string) ([]Token, error)
		SpendToken(ctx context.Context, app Application, accountID, token string, right bool, a Attempt) error
	}

	// Codes keeps authenticators that the server checks, of applications and of people.
	Codes interface {
		TOTPRules() (TOTPRules, error)
		BeginOwnTOTP(ctx context.Context, user, secret string) error
		OwnTOTP(user string, proven bool) (OwnTOTP, error)
		ProveOwnTOTP(ctx context.Context, user string, match func(secret string, last int64) (step int64, ok bool)) error
		CheckOwnTOTP(ctx context.Context, app Application, accountID, subject string,
			match func(secret string, last int64) (step int64, ok bool)) error
		RemoveOwnTOTP(ctx context.Context, user string) error
		EndOwnTOTP(ctx context.Context, user string) error

		AddTOTP(ctx context.Context, app Application, k TOTP) (TOTP, error)
		TOTP(app Application, id string) (TOTP, error)
		CheckTOTP(ctx context.Context, app Application, id string, match func(secret string, last int64) (step int64, ok bool)) error
		RemoveTOTP(ctx context.Context, app Application, id string) error
	}

	// Notices keeps what people are told, by which channels, and what is still to be sent.
	Notices interface {
		Channels(user int64) ([]Channel, error)
		Webhooks(app int64) ([]Channel, error)
		ChannelOf(user, app, row int64) (Channel, error)
		SaveChannel(ctx context.Context, c Channel) (row int64, err error)
		RemoveChannel(ctx context.Context, user, app, row int64) error
		Rules(accountID string) (map[string]Rule, error)
		SetRules(ctx context.Context, user int64, accountID string, rules map[string]Rule) error

		ClosingOf(ticket string) (Closing, error)
		CloseByLink(ctx context.Context, ticket string, a Attempt) (Closing, error)
		OpenByNotice(ctx context.Context, user, notice int64, length time.Duration, a Attempt) (until int64, err error)

		Fanout(ctx context.Context, seen int64) (last int64, more bool, err error)

		Summaries(ctx context.Context) error

		Notices(user int64, limit int) ([]Notice, error)
		Notice(user, row int64) (Notice, error)
		TidyNotices(ctx context.Context) error

		MailServer() (m MailServer, ok bool, err error)
		SetMailServer(ctx context.Context, m *MailServer) error
		PushKey(ctx context.Context, fresh func() ([]byte, error)) (key []byte, err error)

		Claim(ctx context.Context, limit int) ([]Delivery, error)
		Release(ctx context.Context, d Delivery) error
		TestDelivery(ctx context.Context, user, app, channel int64) (Delivery, error)
		Delivered(ctx context.Context, d Delivery, r Result) error
	}

	// Records keeps what happened: the history, the audit log, tallies and how long they stay.
	Records interface {
		Note(ctx context.Context, name, target string, detail map[string]string) error
		Acts(q AuditQuery) ([]Act, error)
		ActNames() ([]string, error)

		History(ctx context.Context, app Application, accountID string, from, to int64) (AccountHistory, error)
		Log(user string, limit int) ([]Entry, error)
		LastAttempt(user int64) (e Entry, found bool, err error)

		Logged() (p Position, err error)
		KeepLogged(ctx context.Context, p Position) error
		JournalAfter(p Position, limit int) (j Journal, err error)
		HistoryAfter(id, from, to int64, limit int) ([]Entry, error)

		PersonHistory(q HistoryQuery) (HistoryPage, error)

		Prune(ctx context.Context, before int64) (removed int64, err error)
		PruneAudit(ctx context.Context, before int64) (removed int64, err error)
		KeepDays(setting string) (int, error)
		Retain(ctx context.Context) error

		Tally(ctx context.Context) error
		Tallies(app int64, days int) ([]DayTally, error)
		Refused(limit int) ([]Entry, error)
		Census() (c Census, err error)
	}

	// Keeping is about the database as a whole: settings, changes as they come, backup, the end.
	Keeping interface {
		Backup(ctx context.Context, to *os.File) error
		Check(ctx context.Context) error

		SetSettings(ctx context.Context, values map[string]string) error
		Setting(name string) (string, error)
		SetSetting(ctx context.Context, name, value string) error

		Close() error

		Watch(ctx context.Context, user int64) <-chan struct{}
	}
)
