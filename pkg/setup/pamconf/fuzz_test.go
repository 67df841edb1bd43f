package pamconf_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/latch-linux/latch/pkg/setup/pamconf"
)

// FuzzServiceFile reads any text as a service file, which may include itself and a second text, and that one both.
func FuzzServiceFile(f *testing.F) {
	for _, machine := range []string{"debian12", "fedora-sssd", "opensuse", "arch"} {
		for _, service := range []string{"sshd", "su", "polkit-1"} {
			text, err := dirs(machines[machine]).Read(service)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text, []byte("auth required pam_unix.so\naccount required pam_unix.so\n"))
		}
	}
	f.Add([]byte("auth include tried\nauth include tried\naccount substack other\nauth required pam_unix.so\n"), []byte("@include other\n@include tried\n"))
	f.Add([]byte("auth [success=1 \\\n# between\n default=die] pam_unix.so\r\nauth required pam_deny.so\nauth required pam_permit.so"), []byte{})
	f.Add([]byte("auth include other\nauth [default=99] pam_a.so [x \\] y]\n"), []byte("auth [default=reset] pam_unix.so\nauth substack other"))
	f.Add([]byte("auth required pam_latch.so\n account sufficient /x/pam_latch.so"), []byte("what \\"))
	f.Fuzz(func(t *testing.T, text, other []byte) {
		tree := texts{"tried": string(text), "other": string(other)}
		file := pamconf.Parse("tried", text)
		if !bytes.Equal(file.Bytes(), text) {
			t.Fatalf("%q is read as %q", text, file.Bytes())
		}
		bare, gone := file.Without()
		if again, more := bare.Without(); more != 0 || gone == 0 && !bytes.Equal(bare.Bytes(), text) || !bytes.Equal(again.Bytes(), bare.Bytes()) {
			t.Fatalf("%q without %d lines is %q, and then without %d %q", text, gone, bare.Bytes(), more, again.Bytes())
		}
		for _, phase := range []pamconf.Phase{pamconf.Auth, pamconf.Account} {
			tryInsert(t, file, phase, tree, gone)
		}
	})
}

// tryInsert holds that taking out undoes putting in. lines is how many lines of ours the file has in other phases.
func tryInsert(t *testing.T, file *pamconf.File, phase pamconf.Phase, tree texts, lines int) {
	after, findings, err := pamconf.Insert(file, phase, tree, nil)
	var broken *pamconf.BrokenError
	switch {
	case errors.As(err, &broken):
	case err != nil:
		if !errors.Is(err, pamconf.ErrTooMany) {
			t.Fatal(err)
		}
	case after == nil && len(findings) == 0:
		t.Fatalf("%q: no place and no reason", file.Bytes())
	case after != nil && lines == 0:
		if back, gone := after.Without(); gone != 1 || !bytes.Equal(back.Bytes(), file.Bytes()) {
			t.Fatalf("taking %d lines out of %q leaves %q, not %q", gone, after.Bytes(), back.Bytes(), file.Bytes())
		}
		if stack, err := pamconf.Load(after, phase, tree); err != nil || stack.Asks() < 0 {
			t.Fatalf("%q does not ask: %v", after.Bytes(), err)
		}
	}
}
