package adapters

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// madvPopulateRead is MADV_POPULATE_READ, of Linux 5.14.
const madvPopulateRead = 22

// KeepProgramInMemory maps all of this program's file, and keeps it there where the limits allow that. Otherwise its pages are read
// when they are first used, which may be in the middle of a query, from a disk that somebody keeps busy.
func KeepProgramInMemory() {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for in := bufio.NewScanner(bytes.NewReader(maps)); in.Scan(); {
		line := in.Text()
		if !strings.HasSuffix(line, " "+program) {
			continue
		}
		span, _, _ := strings.Cut(line, " ")
		first, last, _ := strings.Cut(span, "-")
		from, err := strconv.ParseUint(first, 16, 64)
		to, failed := strconv.ParseUint(last, 16, 64)
		if err != nil || failed != nil {
			continue
		}
		if _, _, errno := syscall.Syscall(syscall.SYS_MLOCK, uintptr(from), uintptr(to-from), 0); errno != 0 {
			_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, uintptr(from), uintptr(to-from), madvPopulateRead)
		}
	}
}
