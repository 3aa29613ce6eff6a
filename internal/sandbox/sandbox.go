// Package sandbox takes from the process what it needs no longer: root, once the
// sockets are bound, and then the file system, but for its own folders.
//
//	sandbox.Own("posta", "/var/lib/posta")       // as root: the folder exists and is its own
//	… bind the sockets …
//	who, err := sandbox.Drop("posta")            // nothing is root's any more
//	… open the state …
//	status, err := sandbox.Confine(sandbox.Paths{ReadWrite: …, ReadOnly: …})
//	err = status.Probe()                         // nil while what is outside gives EACCES
//
// Confine uses Landlock (Linux 5.19 or later, switched on at boot) with
// no_new_privs. Both bind every thread and every child, for good. Where the
// kernel cannot, Status says why and nothing is refused: it is for the caller to
// make a finding of it.
//
// What stays possible for whoever takes over the process: to read and write the
// own folders, to use what is already open, and the network; neither to execute a
// file outside Paths.Execute, nor to signal or reach through abstract sockets what
// is outside (Linux 6.12), nor to connect to a unix socket outside Paths.Sockets
// (Linux 7.1; before, by the permissions of the socket alone).
//
// Limit: Landlock knows files, not names. A file granted by itself and later
// replaced (rename) is a new file that is not granted: grant its folder, or list
// it in Paths.Replaced.
package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Paths are what is left of the file system. Folders are granted with all that is
// below. Paths that do not exist are passed over, save in ReadWrite.
type Paths struct {
	ReadWrite []string // own folders: files are made, read, changed, moved within and removed
	ReadOnly  []string // read and listed
	// Replaced are files that others replace while we run (certificates,
	// configuration): the folder of each is readable, and the folder of what it
	// links to. Of a file in / or /etc only itself is, since that folder is not ours.
	Replaced []string
	Execute  []string // programs to start, and what they load; needs to be read, too
	Sockets  []string // unix sockets to connect to, or folders of them
}

// System are the files that a server reads now and then without being told to:
// names, authorities, time zones, and its own numbers for metrics. All are
// readable by every user.
func System() Paths {
	return Paths{
		ReadOnly: []string{
			// Names. The folders are those where resolv.conf leads to and is replaced.
			"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf",
			"/etc/services", "/etc/protocols", "/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager",
			// Authorities: Go's list (crypto/x509 root_linux.go), and where those link to.
			"/etc/ssl/certs", "/etc/ssl/cert.pem", "/etc/ssl/ca-bundle.pem", "/etc/pki/tls/certs", "/etc/pki/tls/cacert.pem",
			"/etc/pki/ca-trust/extracted", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates",
			"/etc/ca-certificates/extracted", "/usr/share/pki/ca-trust-source", "/var/lib/ca-certificates",
			// Time zones, and types of files.
			"/etc/localtime", "/usr/share/zoneinfo", "/etc/mime.types", "/usr/share/mime",
			// The process's own numbers.
			"/proc/self", "/proc/stat", "/proc/sys/net/core/somaxconn", "/dev/urandom",
		},
		ReadWrite: []string{"/dev/null"},
	}
}

// Plus joins two sets of paths.
func (p Paths) Plus(q Paths) Paths {
	return Paths{
		ReadWrite: slices.Concat(p.ReadWrite, q.ReadWrite), ReadOnly: slices.Concat(p.ReadOnly, q.ReadOnly),
		Replaced: slices.Concat(p.Replaced, q.Replaced), Execute: slices.Concat(p.Execute, q.Execute),
		Sockets: slices.Concat(p.Sockets, q.Sockets),
	}
}

// readOnly gives ReadOnly together with what Replaced stands for.
func (p Paths) readOnly() []string {
	out := slices.Clone(p.ReadOnly)
	for _, file := range p.Replaced {
		out = append(out, file)
		for _, f := range []string{file, target(file)} {
			if dir := filepath.Dir(f); dir != "/" && dir != "/etc" && dir != "." {
				out = append(out, dir)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// target is what a path links to in the end, or itself.
func target(file string) string {
	if t, err := filepath.EvalSymlinks(file); err == nil {
		return t
	}
	return file
}

// Status is what Confine achieved. Its zero value is a process that can do what
// its user can.
type Status struct {
	Confined   bool   // the file system is closed but for Paths, and a probe has shown it
	Reason     string // why not, for people; "" when confined
	ABI        int    // the kernel's Landlock version; 0 is none
	NoNewPrivs bool   // no set-user-id program can give privileges back
	// Probes are files outside that could be opened before and cannot since.
	Probes []string
}

// ErrNotConfined is wrapped by Probe when something outside could be opened, or
// nothing could be tried.
var ErrNotConfined = errors.New("the process is not confined to its own folders")

// Probe tries again to open what is outside, and the given files, and reports the
// first that does not give EACCES. A file that does not exist proves nothing and is
// passed over. It fails when the process is not confined.
func (s Status) Probe(more ...string) error {
	if !s.Confined {
		return fmt.Errorf("%w: %s", ErrNotConfined, s.Reason)
	}
	tried := false
	for _, path := range slices.Concat(s.Probes, more) {
		switch err := open(path); {
		case err == nil:
			return fmt.Errorf("%w: %s could be opened", ErrNotConfined, path)
		case errors.Is(err, fs.ErrPermission):
			tried = true
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%w: %s: %w instead of EACCES", ErrNotConfined, path, err)
		}
	}
	if !tried {
		return fmt.Errorf("%w: nothing outside could be tried", ErrNotConfined)
	}
	return nil
}

// open opens a file for reading and closes it.
func open(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

// candidates are files that everybody may read on most systems, and root's own;
// those that can be opened before Confine are what it probes afterwards.
var candidates = [...]string{"/etc/passwd", "/etc/group", "/etc/os-release", "/proc/1/environ", "/proc/version", "/"}
