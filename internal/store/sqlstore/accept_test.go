package sqlstore

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"posta/internal/durable"
	"posta/internal/store"
)

// An error at any step of an accept leaves nothing of it, is answered with the
// meaning of its cause, and the next accept works.
func TestAcceptFails(t *testing.T) {
	for _, point := range crashPoints[:len(crashPoints)-1] {
		for action, want := range map[string]error{"eio": store.ErrTemporary, "enospc": store.ErrFull} {
			points, err := durable.ParseFailpoints(point + "=" + action)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			s := openTest(t, dir)
			ana := makeAccount(t, s, "ana", "example.org")
			setFailpoints(t, s, points)
			if _, err := s.Accept(t.Context(), letterFor(time.Now(), ana)); !errors.Is(err, want) {
				t.Errorf("%s with %s: %v, want %v", point, action, err, want)
			}
			setFailpoints(t, s, nil)
			if uids, _, err := s.UIDs(t.Context(), ana, inboxOf(t, s, ana)); err != nil || len(uids) != 0 {
				t.Errorf("%s with %s: %d letters are there; %v", point, action, len(uids), err)
			}
			if placed, err := s.Accept(t.Context(), letterFor(time.Now(), ana)); err != nil || placed[0].UID != 1 {
				t.Errorf("%s with %s: the next one: %v, %v", point, action, placed, err)
			}
			checkSound(t, s)
		}
	}
}

// setFailpoints changes them in the writer's own goroutine; they may hit the change
// itself, which is no matter.
func setFailpoints(t *testing.T, s *Store, points *durable.Failpoints) {
	_ = s.main.write(t.Context(), func(*tx) error {
		s.fail, s.main.(*sqliteEngine).writer.fail = points, points
		return nil
	})
}

// When the reply to COMMIT is lost, Accepted tells what became of it.
func TestAcceptUnknown(t *testing.T) {
	points, err := durable.ParseFailpoints("store.committed=eio")
	if err != nil {
		t.Fatal(err)
	}
	s := openTest(t, t.TempDir())
	ana := makeAccount(t, s, "ana", "example.org")
	setFailpoints(t, s, points)
	a := letterFor(time.Now(), ana)
	if _, err := s.Accept(t.Context(), a); !errors.Is(err, store.ErrUnknown) || !errors.Is(err, syscall.EIO) {
		t.Fatalf("Accept: %v, want ErrUnknown", err)
	}
	setFailpoints(t, s, nil)
	if yes, err := s.Accepted(t.Context(), a.ID); !yes || err != nil {
		t.Errorf("Accepted: %v, %v", yes, err)
	}
	if _, err := s.Accept(t.Context(), a); !errors.Is(err, store.ErrExists) {
		t.Errorf("the same accept again: %v, want ErrExists", err)
	}
}
