package crashtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"posta/internal/app"
	"posta/internal/durable"
)

// The environment of a child: which work it does instead of testing, on what.
const (
	childVar  = "POSTA_CRASH_CHILD"  // housework, backup or release
	childData = "POSTA_CRASH_DATA"   // the data folder
	childDir  = "POSTA_CRASH_BACKUP" // where the backup goes
	childFail = "POSTA_CRASH_FAIL"   // failpoints
)

// child does work that a running server does once in an hour, now.
func child(work string) int {
	if err := childWork(work); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func childWork(work string) (err error) {
	ctx := context.Background()
	fp, err := durable.ParseFailpoints(os.Getenv(childFail))
	if err != nil {
		return err
	}
	state, err := app.OpenState(ctx, settings(os.Getenv(childData), "127.0.0.1:9", "127.0.0.1:9"), fp)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	if work == "backup" {
		_, err := state.House().Rescue.Backup(ctx, os.Getenv(childDir))
		return err
	}
	if work == "release" {
		return releaseAll(ctx, state)
	}
	later := time.Now().Add(2 * time.Hour) // every grace has passed
	return errors.Join(
		app.Collect(ctx, state.Store, state.Blobs, later),
		app.Compact(ctx, state.Store, state.Blobs, later),
	)
}

// runChild runs a child on a data folder; killed tells that its failpoint ended it.
func runChild(t testing.TB, work, data, dir, fail string) (killed bool, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVar+"="+work, childData+"="+data, childDir+"="+dir, childFail+"="+fail)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return cmd.ProcessState.ExitCode() == -1, err
}
