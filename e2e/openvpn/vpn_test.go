package openvpn

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
)

// What OpenVPN writes.
const (
	serverReady = "Initialization Sequence Completed"
	clientIn    = "Initialization Sequence Completed"
	authFailed  = "AUTH_FAILED"
)

// peer is an OpenVPN process with what it wrote.
type peer struct {
	cmd   *exec.Cmd
	mu    sync.Mutex
	lines []string
	ended chan struct{}
}

// start runs OpenVPN under wrap, which may put it elsewhere.
func start(t *testing.T, wrap []string, args ...string) *peer {
	t.Helper()
	argv := append(append(append([]string{}, wrap...), "/usr/sbin/openvpn"), args...)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return watch(t, cmd)
}

// watch starts a process that leads a group of its own, and reads what it writes.
func watch(t *testing.T, cmd *exec.Cmd) *peer {
	t.Helper()
	p := &peer{cmd: cmd, ended: make(chan struct{})}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			p.mu.Lock()
			p.lines = append(p.lines, s.Text())
			p.mu.Unlock()
		}
		close(p.ended)
	}()
	t.Cleanup(func() { p.stop(); p.tell(t) })
	return p
}

// stop ends the process, and the group it started where it does not end by itself.
func (p *peer) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.ended
	}
	_ = p.cmd.Wait()
}

func (p *peer) tell(t *testing.T) {
	if t.Failed() {
		t.Logf("%v:\n%s", p.cmd.Args, p.text())
	}
}

func (p *peer) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

// await returns the first of the texts that the process writes, or "" where it ends or lets time pass without any.
func (p *peer) await(texts ...string) (found string) {
	fixture.Await(func() bool {
		ended := p.hasEnded() // what it wrote last is read then
		all := p.text()
		i := slices.IndexFunc(texts, func(text string) bool { return strings.Contains(all, text) })
		if i >= 0 {
			found = texts[i]
		}
		return ended || i >= 0
	})
	return found
}

func (p *peer) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// freePort returns a UDP port of the loopback that nobody uses.
func freePort(t *testing.T) int {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).Port
}

// serverText is a server's configuration as an administrator writes it, before anything is installed.
func serverText(address string, port int) string {
	return fmt.Sprintf(`# The office's VPN.
local %s
port %d
proto udp
dev tun
ca %[3]s/ca.crt
cert %[3]s/server.crt
key %[3]s/server.key
dh none
topology subnet
server 10.8.0.0 255.255.255.0
duplicate-cn
keepalive 10 60
user nobody
group nogroup
persist-key
persist-tun
verb 3
`, address, port, keys)
}

// vpn is a running server that asks the latch.
type vpn struct {
	*peer
	address string
	port    int
	config  string // as latch install left it
	anybody bool   // its clients show no certificate
}

// setting is how a server differs from the one that latch install makes.
type setting struct {
	address string              // "" is the loopback
	before  string              // what stands in the configuration beside the rest when latch install comes
	edit    func(string) string // of the installed configuration
	wrap    []string            // what the server runs under
	flags   []string            // of latch install
}

// startVPN writes a configuration, has latch install complete it, and starts the server with it.
func startVPN(t *testing.T, s setting) *vpn {
	t.Helper()
	if s.address == "" {
		s.address = "127.0.0.1"
	}
	v := &vpn{address: s.address, port: freePort(t)}
	writeConfig(t, vpnConf, serverText(v.address, v.port)+s.before)
	must(t, append([]string{"install", "openvpn", "--yes"}, s.flags...)...)
	t.Cleanup(func() { must(t, "uninstall", "openvpn", "--yes") })
	text, err := os.ReadFile(vpnConf)
	if err != nil {
		t.Fatal(err)
	}
	v.config = string(text)
	v.run(t, s)
	return v
}

// beside starts one more server with the installed configuration, edited, on a port of its own.
func (v *vpn) beside(t *testing.T, edit func(string) string) *vpn {
	t.Helper()
	other := &vpn{address: v.address, port: freePort(t)}
	other.config = strings.Replace(v.config, fmt.Sprintf("port %d", v.port), fmt.Sprintf("port %d", other.port), 1)
	other.run(t, setting{edit: edit})
	return other
}

func (v *vpn) run(t *testing.T, s setting) {
	t.Helper()
	text := v.config
	if s.edit != nil {
		text = s.edit(text)
	}
	used := filepath.Join(t.TempDir(), "used.conf")
	if err := os.WriteFile(used, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	v.peer = start(t, s.wrap, "--config", used)
	if v.await(serverReady) == "" {
		t.Fatalf("the server did not start:\n%s", v.text())
	}
}

// inNull keeps a client from needing a device and addresses.
var inNull = []string{"--dev", "null", "--ifconfig-noexec", "--route-noexec"}

// dial starts a client that sends a user's password, with options more than it needs.
func (v *vpn) dial(t *testing.T, user, password string, options ...string) *peer {
	t.Helper()
	return v.dialFrom(t, nil, user, password, append(options, inNull...)...)
}

func (v *vpn) dialFrom(t *testing.T, wrap []string, user, password string, options ...string) *peer {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(user+"\n"+password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return v.connect(t, wrap, append(options, "--auth-user-pass", secret)...)
}

// connect starts a client that sends no password of itself.
func (v *vpn) connect(t *testing.T, wrap []string, options ...string) *peer {
	t.Helper()
	return start(t, wrap, v.client(options...)...)
}

// client are the options of a client.
func (v *vpn) client(options ...string) []string {
	if !v.anybody {
		options = append(options, "--cert", keys+"/client.crt", "--key", keys+"/client.key")
	}
	return append(options, "--client", "--proto", "udp", "--remote", v.address, fmt.Sprint(v.port), "--nobind", "--remote-cert-tls", "server",
		"--ca", keys+"/ca.crt", "--auth-retry", "none", "--connect-retry-max", "1", "--verb", "3")
}

// isIn tells whether a login gets a tunnel.
func (v *vpn) isIn(t *testing.T, user, password string) bool {
	t.Helper()
	return v.gotIn(t, v.dial(t, user, password))
}

// gotIn tells whether a client gets a tunnel; anything but that or AUTH_FAILED is a failure of the test.
func (v *vpn) gotIn(t *testing.T, client *peer) bool {
	t.Helper()
	defer client.stop()
	switch client.await(clientIn, authFailed) {
	case clientIn:
		return true
	case authFailed:
		return false
	}
	t.Fatalf("no answer:\n%s\nthe server:\n%s", client.text(), v.text())
	return false
}

// expect checks logins with the right password, all at the same time.
func (v *vpn) expect(t *testing.T, want map[string]bool) {
	t.Helper()
	clients := map[string]*peer{}
	for user := range want {
		clients[user] = v.dial(t, user, fixture.Password)
	}
	for user, client := range clients {
		if got := v.gotIn(t, client); got != want[user] {
			t.Errorf("%q is in: %v, want %v", user, got, want[user])
		}
	}
}
