package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// What each kind of path may be used for. Nothing that is written can be executed,
// and no devices can be made.
const (
	readFile  = ll.AccessFSReadFile
	writeFile = ll.AccessFSReadFile | ll.AccessFSWriteFile | ll.AccessFSTruncate
	readDir   = readFile | ll.AccessFSReadDir
	writeDir  = readDir | writeFile | ll.AccessFSRemoveDir | ll.AccessFSRemoveFile | ll.AccessFSMakeDir |
		ll.AccessFSMakeReg | ll.AccessFSMakeSock | ll.AccessFSMakeFifo | ll.AccessFSMakeSym | ll.AccessFSRefer
	execute = ll.AccessFSExecute | readFile
	connect = ll.AccessFSResolveUnix // kernels before 7.1 do not look at it, and take no rule for it
)

// needABI is the Landlock version that can allow moving a file from one own folder
// to another (refer). With an older one a confined store could not keep its promises.
const needABI = 2

// Confine closes the file system but for the paths, for all threads and children
// and for good, and sets no_new_privs. Then it probes that files which could be
// opened before give EACCES. It is an error if a path is wrong, and when the kernel
// says that it confined us and a probe shows that it did not; a kernel that
// cannot is no error but Status.Reason. Call it once: a second call can only
// take more away.
func Confine(p Paths) (Status, error) {
	s := Status{ABI: abi()}
	if err := ll.AllThreadsPrctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return s, fmt.Errorf("no_new_privs: %w", err)
	}
	s.NoNewPrivs = true
	if s.Reason = reason(s.ABI); s.Reason != "" {
		return s, nil
	}
	rules, err := rules(p)
	if err != nil {
		return s, err
	}
	var before []string
	for _, c := range candidates {
		if open(c) == nil {
			before = append(before, c)
		}
	}
	cfg := landlock.Config{HandledAccessFS: landlock.V9.HandledAccessFS, Scoped: landlock.V9.Scoped}
	if err := cfg.BestEffort().Restrict(rules...); err != nil {
		return s, fmt.Errorf("landlock: %w", err)
	}
	s.Confined = true
	for _, c := range before {
		// What the caller granted is no probe.
		if err := open(c); err != nil {
			s.Probes = append(s.Probes, c)
		}
	}
	if err := s.Probe(); err != nil {
		s.Confined, s.Reason = false, err.Error()
		return s, err
	}
	return s, nil
}

// ConfineProgram is Confine for a process that is about to execute a program that is not
// ours. Nothing is probed, since what our own process is confined to hides what there is to
// look at. Unless network is set it takes TCP away too (Linux 6.7). A kernel that cannot is
// no error: that is a finding of the server's start.
func ConfineProgram(p Paths, network bool) error {
	if err := ll.AllThreadsPrctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	if reason(abi()) != "" {
		return nil
	}
	rules, err := rules(p)
	if err != nil {
		return err
	}
	cfg := landlock.Config{HandledAccessFS: landlock.V9.HandledAccessFS, Scoped: landlock.V9.Scoped}
	if !network {
		cfg.HandledAccessNet = landlock.V9.HandledAccessNet
	}
	if err := cfg.BestEffort().Restrict(rules...); err != nil {
		return fmt.Errorf("landlock: %w", err)
	}
	return nil
}

// abi is the kernel's Landlock version; 0 when it has none or it is not on.
func abi() int {
	v, err := ll.LandlockGetABIVersion()
	if err != nil {
		return 0
	}
	return v
}

func reason(abi int) string {
	switch {
	case abi == 0:
		return "the kernel has no Landlock, or it is not in the list lsm= at boot (it needs Linux 5.19)"
	case abi < needABI:
		return "the kernel's Landlock cannot allow moving files between folders (it needs Linux 5.19)"
	}
	return ""
}

// rules makes Landlock's rules of paths.
func rules(p Paths) ([]landlock.Rule, error) {
	var out []landlock.Rule
	add := func(paths []string, file, dir landlock.AccessFSSet, must bool) error {
		for _, path := range paths {
			info, err := os.Stat(path)
			if !must && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)) {
				continue // what is not there, or cannot be reached, needs no grant
			}
			if err != nil {
				return err
			}
			access := file
			if info.IsDir() {
				access = dir
			}
			out = append(out, landlock.PathAccess(access, path).IgnoreIfMissing())
		}
		return nil
	}
	err := errors.Join(
		add(p.ReadWrite, writeFile, writeDir, true),
		add(p.readOnly(), readFile, readDir, false),
		add(p.Execute, execute, execute|readDir, false),
		add(p.Sockets, connect, connect, false),
	)
	return out, err
}
