package rescue

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"posta/internal/durable"
)

// Names in a backup.
const (
	manifestName = "manifest.json"
	snapshotName = "posta.db"
	packsName    = "blobs"
	certsName    = "certs"
	configName   = "posta.toml"
	filesName    = "files" // that posta.toml names, each called by its key
	packingName  = "packing.tmp"
)

// manifestFormat is what is written; 1 had neither configuration nor certificates.
const manifestFormat = 2

// maxManifest bounds what is read of a manifest: about a million files.
const maxManifest = 256 << 20

// ErrTorn says that a folder is no whole backup: it has no manifest, or one that
// was changed.
var ErrTorn = errors.New("rescue: not a whole backup")

// Manifest describes a backup. It is the last file that is written.
type Manifest struct {
	Format   int       `json:"format"`
	Created  time.Time `json:"created"`           // when the snapshot was asked for
	Messages int64     `json:"messages"`          // alive when it began, at least
	Octets   int64     `json:"octets"`            // of these
	Damaged  int64     `json:"damaged,omitempty"` // of these, whose bytes could not be read
	Files    []File    `json:"files"`
	Sum      string    `json:"sum"` // SHA-256 of the manifest with this field empty
}

// File is one file of a backup.
type File struct {
	Name   string `json:"name"` // with / between the levels
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
	// Mode has the permissions that a file of the configuration had; in the backup
	// all files are their owner's alone.
	Mode fs.FileMode `json:"mode,omitempty"`
}

// sum is the SHA-256 of the manifest without its sum.
func (m Manifest) sum() string {
	m.Sum = ""
	b, err := json.Marshal(m)
	if err != nil {
		return "" // texts, numbers and a time cannot fail
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// write makes the backup whole.
func (m *Manifest) write(disk durable.FS) error {
	m.Sum = m.sum()
	b, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return err
	}
	return durable.WriteFile(disk, manifestName, append(b, '\n'))
}

// readManifest reads the manifest of a backup: ErrTorn.
func readManifest(disk durable.FS) (*Manifest, error) {
	b, err := durable.ReadFile(disk, manifestName, maxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: it has no %s, so it was broken off", ErrTorn, manifestName)
	}
	if err != nil {
		return nil, err
	}
	m := &Manifest{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrTorn, manifestName, err)
	}
	if m.Format < 1 || m.Format > manifestFormat {
		return nil, fmt.Errorf("%w: %s has format %d, this program knows 1 to %d", ErrTorn, manifestName, m.Format, manifestFormat)
	}
	if m.Sum != m.sum() {
		return nil, fmt.Errorf("%w: %s was changed", ErrTorn, manifestName)
	}
	return m, nil
}

// copyBytes is how much is copied at a time.
const copyBytes = 1 << 20

// hashing writes a new file from its start and keeps its SHA-256.
type hashing struct {
	f    durable.File
	at   int64
	hash interface {
		io.Writer
		Sum([]byte) []byte
	}
}

func newHashing(f durable.File) *hashing { return &hashing{f: f, hash: sha256.New()} }

// Write implements io.Writer.
func (h *hashing) Write(p []byte) (int, error) {
	n, err := h.f.WriteAt(p, h.at)
	h.hash.Write(p[:n])
	h.at += int64(n)
	return n, err
}

func (h *hashing) sum() string { return hex.EncodeToString(h.hash.Sum(nil)) }
