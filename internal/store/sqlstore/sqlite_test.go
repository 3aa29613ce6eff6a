package sqlstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"posta/internal/durable"
	"posta/internal/mailbox"
	"posta/internal/store"
)

func TestSQLiteParams(t *testing.T) {
	for in, want := range map[string]string{
		"SELECT 1":              "SELECT 1",
		"VALUES ($1, $2)":       "VALUES (?, ?)",
		"a = $2 AND b = $1":     "a = ?2 AND b = ?1",
		"a = $1 OR b = $1":      "a = ?1 OR b = ?1",
		"x IN (f($1)) LIMIT $2": "x IN (f(?)) LIMIT ?",
		"$1, $3":                "?1, ?3",
	} {
		if got := sqliteParams(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

// A folder is open in one place at a time, and can be opened again after Close
// with all that was in it.
func TestOpenTwice(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	ana := makeAccount(t, s, "ana", "example.org")
	if _, err := Open(t.Context(), Options{Dir: dir}); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("a second Open: %v, want ErrLocked", err)
	}
	a := letterFor(time.Now(), ana)
	placed, err := s.Accept(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, dir)
	if yes, err := s.Accepted(t.Context(), a.ID); !yes || err != nil {
		t.Errorf("Accepted after reopening: %v, %v", yes, err)
	}
	again, err := s.Accept(t.Context(), letterFor(time.Now(), ana))
	if err != nil {
		t.Fatal(err)
	}
	if again[0].UID != placed[0].UID+1 || again[0].Email <= placed[0].Email {
		t.Errorf("after reopening %+v follows %+v", again[0], placed[0])
	}
}

// A database that a newer program has upgraded is refused, not touched.
func TestNewerSchema(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	err := s.main.write(t.Context(), func(t *tx) error {
		_, err := t.exec("UPDATE schema_version SET version = 99")
		return err
	})
	if err != nil || s.Close() != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Dir: dir}); !errors.Is(err, store.ErrReadOnly) {
		t.Errorf("Open: %v, want ErrReadOnly", err)
	}
}

// A long step of a migration is resumed where it stopped.
func TestMigrationResumes(t *testing.T) {
	s := openTest(t, t.TempDir())
	var seen []string
	stop := errors.New("stop")
	broken := true
	sc := mainSchema()
	sc.steps = append(sc.steps, schemaStep{chunk: func(t *tx, cursor string) (string, error) {
		seen = append(seen, cursor)
		switch {
		case cursor == "" || cursor == "x":
			return cursor + "x", nil
		case broken:
			return "", stop
		}
		return "", nil
	}})
	if err := migrate(t.Context(), s.main, sc, sqliteWords); !errors.Is(err, stop) {
		t.Fatalf("migrate: %v", err)
	}
	broken = false
	if err := migrate(t.Context(), s.main, sc, sqliteWords); err != nil {
		t.Fatalf("migrate again: %v", err)
	}
	if got := fmt.Sprint(seen); got != "[ x xx xx]" {
		t.Errorf("chunks ran from cursors %v", got)
	}
}

// Operations of one group are independent: those that fail, before or after they
// have written, leave nothing, and the others stay.
func TestGroupWithFailures(t *testing.T) {
	s := openTest(t, t.TempDir())
	ana := makeAccount(t, s, "ana", "example.org")
	bad := errors.New("bad")
	const n = 300
	var wg sync.WaitGroup
	results := make([]error, n)
	for i := range n {
		wg.Go(func() {
			results[i] = s.main.write(t.Context(), func(t *tx) error {
				acc, err := t.account(ana)
				if err != nil {
					return err
				}
				acc.octets++
				if i%7 == 0 {
					return bad // nothing written yet
				}
				if _, err := t.exec("INSERT INTO setting (name, value) VALUES ($1, $2)", fmt.Sprintf("k%03d", i), "v"); err != nil {
					return err
				}
				switch {
				case i%11 == 0:
					return bad
				case i%41 == 0:
					panic("a mistake of ours")
				}
				return nil
			})
		})
	}
	wg.Wait()
	want := 0
	for i, err := range results {
		fails := i%7 == 0 || i%11 == 0 || i%41 == 0
		if fails != (err != nil) {
			t.Errorf("operation %d: %v", i, err)
		}
		if !fails {
			want++
		}
	}
	v, err := s.LoadDirectory(t.Context())
	if err != nil || len(v.Settings) != want {
		t.Errorf("%d settings, want %d; %v", len(v.Settings), want, err)
	}
	err = s.main.read(t.Context(), func(tx *tx) error {
		var octets int
		if err := tx.row("SELECT octets FROM ledger WHERE account = $1", ana).scan(&octets); err != nil {
			return err
		}
		if octets != want {
			t.Errorf("the counter is %d, want %d", octets, want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// A full disk refuses what it cannot hold with ErrFull, keeps the rest, and the
// store recovers by itself.
func TestDiskFull(t *testing.T) {
	s := openTest(t, t.TempDir())
	ana := makeAccount(t, s, "ana", "example.org")
	e := s.main.(*sqliteEngine)
	limit := func(pages string) {
		t.Helper()
		err := e.write(t.Context(), func(*tx) error { return e.writer.conn.run("PRAGMA max_page_count=" + pages) })
		if err != nil {
			t.Fatal(err)
		}
	}
	var pages int64
	err := e.write(t.Context(), func(*tx) error { return e.writer.conn.numbers("PRAGMA page_count", &pages) })
	if err != nil {
		t.Fatal(err)
	}
	limit(fmt.Sprint(pages + 20))
	accepted := 0
	for range 200 {
		if _, err = s.Accept(t.Context(), letterFor(time.Now(), ana)); err != nil {
			break
		}
		accepted++
	}
	if !errors.Is(err, store.ErrFull) || accepted == 0 {
		t.Fatalf("after %d letters: %v, want ErrFull", accepted, err)
	}
	if _, err = s.Accept(t.Context(), letterFor(time.Now(), ana)); !errors.Is(err, store.ErrFull) {
		t.Fatalf("again: %v, want ErrFull", err)
	}
	limit("1000000")
	if _, err = s.Accept(t.Context(), letterFor(time.Now(), ana)); err != nil {
		t.Fatalf("when there is room again: %v", err)
	}
	uids, _, err := s.UIDs(t.Context(), ana, inboxOf(t, s, ana))
	if err != nil || len(uids) != accepted+1 {
		t.Errorf("%d letters are there, want %d; %v", len(uids), accepted+1, err)
	}
	checkSound(t, s)
}

func inboxOf(t testing.TB, s store.Mailboxes, a mailbox.AccountID) mailbox.ID {
	t.Helper()
	list, err := s.ListMailboxes(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		if m.Role == mailbox.Inbox {
			return m.ID
		}
	}
	t.Fatalf("account %d has no INBOX", a)
	return 0
}

func checkSound(t testing.TB, s interface {
	Verify(context.Context, func(store.Breach)) error
}) {
	t.Helper()
	if err := s.Verify(t.Context(), func(b store.Breach) { t.Errorf("%s: %s", b.Invariant, b.Detail) }); err != nil {
		t.Errorf("Verify: %v", err)
	}
}

// The log stays bounded under constant load with readers in between.
func TestLogStaysShort(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 100 MB")
	}
	s := openTest(t, t.TempDir())
	e := s.main.(*sqliteEngine)
	big := bytes.Repeat([]byte("x"), 256<<10)
	var longest int64
	for i := range 500 {
		err := s.main.write(t.Context(), func(t *tx) error {
			_, err := t.exec("INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value", fmt.Sprint(i%4), string(big))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if i%10 == 0 {
			if _, err := s.DirectoryVersion(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		longest = max(longest, e.writer.wal.size())
	}
	if longest > walRelief+32<<20 {
		t.Errorf("the log grew to %d MiB", longest>>20)
	}
}

// A snapshot is a whole database that opens by itself.
func TestSnapshot(t *testing.T) {
	s := openTest(t, t.TempDir())
	ana := makeAccount(t, s, "ana", "example.org")
	a := letterFor(time.Now(), ana)
	if _, err := s.Accept(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	if err := s.Snapshot(t.Context(), &buf); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Accept(t.Context(), letterFor(time.Now(), ana)); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "posta.db"), buf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	copied := openTest(t, dir)
	if yes, err := copied.Accepted(t.Context(), a.ID); !yes || err != nil {
		t.Errorf("the letter is not in the copy: %v, %v", yes, err)
	}
	uids, _, err := copied.UIDs(t.Context(), ana, inboxOf(t, copied, ana))
	if err != nil || len(uids) != 1 {
		t.Errorf("the copy has %d letters; %v", len(uids), err)
	}
	checkSound(t, copied)
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(s.main.(*sqliteEngine).path), snapshotPrefix+"*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A write whose context ended before its turn is not done.
func TestCancelledWrite(t *testing.T) {
	s := openTest(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	inside, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = s.main.write(context.Background(), func(*tx) error { close(inside); <-release; return nil })
	})
	<-inside
	var err error
	wg.Go(func() {
		err = s.main.write(ctx, func(t *tx) error {
			_, err := t.exec("INSERT INTO setting (name, value) VALUES ('k', 'v')")
			return err
		})
	})
	for len(s.main.(*sqliteEngine).writer.ops) == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	close(release)
	wg.Wait()
	if !errors.Is(err, context.Canceled) {
		t.Errorf("write: %v", err)
	}
	if v, err := s.LoadDirectory(t.Context()); err != nil || len(v.Settings) != 0 {
		t.Errorf("settings %v, %v", v.Settings, err)
	}
}

// After Close every call says so at once.
func TestClosed(t *testing.T) {
	s := openTest(t, t.TempDir())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.DirectoryVersion(t.Context()); !errors.Is(err, store.ErrTemporary) {
		t.Errorf("a read: %v", err)
	}
	if err := s.Ping(t.Context()); !errors.Is(err, store.ErrTemporary) {
		t.Errorf("a write: %v", err)
	}
}

// The passwords of accounts that are older than the column of their age are as old as
// the account.
func TestPasswordsOfOlderAccounts(t *testing.T) {
	dir := t.TempDir()
	old := mainSchema()
	old.steps = old.steps[:slices.IndexFunc(old.steps, func(st schemaStep) bool { return st.file == "main_0006.sql" })]
	e, err := newSQLite(sqliteOptions{path: filepath.Join(dir, "posta.db"), synced: true, schema: old, clock: time.Now, wakes: newNotifier()})
	if err != nil {
		t.Fatal(err)
	}
	err = e.write(t.Context(), func(t *tx) error {
		if _, err := t.exec("INSERT INTO domain (id, tenant, name, created) VALUES (1, 0, 'example.org', 1000000)"); err != nil {
			return err
		}
		_, err := t.exec(`INSERT INTO account (id, tenant, domain, login, name, password, role, quota, disabled, created)
			VALUES (1, 0, 1, 'ana@example.org', '', 'x', 0, 0, 0, 2000000)`)
		return err
	})
	if err != nil || e.close() != nil {
		t.Fatal(err)
	}
	s := openTest(t, dir)
	v, err := s.LoadDirectory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if a := v.Accounts[0]; a.Login != "ana@example.org" || !a.PasswordSet.Equal(a.Created) || a.Created.Unix() != 2 || a.MessagesPerDay != 0 {
		t.Errorf("after the upgrade: %+v", a)
	}
}
