//go:build unix

package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// ErrRoot is wrapped by Drop when the process would stay root.
var ErrRoot = errors.New("refusing to go on as root")

// account is a user as numbers.
type account struct {
	uid, gid int
	groups   []int
}

func lookup(name string) (account, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return account{}, err
	}
	ids, err := u.GroupIds()
	if err != nil {
		return account{}, err
	}
	var a account
	for _, n := range []struct {
		text string
		to   *int
	}{{u.Uid, &a.uid}, {u.Gid, &a.gid}} {
		if *n.to, err = strconv.Atoi(n.text); err != nil {
			return a, fmt.Errorf("user %s: %w", name, err)
		}
	}
	for _, id := range ids {
		if g, err := strconv.Atoi(id); err == nil && g != 0 { // root's group opens too much
			a.groups = append(a.groups, g)
		}
	}
	slices.Sort(a.groups)
	a.groups = slices.Compact(a.groups)
	return a, nil
}

// Drop makes a process started as root a user's, with the user's groups, for all
// threads and for good, and makes sure that there is no way back. The user must
// not be root, and must be named. Started as another user than root there is
// nothing to drop and no way to change: Drop then only tells so. note says what
// was done, for the log.
func Drop(name string) (note string, err error) {
	if os.Geteuid() != 0 && os.Getuid() != 0 {
		return fmt.Sprintf("started as user %d, not root: stays so", os.Geteuid()), nil
	}
	if name == "" {
		return "", fmt.Errorf("%w: name the user to become", ErrRoot)
	}
	a, err := lookup(name)
	if err != nil {
		return "", err
	}
	if a.uid == 0 || a.gid == 0 {
		return "", fmt.Errorf("%w: %s is root, or of its group", ErrRoot, name)
	}
	// Groups while we may, the user last. package syscall does each on all threads.
	if err := syscall.Setgroups(a.groups); err != nil {
		return "", fmt.Errorf("setgroups: %w", err)
	}
	if err := setgid(a.gid); err != nil {
		return "", fmt.Errorf("setgid: %w", err)
	}
	if err := setuid(a.uid); err != nil {
		return "", fmt.Errorf("setuid: %w", err)
	}
	if err := dropped(a); err != nil {
		return "", err
	}
	return fmt.Sprintf("root dropped: user %s (%d), group %d", name, a.uid, a.gid), nil
}

// dropped makes sure that no id is left and that none comes back.
func dropped(a account) error {
	if os.Getuid() != a.uid || os.Geteuid() != a.uid || os.Getgid() != a.gid || os.Getegid() != a.gid {
		return fmt.Errorf("%w: the ids did not change", ErrRoot)
	}
	if syscall.Setuid(0) == nil || syscall.Setgid(0) == nil || os.Geteuid() == 0 {
		return fmt.Errorf("%w: root came back", ErrRoot)
	}
	return nil
}

// Own makes sure, before root is dropped, that the folder will be the user's: a
// missing one is made, for the user alone, and given away. One that is there and
// somebody else's is an error, since giving away what others could have filled
// with links is not safe. Not being root, it only makes a missing folder.
func Own(name, dir string) error {
	root := os.Geteuid() == 0 && name != ""
	err := os.Mkdir(dir, 0o700)
	switch {
	case errors.Is(err, os.ErrExist):
		return owned(name, dir, root)
	case err != nil:
		return err
	case !root:
		return nil
	}
	a, err := lookup(name)
	if err != nil {
		return errors.Join(err, os.Remove(dir))
	}
	return os.Lchown(dir, a.uid, a.gid)
}

// Give makes a file, or a folder with all that is in it, the user's, as far as root
// can. It is for what this program has just made itself, where nobody else could
// write. It does nothing for others than root, or where the user is root.
func Give(name, path string) error {
	if os.Geteuid() != 0 || name == "" || name == "root" {
		return nil
	}
	a, err := lookup(name)
	if err != nil {
		return err
	}
	return filepath.WalkDir(path, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, a.uid, a.gid)
	})
}

func owned(name, dir string, root bool) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !root {
		return nil // what cannot be used fails when it is used
	}
	a, err := lookup(name)
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != a.uid {
		return fmt.Errorf("%s belongs to user %d; it must be %s's: chown -R %s %s", dir, st.Uid, name, name, dir)
	}
	return nil
}
