package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"posta/internal/durable"
	"posta/internal/mailbox"
	"posta/internal/store"
)

// Store implements store.Store on an engine.
type Store struct {
	followed        // the access map
	main     engine // metadata of mail
	side     engine // what finds traces; the same as main in PostgreSQL
	trail    *trail // writes side, behind the commits of main
	facts    engine // small facts; the same as main in PostgreSQL
	fail     *durable.Failpoints
	clock    func() time.Time
	wakes    *notifier
	lock     io.Closer // of the data folder; nil in PostgreSQL

	unconfirmed unconfirmedSet
	confirmed   confirmedKeys
	factRows    factRows
}

var _ store.Store = (*Store)(nil)

// Options of Open.
type Options struct {
	// Dir is the data folder of the SQLite engine; it is made (mode 0700) when it
	// is missing. One process at a time can have it open: durable.ErrLocked.
	Dir string
	// Postgres is where PostgreSQL is, as a URL or in libpq's key=value form; any
	// number of processes may use it at a time. When it is set, Dir is not used.
	Postgres string
	// Now is the clock of the SQLite engine; nil is time.Now.
	Now func() time.Time
	// MaxFacts is how many facts of one kind are kept; 0 is store.MaxFacts.
	MaxFacts int
	// Failpoints stop the program at steps of the work, for crash tests; nil is none.
	Failpoints *durable.Failpoints
}

// Open opens the store, makes it if there is none, and upgrades its schema. A
// database of a newer program is store.ErrReadOnly.
func Open(ctx context.Context, o Options) (_ *Store, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Store{fail: o.Failpoints, clock: o.Now, wakes: newNotifier()}
	s.factRows.most = o.MaxFacts
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("opening the store: %w", err), s.Close())
		}
	}()
	if o.Postgres != "" {
		err = s.openPostgres(ctx, o)
	} else {
		err = s.openFolder(o)
	}
	if err != nil {
		return nil, err
	}
	s.followed = followed{s.main, "access"}
	if s.trail, err = newTrail(s.main, s.side, s.side == s.main); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Store) openPostgres(ctx context.Context, o Options) error {
	e, err := openPG(ctx, o.Postgres, s.wakes, o.Failpoints)
	if err != nil {
		return err
	}
	s.main, s.side, s.facts = e, e, e
	return nil
}

// openFolder opens the SQLite files of a folder.
func (s *Store) openFolder(o Options) error {
	fs, err := durable.OpenOS(o.Dir)
	if err != nil {
		return err
	}
	defer fs.Close()
	if s.lock, err = fs.Lock("store.lock"); err != nil {
		return err
	}
	if err := removeSnapshots(o.Dir); err != nil {
		return err
	}
	open := func(name string, synced bool, sc schema, fail *durable.Failpoints) (engine, error) {
		return newSQLite(sqliteOptions{path: filepath.Join(o.Dir, name), synced: synced, schema: sc, clock: o.Now, wakes: s.wakes, fail: fail})
	}
	if s.main, err = open("posta.db", true, mainSchema(), o.Failpoints); err != nil {
		s.main = nil
		return err
	}
	openSide := func() (engine, error) { return open(sideFile, false, sideSchema(), nil) }
	if s.side, err = openOrReplace(filepath.Join(o.Dir, sideFile), openSide); err != nil {
		s.side = nil
		return err
	}
	openFacts := func() (engine, error) { return open(factFile, false, factSchema(), nil) }
	if s.facts, err = openOrReplace(filepath.Join(o.Dir, factFile), openFacts); err != nil {
		s.facts = nil
		return err
	}
	return nil
}

// removeSnapshots removes what a crash in Snapshot has left.
func removeSnapshots(dir string) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		if strings.HasPrefix(e.Name(), snapshotPrefix) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// Close ends the background work and closes the files. Calls that still run are
// answered first.
func (s *Store) Close() error {
	var errs []error
	if s.trail != nil {
		errs = append(errs, s.trail.close())
	}
	if s.facts != nil && s.facts != s.main {
		errs = append(errs, s.facts.close())
	}
	if s.side != nil && s.side != s.main {
		errs = append(errs, s.side.close())
	}
	if s.main != nil {
		errs = append(errs, s.main.close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
		s.lock = nil
	}
	return errors.Join(errs...)
}

// Ping implements store.Store.
func (s *Store) Ping(ctx context.Context) error {
	return s.main.write(ctx, func(t *tx) error {
		_, err := t.exec("UPDATE directory SET version = version WHERE one = 1")
		return err
	})
}

// Subscribe implements store.Store.
func (s *Store) Subscribe(a mailbox.AccountID) (<-chan struct{}, func()) {
	return s.wakes.subscribe(a)
}

// Snapshot implements store.Store.
func (s *Store) Snapshot(ctx context.Context, w io.Writer) error { return s.main.snapshot(ctx, w) }
