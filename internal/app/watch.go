package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/beevik/ntp"
	"golang.org/x/sys/unix"

	"posta/internal/command"
	"posta/internal/finding"
	"posta/internal/store"
	"posta/internal/updates"
)

// watch is what a node looks up once a day of itself: how wrong its clock is, and
// whether there is a newer version.
type watch struct {
	offset  atomic.Pointer[time.Duration]        // nil: nobody could be asked
	release atomic.Pointer[updates.Announcement] // nil: none was read
}

const (
	watchFirst = 10 * time.Minute
	watchEvery = 24 * time.Hour
	askWait    = 5 * time.Second

	diskLow  = 10                   // percent that is free
	queueOld = 24 * time.Hour       // that mail waits
	clockOff = 5 * time.Second      // from the time servers (CH-SMTP-16)
	young    = 8 * 24 * time.Hour   // a house of which nobody expects a backup yet
	findWait = 2 * time.Second      // for the store, when findings are listed
	buildOld = 365 * 24 * time.Hour // of a program that asks nobody for updates
)

// Run looks until ctx ends. It returns nil.
func (s *server) watchDaily(ctx context.Context) error {
	pause := watchFirst
	for rest(ctx, pause) {
		pause = watchEvery
		if d, err := clockOffset(s.cfg.Daily.TimeServers); err == nil {
			s.watch.offset.Store(&d)
		} else if len(s.cfg.Daily.TimeServers) > 0 {
			s.watch.offset.Store(nil)
			s.log.InfoContext(ctx, "no time server could be asked", "err", err)
		}
		if s.cfg.Daily.Updates != "" {
			s.lookForRelease(ctx)
		}
	}
	return nil
}

func (s *server) lookForRelease(ctx context.Context) {
	key, err := updates.ParseKey(s.cfg.Daily.UpdatesKey)
	if err != nil {
		return // the configuration was checked
	}
	a, err := updates.Fetch(ctx, http.DefaultClient, s.cfg.Daily.Updates, key)
	if err != nil {
		s.log.WarnContext(ctx, "updates not looked up", "err", err)
		return
	}
	s.watch.release.Store(&a)
}

// clockOffset is what the first time server that answers says our clock is behind.
func clockOffset(servers []string) (time.Duration, error) {
	var errs []error
	for _, server := range servers {
		r, err := ntp.QueryWithOptions(server, ntp.QueryOptions{Timeout: askWait})
		if err == nil {
			err = r.Validate()
		}
		if err == nil {
			return r.ClockOffset, nil
		}
		errs = append(errs, err)
	}
	return 0, errors.Join(errs...)
}

// systemFindings are what is wrong with the machine and its care (CH-SMTP-16, CH-SMTP-18).
func (s *server) systemFindings() []finding.Finding {
	now := s.opt.Now()
	var out []finding.Finding
	if free, all, err := room(s.cfg.Data); err == nil && all > 0 && free*100/all < diskLow {
		out = append(out, finding.Of(finding.SystemDisk, finding.Fail, s.cfg.Data, "free", octets(free), "of", octets(all)))
	}
	if d := s.watch.offset.Load(); d != nil && d.Abs() > clockOff {
		out = append(out, finding.Of(finding.SystemClock, finding.Fail, s.cfg.Hostname, "behind the time servers by", d.Round(time.Millisecond).String()))
	}
	if f, ok := s.backupFinding(now); ok {
		out = append(out, f)
	}
	if a := s.watch.release.Load(); a != nil && updates.Newer(a.Version, version()) {
		out = append(out, finding.Of(finding.SystemVersion, finding.Fail, version(), "newer", a.Version, "released", a.Released, "mends a fault that can be abused", fmt.Sprint(a.Security), "page", a.Page))
	} else if at, ok := built(); ok && s.cfg.Daily.Updates == "" && now.Sub(at) > buildOld {
		out = append(out, finding.Of(finding.SystemVersion, finding.Fail, version(), "built from a commit of", at.Format(time.DateOnly)))
	}
	ctx, cancel := context.WithTimeout(context.Background(), findWait)
	defer cancel()
	stats, err := s.state.Store.QueueStats(ctx)
	if err != nil {
		s.log.WarnContext(ctx, "the queue's age is not known", "err", err)
	}
	for _, st := range stats {
		if st.State == store.Ready && now.Sub(st.Oldest) > queueOld {
			out = append(out, finding.Of(finding.SystemQueue, finding.Fail, st.Domain, "recipients", fmt.Sprint(st.Count), "oldest", st.Oldest.UTC().Format(time.RFC3339)))
		}
	}
	return out
}

// backupFinding tells of a house whose last backup is too old, or which never had one
// though it is no new one any more.
func (s *server) backupFinding(now time.Time) (finding.Finding, bool) {
	days := s.cfg.Daily.BackupDays
	if days == 0 {
		return finding.Finding{}, false
	}
	setting := s.state.Directory.View().Setting(command.BackupSetting)
	at, err := time.Parse(time.RFC3339, setting)
	if err != nil {
		began, ok := s.began()
		if !ok || now.Sub(began) < max(young, time.Duration(days)*24*time.Hour) {
			return finding.Finding{}, false
		}
		return finding.Of(finding.SystemBackup, finding.Fail, s.cfg.Hostname, "last", "never"), true
	}
	if now.Sub(at) <= time.Duration(days)*24*time.Hour {
		return finding.Finding{}, false
	}
	return finding.Of(finding.SystemBackup, finding.Fail, s.cfg.Hostname, "last", setting), true
}

// began is about when the house was made: when the oldest password was set.
func (s *server) began() (oldest time.Time, ok bool) {
	for a := range s.state.Directory.View().Accounts() {
		if !a.PasswordSet.IsZero() && (!ok || a.PasswordSet.Before(oldest)) {
			oldest, ok = a.PasswordSet, true
		}
	}
	return oldest, ok
}

// room is how much of a folder's disk is free for us, and how much there is, in octets.
func room(dir string) (free, all uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	return st.Bavail * uint64(st.Bsize), st.Blocks * uint64(st.Bsize), nil
}

func octets(n uint64) string { return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30)) }

// version is the program's own, "devel" where it was built by hand.
func version() string {
	if b, ok := debug.ReadBuildInfo(); ok && b.Main.Version != "" && b.Main.Version != "(devel)" {
		return b.Main.Version
	}
	return "devel"
}

// built is when the commit was made that the program was built from.
func built() (time.Time, bool) {
	b, ok := debug.ReadBuildInfo()
	if !ok {
		return time.Time{}, false
	}
	for _, st := range b.Settings {
		if st.Key == "vcs.time" {
			at, err := time.Parse(time.RFC3339, st.Value)
			return at, err == nil
		}
	}
	return time.Time{}, false
}
