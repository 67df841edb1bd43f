package pam_test

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestSharedObject holds the built file to what libpam may see of it: three functions, two libraries, 64 KiB.
func TestSharedObject(t *testing.T) {
	file, err := elf.Open(module)
	must(t, err)
	defer file.Close()
	libraries, err := file.ImportedLibraries()
	must(t, err)
	if slices.Sort(libraries); !slices.Equal(libraries, []string{"libc.so.6", "libpam.so.0"}) {
		t.Errorf("libraries: %v", libraries)
	}
	symbols, err := file.DynamicSymbols()
	must(t, err)
	var exported []string
	for _, s := range symbols {
		if s.Section != elf.SHN_UNDEF && elf.ST_TYPE(s.Info) == elf.STT_FUNC {
			exported = append(exported, s.Name)
		} else if s.Section != elf.SHN_UNDEF && s.Section != elf.SHN_ABS {
			t.Errorf("%q is exported", s.Name)
		}
	}
	if slices.Sort(exported); !slices.Equal(exported, []string{"pam_sm_acct_mgmt", "pam_sm_authenticate", "pam_sm_setcred"}) {
		t.Errorf("exports: %v", exported)
	}
	stripped := filepath.Join(t.TempDir(), "pam_latch.so")
	if out, err := exec.Command("strip", "-o", stripped, module).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	info, err := os.Stat(stripped)
	must(t, err)
	if t.Logf("%d bytes stripped", info.Size()); info.Size() >= 64<<10 {
		t.Errorf("%d bytes stripped", info.Size())
	}
}

// talks are conversations that walk through most of the module, with the codes of both phases.
var talks = map[string][]string{
	"codes 0 0": {"read", send(hold(100), frame(0x82, "root")), "read", send(frame(0x84, "hi"), frame(0x83, "\x00Code: ")), "read", send(success)},
	"codes 7 6": {"read", send(hold(100), frame(0x83, "\x00Code: "), success[:6]), "read", "crash"},
}

// TestUnderSanitizers builds the module with ASan and UBSan; anything they find ends the host.
func TestUnderSanitizers(t *testing.T) {
	sources, err := filepath.Glob("*.c")
	must(t, err)
	so := filepath.Join(t.TempDir(), "pam_latch.so")
	args := append([]string{"-g", "-O1", "-fPIC", "-shared", "-fvisibility=hidden", "-fsanitize=address,undefined",
		"-fno-sanitize-recover=all", "-o", so}, sources...)
	if out, err := compile("gcc", append(args, "-lpam")...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	asan, err := exec.Command("gcc", "-print-file-name=libasan.so").Output()
	must(t, err)
	for want, script := range talks {
		b := newBed(t, script...)
		b.service("latch", so, b.auth)
		wrapper := []string{"env", "LD_PRELOAD=" + strings.TrimSpace(string(asan)), "ASAN_OPTIONS=detect_leaks=0"}
		if out := b.underHost(wrapper, "once"); out[0] != want {
			t.Errorf("got %q, want %q", out, want)
		}
	}
}

func TestUnderValgrind(t *testing.T) {
	for want, script := range talks {
		b := newBed(t, script...)
		wrapper := []string{"valgrind", "-q", "--error-exitcode=9", "--leak-check=full", "--child-silent-after-fork=yes"}
		if out := b.underHost(wrapper, "once"); !slices.Contains(out, want) {
			t.Errorf("got %q, want %q", out, want)
		}
	}
}

// TestFuzzFrames runs libFuzzer over the parser. LATCH_FUZZ_LIMIT is its option that ends it.
func TestFuzzFrames(t *testing.T) {
	dir := t.TempDir()
	fuzzer := filepath.Join(dir, "fuzz")
	if out, err := compile("clang", "-g", "-O1", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all", "-I.",
		"-o", fuzzer, "testdata/fuzz_frame.c", "frame.c"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	limit := os.Getenv("LATCH_FUZZ_LIMIT")
	if limit == "" {
		limit = "-runs=20000"
	}
	out, err := exec.Command(fuzzer, limit, "-max_len=2048", "-artifact_prefix="+os.TempDir()+"/latch-",
		dir, "testdata/frames").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out[strings.LastIndex(strings.TrimSpace(string(out)), "\n")+1:])
}
