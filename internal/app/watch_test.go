package app

import (
	"encoding/binary"
	"net"
	"testing"
	"time"

	"posta/internal/command"
	"posta/internal/config"
	"posta/internal/directory"
	"posta/internal/finding"
	"posta/internal/store"
	"posta/internal/store/sqlstore"
)

// A time server that is ahead says by how much our clock is behind; one that is silent,
// or answers nonsense, says nothing.
func TestClockOffset(t *testing.T) {
	if d, err := clockOffset([]string{timeServer(t, 90*time.Second)}); err != nil || (d-90*time.Second).Abs() > 5*time.Second {
		t.Errorf("%v, %v", d, err)
	}
	if d, err := clockOffset([]string{timeServer(t, -1), timeServer(t, -10*time.Minute)}); err != nil || (d+10*time.Minute).Abs() > 5*time.Second {
		t.Errorf("the second answers rightly: %v, %v", d, err)
	}
	if _, err := clockOffset([]string{timeServer(t, -1)}); err == nil {
		t.Error("nonsense is believed")
	}
	if _, err := clockOffset(nil); err != nil {
		t.Error(err)
	}
}

// timeServer is ahead by so much; -1: it sends zeros.
func timeServer(t *testing.T, ahead time.Duration) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { c.Close(); <-done })
	go func() {
		defer close(done)
		for b := make([]byte, 512); ; {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			if n < 48 {
				continue
			}
			out := make([]byte, 48)
			if ahead != -1 {
				out[0], out[1] = 4<<3|4, 2 // version 4, server; stratum 2
				copy(out[24:32], b[40:48]) // originate: their transmit time
				now := time.Now().Add(ahead)
				for _, at := range []int{16, 32, 40} {
					binary.BigEndian.PutUint32(out[at:], uint32(now.Unix()+2208988800))
					binary.BigEndian.PutUint32(out[at+4:], uint32(uint64(now.Nanosecond())<<32/1e9))
				}
			}
			c.WriteTo(out, from)
		}
	}()
	return c.LocalAddr().String()
}

// Which house is told that it has no recent backup.
func TestBackupFinding(t *testing.T) {
	st, err := sqlstore.Open(t.Context(), sqlstore.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	dir, err := directory.Open(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	h := &command.House{Store: st, Directory: dir}
	for _, c := range [][2]string{{"domain.add", `{"name":"empresa.test"}`}, {"account.add", `{"address":"ana@empresa.test","password":"una-clave-larga"}`}} {
		if _, err := command.Do(t.Context(), h, command.Principal{Role: store.Owner}, c[0], []byte(c[1])); err != nil {
			t.Fatal(err)
		}
	}
	s := &server{cfg: config.Default(), state: &State{Store: st, Directory: dir}}
	now := time.Now()
	day := 24 * time.Hour
	look := func(after time.Duration) string {
		f, ok := s.backupFinding(now.Add(after))
		if !ok {
			return ""
		}
		if f.Check != finding.SystemBackup {
			t.Errorf("%+v", f)
		}
		return f.Evidence[0].Seen
	}
	if got := look(7 * day); got != "" {
		t.Errorf("a new house: %s", got)
	}
	if got := look(9 * day); got != "never" {
		t.Errorf("a house of nine days: %q", got)
	}
	last := now.Add(10 * day).UTC().Format(time.RFC3339)
	if err := st.ChangeDirectory(t.Context(), func(tx store.DirectoryTx) (store.Audit, error) {
		return store.Audit{}, tx.PutSetting(command.BackupSetting, last)
	}); err != nil {
		t.Fatal(err)
	}
	if err := dir.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := look(17 * day); got != "" {
		t.Errorf("a week after a backup: %s", got)
	}
	if got := look(19 * day); got != last {
		t.Errorf("nine days after it: %q", got)
	}
	s.cfg.Daily.BackupDays = 0
	if got := look(100 * day); got != "" {
		t.Errorf("copies are made otherwise: %s", got)
	}
}
