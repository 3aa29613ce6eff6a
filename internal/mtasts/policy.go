package mtasts

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"posta/internal/addr"
)

// Mode is what a policy asks of senders (RFC 8461 §5). The zero value is None.
type Mode uint8

// The modes.
const (
	None    Mode = iota // as if there were no policy
	Testing             // failures are reported, and mail is sent all the same
	Enforce             // hosts that fail are not used
)

var modeNames = [...]string{"none", "testing", "enforce"}

// String gives the word of the policy.
func (m Mode) String() string { return modeNames[m] }

// Bounds of a policy.
const (
	MaxPolicy = 64 << 10 // octets, RFC 8461 §3.3
	MaxMX     = 1000     // patterns
	MaxAge    = 31557600 * time.Second
)

// Policy is what a domain asks of those who send to it.
type Policy struct {
	Mode Mode
	// MaxAge is how long the policy holds from when it was fetched: whole seconds, at
	// most MaxAge (§3.2).
	MaxAge time.Duration
	// MX are the names of hosts in A-labels and lower case; "*." stands for one label.
	MX []string
}

// ParsePolicy reads a policy (RFC 8461 §3.2). Lines end with CRLF or LF; of keys that
// may stand once, the first counts; unknown ones are passed over.
func ParsePolicy(b []byte) (Policy, error) {
	if len(b) > MaxPolicy {
		return Policy{}, fmt.Errorf("mtasts: a policy of more than %d octets", MaxPolicy)
	}
	r := reading{seen: map[string]bool{}}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if strings.Trim(line, " \t") == "" {
			continue
		}
		if err := r.line(line); err != nil {
			return Policy{}, err
		}
	}
	return r.policy()
}

// reading is a policy half read.
type reading struct {
	p    Policy
	seen map[string]bool
}

func (r *reading) line(line string) error {
	key, value, ok := strings.Cut(line, ":")
	if !ok {
		return fmt.Errorf("mtasts: a line without a colon: %.60q", line)
	}
	key, value = strings.TrimRight(key, " \t"), strings.Trim(value, " \t")
	if key != "mx" && r.seen[key] {
		return nil
	}
	switch key {
	case "version":
		if value != "STSv1" {
			return fmt.Errorf("mtasts: the version is %.60q, not STSv1", value)
		}
	case "mode":
		switch value {
		case "none":
		case "testing":
			r.p.Mode = Testing
		case "enforce":
			r.p.Mode = Enforce
		default:
			return fmt.Errorf("mtasts: mode is %.60q; there are enforce, testing and none", value)
		}
	case "max_age":
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil || len(value) > 10 {
			return fmt.Errorf("mtasts: max_age is %.60q, not seconds in at most ten digits", value)
		}
		r.p.MaxAge = time.Duration(min(n, uint64(MaxAge/time.Second))) * time.Second
	case "mx":
		return r.mx(value)
	default:
		return nil
	}
	r.seen[key] = true
	return nil
}

func (r *reading) mx(pattern string) error {
	if len(r.p.MX) == MaxMX {
		return fmt.Errorf("mtasts: more than %d mx patterns", MaxMX)
	}
	name, wild := strings.CutPrefix(pattern, "*.")
	d, err := addr.ParseDomain(strings.TrimSuffix(name, "."))
	if err != nil {
		return fmt.Errorf("mtasts: mx is %.60q, which is no name of a host", pattern)
	}
	if wild {
		d = "*." + d
	}
	r.p.MX = append(r.p.MX, string(d))
	return nil
}

func (r *reading) policy() (Policy, error) {
	for _, key := range [...]string{"version", "mode", "max_age"} {
		if !r.seen[key] {
			return Policy{}, fmt.Errorf("mtasts: the policy has no %s", key)
		}
	}
	if len(r.p.MX) == 0 && r.p.Mode != None {
		return Policy{}, errors.New("mtasts: the policy has no mx")
	}
	return r.p, nil
}

// Text is the policy as it is served: CRLF lines, version first.
func (p Policy) Text() string { return strings.Join(p.Lines(), "\r\n") + "\r\n" }

// Lines are the policy's lines without their ends, as TLS reports repeat them
// (RFC 8460 §4.4).
func (p Policy) Lines() []string {
	out := []string{"version: STSv1", "mode: " + p.Mode.String()}
	for _, mx := range p.MX {
		out = append(out, "mx: "+mx)
	}
	return append(out, "max_age: "+strconv.FormatInt(int64(p.MaxAge/time.Second), 10))
}

// Lists says whether a host is one of the policy's (RFC 8461 §4.1): host is in
// A-labels and lower case; a wildcard stands for exactly one label.
func (p Policy) Lists(host string) bool {
	_, parent, _ := strings.Cut(host, ".")
	for _, mx := range p.MX {
		if mx == host {
			return true
		}
		if rest, wild := strings.CutPrefix(mx, "*."); wild && parent != "" && rest == parent {
			return true
		}
	}
	return false
}
