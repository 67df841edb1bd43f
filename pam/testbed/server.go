package testbed

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// How long a server may take to say that it is ready, and to end after SIGTERM.
const serverPatience = 30 * time.Second

const readyPrefix = "latch-server: ready at "

// Server is a latch-server process with its own data directory, on loopback with a certificate of its own making.
type Server struct {
	Program string // the latch-server binary
	Data    string // its data directory
	URL     string // https://127.0.0.1:PORT, known once it was ready for the first time
	CA      string // the file with its certificate authority
	Public  string // what browsers call it, https://NAME:PORT; "" until Publish

	process *exec.Cmd
	stderr  bytes.Buffer
}

// App is an application as `latch-server app add` made it.
type App struct {
	ID     string `json:"app_id"`
	Secret string `json:"secret_key"`
}

// StartServer initialises a data directory and starts a latch-server on a free loopback port.
func StartServer(program, data string) (*Server, error) {
	s := &Server{Program: program, Data: data, CA: filepath.Join(data, "ca.pem")}
	if _, err := s.Run("init"); err != nil {
		return nil, err
	}
	return s, s.Start()
}

// Start starts the server: on a free port the first time, on the same port again after Stop.
func (s *Server) Start() error {
	listen := "127.0.0.1:0"
	if s.URL != "" {
		u, err := url.Parse(s.URL)
		if err != nil {
			return err
		}
		listen = u.Host
	}
	args := []string{"serve", "--data", s.Data, "--listen", listen, "--tls-self-signed"}
	if s.Public != "" {
		args = append(args, "--url", s.Public)
	}
	s.process = exec.Command(s.Program, args...)
	s.process.Stderr = &s.stderr
	s.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdout, err := s.process.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.process.Start(); err != nil {
		return err
	}
	if s.URL, err = awaitReady(stdout); err != nil {
		s.process.Process.Kill()
		s.process.Wait()
		return fmt.Errorf("latch-server: %w: %s", err, s.stderr.String())
	}
	return nil
}

// Publish starts the server again with an address for browsers: its port under a name, which has to lead to loopback.
func (s *Server) Publish(name string) error {
	u, err := url.Parse(s.URL)
	if err != nil {
		return err
	}
	if err := s.Stop(); err != nil {
		return err
	}
	s.Public = "https://" + name + ":" + u.Port()
	return s.Start()
}

func awaitReady(stdout io.Reader) (string, error) {
	line := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(stdout).ReadString('\n')
		line <- text
	}()
	select {
	case text := <-line:
		address, found := strings.CutPrefix(strings.TrimSpace(text), readyPrefix)
		if !found {
			return "", fmt.Errorf("its first line is %q, not %q", text, readyPrefix)
		}
		return address, nil
	case <-time.After(serverPatience):
		return "", fmt.Errorf("not ready after %v", serverPatience)
	}
}

// Stop ends the server by SIGTERM and waits for it; one that does not end in time is killed and is an error.
func (s *Server) Stop() error {
	if s.process == nil {
		return nil
	}
	process := s.process
	s.process = nil
	if err := process.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	kill := time.AfterFunc(serverPatience, func() { process.Process.Kill() })
	defer kill.Stop()
	if err := process.Wait(); err != nil {
		return fmt.Errorf("latch-server ended badly: %w: %s", err, s.stderr.String())
	}
	return nil
}

// Pid returns the process id of the running server.
func (s *Server) Pid() int { return s.process.Process.Pid }

// Run runs one latch-server command on the server's data directory and returns its standard output.
func (s *Server) Run(args ...string) ([]byte, error) {
	return run(exec.Command(s.Program, append(args, "--data", s.Data)...))
}

func (s *Server) runJSON(into any, args ...string) error {
	out, err := s.Run(append(args, "--json")...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, into); err != nil {
		return fmt.Errorf("latch-server %s: %w in %q", strings.Join(args, " "), err, out)
	}
	return nil
}

// AddApp makes an application.
func (s *Server) AddApp(name string) (App, error) {
	var app App
	err := s.runJSON(&app, "app", "add", name)
	return app, err
}

// AddUser makes a person who has a phone.
func (s *Server) AddUser(name string) error {
	_, err := s.Run("user", "add", name)
	return err
}

// Code returns a fresh pairing code, as the person's phone would show it.
func (s *Server) Code(user string) (string, error) {
	var answer struct{ Code string }
	err := s.runJSON(&answer, "code", user)
	return answer.Code, err
}

// Tokens returns the one-time tokens that the person's phone shows, oldest first.
func (s *Server) Tokens(user string) (tokens []string, err error) {
	var answer struct {
		Tokens []struct{ Token string }
	}
	err = s.runJSON(&answer, "token", user)
	for _, k := range answer.Tokens {
		tokens = append(tokens, k.Token)
	}
	return tokens, err
}

// Token returns the newest one-time token that the person's phone shows.
func (s *Server) Token(user string) (string, error) {
	tokens, err := s.Tokens(user)
	if err == nil && len(tokens) == 0 {
		err = fmt.Errorf("the phone of %q shows no one-time token", user)
	}
	if err != nil {
		return "", err
	}
	return tokens[len(tokens)-1], nil
}

// DemandTokens makes the server send one-time tokens for an application, or stops that.
func (s *Server) DemandTokens(app string, demand bool) error {
	mode := "disabled"
	if demand {
		mode = "mandatory"
	}
	_, err := s.Run("app", "set", app, "--two-factor", mode)
	return err
}

// Open opens the person's latches, as the person would on the phone.
func (s *Server) Open(user string) error {
	_, err := s.Run("open", user)
	return err
}

// Close closes the person's latches, as the person would on the phone.
func (s *Server) Close(user string) error {
	_, err := s.Run("close", user)
	return err
}

// run runs a command to its end; an error carries what it wrote to standard error.
func run(cmd *exec.Cmd) ([]byte, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		name := filepath.Base(cmd.Path) + " " + strings.Join(cmd.Args[1:], " ")
		return out, fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}
