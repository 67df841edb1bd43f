package main

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"time"
)

// sample is one login: wall time and the processor time of the host and everything below it.
type sample struct{ wall, cpu time.Duration }

// loginHost is a running testdata/host.c.
type loginHost struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr bytes.Buffer
}

func (b *bed) startHost(k kind, mode string) (*loginHost, error) {
	h := &loginHost{cmd: exec.Command(b.host, b.confdir(), k.service, k.user, mode)}
	h.cmd.Stderr = &h.stderr
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	if h.stdin, err = h.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	h.stdout = bufio.NewReader(out)
	return h, h.cmd.Start()
}

// login makes one login. A host that ended says why on its standard error.
func (h *loginHost) login(k kind) (sample, error) {
	answer := ""
	if k.answer != nil {
		answer = k.answer()
	}
	var wall, cpu int64
	_, err := fmt.Fprintln(h.stdin, answer)
	if err == nil {
		_, err = fmt.Fscanln(h.stdout, &wall, &cpu)
	}
	if err != nil {
		h.stop()
		return sample{}, fmt.Errorf("%w: %s", err, bytes.TrimSpace(h.stderr.Bytes()))
	}
	return sample{time.Duration(wall) * time.Microsecond, time.Duration(cpu) * time.Microsecond}, nil
}

// stop ends the host with its input.
func (h *loginHost) stop() {
	h.stdin.Close()
	_ = h.cmd.Wait() // how it ended is told by login
}

// footprint is what a host holds while its session lasts: private dirty KiB, all private KiB, mappings, threads.
type footprint [4]int

func (b *bed) footprint(k kind) (f footprint, err error) {
	args := []string{b.confdir(), k.service, k.user, "memory"}
	if k.answer != nil {
		args = append(args, k.answer())
	}
	out, err := exec.Command(b.host, args...).Output()
	if err != nil {
		return f, fmt.Errorf("host of %s: %w", k.label, err)
	}
	_, err = fmt.Sscan(string(out), &f[0], &f[1], &f[2], &f[3])
	return f, err
}

// footprints is how many hosts of each kind are looked at: how many pages of a file a fault maps depends on where the
// file was loaded, which is random.
const footprints = 15

// memory shows what each module leaves in its host.
func (b *bed) memory(kinds []kind) error {
	b.say("\n### What stays in the host\n")
	b.say("After auth and account, the handle still open, as in a session; medians of %d. In brackets what is more than with pam_permit.so.", footprints)
	b.say("Clean pages are parts of files that nobody else had mapped just then; dirty ones are the host's alone.\n")
	rows := [][]string{{"module", "private dirty KiB", "private KiB", "mappings", "threads"}}
	var base footprint
	for i, k := range kinds {
		f, err := b.medianFootprint(k)
		if err != nil {
			return err
		}
		if i == 0 {
			base = f
		}
		row := []string{k.label}
		for j, n := range f {
			row = append(row, fmt.Sprintf("%d (%+d)", n, n-base[j]))
		}
		rows = append(rows, row)
	}
	table(b.out, 1, rows...)
	return nil
}

func (b *bed) medianFootprint(k kind) (median footprint, err error) {
	var columns [len(median)][]int
	for range footprints {
		f, err := b.footprint(k)
		if err != nil {
			return f, err
		}
		for j, n := range f {
			columns[j] = append(columns[j], n)
		}
	}
	for j, column := range columns {
		median[j] = quantile(column, 0.5, cmp.Compare[int])
	}
	return median, nil
}
