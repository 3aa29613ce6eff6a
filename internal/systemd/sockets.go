package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

// firstFD is SD_LISTEN_FDS_START.
const firstFD = 3

// maxFDs bounds how many sockets are taken; a mail server has a dozen doors.
const maxFDs = 256

// Sockets takes the listening sockets that systemd opened for the process pid
// (os.Getpid()), by their FileDescriptorName=, which is the name of a door: smtp,
// submission, submissions, lmtp, imap, imaps, pop3, pop3s, http. It gives an empty
// map where there are none. Each name may be given once; one socket serves both
// IPv4 and IPv6 (BindIPv6Only=both). The listeners are the caller's to close, and
// closed already when there is an error.
//
// Take them once: a second call would take the same descriptors again. Children
// do not inherit them.
func Sockets(env Environment, pid int) (map[string]net.Listener, error) {
	names, err := socketNames(env, pid)
	if err != nil {
		return nil, err
	}
	out := make(map[string]net.Listener, len(names))
	var errs []error
	for i, name := range names {
		l, err := listener(firstFD+i, name)
		switch {
		case err != nil:
			errs = append(errs, err)
		case out[name] != nil:
			l.Close()
			errs = append(errs, fmt.Errorf("two sockets are called %q; give each door one (BindIPv6Only=both)", name))
		default:
			out[name] = l
		}
	}
	if err := errors.Join(errs...); err != nil {
		for _, l := range out {
			l.Close()
		}
		return nil, fmt.Errorf("sockets of systemd: %w", err)
	}
	return out, nil
}

// socketNames gives the names of the descriptors from 3 on; none when they are
// for another process.
func socketNames(env Environment, pid int) ([]string, error) {
	if p, _ := env("LISTEN_PID"); p != strconv.Itoa(pid) {
		return nil, nil
	}
	text, _ := env("LISTEN_FDS")
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > maxFDs {
		return nil, fmt.Errorf("LISTEN_FDS: %q is no number from 0 to %d", text, maxFDs)
	}
	if n == 0 {
		return nil, nil
	}
	list, ok := env("LISTEN_FDNAMES")
	if !ok {
		return nil, errors.New("LISTEN_FDNAMES is missing: name each socket after its door (FileDescriptorName=)")
	}
	names := strings.Split(list, ":")
	if len(names) != n {
		return nil, fmt.Errorf("LISTEN_FDNAMES: %d names for %d sockets", len(names), n)
	}
	return names, nil
}

// listener makes a listener of a descriptor. net keeps a copy of its own, so the
// first one is closed.
func listener(fd int, name string) (net.Listener, error) {
	closeOnExec(fd)
	f := os.NewFile(uintptr(fd), name)
	if f == nil {
		return nil, fmt.Errorf("%s: descriptor %d is none", name, fd)
	}
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("%s (descriptor %d) is no listening stream socket: %w", name, fd, err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // its path is the manager's
	}
	return l, nil
}
