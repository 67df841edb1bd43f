package testbed

import (
	"net"
	"net/url"
	"testing"
)

func TestServerComesBackAtTheSameAddress(t *testing.T) {
	built, err := Built()
	if err != nil {
		t.Fatal(err)
	}
	s, err := StartServer(built.Server, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if app, err := s.AddApp("test"); err != nil || len(app.ID) != 20 || len(app.Secret) != 40 {
		t.Errorf("app = %q (%v)", app.ID, err)
	}
	if err := s.AddUser("ana"); err != nil {
		t.Error(err)
	}
	if code, err := s.Code("ana"); err != nil || len(code) != 6 {
		t.Errorf("code = %q (%v)", code, err)
	}
	address := s.URL
	for range 2 {
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		if u, _ := url.Parse(address); reachable(u.Host) {
			t.Error("somebody still listens there")
		}
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
	}
	if s.URL != address {
		t.Errorf("it came back at %s, was at %s", s.URL, address)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
}

func reachable(address string) bool {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	c.Close()
	return true
}
