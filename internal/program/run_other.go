//go:build !linux

package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// Verb is the name under which our own binary is called to become a program.
const Verb = "posta-program"

// run runs nothing: a program that cannot be confined is not run.
func run(context.Context, context.CancelCauseFunc, *Program, []string, io.Reader, io.Writer) (int, error) {
	return -1, fmt.Errorf("%w: %w", ErrStart, errors.ErrUnsupported)
}

// Child fails: there is nothing that it could become.
func Child([]string) int {
	fmt.Fprintln(os.Stderr, errors.ErrUnsupported)
	return 1
}
