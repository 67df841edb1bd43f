package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// The ends of the slow link.
const (
	nearAddress = "192.0.2.1"
	farAddress  = "192.0.2.2"
)

// far is a network namespace at the other end of a slow link, with a thread of this process that lives in it.
type far struct{ work chan func() }

// do runs f in the far namespace; processes that f starts stay there.
func (n far) do(f func() error) error {
	done := make(chan error)
	n.work <- func() { done <- f() }
	return <-done
}

// joinFar makes the far namespace and the link: a TUN device at each end, and two loops of this process that hand every
// packet over after half of rtt. There is no shaping but this: no loss, no limit of bandwidth.
func joinFar(rtt time.Duration) (far, error) {
	n := far{make(chan func())}
	if err := makeTunNode(); err != nil {
		return n, err
	}
	here, err := openTun("latch-near", nearAddress)
	if err != nil {
		return n, err
	}
	unshared := make(chan error)
	go func() {
		runtime.LockOSThread() // for ever: this thread is another machine's
		unshared <- unix.Unshare(unix.CLONE_NEWNET)
		for f := range n.work {
			f()
		}
	}()
	if err := <-unshared; err != nil {
		return n, fmt.Errorf("network namespace: %w", err)
	}
	var there *os.File
	err = n.do(func() (err error) {
		there, err = openTun("latch-far", farAddress)
		return errors.Join(err, command("ip", "link", "set", "lo", "up"))
	})
	if err != nil {
		return n, err
	}
	go hold(here, there, rtt/2)
	go hold(there, here, rtt/2)
	return n, nil
}

// makeTunNode gives the isolated machine the device that its own /dev lacks.
func makeTunNode() error {
	if err := os.MkdirAll("/dev/net", 0o755); err != nil {
		return err
	}
	err := unix.Mknod("/dev/net/tun", unix.S_IFCHR|0o600, int(unix.Mkdev(10, 200)))
	if err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make /dev/net/tun: %w", err)
	}
	return nil
}

// openTun makes a TUN device in the calling thread's namespace, with this address of a network of two.
func openTun(name, address string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		return nil, fmt.Errorf("make the device %s: %w", name, err)
	}
	for _, args := range [][]string{{"address", "add", address + "/30", "dev", name}, {"link", "set", name, "up"}} {
		if err := command("ip", args...); err != nil {
			return nil, err
		}
	}
	return os.NewFile(uintptr(fd), name), nil
}

type packet struct {
	due  time.Duration // on CLOCK_MONOTONIC
	data []byte
}

// hold copies packets from one device to the other, each after delay. It ends with the process.
func hold(from, to *os.File, delay time.Duration) {
	line := make(chan packet, 4096)
	go func() {
		runtime.LockOSThread() // for the timer slack, which is a thread's
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
		for p := range line {
			sleepUntil(p.due)
			_, _ = to.Write(p.data) // a packet that is not taken is lost, as packets are
		}
	}()
	for {
		buffer := make([]byte, 2048)
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		line <- packet{monotonic() + delay, buffer[:n]}
	}
}

func monotonic() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // cannot fail
	return time.Duration(t.Nano())
}

// sleepUntil is exact to some tens of microseconds; Go's own timers are to a millisecond.
func sleepUntil(due time.Duration) {
	at := unix.NsecToTimespec(int64(due))
	for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &at, nil) == unix.EINTR {
	}
}

// roundTrip measures what a connection takes, which is one round trip: the median of 21.
func roundTrip(address string) (time.Duration, error) {
	var times []time.Duration
	for range 21 {
		started := time.Now()
		c, err := net.Dial("tcp", address)
		if err != nil {
			return 0, err
		}
		times = append(times, time.Since(started))
		c.Close()
	}
	return durationAt(times, 0.5), nil
}
