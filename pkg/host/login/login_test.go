package login_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/host/login"
	"github.com/latch-linux/latch/pkg/host/policy"
)

const account = "account-of-ana"

// openByCode is the reason of an open latch and a right code.
const openByCode policy.Reason = "open-otp"

// now is the instant that the fake clock starts at.
var now = time.Date(2026, 3, 9, 7, 5, 3, 0, time.UTC)

// world stands in for everything that a login asks, and notes what was asked.
type world struct {
	pairings   map[string]login.Pairing
	broken     error // of the pairing file
	listed     bool  // /etc/passwd has the name
	groups     map[string]bool
	answers    []login.Answer // one per question, the last for all further ones
	questions  []login.Question
	reply      string
	cannotAsk  bool
	unbounded  int // questions without a deadline
	hurried    int // preparations with one
	unprepared error
	prompts    []string
	told       []string
	awaits     time.Duration // how long the server holds an answer; 0 = it cannot
	denied     bool          // denied within the last minute
	seen       policy.Seen
	memory     []string
	spans      [][2]time.Duration // of what was remembered: sent, answered
	takes      time.Duration      // a query
	asked      map[string]bool    // denied, or still being asked, by user and service
	time       time.Time
	hostGone   error

	enrolled  map[string]login.Enrolment
	noStore   error
	proof     policy.Proof  // of a code, here
	validates policy.Answer // the server's, about a code
	checked   []string
	uids      []int64 // whose codes were looked for or checked
	keepsOwn  bool
	spent     []string
	kept      string // token for the next login
	noTokens  error
	warn      bool // what is checked here
}

func (w *world) Find(name string) (login.Pairing, bool, error) {
	p, ok := w.pairings[name]
	return p, ok, w.broken
}

func (w *world) FindLoosely(name string) (login.Pairing, bool, error) {
	return w.Find(strings.ToLower(strings.TrimSpace(name)))
}

func (w *world) Ask(ctx context.Context, q login.Question) login.Answer {
	if _, bounded := ctx.Deadline(); !bounded {
		w.unbounded++
	}
	w.questions = append(w.questions, q)
	w.time = w.time.Add(w.takes)
	return w.answers[min(len(w.questions), len(w.answers))-1]
}

func (w *world) Prepare(ctx context.Context) error {
	if _, bounded := ctx.Deadline(); bounded {
		w.hurried++
	}
	return w.unprepared
}

func (w *world) CanAwait() bool { return w.awaits > 0 }

// Await holds every answer as long as awaits says, but for one that opens.
func (w *world) Await(ctx context.Context, q login.Question) login.Answer {
	a := w.Ask(ctx, q)
	if a.Kind != policy.On {
		w.time = w.time.Add(w.awaits)
	}
	return a
}

func (w *world) Member(group string) (bool, error) { return w.groups[group], w.hostGone }
func (w *world) Lists(string) (bool, error)        { return w.listed, nil }

func (w *world) RecentlyDenied(u, s string) bool { return w.denied || w.asked[u+" "+s] }
func (w *world) Asking(u, s string)              { w.asked[u+" "+s] = true }
func (w *world) Forget(u, s string)              { w.asked[u+" "+s] = false }
func (w *world) Last(string, string) policy.Seen { return w.seen }
func (w *world) Remember(a, o string, open bool, sent, answered time.Duration) {
	w.memory = append(w.memory, fmt.Sprint(a, o, open))
	w.spans = append(w.spans, [2]time.Duration{sent, answered})
}

func (w *world) Now() time.Time           { return w.time }
func (w *world) SinceBoot() time.Duration { return w.time.Sub(now) }
func (w *world) Sleep(_ context.Context, d time.Duration) bool {
	w.time = w.time.Add(d)
	return true
}

// person is a type of its own, since world's Ask is the server's.
type person struct{ *world }

func (p person) Ask(text string, echo bool) (string, bool, error) {
	p.prompts = append(p.prompts, fmt.Sprint(text, echo))
	return p.reply, !p.cannotAsk, p.hostGone
}

func (p person) Tell(text string) error {
	p.told = append(p.told, text)
	return nil
}

// scene is a login of ana's with the right password through sshd, and an open latch; a test changes what it is about.
func scene() (*world, *login.Login) {
	w := &world{pairings: map[string]login.Pairing{"ana": {AccountID: account, UID: 1000}}, time: now,
		asked: map[string]bool{}, answers: []login.Answer{{Kind: policy.On}}}
	return w, &login.Login{
		Request: login.Request{Service: "sshd", User: "ana", NSS: login.NSSFound, Canonical: "ana", UID: 1000},
		Settings: login.Settings{Timeout: time.Second, Policies: policy.Policies{Action: policy.Open, OnError: policy.Close,
			Unpaired: policy.Open, UnpairedByServer: policy.Close}},
		Pairings: w, Server: w, Codes: codes{w}, Tokens: w, Person: person{w}, Host: w, Memory: w, Clock: w,
	}
}

func TestWhoIsAskedAbout(t *testing.T) {
	for name, c := range map[string]struct {
		change    func(*world, *login.Login)
		want      policy.Verdict
		reason    policy.Reason
		questions int
	}{
		"paired":              {func(*world, *login.Login) {}, policy.Success, "open", 1},
		"closed":              {func(w *world, _ *login.Login) { w.answers[0].Kind = policy.Off }, policy.Refuse, "closed", 1},
		"unpaired":            {func(w *world, _ *login.Login) { w.pairings = nil }, policy.Ignore, policy.UnpairedOpen, 0},
		"unpaired, close":     {func(w *world, l *login.Login) { w.pairings = nil; l.Settings.Policies.Unpaired = policy.Close }, policy.Refuse, policy.UnpairedClose, 0},
		"broken pairings":     {func(w *world, _ *login.Login) { w.broken = errors.New("line 3") }, policy.Refuse, policy.BadPairings, 0},
		"name of another uid": {func(_ *world, l *login.Login) { l.Request.UID = 1001 }, policy.Refuse, policy.UIDChanged, 0},
		"no uid recorded":     {func(w *world, _ *login.Login) { w.pairings["ana"] = login.Pairing{AccountID: account, UID: -1} }, policy.Success, "open", 1},
		"canonical name":      {func(_ *world, l *login.Login) { l.Request.User = "ANA" }, policy.Success, "open", 1},
		"NSS failed":          {func(_ *world, l *login.Login) { l.Request.NSS = login.NSSFailed }, policy.Refuse, policy.NSSFailed, 0},
		"NSS unknown, same but for case": {func(w *world, l *login.Login) {
			l.Request.NSS, l.Request.User = login.NSSUnknown, " ANA"
			w.answers[0].Kind = policy.Off
		}, policy.Refuse, "closed", 1},
		"NSS unknown, nobody": {func(_ *world, l *login.Login) { l.Request.NSS, l.Request.User = login.NSSUnknown, "eva" }, policy.Ignore, policy.UnpairedOpen, 0},
		"NSS misses what passwd has": {func(w *world, l *login.Login) {
			l.Request.NSS, w.listed, w.pairings = login.NSSUnknown, true, nil
		}, policy.Refuse, policy.NSSDisagrees, 0},
		"files that cannot be read": {func(w *world, _ *login.Login) { w.unprepared = errors.New("slow disk") }, policy.Refuse, policy.Local, 0},
		"exempt user":               {func(_ *world, l *login.Login) { l.Settings.ExemptUsers = []string{"ana"} }, policy.Ignore, policy.ExemptUser, 0},
		"exempt group": {func(w *world, l *login.Login) {
			l.Settings.ExemptGroups, w.groups = []string{"ops"}, map[string]bool{"ops": true}
		}, policy.Ignore, policy.ExemptGroup, 0},
		"not in the group":     {func(_ *world, l *login.Login) { l.Settings.ExemptGroups = []string{"ops"} }, policy.Success, "open", 1},
		"exempt service":       {func(_ *world, l *login.Login) { l.Settings.ExemptServices = []string{"sshd"} }, policy.Ignore, policy.ExemptService, 0},
		"skipped in account":   {func(_ *world, l *login.Login) { l.Settings.AccountSkip, l.Request.Account = []string{"sshd"}, true }, policy.Ignore, policy.SkippedService, 0},
		"not skipped in auth":  {func(_ *world, l *login.Login) { l.Settings.AccountSkip = []string{"sshd"} }, policy.Success, "open", 1},
		"exempt, file broken":  {func(w *world, l *login.Login) { l.Settings.ExemptUsers, w.broken = []string{"ana"}, errors.New("x") }, policy.Ignore, policy.ExemptUser, 0},
		"exempt by given name": {func(_ *world, l *login.Login) { l.Settings.ExemptUsers, l.Request.User = []string{"root"}, "root" }, policy.Success, "open", 1},
	} {
		t.Run(name, func(t *testing.T) {
			w, l := scene()
			c.change(w, l)
			o, err := l.Run(t.Context())
			if w.hurried > 0 {
				t.Error("the machine's files are read in the query's time")
			}
			if err != nil || o.Verdict != c.want || o.Reason != c.reason || len(w.questions) != c.questions {
				t.Errorf("verdict %v, reason %q, %d questions, error %v; want %v, %q, %d", o.Verdict, o.Reason, len(w.questions), err, c.want, c.reason, c.questions)
			}
		})
	}
}

func TestQuestionIsSilentAfterARefusal(t *testing.T) {
	w, l := scene()
	w.denied, w.answers[0].Kind = true, policy.Off
	if _, err := l.Run(t.Context()); err != nil || !w.questions[0].Silent || !w.questions[0].NoToken {
		t.Errorf("asked %+v, error %v", w.questions, err)
	}
	if len(w.questions) != 1 || len(w.memory) != 1 {
		t.Errorf("%d questions, remembered %v", len(w.questions), w.memory)
	}
}

// TestTimesOfTheDecidingQuery: what is remembered has the times of the query that was answered so, not of a silent one before it.
func TestTimesOfTheDecidingQuery(t *testing.T) {
	w, l := scene()
	w.denied, w.takes = true, time.Second
	if _, err := l.Run(t.Context()); err != nil || !slices.Equal(w.spans, [][2]time.Duration{{time.Second, 2 * time.Second}}) {
		t.Errorf("sent and answered %v, error %v", w.spans, err)
	}
}

// TestUnseen: where the phone is to show nothing the account phase asks once, silently, and the auth phase as always.
func TestUnseen(t *testing.T) {
	for _, kind := range []policy.Answer{policy.On, policy.Off} {
		for _, account := range []bool{true, false} {
			w, l := scene()
			w.answers[0].Kind, l.Settings.SilentAccountCheck, l.Request.Account = kind, true, account
			o, err := l.Run(t.Context())
			if err != nil || (o.Verdict == policy.Success) != (kind == policy.On) || len(w.questions) != 1 || w.questions[0].Silent != account {
				t.Errorf("account %v, %v: %v after %+v, error %v", account, kind, o.Verdict, w.questions, err)
			}
		}
	}
	w, l := scene()
	l.Settings.SilentAccountCheck, l.Request.Account = true, true
	w.answers = []login.Answer{{Kind: policy.ErrorAnswer}, {Kind: policy.On}}
	if o, err := l.Run(t.Context()); err != nil || o.Verdict != policy.Success || len(w.questions) != 2 || w.questions[1].Silent {
		t.Errorf("a plan without silence: %v after %+v, error %v", o.Verdict, w.questions, err)
	}
}

// TestUnseenHushesNobody: a closed latch that the phone was not told of, a NOPASSWD sudo say, must not make the questions
// after it silent, nor an open one ring for those that were recently denied.
func TestUnseenHushesNobody(t *testing.T) {
	for _, kind := range []policy.Answer{policy.On, policy.Off, policy.ErrorAnswer, policy.NoAnswer} {
		for _, before := range []bool{true, false} {
			w, l := scene()
			w.answers[0].Kind, w.asked["ana sshd"] = kind, before
			l.Settings.SilentAccountCheck, l.Request.Account = true, true
			if _, err := l.Run(t.Context()); err != nil || w.asked["ana sshd"] != before {
				t.Errorf("%v: recently denied %v, was %v, error %v", kind, w.asked["ana sshd"], before, err)
			}
		}
	}
}

// TestSilenceIsThePersons: a directory takes many spellings for one name, and each must not ring the phone again.
func TestSilenceIsThePersons(t *testing.T) {
	w, l := scene()
	w.answers[0].Kind, l.Request.NSS = policy.Off, login.NSSUnknown
	for i, name := range []string{"ana", "ANA", " Ana"} {
		l.Request.User = name
		if o, err := l.Run(t.Context()); err != nil || o.Reason != "closed" || w.questions[i].Silent != (i > 0) {
			t.Errorf("%q: %v, asked %+v, error %v", name, o.Reason, w.questions[i], err)
		}
	}
}

// TestNobodyEntersUnseen: a silent question shows nothing on the phone and closes no latch that closes itself on request.
func TestNobodyEntersUnseen(t *testing.T) {
	silent := login.Question{AccountID: account, NoToken: true, Silent: true}
	for name, c := range map[string]struct {
		notified login.Answer
		reason   policy.Reason
	}{
		"open":              {login.Answer{Kind: policy.On, Token: "g4K9wz", Made: now}, openByCode},
		"closed meanwhile":  {login.Answer{Kind: policy.Off}, "closed"},
		"no answer":         {login.Answer{Kind: policy.NoAnswer}, "no-answer-close"},
		"no token any more": {login.Answer{Kind: policy.On}, "open"},
	} {
		w, l := scene()
		w.denied, w.reply = true, "g4K9wz"
		l.Settings.Policies.Code, l.Settings.Policies.Action = policy.TokenCode, policy.Close
		w.answers = []login.Answer{{Kind: policy.On}, c.notified}
		o, err := l.Run(t.Context())
		if want := []login.Question{silent, {AccountID: account}}; err != nil || o.Reason != c.reason || !slices.Equal(w.questions, want) {
			t.Errorf("%s: %q after %+v, error %v", name, o.Reason, w.questions, err)
		}
	}
}

// TestNoteOfAQuestion: what the phone may have shown is noted before it is asked, and taken back where it showed nothing
// or the person came in.
func TestNoteOfAQuestion(t *testing.T) {
	for kind, noted := range map[policy.Answer]bool{policy.On: false, policy.Off: true, policy.NoAnswer: true, policy.ErrorAnswer: false,
		policy.BadCertificate: false, policy.NotPaired: false, policy.LocalFailure: false} {
		w, l := scene()
		w.answers[0].Kind = kind
		l.Server = beforeEach{w, func() {
			if !w.asked[" sshd"] {
				t.Errorf("%v: asked without a note", kind)
			}
		}}
		if _, err := l.Run(t.Context()); err != nil || w.asked[" sshd"] != noted {
			t.Errorf("%v: noted %v, error %v", kind, w.asked, err)
		}
	}
}

// beforeEach does something before each question.
type beforeEach struct {
	*world
	do func()
}

func (b beforeEach) Ask(ctx context.Context, q login.Question) login.Answer {
	b.do()
	return b.world.Ask(ctx, q)
}

// TestPlanWithoutSilence: an error about a silent question must not become a policy's opening.
func TestPlanWithoutSilence(t *testing.T) {
	w, l := scene()
	w.denied, l.Settings.Policies.OnError = true, policy.Open
	w.answers = []login.Answer{{Kind: policy.ErrorAnswer}, {Kind: policy.Off}}
	o, err := l.Run(t.Context())
	if err != nil || o.Verdict != policy.Refuse || len(w.questions) != 2 || w.questions[1].Silent {
		t.Errorf("verdict %v after %+v, error %v", o.Verdict, w.questions, err)
	}
}

// TestSilentErrorThenNothing: the server did answer, so this is none of the logins that `action` is about.
func TestSilentErrorThenNothing(t *testing.T) {
	w, l := scene()
	w.denied = true
	w.answers = []login.Answer{{Kind: policy.ErrorAnswer, Detail: "HTTP status 429"}, {Kind: policy.NoAnswer}}
	o, err := l.Run(t.Context())
	if err != nil || o.Verdict != policy.Refuse || o.Reason != "error-close" || o.Detail != "HTTP status 429" || len(w.questions) != 2 {
		t.Errorf("%v %q %q after %+v, error %v", o.Verdict, o.Reason, o.Detail, w.questions, err)
	}
}

func TestLastSeen(t *testing.T) {
	for seen, want := range map[policy.Seen]policy.Verdict{policy.Never: policy.Refuse, policy.SeenClosed: policy.Refuse, policy.SeenOpen: policy.Success} {
		w, l := scene()
		w.seen, l.Settings.Policies.Action, w.answers[0].Kind = seen, policy.Last, policy.NoAnswer
		if o, _ := l.Run(t.Context()); o.Verdict != want || len(w.memory) != 0 {
			t.Errorf("seen %v: %v, remembered %v", seen, o.Verdict, w.memory)
		}
	}
}

func TestToken(t *testing.T) {
	const token = "g4K9wz"
	for name, c := range map[string]struct {
		change func(*world, *login.Login)
		reason policy.Reason
	}{
		"right":            {func(w *world, _ *login.Login) { w.reply = token }, openByCode},
		"wrong":            {func(w *world, _ *login.Login) { w.reply = "g4K9wy" }, policy.CodeWrong},
		"other case":       {func(w *world, _ *login.Login) { w.reply = "G4K9WZ" }, policy.CodeWrong},
		"prefix":           {func(w *world, _ *login.Login) { w.reply = token[:5] }, policy.CodeWrong},
		"overlong":         {func(w *world, _ *login.Login) { w.reply = token + "x" }, policy.CodeWrong},
		"empty":            {func(*world, *login.Login) {}, policy.CodeNotAsked},
		"cannot be asked":  {func(w *world, _ *login.Login) { w.reply, w.cannotAsk = token, true }, policy.CodeNotAsked},
		"five minutes old": {func(w *world, _ *login.Login) { w.reply, w.time = token, now.Add(5*time.Minute+time.Second) }, policy.CodeExpired},
	} {
		t.Run(name, func(t *testing.T) {
			w, l := scene()
			l.Settings.Policies.Code = policy.TokenCode
			w.answers[0] = login.Answer{Kind: policy.On, Token: token, Made: now}
			c.change(w, l)
			o, err := l.Run(t.Context())
			if want := map[bool]policy.Verdict{true: policy.Success}[c.reason == openByCode]; err != nil || o.Verdict != want || o.Reason != c.reason {
				t.Errorf("%v %q, error %v", o.Verdict, o.Reason, err)
			}
			if len(w.prompts) != 1 || !strings.HasPrefix(w.prompts[0], "Latch ") {
				t.Errorf("prompts %q", w.prompts)
			}
			if want := fmt.Sprint("true ", token, " ", c.reason == openByCode); len(w.spent) != 1 || w.spent[0] != want {
				t.Errorf("the server was told %q, want %q", w.spent, want)
			}
		})
	}
}

func TestTokenIsNotAskedFor(t *testing.T) {
	for name, change := range map[string]func(*world, *login.Login){
		"otp = no":          func(_ *world, l *login.Login) { l.Settings.Policies.Code = policy.NoCode },
		"account phase":     func(_ *world, l *login.Login) { l.Request.Account = true },
		"server sends none": func(w *world, _ *login.Login) { w.answers[0].Token = "" },
	} {
		w, l := scene()
		l.Settings.Policies.Code = policy.TokenCode
		w.answers[0] = login.Answer{Kind: policy.On, Token: "g4K9wz", Made: now}
		change(w, l)
		if o, err := l.Run(t.Context()); err != nil || o.Verdict != policy.Success || len(w.prompts) != 0 {
			t.Errorf("%s: %v %q, prompts %q, error %v", name, o.Verdict, o.Reason, w.prompts, err)
		}
		if asks := name == "server sends none"; w.questions[0].NoToken == asks {
			t.Errorf("%s: question %+v", name, w.questions[0])
		}
	}
}

func TestWaitForThePhone(t *testing.T) {
	w, l := scene()
	l.Settings.Wait = 10 * time.Second
	w.answers = []login.Answer{{Kind: policy.Off}, {Kind: policy.NoAnswer}, {Kind: policy.Off}, {Kind: policy.On}}
	o, err := l.Run(t.Context())
	if err != nil || o.Verdict != policy.Success || len(w.questions) != 5 || !w.questions[3].Silent || w.questions[4].Silent || w.unbounded > 0 {
		t.Errorf("%v after %+v, %d of them without a deadline, error %v", o.Verdict, w.questions, w.unbounded, err)
	}

	w, l = scene()
	l.Settings.Wait = 10 * time.Second
	w.answers = []login.Answer{{Kind: policy.Off}, {Kind: policy.NoAnswer}}
	if o, _ := l.Run(t.Context()); o.Verdict != policy.Refuse || o.Reason != "closed" {
		t.Errorf("a server that goes silent while the phone is waited for gives %v %q", o.Verdict, o.Reason)
	}
	if waited := w.time.Sub(now); waited != l.Settings.Wait {
		t.Errorf("waited %v", waited)
	}

	for held, questions := range map[time.Duration]int{5 * time.Second: 1 + 3, time.Millisecond: 1 + 8} {
		w, l = scene()
		l.Settings.Wait, w.awaits = 15*time.Second, held
		w.answers = []login.Answer{{Kind: policy.Off}}
		if o, _ := l.Run(t.Context()); o.Verdict != policy.Refuse || len(w.questions) != questions || !w.questions[1].Silent || !w.questions[1].NoToken {
			t.Errorf("a server that holds its answers for %v: %v after %d questions, want %d", held, o.Verdict, len(w.questions), questions)
		}
		w, l = scene()
		l.Settings.Wait, w.awaits = 15*time.Second, held
		w.answers = []login.Answer{{Kind: policy.Off}, {Kind: policy.On}}
		if o, _ := l.Run(t.Context()); o.Verdict != policy.Success || !w.time.Equal(now) || len(w.questions) != 3 || w.questions[2].Silent {
			t.Errorf("an answer that was held until the phone opened: %v after %v and %+v", o.Verdict, w.time.Sub(now), w.questions)
		}
	}

	w, l = scene()
	l.Settings.Wait, l.Request.Account, w.answers[0].Kind = 10*time.Second, true, policy.Off
	if _, _ = l.Run(t.Context()); len(w.questions) != 1 {
		t.Errorf("the account phase waited: %d questions", len(w.questions))
	}
}

// TestTextOnlyForKeys: somebody who has only the password learns nothing.
func TestTextOnlyForKeys(t *testing.T) {
	for _, c := range []struct {
		info    string
		account bool
		quiet   bool
		told    int
	}{
		{"publickey ssh-ed25519 AAAA\n", true, false, 1},
		{"publickey ssh-ed25519 AAAA", true, false, 1},
		{"publickey ssh-ed25519 AAAA\n", false, false, 0},
		{"publickey ssh-ed25519 AAAA\n", true, true, 0},
		{"publickey ssh-ed25519 AAAA\npassword\n", true, false, 0},
		{"publickey ssh-ed25519 AAAA\nkeyboard-interactive/pam\n", true, false, 0},
		{"password\n", true, false, 0},
		{"", true, false, 0},
		{"hostbased publickey\n", true, false, 0},
	} {
		w, l := scene()
		w.answers[0].Kind = policy.Off
		l.Request.SSHAuthInfo, l.Request.Account, l.Settings.NoMessages = c.info, c.account, c.quiet
		if _, err := l.Run(t.Context()); err != nil || len(w.told) != c.told {
			t.Errorf("%+v: told %q, error %v", c, w.told, err)
		}
	}
}

func TestHostGoneIsAnError(t *testing.T) {
	w, l := scene()
	w.hostGone, l.Settings.ExemptGroups = errors.New("gone"), []string{"ops"}
	if o, err := l.Run(t.Context()); err == nil || o.Verdict != policy.Refuse {
		t.Errorf("membership: %v %q", o.Verdict, o.Reason)
	}
	w, l = scene()
	w.hostGone, w.reply, l.Settings.Policies.Code = errors.New("gone"), "g4K9wz", policy.TokenCode
	w.answers[0] = login.Answer{Kind: policy.On, Token: "g4K9wz", Made: now}
	if o, err := l.Run(t.Context()); err == nil || o.Verdict == policy.Success {
		t.Errorf("prompt: %v %q", o.Verdict, o.Reason)
	}
}
