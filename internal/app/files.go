package app

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"posta/internal/blob"
	"posta/internal/config"
	"posta/internal/rescue"
	"posta/internal/sandbox"
)

// named are the files that a configuration names, by key, in its order.
func named(cfg *config.Config) []rescue.Source {
	all := []rescue.Source{
		{Name: "tls.certificate", Path: cfg.TLS.Certificate},
		{Name: "tls.key", Path: cfg.TLS.Key},
		{Name: "tls.acme.ca", Path: cfg.TLS.ACME.CA},
		{Name: "queue.password_file", Path: cfg.Queue.PasswordFile},
	}
	for _, s := range cfg.Scanners {
		all = append(all, rescue.Source{Name: "scanner." + s.Name + ".password_file", Path: s.PasswordFile})
	}
	if s := cfg.Blobs.S3; s != nil {
		all = append(all, rescue.Source{Name: "blobs.s3.secret_key_file", Path: s.SecretKeyFile})
	}
	var out []rescue.Source
	for _, f := range all {
		if f.Path != "" {
			out = append(out, f)
		}
	}
	return out
}

// ConfigFiles are posta.toml, if the configuration is of a file, and what it
// names: what a backup has beside the mail.
func ConfigFiles(cfg *config.Config) []rescue.Source {
	out := named(cfg)
	if cfg.Path != "" {
		// As it was read: what is there now may be half of a change.
		out = append(out, rescue.Source{Name: "posta.toml", Path: cfg.Path, Text: cfg.Source})
	}
	return out
}

// RestorePlaces says where a restored backup goes; its configuration goes nowhere,
// save where the caller says so.
func RestorePlaces(cfg *config.Config) rescue.Places {
	to := rescue.Places{Data: cfg.Data, Meta: metaDir, Blob: blobDir, Certs: certDir, Postgres: cfg.Store.PostgreSQL}
	if c := cfg.Blobs.S3; c != nil {
		to.Bucket = func(ctx context.Context) (blob.Store, error) { return openBucket(ctx, c) }
	}
	to.Own = func(path string) error { return sandbox.Give(cfg.User, path) }
	return to
}

// stale is how old a copy of the metadata in the folder of temporary files is
// that nobody can be working on.
const stale = 24 * time.Hour

// removeStale removes what a crash in a snapshot of PostgreSQL has left.
func removeStale(dir string) error {
	found, err := filepath.Glob(filepath.Join(dir, "snapshot-*"))
	if err != nil {
		return err
	}
	for _, f := range found {
		if info, err := os.Stat(f); err == nil && time.Since(info.ModTime()) > stale {
			if err := os.RemoveAll(f); err != nil {
				return err
			}
		}
	}
	return nil
}
