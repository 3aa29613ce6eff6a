package sqlstore

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"posta/internal/mailbox"
	"posta/internal/store"
	"posta/internal/store/storetest"
)

// TestPostgres runs everything that needs PostgreSQL on one server.
func TestPostgres(t *testing.T) {
	server := startPG(t)
	t.Run("Conformance", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) (a, b store.Store) {
			db := server.newDB(t)
			return server.open(t, db), server.open(t, db)
		})
	})
	for name, test := range map[string]func(*testing.T, *pgServer){
		"Cuts":        testPGCuts,
		"HeldCuts":    testPGHeldCuts,
		"Chaos":       testPGChaos,
		"Bus":         testPGBus,
		"Deadlock":    testPGDeadlock,
		"Starts":      testPGStarts,
		"Snapshot":    testPGSnapshot,
		"Load":        testPGLoad,
		"Text":        testPGText,
		"Weak":        testPGWeak,
		"ReportWeeks": testPGReportWeeks,
	} {
		t.Run(name, func(t *testing.T) { test(t, server) })
	}
}

// Connections that break at BEGIN, in the middle and before COMMIT was sent cost
// nothing but time; one that breaks at COMMIT is ErrUnknown, and Accepted knows.
func testPGCuts(t *testing.T, server *pgServer) {
	db := server.newDB(t)
	proxy := newCutProxy(t, server.Port)
	s := mustOpen(t, Options{Postgres: server.dsnAt(proxy.port(), db)})
	ana := makeAccount(t, s, "ana", "example.org")
	inbox := inboxOf(t, s, ana)
	want := 0
	for _, test := range []struct {
		name    string
		cuts    []cut
		unknown bool
		kept    bool
	}{
		{"no cut", nil, false, true},
		{"at BEGIN", []cut{{word: "BEGIN"}}, false, true},
		{"after BEGIN", []cut{{word: "BEGIN", forward: true}}, false, true},
		{"in the middle", []cut{{word: "Dear Ana"}}, false, true},
		{"in the middle, twice", []cut{{word: "Dear Ana"}, {word: "BEGIN"}, {word: "Dear Ana", forward: true}}, false, true},
		{"before COMMIT arrives", []cut{{word: "COMMIT"}}, true, false},
		{"after COMMIT arrives", []cut{{word: "COMMIT", forward: true}}, true, true},
	} {
		a := letterFor(time.Now(), ana)
		proxy.arm(test.cuts...)
		_, err := s.Accept(t.Context(), a)
		if errors.Is(err, store.ErrUnknown) != test.unknown || (err != nil) != test.unknown {
			t.Errorf("%s: Accept: %v", test.name, err)
		}
		yes, err := s.Accepted(t.Context(), a.ID)
		if err != nil || yes != test.kept {
			t.Errorf("%s: Accepted: %v, %v", test.name, yes, err)
		}
		if test.kept {
			want++
		}
		uids, _, err := s.UIDs(t.Context(), ana, inbox)
		if err != nil || len(uids) != want {
			t.Errorf("%s: %d letters, want %d; %v", test.name, len(uids), want, err)
		}
	}
	checkSound(t, s)
}

// A commit on one node wakes a follower on another, also after the line between
// was cut.
func testPGBus(t *testing.T, server *pgServer) {
	db := server.newDB(t)
	proxy := newCutProxy(t, server.Port)
	a, b := server.open(t, db), mustOpen(t, Options{Postgres: server.dsnAt(proxy.port(), db)})
	ana := makeAccount(t, a, "ana", "example.org")
	wake, cancel := b.Subscribe(ana)
	defer cancel()
	awaitWake(t, wake, func() {
		if _, err := a.Accept(t.Context(), letterFor(time.Now(), ana)); err != nil {
			t.Fatal(err)
		}
	})
	proxy.mu.Lock()
	for c := range proxy.conns {
		_ = c.Close()
	}
	proxy.mu.Unlock()
	awaitWake(t, wake, func() {}) // by listening anew
}

// awaitWake repeats do until the follower is woken: a wake-up is only a hint.
func awaitWake(t *testing.T, wake <-chan struct{}, do func()) {
	t.Helper()
	for range 50 {
		do()
		select {
		case <-wake:
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
	t.Fatal("nobody was woken")
}

// Directory changes may lock accounts in any order; the one that loses is run
// again.
func testPGDeadlock(t *testing.T, server *pgServer) {
	s := server.open(t, server.newDB(t))
	ana, bob := makeAccount(t, s, "ana", "example.org"), makeAccount(t, s, "bob", "example.org")
	var wg sync.WaitGroup
	for _, order := range [][2]mailbox.AccountID{{ana, bob}, {bob, ana}} {
		wg.Go(func() {
			for range 20 {
				err := s.main.write(t.Context(), func(t *tx) error {
					t.anyOrder = true
					for _, id := range order {
						acc, err := t.account(id)
						if err != nil {
							return err
						}
						acc.next()
						time.Sleep(time.Millisecond)
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, id := range []mailbox.AccountID{ana, bob} {
		if n, err := s.ModSeq(t.Context(), id); err != nil || n != mailbox.ModSeq(40+len(mailbox.Defaults)) {
			t.Errorf("counter of %d is %d, %v", id, n, err)
		}
	}
}

// Nodes that start on an empty database at the same moment make one schema.
func testPGStarts(t *testing.T, server *pgServer) {
	const db = "starts"
	server.Create(t, db, "template1")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s, err := Open(t.Context(), Options{Postgres: server.dsn(db)})
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Ping(t.Context()); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// The snapshot of PostgreSQL opens as an SQLite store that goes on where it was.
func testPGSnapshot(t *testing.T, server *pgServer) {
	s := server.open(t, server.newDB(t))
	ana := makeAccount(t, s, "ana", "example.org")
	a := letterFor(time.Now(), ana)
	placed, err := s.Accept(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	if err := s.Snapshot(t.Context(), &buf); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "posta.db"), buf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	copied := openTest(t, dir)
	again, err := copied.Accept(t.Context(), letterFor(time.Now(), ana))
	if err != nil {
		t.Fatal(err)
	}
	if again[0].UID != placed[0].UID+1 || again[0].Email <= placed[0].Email || again[0].Mailbox != placed[0].Mailbox {
		t.Errorf("in the copy %+v follows %+v", again[0], placed[0])
	}
	checkSound(t, copied)
}

// A file of SQLite is loaded into PostgreSQL, which goes on where the file was and
// gives back what it was given; a database with anything in it is refused.
func testPGLoad(t *testing.T, server *pgServer) {
	dir := t.TempDir()
	s, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	ana := makeAccount(t, s, "ana", "example.org")
	a := letterFor(time.Now(), ana)
	a.Deliveries[0].Preview = "nul \x00 and \xff" // SQLite takes it as it is
	placed, err := s.Accept(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.AddJob(t.Context(), store.Job{Key: "k", Kind: "k", Data: []byte{0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db := server.newDB(t)
	if err := Vacant(t.Context(), server.dsn(db)); err != nil {
		t.Errorf("a new database: %v", err)
	}
	file := filepath.Join(dir, "posta.db")
	if err := Load(t.Context(), server.dsn(db), file); err != nil {
		t.Fatal(err)
	}
	loaded := server.open(t, db)
	checkSound(t, loaded)
	again, err := loaded.Accept(t.Context(), letterFor(time.Now(), ana))
	if err != nil {
		t.Fatal(err)
	}
	if again[0].UID != placed[0].UID+1 || again[0].Email <= placed[0].Email || again[0].Mailbox != placed[0].Mailbox {
		t.Errorf("in the copy %+v follows %+v", again[0], placed[0])
	}
	jobs, err := loaded.ListJobs(t.Context(), 0)
	if err != nil || len(jobs) != 1 || !bytes.Equal(jobs[0].Data, []byte{0, 1}) {
		t.Errorf("jobs %+v, %v", jobs, err)
	}
	if there, err := loaded.Accepted(t.Context(), a.ID); err != nil || !there {
		t.Errorf("the accept is there: %v, %v", there, err)
	}
	for name, err := range map[string]error{"Vacant": Vacant(t.Context(), server.dsn(db)), "Load": Load(t.Context(), server.dsn(db), file)} {
		if !errors.Is(err, store.ErrExists) {
			t.Errorf("%s of a database with rows: %v", name, err)
		}
	}
	checkSound(t, loaded)
}

// The tables that a backup has are those that the engine really makes.
func TestSchemaTables(t *testing.T) {
	s := openTest(t, t.TempDir())
	var there []string
	err := s.main.read(t.Context(), func(t *tx) (err error) {
		there, err = collect(t, one[string], "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'schema_version' ORDER BY name")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := mainSchema().tables(sqliteWords)
	slices.Sort(got)
	if err != nil || !slices.Equal(got, there) {
		t.Errorf("tables %v, %v; want %v", got, err, there)
	}
	forPG, err := mainSchema().tables(pgWords)
	if err != nil || len(forPG) != len(got)-1 || slices.Contains(forPG, "sequence") {
		t.Errorf("for PostgreSQL %v, %v", forPG, err)
	}
}

// What a stranger writes need not be text as PostgreSQL knows it.
func testPGText(t *testing.T, server *pgServer) {
	s := server.open(t, server.newDB(t))
	ana := makeAccount(t, s, "ana", "example.org")
	a := letterFor(time.Now(), ana)
	a.Deliveries[0].Preview = "nul \x00 and \xff"
	if _, err := s.Accept(t.Context(), a); err != nil {
		t.Error(err)
	}
}

// A server whose commits do not survive a power cut is refused.
func testPGWeak(t *testing.T, server *pgServer) {
	_, err := Open(t.Context(), Options{Postgres: server.dsn(server.newDB(t)) + "&synchronous_commit=off"})
	if err == nil {
		t.Error("synchronous_commit=off is accepted")
	}
}

// Writers go on while connections break at random places: what they were told is
// what is there.
func testPGChaos(t *testing.T, server *pgServer) {
	db := server.newDB(t)
	proxy := newCutProxy(t, server.Port)
	s := mustOpen(t, Options{Postgres: server.dsnAt(proxy.port(), db)})
	ana, bob := makeAccount(t, s, "ana", "example.org"), makeAccount(t, s, "bob", "example.org")
	rng := rand.New(rand.NewPCG(7, 7))
	for range 40 {
		proxy.arm(cut{word: []string{"BEGIN", "Dear Ana", "COMMIT"}[rng.IntN(3)], forward: rng.IntN(2) == 0})
	}
	var kept atomic.Int64
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			for range 25 {
				a := letterFor(time.Now(), ana, bob)
				_, err := s.Accept(t.Context(), a)
				yes := err == nil
				for errors.Is(err, store.ErrUnknown) || errors.Is(err, store.ErrTemporary) {
					if yes, err = s.Accepted(t.Context(), a.ID); err == nil {
						break
					}
				}
				if err != nil {
					t.Error(err)
				}
				if yes {
					kept.Add(1)
				}
			}
		})
	}
	wg.Wait()
	for _, id := range []mailbox.AccountID{ana, bob} {
		if uids, _, err := s.UIDs(t.Context(), id, inboxOf(t, s, id)); err != nil || int64(len(uids)) != kept.Load() {
			t.Errorf("account %d has %d letters, %d were kept; %v", id, len(uids), kept.Load(), err)
		}
	}
	if left := len(proxy.next); left > 0 {
		t.Errorf("%d cuts were not made", left)
	}
	checkSound(t, s)
}
