package app

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/scan"
)

// scanTime is what all scanners together may take for a message: within the minute
// from the dot to the reply there is to be time for our own judgement before them
// and for the commit after.
const scanTime = 45 * time.Second

// newScanners makes the runner of the [[scanner]] tables; nil where there is none.
func (s *server) newScanners() (*scan.Runner, error) {
	if len(s.cfg.Scanners) == 0 {
		return nil, nil
	}
	c := scan.Config{Total: scanTime, TempDir: scan.TempDir(filepath.Join(s.cfg.Data, tempDir))}
	for i := range s.cfg.Scanners {
		m, err := s.cfg.Scanners[i].Member()
		if err != nil {
			return nil, fmt.Errorf("scanner %q: %w", s.cfg.Scanners[i].Name, err)
		}
		c.Members = append(c.Members, m)
	}
	return scan.New(c)
}

// scannerFindings asks every scanner whether it is there. It blocks for at most 5 s.
func (s *server) scannerFindings() []finding.Finding {
	if s.scanners == nil {
		return nil
	}
	var out []finding.Finding
	for _, h := range s.scanners.Health(context.Background()) {
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
	for _, st := range c.s.scanners.Stats() {
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
