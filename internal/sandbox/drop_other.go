//go:build !unix

package sandbox

import (
	"errors"
	"os"
	"runtime"
)

// ErrRoot is wrapped by Drop when the process would stay root.
var ErrRoot = errors.New("refusing to go on as root")

// Drop drops nothing on this system, and says so.
func Drop(string) (note string, err error) {
	return runtime.GOOS + " has no root to drop", nil
}

// Own makes a folder if it is missing.
func Own(_, dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// Give does nothing: there is no root who could.
func Give(_, _ string) error { return nil }
