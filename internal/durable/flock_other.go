//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package durable

import (
	"errors"
	"os"
)

// flock: a folder that cannot be locked cannot be kept safe from a second process, so it is refused.
func flock(*os.File) error { return errors.ErrUnsupported }
