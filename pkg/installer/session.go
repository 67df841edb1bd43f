package installer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// doors are daemons that log people in: they are older than any session, and no part of one.
var doors = map[string]bool{"sshd": true, "sshd-session": true, "login": true, "gdm": true, "gdm3": true, "lightdm": true, "sddm": true,
	"systemd": true, "init": true, "dropbear": true, "xrdp-sesman": true, "agetty": true, "cockpit-session": true}

// process is a line of proc(5)'s stat.
type process struct {
	parent int
	name   string
	ticks  uint64 // since boot, at which it started
}

// ticksPerSecond is USER_HZ, which is 100 on every architecture of Linux that we build for.
const ticksPerSecond = 100

// SessionStart tells when the login session began that a process belongs to: the start of its oldest ancestor below the
// daemon that let it in. A window of an old tmux or screen is as old as that.
func SessionStart(pid int, now time.Time) (time.Time, error) {
	uptime, err := sinceBoot()
	if err != nil {
		return time.Time{}, err
	}
	oldest := ^uint64(0)
	for pid > 1 {
		p, err := readProcess(pid)
		if err != nil {
			return time.Time{}, err
		}
		if doors[p.name] {
			break
		}
		oldest, pid = min(oldest, p.ticks), p.parent
	}
	if oldest == ^uint64(0) {
		return time.Time{}, errors.New("this process has no session")
	}
	age := uptime - time.Duration(oldest)*time.Second/ticksPerSecond
	return now.Add(-age), nil
}

func readProcess(pid int) (process, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, err
	}
	// The name stands in parentheses and may hold any character, parentheses included.
	open, end := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	if open < 0 || end < open {
		return process{}, fmt.Errorf("/proc/%d/stat has another form", pid)
	}
	fields := bytes.Fields(data[end+1:])
	if len(fields) < 20 {
		return process{}, fmt.Errorf("/proc/%d/stat is short", pid)
	}
	parent, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		return process{}, err
	}
	ticks, err := strconv.ParseUint(string(fields[19]), 10, 63)
	return process{parent, string(data[open+1 : end]), ticks}, err
}

func sinceBoot() (time.Duration, error) {
	data, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0, err
	}
	first, _, _ := bytes.Cut(data, []byte(" "))
	seconds, err := strconv.ParseFloat(string(first), 64)
	return time.Duration(seconds * float64(time.Second)), err
}
