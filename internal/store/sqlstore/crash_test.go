package sqlstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"posta/internal/durable"
	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/store"
)

// crashPoints are all steps at which a process can die while it accepts.
var crashPoints = []string{
	"store.accept.record", "store.accept.blob", "store.accept.deliver", "store.accept.enqueue",
	"store.accept.hold", "store.accept.jobs", "store.accept.finish", "store.commit", "store.committed",
}

// TestCrash kills a process at each step of an accept, early and in the middle of
// a group, and looks at what is left: every answered accept is there, every other
// one wholly or not at all.
func TestCrash(t *testing.T) {
	if dir := os.Getenv("POSTA_TEST_CRASH_DIR"); dir != "" {
		acceptUntilKilled(t, dir, os.Getenv("POSTA_TEST_CRASH_AT"))
		return
	}
	for _, point := range crashPoints {
		for _, visit := range []int{1, 37} {
			t.Run(fmt.Sprintf("%s:%d", point, visit), func(t *testing.T) {
				t.Parallel()
				crashOnce(t, fmt.Sprintf("%s=kill:%d", point, visit))
			})
		}
	}
}

func crashOnce(t *testing.T, failpoint string) {
	dir := t.TempDir()
	s := openTest(t, dir)
	ana := makeAccount(t, s, "ana", "example.org")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCrash$")
	child.Env = append(os.Environ(), "POSTA_TEST_CRASH_DIR="+dir, "POSTA_TEST_CRASH_AT="+failpoint)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var answered []mail.ID
	var other []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "250 "); ok {
			id, err := mail.ParseID(text)
			if err != nil {
				t.Fatal(err)
			}
			answered = append(answered, id)
		} else {
			other = append(other, lines.Text())
		}
	}
	if err := child.Wait(); err == nil || child.ProcessState.ExitCode() != -1 {
		t.Fatalf("the child was not killed: %v\n%s", err, strings.Join(other, "\n"))
	}
	checkAfterCrash(t, openTest(t, dir), ana, answered)
}

func checkAfterCrash(t *testing.T, s *Store, ana mailbox.AccountID, answered []mail.ID) {
	for _, id := range answered {
		if yes, err := s.Accepted(t.Context(), id); !yes || err != nil {
			t.Errorf("accept %s was answered and is lost: %v", id, err)
		}
	}
	checkSound(t, s)
	var accepts, queued, jobs int
	err := s.main.read(t.Context(), func(tx *tx) error {
		return tx.row("SELECT (SELECT COUNT(*) FROM accepted), (SELECT COUNT(*) FROM queue_entry), (SELECT COUNT(*) FROM job)").scan(&accepts, &queued, &jobs)
	})
	if err != nil {
		t.Fatal(err)
	}
	uids, _, err := s.UIDs(t.Context(), ana, inboxOf(t, s, ana))
	if err != nil || len(uids) != accepts || queued != 2*accepts || jobs != accepts {
		t.Errorf("%d accepts, but %d letters, %d entries, %d jobs; %v", accepts, len(uids), queued, jobs, err)
	}
	if accepts < len(answered) {
		t.Errorf("%d accepts of %d that were answered", accepts, len(answered))
	}
	if n, err := s.RecoverUnconfirmed(t.Context(), time.Now().Add(-time.Minute)); err != nil || n != accepts {
		t.Errorf("RecoverUnconfirmed: %d of %d, %v", n, accepts, err)
	}
	if _, err := s.Accept(t.Context(), letterFor(time.Now(), ana)); err != nil {
		t.Errorf("accepting goes on: %v", err)
	}
}

// acceptUntilKilled is the child.
func acceptUntilKilled(t *testing.T, dir, failpoint string) {
	points, err := durable.ParseFailpoints(failpoint)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(context.Background(), Options{Dir: dir, Failpoints: points})
	// Another child that is between fork and exec holds our parent's lock for a moment.
	for errors.Is(err, durable.ErrLocked) {
		time.Sleep(time.Millisecond)
		s, err = Open(context.Background(), Options{Dir: dir, Failpoints: points})
	}
	if err != nil {
		t.Fatal(err)
	}
	v, err := s.LoadDirectory(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				a := letterFor(time.Now(), v.Accounts[0].ID)
				a.Enqueues = []store.Enqueue{{ReversePath: "ana@example.org", Expires: time.Now().Add(time.Hour), Recipients: []store.QueueTo{
					{Address: "bob@example.net", Domain: "example.net"}, {Address: "eva@example.net", Domain: "example.net"},
				}}}
				a.Jobs = []store.Job{{Key: a.ID.String(), Kind: "test"}}
				if _, err := s.Accept(context.Background(), a); err != nil {
					fmt.Println("451", err)
					return
				}
				fmt.Println("250", a.ID)
			}
		})
	}
	wg.Wait()
}
