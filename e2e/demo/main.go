// Command demo shows the product at work in half a minute: a latch-server on loopback, a person who pairs, and logins
// through the real libpam and pam_latch.so while the latch is open, closed, or out of reach. It needs no root, keeps
// everything in a temporary directory, ends by itself unless DEMO_KEEP=1 is set, and exits with 1 if anything was not as it should be.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/latch-linux/latch/e2e/fixture"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		os.Exit(1)
	}
}

var errNotAsExpected = errors.New("something was not as it should be, see the table")

func run() (err error) {
	dir, err := os.MkdirTemp("", "latch-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s := &stage{dir: dir, out: newOutput(os.Stdout)}
	defer func() { err = errors.Join(err, s.clear()) }()
	if err := s.build(); err != nil {
		return err
	}
	if err := s.play(); err != nil {
		return err
	}
	if !s.out.table(s.rows) {
		return errNotAsExpected
	}
	if os.Getenv(keepVariable) != "1" {
		return nil
	}
	ctx, stop := untilInterrupted()
	defer stop()
	return s.keep(ctx, os.Stdin)
}

// stage is what stands while the demo runs.
type stage struct {
	dir    string
	out    *output
	files  fixture.Artefacts
	server *fixture.Server
	conf   fixture.Conf
	user   string
	uid    int64
	rows   []row
}

func (s *stage) path(name string) string { return filepath.Join(s.dir, name) }

// clear stops what the stage started.
func (s *stage) clear() error {
	if s.server != nil {
		return s.server.Stop()
	}
	return nil
}

// build starts the server, makes the application and the person, and pairs.
func (s *stage) build() error {
	built, err := fixture.Built()
	if err != nil {
		return err
	}
	// Copies, as the module trusts only files of root or of whoever logs in here.
	if s.files, err = built.CopyTo(s.dir); err != nil {
		return err
	}
	me, err := user.Current()
	if err != nil {
		return err
	}
	s.user, s.uid = me.Username, int64(os.Getuid())
	s.out.title("Latch for Linux")
	s.out.text("All of this happens in " + s.dir + " and on loopback.")
	s.out.text("Nothing on this machine is changed, and the files are gone at the end.")
	if err := s.startServer(); err != nil {
		return err
	}
	if err := s.pair(); err != nil {
		return err
	}
	return s.writeService()
}

func (s *stage) startServer() (err error) {
	s.out.heading("A Latch server of one's own")
	s.out.command("latch-server init --data data")
	s.out.command("latch-server serve --data data --listen 127.0.0.1:0 --tls-self-signed &")
	if s.server, err = fixture.StartServer(s.files.Server, s.path("data")); err != nil {
		return err
	}
	s.out.reply("latch-server: ready at " + s.server.URL)
	s.out.command("latch-server app add demo --json")
	app, err := s.server.AddApp("demo")
	if err != nil {
		return err
	}
	s.out.reply(fmt.Sprintf(`{"app_id":%q,"secret_key":"%s..."}`, app.ID, app.Secret[:4]))
	s.conf = fixture.NewConf(s.server, app).With("state_dir", s.path("state")).With("run_dir", s.path("run")).With("otp_key", s.path("otp.key"))
	_, err = s.conf.Write(s.confFile())
	return err
}

func (s *stage) confFile() string     { return s.path("latch.conf") }
func (s *stage) accountsFile() string { return s.path("latch.accounts") }

func (s *stage) pair() error {
	s.out.heading("A person, a phone, a pairing")
	s.out.command("latch-server user add " + s.user)
	if err := s.server.AddUser(s.user); err != nil {
		return err
	}
	s.out.command("latch-server code " + s.user)
	code, err := s.server.Code(s.user)
	if err != nil {
		return err
	}
	s.out.reply("the phone shows " + code)
	args := []string{"pair", code, "--user", s.user}
	s.out.command("latch " + strings.Join(args, " "))
	out, err := exec.Command(s.files.CLI, append(args, "--config", s.confFile(), "--accounts", s.accountsFile())...).CombinedOutput()
	s.out.reply(strings.TrimSpace(string(out)))
	if err != nil {
		return fmt.Errorf("latch pair: %w", err)
	}
	return nil
}

// service is the name of the demo's PAM service.
const service = "demo"

func (s *stage) writeService() error {
	arguments := fmt.Sprintf("authenticator=%s config=%s accounts=%s", s.files.Auth, s.confFile(), s.accountsFile())
	err := fixture.WriteService(s.path("pam.d"), service,
		"auth    required pam_permit.so",
		"auth    required "+s.files.Module+" "+arguments,
		"account required "+s.files.Module+" "+arguments,
		"account required pam_permit.so")
	s.out.heading("A PAM service that asks Latch")
	s.out.reply("auth    required pam_permit.so     stands for the password check, which the demo leaves out")
	s.out.reply("auth    required pam_latch.so      asks whether the latch is open")
	s.out.reply("account required pam_latch.so      asks where auth was not run, as sshd does for a public key")
	s.out.reply("account required pam_permit.so")
	return err
}
