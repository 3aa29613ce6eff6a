package app

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"posta/internal/finding"
)

// metrics tells Prometheus what the parts count themselves. No label holds an
// address or a domain, so the number of series is fixed.
func (s *server) metrics() {
	s.reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	counter := func(name, help string, f func() float64) {
		s.reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "posta", Name: name, Help: help}, f))
	}
	c := s.in.Counts()
	counter("messages_accepted_total", "Messages that were accepted.", func() float64 { return float64(c.Accepted.Load()) })
	counter("message_octets_total", "Octets of accepted messages.", func() float64 { return float64(c.Octets.Load()) })
	counter("recipients_repeated_total", "Recipients recognised as repeats of an accept whose reply was lost.", func() float64 { return float64(c.Repeated.Load()) })
	counter("messages_failed_total", "Messages that could not be kept and were put off.", func() float64 { return float64(c.Failed.Load()) })
	counter("commit_seconds_total", "Time from the final dot to the reply.", func() float64 { return float64(c.Commit.Load()) / 1e9 })
	s.reg.MustRegister(refusals{s})
	s.reg.MustRegister(scans{s})
	q := s.queue
	counter("queue_attempts_total", "Transactions with other servers.", func() float64 { return float64(q.Stats().Attempts) })
	counter("queue_delivered_total", "Recipients delivered to other servers.", func() float64 { return float64(q.Stats().Delivered) })
	counter("queue_deferred_total", "Attempts that were put off.", func() float64 { return float64(q.Stats().Deferred) })
	counter("queue_failed_total", "Recipients that failed for good.", func() float64 { return float64(q.Stats().Failed) })
	counter("queue_notices_total", "Notices (DSN) to senders.", func() float64 { return float64(q.Stats().Notices) })
	counter("queue_double_bounces_total", "Failures that nobody could be told of.", func() float64 { return float64(q.Stats().DoubleBounces) })
	s.reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "posta", Name: "certificate_expiry_seconds", Help: "When the certificate ends, in seconds since 1970."},
		func() float64 { return float64(s.certs.Leaf().NotAfter.Unix()) }))
}

// refusals counts by check.
type refusals struct{ s *server }

var refusalDesc = prometheus.NewDesc("posta_refused_total", "Recipients and messages refused or put off, by check.", []string{"check"}, nil)

// Describe implements prometheus.Collector.
func (refusals) Describe(ch chan<- *prometheus.Desc) { ch <- refusalDesc }

// Collect implements prometheus.Collector.
func (r refusals) Collect(ch chan<- prometheus.Metric) {
	for _, k := range finding.All() {
		if n := r.s.in.Counts().Refused(k); n > 0 {
			ch <- prometheus.MustNewConstMetric(refusalDesc, prometheus.CounterValue, float64(n), string(k.ID))
		}
	}
}
