package main

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

// capabilityHeader is __user_cap_header_struct of capget(2) and capset(2); capabilitySets are the two halves of 64 capabilities.
type (
	capabilityHeader struct {
		version uint32
		pid     int32
	}
	capabilitySets [2]struct{ effective, permitted, inheritable uint32 }
)

const capabilityVersion = 0x20080522 // _LINUX_CAPABILITY_VERSION_3

// dropCapabilities gives up, in every thread, what a user other than root was given so that it could listen at a port below
// 1024. Root becomes another user instead (see become).
func dropCapabilities() error {
	if os.Geteuid() == 0 {
		return nil
	}
	header := capabilityHeader{version: capabilityVersion}
	var held, none capabilitySets
	_, _, errno := syscall.Syscall(syscall.SYS_CAPGET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&held)), 0)
	if errno != 0 {
		return fmt.Errorf("read capabilities: %w", errno)
	}
	if held == none {
		return nil
	}
	_, _, errno = syscall.AllThreadsSyscall(syscall.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none)), 0)
	if errno != 0 {
		return fmt.Errorf("give up capabilities: %w", errno)
	}
	return nil
}
