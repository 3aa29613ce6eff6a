package app

import (
	"context"
	"fmt"
	"path/filepath"
	"reflect"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"posta/internal/config"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/scan"
)

// scanTime is what all scanners together may take for a message: within the minute
// from the dot to the reply there is to be time for our own judgement before them
// and for the commit after.
const scanTime = 45 * time.Second

// newScanners makes the runner of the [[scanner]] tables; nil where there is none.
func (s *server) newScanners(cfg *config.Config) (*scan.Runner, error) {
	if len(cfg.Scanners) == 0 {
		return nil, nil
	}
	c := scan.Config{Total: scanTime, TempDir: scan.TempDir(filepath.Join(s.cfg.Data, tempDir))}
	for i := range cfg.Scanners {
		m, err := cfg.Scanners[i].Member()
		if err != nil {
			return nil, fmt.Errorf("scanner %q: %w", cfg.Scanners[i].Name, err)
		}
		c.Members = append(c.Members, m)
	}
	return scan.New(c)
}

// reloadConfig takes the scanners of posta.toml as it is now: sessions that begin from
// here on use them, and running ones end with those that they have. A file that cannot be
// read, or has something wrong anywhere, changes nothing. Reloads come one at a time.
func (s *server) reloadConfig(ctx context.Context) error {
	if s.opt.Reread == nil {
		return nil
	}
	cfg, err := s.opt.Reread()
	if err != nil {
		return fmt.Errorf("the configuration stays as it is: %w", err)
	}
	if !sameBut(cfg, s.cfg) {
		s.log.WarnContext(ctx, "posta.toml has changes that take a restart; of it only the scanners are taken now")
	}
	s.rereading.Lock()
	defer s.rereading.Unlock()
	if reflect.DeepEqual(cfg.Scanners, s.asking) {
		return nil // those that are resting go on resting
	}
	runner, err := s.newScanners(cfg)
	if err != nil {
		return fmt.Errorf("the scanners stay as they are: %w", err)
	}
	s.asking = cfg.Scanners
	s.log.InfoContext(ctx, "scanners", "count", len(cfg.Scanners))
	return s.scanners.Replace(runner)
}

// sameBut reports whether two configurations say the same but for their scanners.
func sameBut(a, b *config.Config) bool {
	x, y := *a, *b
	for _, c := range []*config.Config{&x, &y} {
		c.Scanners, c.Path, c.Source = nil, "", nil
	}
	return reflect.DeepEqual(&x, &y)
}

// scannerFindings asks every scanner whether it is there. It blocks for at most 5 s.
func (s *server) scannerFindings() []finding.Finding {
	if s.scanners == nil {
		return nil
	}
	r, release := s.scanners.Take()
	defer release()
	if r == nil {
		return nil
	}
	var out []finding.Finding
	for _, h := range r.Health(context.Background()) {
		seen := ""
		switch {
		case h.Err != nil:
			seen = h.Err.Error()
		case time.Now().Before(h.Resting):
			seen = fmt.Sprintf("it answers, but failed three times in a row, at last: %v", h.Last)
		default:
			continue
		}
		means := "put off"
		if h.OnFailure == scan.Pass {
			means = "taken without it"
		}
		out = append(out, finding.Of(finding.ScanDown, finding.Fail, h.Name, "scanner", h.Name+" ("+h.Kind+")", "seen", seen, "mail is", means))
	}
	return out
}

// scans tells Prometheus what scanners said. Labels are the names of the
// configuration and fixed words.
type scans struct{ s *server }

var (
	scanDesc     = prometheus.NewDesc("posta_scans_total", "Messages that scanners were asked about, by what they said or why they failed.", []string{"scanner", "result"}, nil)
	scanTimeDesc = prometheus.NewDesc("posta_scan_seconds_total", "Time that scanners took for messages.", []string{"scanner"}, nil)
	scanRestDesc = prometheus.NewDesc("posta_scanner_resting", "1 while a scanner is not asked, after failures in a row.", []string{"scanner"}, nil)
)

// Describe implements prometheus.Collector.
func (scans) Describe(ch chan<- *prometheus.Desc) {
	ch <- scanDesc
	ch <- scanTimeDesc
	ch <- scanRestDesc
}

// Collect implements prometheus.Collector. No scanner is asked for it.
func (c scans) Collect(ch chan<- prometheus.Metric) {
	r := c.s.scanners.Now()
	if r == nil {
		return
	}
	for _, st := range r.Stats() {
		for a := mail.Accept; a <= mail.Reject; a++ {
			ch <- prometheus.MustNewConstMetric(scanDesc, prometheus.CounterValue, float64(st.Answers[a]), st.Name, a.String())
		}
		for f := scan.Down; f <= scan.Local; f++ {
			ch <- prometheus.MustNewConstMetric(scanDesc, prometheus.CounterValue, float64(st.Failures[f]), st.Name, f.String())
		}
		resting := 0.0
		if st.Resting {
			resting = 1
		}
		ch <- prometheus.MustNewConstMetric(scanTimeDesc, prometheus.CounterValue, st.Took.Seconds(), st.Name)
		ch <- prometheus.MustNewConstMetric(scanRestDesc, prometheus.GaugeValue, resting, st.Name)
	}
}
