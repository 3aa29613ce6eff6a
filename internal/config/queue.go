package config

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"posta/internal/addr"
)

// Bounds of [queue].
const (
	minPause, maxPause       = 10 * time.Second, 24 * time.Hour
	maxPauses                = 50
	minDown, maxDown         = time.Second, time.Hour
	minLifetime, maxLifetime = time.Hour, 30 * 24 * time.Hour
	minWarning               = time.Minute
	maxAtOnce                = 10_000
)

func defaultQueue() Queue {
	minutes := func(list ...time.Duration) (out []Duration) {
		for _, m := range list {
			out = append(out, Duration(m*time.Minute))
		}
		return out
	}
	return Queue{
		Retry: minutes(1, 5, 15, 30, 60, 120, 240), HostDown: Duration(30 * time.Second),
		Lifetime: Duration(120 * time.Hour), DelayWarning: Duration(4 * time.Hour),
		PerDomain: 4, PerHost: 20, Total: 64,
	}
}

// smartHostLevels are the values of queue.smart_host_tls, from least to most.
var smartHostLevels = []string{"none", "opportunistic", "required", "verified"}

// SmartHostLevel is the level in force.
func (q *Queue) SmartHostLevel() string {
	if q.SmartHostTLS == "" && q.Login != "" {
		return "verified" // a password is for the one that it was meant for
	}
	return cmp.Or(q.SmartHostTLS, "opportunistic")
}

func (c *Config) checkQueue(bad func(key, format string, a ...any)) {
	q := &c.Queue
	within := func(key string, d Duration, least, most time.Duration) {
		if v := time.Duration(d); v < least || v > most {
			bad(key, "%s is out of range: from %s to %s", short(v), short(least), short(most))
		}
	}
	switch {
	case len(q.Retry) == 0:
		bad("queue.retry", "at least one pause is needed, e.g. [\"5m\", \"30m\", \"4h\"]")
	case len(q.Retry) > maxPauses:
		bad("queue.retry", "%d pauses; at most %d, the last one repeats", len(q.Retry), maxPauses)
	}
	for _, d := range q.Retry[:min(len(q.Retry), maxPauses)] {
		within("queue.retry", d, minPause, maxPause)
	}
	within("queue.host_down", q.HostDown, minDown, maxDown)
	within("queue.lifetime", q.Lifetime, minLifetime, maxLifetime)
	within("queue.delay_warning", q.DelayWarning, minWarning, maxLifetime)
	for _, n := range []struct {
		key   string
		value int
	}{{"queue.per_domain", q.PerDomain}, {"queue.per_host", q.PerHost}, {"queue.total", q.Total}} {
		if n.value < 1 || n.value > maxAtOnce {
			bad(n.key, "must be from 1 to %d", maxAtOnce)
		}
	}
	q.checkSmartHost(bad)
}

// short writes a duration without the zeroes that Go puts behind it.
func short(d time.Duration) string {
	s := d.String()
	s = strings.TrimSuffix(s, "0s")
	if s == "" || !strings.HasSuffix(s, "m") {
		return d.String()
	}
	if h := strings.TrimSuffix(s, "0m"); strings.HasSuffix(h, "h") {
		return h
	}
	return s
}

// checkSmartHost: what the level asks must go together with login and port.
func (q *Queue) checkSmartHost(bad func(key, format string, a ...any)) {
	if q.SmartHost == "" {
		for key, set := range map[string]bool{
			"queue.smart_host_tls": q.SmartHostTLS != "", "queue.smart_host_implicit": q.SmartHostImplicit,
			"queue.smart_host_ca": q.SmartHostCA != "", "queue.login": q.Login != "", "queue.password_file": q.PasswordFile != "",
		} {
			if set {
				bad(key, "is about the smart host, and queue.smart_host names none")
			}
		}
		return
	}
	if !nextHop(q.SmartHost) {
		bad("queue.smart_host", "%q is no next hop; write \"relay.example.org:587\" to go by its MX, or \"[relay.example.org]:587\" to the host itself", q.SmartHost)
	}
	level := q.SmartHostLevel()
	switch at := slices.Index(smartHostLevels, level); {
	case at < 0:
		text := fmt.Sprintf("%q is not one of %s", level, strings.Join(smartHostLevels, ", "))
		if near := nearest(level, smartHostLevels); near != "" {
			text += "; did you mean " + near + "?"
		}
		bad("queue.smart_host_tls", "%s", text)
	case at == 0 && (q.SmartHostImplicit || strings.HasSuffix(q.SmartHost, ":465")):
		bad("queue.smart_host_tls", "\"none\" contradicts TLS from the first octet (smart_host_implicit, or port 465)")
	case at < 2 && q.Login != "" && !onLoopback(q.SmartHost):
		bad("queue.smart_host_tls", "%q could give the password away; with a login write \"verified\", or \"required\" if nobody is between here and there", level)
	case q.SmartHostCA != "" && level != "verified":
		bad("queue.smart_host_ca", "authorities are asked at the level \"verified\" only; it is %q", level)
	}
	if (q.Login == "") != (q.PasswordFile == "") {
		bad("queue.login", "login and password_file go together")
	}
	if q.PasswordFile != "" {
		if _, err := q.Password(); err != nil {
			bad("queue.password_file", "%v", err)
		}
	}
	if q.SmartHostCA != "" && level == "verified" {
		if _, err := q.Authorities(); err != nil {
			bad("queue.smart_host_ca", "%v", err)
		}
	}
}

// nextHop reports whether a text has the form of a next hop; route reads it.
func nextHop(hop string) bool {
	host := hop
	if at := strings.LastIndexByte(hop, ':'); at > strings.LastIndexByte(hop, ']') {
		if n, err := strconv.ParseUint(hop[at+1:], 10, 16); err != nil || n == 0 {
			return false
		}
		host = hop[:at]
	}
	inner, open := strings.CutPrefix(host, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	if _, err := netip.ParseAddr(strings.TrimPrefix(inner, "IPv6:")); err == nil {
		return open == closed
	}
	_, err := addr.ParseDomain(inner)
	return open == closed && (err == nil || inner == "localhost")
}

// onLoopback reports whether a next hop is this machine: nobody listens between.
func onLoopback(hop string) bool {
	host := hop
	if h, _, err := net.SplitHostPort(hop); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	ip, err := netip.ParseAddr(strings.TrimPrefix(host, "IPv6:"))
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Password is the first line of the password file.
func (q *Queue) Password() (string, error) { return passwordIn(q.PasswordFile) }

// passwordIn reads the first line of a file.
func passwordIn(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	line = strings.TrimRight(line, "\r")
	if line == "" {
		return "", fmt.Errorf("%s: the first line, where the password should be, is empty", path)
	}
	return line, nil
}

// Authorities are those of SmartHostCA; nil where that is "".
func (q *Queue) Authorities() (*x509.CertPool, error) {
	if q.SmartHostCA == "" {
		return nil, nil
	}
	b, err := os.ReadFile(q.SmartHostCA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, errors.New(q.SmartHostCA + ": no certificate in PEM form is in it")
	}
	return pool, nil
}
