// Package s3 is a blob.Store in a bucket of any S3 service, for any number of processes at once.
//
// A unit is one object of the format of blob/record, never changed once it is there. Small records that
// arrive within Config.Gather of each other share an object of up to Config.BatchBytes; a record larger
// than Config.SoloBytes is streamed into an object of its own (in parts, where the client library finds
// it large). The key is Prefix + a fresh blob id, so that keys sort by time.
//
// Put returns when the service has said 200, which is its word that the object is durable.
//
// # When something fails
//
// A request that fails for a reason that may pass (no answer, a broken connection, 408, 429, 5xx,
// SlowDown) is repeated with growing pauses, at most Config.Attempts times and within Config.Budget, then it is
// blob.ErrTemporary. A PUT is repeated with the same key and the same bytes, so it does not matter whether
// the one before had arrived: whichever wins, the object is the same. If Put fails in the end, its object
// may still exist; nobody refers to it, and compaction finds it dead.
//
// # Removal
//
// Readers in other processes may still follow an old location. So a Rewrite that has moved anything leaves
// the old object; the first later Rewrite of the same unit that finds nothing alive in it removes it. A
// Pin holds back removals of this process only: run compaction and backup as jobs of one node.
package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"posta/internal/blob"
	"posta/internal/blob/gather"
	"posta/internal/blob/record"
)

// Config says where the bucket is. Endpoint and Bucket are needed, the rest has defaults.
type Config struct {
	Endpoint  string // host[:port], without scheme
	Plaintext bool   // http instead of https
	Region    string // empty: asked from the service
	Bucket    string // must exist
	Prefix    string // of every key, for example "blobs/"
	AccessKey string
	SecretKey string // empty, with AccessKey: anonymous

	BatchBytes  int64              // bytes of records that share an object; 0: 4 MiB
	Gather      time.Duration      // how long the first record of an object waits for others; 0: 20 ms
	SoloBytes   int64              // larger records get their own object; 0: BatchBytes
	Uploads     int                // shared objects in flight at once; 0: 8
	Attempts    int                // per request; 0: 6
	Attempt     time.Duration      // for one try, plus a second per MiB of body; 0: 15 s
	Pause       time.Duration      // before the second try, doubled for each later one up to 5 s; 0: 100 ms
	Budget      time.Duration      // for all tries of one request, plus a second per MiB of body; 0: 45 s
	Compression record.Compression // of payloads up to 1 MiB; 0: none

	Transport http.RoundTripper // nil: the client library's own
	Now       func() time.Time  // names objects; nil: time.Now
}

func (c *Config) defaults() {
	c.BatchBytes = orDefault(c.BatchBytes, 4<<20)
	c.Gather = orDefault(c.Gather, 20*time.Millisecond)
	c.SoloBytes = orDefault(c.SoloBytes, c.BatchBytes)
	c.Uploads = orDefault(c.Uploads, 8)
	c.Attempts = orDefault(c.Attempts, 6)
	c.Attempt = orDefault(c.Attempt, 15*time.Second)
	c.Pause = orDefault(c.Pause, 100*time.Millisecond)
	c.Budget = orDefault(c.Budget, 45*time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
}

func orDefault[T int | int64 | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// Store is a blob.Store. Its methods may be called from several goroutines.
type Store struct {
	cfg    Config
	client *minio.Client
	codec  *record.Codec

	puts   *gather.Gatherer // its tasks: gatherer, uploads, solo Puts
	closed func() error
	slots  chan struct{} // uploads in flight

	mu      sync.Mutex
	shut    bool
	pins    int
	dropped map[string]bool // units to be removed when the last pin goes
	busy    map[string]bool // units that a Rewrite of this handle works on
}

var _ blob.Store = (*Store)(nil)

// Open connects to a bucket and checks that it is there. The caller closes the Store.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg.defaults()
	codec, err := record.NewCodec(cfg.Compression)
	if err != nil {
		return nil, err
	}
	client, err := minio.New(cfg.Endpoint, &minio.Options{
		Creds:      credentials.NewStaticV4(cfg.AccessKey, cfg.SecretKey, ""),
		Secure:     !cfg.Plaintext,
		Region:     cfg.Region,
		Transport:  cfg.Transport,
		MaxRetries: 1, // retries are ours: see retry
	})
	if err != nil {
		return nil, fmt.Errorf("s3 %s: %w", cfg.Endpoint, err)
	}
	s := &Store{
		cfg: cfg, client: client, codec: codec,
		puts:    gather.New(gather.Limits{Solo: cfg.SoloBytes, Bytes: cfg.BatchBytes, Wait: cfg.Gather}),
		slots:   make(chan struct{}, cfg.Uploads),
		dropped: make(map[string]bool), busy: make(map[string]bool),
	}
	err = s.retry(ctx, 0, func(ctx context.Context) error {
		ok, err := client.BucketExists(ctx, cfg.Bucket)
		if err == nil && !ok {
			err = fmt.Errorf("bucket %q: %w", cfg.Bucket, blob.ErrNotFound)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("s3 %s: %w", cfg.Endpoint, err)
	}
	s.closed = sync.OnceValue(s.close)
	s.puts.Go(s.gather)
	return s, nil
}

// Close waits for running Puts.
func (s *Store) Close() error { return s.closed() }

func (s *Store) close() error {
	s.mu.Lock()
	s.shut = true
	s.mu.Unlock()
	s.puts.Close()
	return nil
}

func (s *Store) key(unit string) string { return s.cfg.Prefix + unit }

// newUnit names an object and draws the salt of its records.
func (s *Store) newUnit() (string, record.Salt) {
	id := blob.NewID(s.cfg.Now())
	salt := blob.NewID(s.cfg.Now())
	return id.String(), record.Salt(salt[8:])
}

// retry runs one request until it succeeds, fails for good, or the bounds for it are reached. size is the
// length of its body.
func (s *Store) retry(ctx context.Context, size int64, request func(context.Context) error) error {
	extra := time.Duration(size>>20) * time.Second
	all, cancel := context.WithTimeout(ctx, s.cfg.Budget+extra)
	defer cancel()
	pause := s.cfg.Pause
	for attempt := 1; ; attempt++ {
		one, cancel := context.WithTimeout(all, s.cfg.Attempt+extra)
		err := request(one)
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !mayPass(err):
			return mapError(err)
		case attempt == s.cfg.Attempts || all.Err() != nil:
			return fmt.Errorf("%w: after %d tries: %w", blob.ErrTemporary, attempt, err)
		}
		select {
		case <-time.After(jitter(pause)):
		case <-all.Done():
		}
		pause = min(2*pause, 5*time.Second)
	}
}

// mayPass tells whether a request that failed so is worth repeating: the service said so, or said nothing.
func mayPass(err error) bool {
	switch {
	case errors.Is(err, blob.ErrInvalid), errors.Is(err, blob.ErrNotFound), errors.Is(err, blob.ErrCorrupt), errors.Is(err, errPastEnd):
		return false
	}
	answer, ok := errors.AsType[minio.ErrorResponse](err)
	if !ok {
		return true // no answer: a broken connection, a timeout
	}
	switch answer.Code {
	case "SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable", "OperationAborted", "RequestTimeTooSkewed":
		return true
	case "XMinioStorageFull":
		return false
	}
	return answer.StatusCode == http.StatusRequestTimeout || answer.StatusCode == http.StatusTooManyRequests ||
		answer.StatusCode >= 500 && answer.StatusCode != http.StatusInsufficientStorage
}

// mapError says in the words of the contract what the service answered.
func mapError(err error) error {
	answer, ok := errors.AsType[minio.ErrorResponse](err)
	switch {
	case !ok:
		return err
	case answer.Code == "NoSuchKey":
		return fmt.Errorf("%w: %w", blob.ErrNotFound, err)
	case answer.Code == "XMinioStorageFull" || answer.StatusCode == http.StatusInsufficientStorage:
		return fmt.Errorf("%w: %w", blob.ErrFull, err)
	}
	return err
}
