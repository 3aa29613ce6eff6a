// Package app makes a running server of a configuration: it opens the state,
// joins the neighbours of each floor, opens the doors, and owns the order of
// start and of stop (ARCHITECTURE.md has the list).
package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"posta/internal/access"
	"posta/internal/blob"
	"posta/internal/blob/pack"
	"posta/internal/blob/s3"
	"posta/internal/command"
	"posta/internal/config"
	"posta/internal/directory"
	"posta/internal/durable"
	"posta/internal/intake"
	"posta/internal/policy"
	"posta/internal/quarantine"
	"posta/internal/rescue"
	"posta/internal/spam/learn"
	"posta/internal/spam/tally/sqltally"
	"posta/internal/store"
	"posta/internal/store/sqlstore"
)

// Names in the data folder.
const (
	Socket         = "posta.sock"    // commands, see control
	SendmailSocket = "sendmail.sock" // SMTP from local programs
	metaDir        = "meta"          // SQLite
	blobDir        = "blobs"         // packs
	tempDir        = "tmp"           // spools of large messages, unlinked while open
	learnFile      = "learn.db"      // what the spam filter has learned, unless that is in PostgreSQL
	certDir        = "certs"         // what ACME and self-signing keep
)

// State is what survives: metadata, bytes, and the directory's view of them.
type State struct {
	Store     store.Store
	Blobs     blob.Store
	Directory *directory.Directory
	Access    *access.Followed // empty until it is refreshed
	Policies  *policy.Live
	Learner   *learn.Learner
	tally     *sqltally.Store
	disk      *durable.OS
	rescue    *rescue.Rescue
	releases  *quarantine.Releaser
}

// ErrLost says that message bytes are there and the metadata that knows them is
// not, or not yet again. A server that ran on it would take all of them for dead.
var ErrLost = errors.New("the metadata of the messages here is lost, or its rebuild was broken off; posta store rebuild makes it again")

// OpenState opens the state of a node and makes it if there is none. One process
// at a time can have a data folder open; the second is told so. fp may be nil.
func OpenState(ctx context.Context, cfg *config.Config, fp *durable.Failpoints) (*State, error) {
	s, err := openState(ctx, cfg, fp)
	if err != nil {
		return nil, err
	}
	if err := s.whole(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", cfg.Data, err), s.Close())
	}
	return s, nil
}

// OpenLost opens the state whatever is missing in it, for a rebuild.
func OpenLost(ctx context.Context, cfg *config.Config) (*State, *rescue.Rescue, error) {
	s, err := openState(ctx, cfg, nil)
	if err != nil {
		return nil, nil, err
	}
	return s, s.rescue, nil
}

// whole refuses metadata that does not know the bytes beside it.
func (s *State) whole(ctx context.Context) error {
	if s.Directory.View().Setting(rescue.Marker) != "" {
		return ErrLost
	}
	if fresh, err := rescue.Fresh(ctx, s.Store); err != nil || !fresh {
		return err
	}
	units, err := s.Blobs.Units(ctx)
	if err == nil && len(units) > 0 {
		err = ErrLost
	}
	return err
}

func openState(ctx context.Context, cfg *config.Config, fp *durable.Failpoints) (_ *State, err error) {
	level, _ := policy.ParseLevel(cfg.Policy.Level) // checked with the configuration
	s := &State{Policies: policy.NewLive(level)}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	// Everybody may pass through the folder to the sendmail socket; nobody else may
	// look into it or into what is below.
	if err := os.MkdirAll(cfg.Data, 0o711); err != nil {
		return nil, err
	}
	if err := os.Chmod(cfg.Data, 0o711); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(cfg.Data, tempDir), 0o700); err != nil {
		return nil, err
	}
	if err := removeStale(filepath.Join(cfg.Data, tempDir)); err != nil {
		return nil, err
	}
	if s.disk, err = durable.OpenOS(cfg.Data); err != nil {
		return nil, err
	}
	st, err := sqlstore.Open(ctx, sqlstore.Options{
		Dir: filepath.Join(cfg.Data, metaDir), Postgres: cfg.Store.PostgreSQL, Failpoints: fp,
	})
	if errors.Is(err, durable.ErrLocked) {
		return nil, fmt.Errorf("%s is open in another posta; stop that one, or use its commands: %w", cfg.Data, err)
	}
	if err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	s.Store = st
	if s.Blobs, err = s.openBlobs(ctx, cfg, fp); err != nil {
		return nil, fmt.Errorf("message bytes: %w", err)
	}
	if s.Directory, err = directory.Open(ctx, s.Store); err != nil {
		return nil, err
	}
	s.Access = access.Follow(s.Store)
	s.releases = &quarantine.Releaser{Store: s.Store, Directory: s.Directory, Lifetime: time.Duration(cfg.Queue.Lifetime)}
	if err := s.openLearner(ctx, cfg); err != nil {
		return nil, err
	}
	s.rescue = &rescue.Rescue{
		Store: s.Store, Blobs: s.Blobs, Disk: s.disk, CertDir: certDir, Files: ConfigFiles(cfg), Node: nodeName(), Failpoints: fp,
	}
	if cfg.Blobs.S3 == nil {
		s.rescue.BlobDir = blobDir
	}
	return s, nil
}

// openBlobs opens packs in the data folder, or a bucket.
func (s *State) openBlobs(ctx context.Context, cfg *config.Config, fp *durable.Failpoints) (blob.Store, error) {
	if cfg.Blobs.S3 != nil {
		return openBucket(ctx, cfg.Blobs.S3)
	}
	return pack.Open(ctx, s.disk, blobDir, pack.Config{Failpoints: fp})
}

func openBucket(ctx context.Context, c *config.S3) (blob.Store, error) {
	u, err := url.Parse(c.Endpoint)
	if err != nil {
		return nil, err
	}
	secret := c.SecretKey
	if c.SecretKeyFile != "" {
		b, err := os.ReadFile(c.SecretKeyFile)
		if err != nil {
			return nil, err
		}
		secret = strings.TrimSpace(string(b))
	}
	return s3.Open(ctx, s3.Config{
		Endpoint: u.Host, Plaintext: u.Scheme == "http", Region: c.Region, Bucket: c.Bucket, Prefix: c.Prefix,
		AccessKey: c.AccessKey, SecretKey: secret,
	})
}

// House is the state as commands see it.
func (s *State) House() *command.House {
	return &command.House{Store: s.Store, Blobs: s.Blobs, Directory: s.Directory, Access: s.Access, Policies: s.Policies, Rescue: s.rescue, Spam: s.Learner, Learner: released{s}, Quarantine: s.releases, Sieve: sieveOptions()}
}

// Close closes what is open, bytes last, since metadata refers to them.
func (s *State) Close() error {
	var errs []error
	if s.tally != nil {
		errs = append(errs, s.tally.Close())
	}
	if s.Store != nil {
		errs = append(errs, s.Store.Close())
	}
	if s.Blobs != nil {
		errs = append(errs, s.Blobs.Close())
	}
	if s.disk != nil {
		errs = append(errs, s.disk.Close())
	}
	return errors.Join(errs...)
}

// OpenHouse opens an idle data folder for commands.
func OpenHouse(ctx context.Context, cfg *config.Config) (*command.House, func(), error) {
	s, err := OpenState(ctx, cfg, nil)
	if err != nil {
		return nil, nil, err
	}
	h := s.House()
	h.Explain = explainer(cfg, s)
	h.ExplainRoute = routeExplainer(cfg, s)
	h.Append = storing(intake.New(intake.Config{TempDir: filepath.Join(cfg.Data, tempDir)}, s.Directory, s.Store, s.Blobs, nil, nil))
	records, end, err := idleRecords(cfg)
	if err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	h.DNS = records
	return h, func() { end(); s.Close() }, nil
}
