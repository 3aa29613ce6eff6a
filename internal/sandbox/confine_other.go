//go:build !linux

package sandbox

import "runtime"

// Confine confines nothing on this system, and says so.
func Confine(Paths) (Status, error) {
	return Status{Reason: runtime.GOOS + " has no Landlock"}, nil
}
