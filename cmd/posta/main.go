// Posta is a mail server that keeps good practice by itself.
//
//	posta lab          an internet in a box, on this machine alone
//	posta quickstart   a working configuration for a domain
//	posta serve        the server
//
// Called as sendmail, mailq or newaliases it behaves as those. The sub-commands
// stand one in a file; `posta help` lists them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"posta/internal/command"
	"posta/internal/control"
	"posta/internal/program"
	"posta/internal/words"
)

// Exit statuses (DESIGN §7).
const (
	exitFindings = 1  // done, and something was found
	exitUsage    = 2  // the call is wrong
	exitLater    = 75 // try again later (EX_TEMPFAIL)
)

// found is an error that has been told already: only the status is left.
type found struct{ status int }

func (f found) Error() string { return fmt.Sprintf("exit status %d", f.status) }

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	args := os.Args[1:]
	switch filepath.Base(os.Args[0]) {
	case program.Verb: // before anything else: it becomes another program
		return program.Child(args)
	case "sendmail", "mailq", "newaliases":
		return asSendmail(ctx, filepath.Base(os.Args[0]), args)
	}
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if f, ok := errors.AsType[found](err); ok {
		return f.status
	}
	fmt.Fprintln(os.Stderr, "posta:", sentence(err, chosenLanguage(args)))
	return status(err)
}

// sentence is an error for people, in their language where it has a sentence.
func sentence(err error, l words.Lang) string {
	if e, ok := errors.AsType[*command.Error](err); ok {
		return e.In(l)
	}
	return err.Error()
}

// status is the exit status of an error.
func status(err error) int {
	switch {
	case errors.Is(err, command.ErrLater), errors.Is(err, control.ErrNoServer):
		return exitLater
	case errors.Is(err, errUsage), errors.Is(err, command.ErrUsage), strings.HasPrefix(err.Error(), "unknown command"):
		return exitUsage
	}
	return 1
}
