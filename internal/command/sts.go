package command

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"posta/internal/addr"
	"posta/internal/mtasts"
	"posta/internal/store"
	"posta/internal/zone"
)

// STS is the MTA-STS policy that we serve for a domain of ours (RFC 8461 §3.2).
type STS struct {
	// Mode is "testing", "enforce" or "none". A domain for which nothing was said has
	// "testing": failures are reported, and no mail is lost by a mistake of ours.
	Mode string `json:"mode"`
	// MX are hosts besides ours, in A-labels: a backup MX. "*.example.net" stands for
	// one label.
	MX []string `json:"mx,omitempty"`
}

const stsSetting = "domain.mta-sts."

// stsModes are those that can be set.
var stsModes = []string{"none", "testing", "enforce"}

// Ages of a policy. While it is tested it may have to change soon; once
// enforced it should outlive a long attack (RFC 8461 §10.2: weeks or more).
const (
	testingAge = 24 * time.Hour
	enforceAge = 28 * 24 * time.Hour
)

// STSSetting is where the policy of a domain stands in the settings.
func STSSetting(domain string) string { return stsSetting + domain }

// STSOf reads the policy of a domain from its setting, which may be "".
func STSOf(setting string) (STS, error) {
	s := STS{Mode: "testing"}
	if setting == "" {
		return s, nil
	}
	err := json.Unmarshal([]byte(setting), &s)
	if err == nil && !slices.Contains(stsModes, s.Mode) {
		err = fmt.Errorf("%q is no mode of MTA-STS", s.Mode)
	}
	return s, err
}

// Policy is the one to serve, with our host as MX.
func (s STS) Policy(host string) mtasts.Policy {
	p := mtasts.Policy{MaxAge: testingAge}
	switch s.Mode {
	case "testing":
		p.Mode = mtasts.Testing
	case "enforce":
		p.Mode, p.MaxAge = mtasts.Enforce, enforceAge
	}
	if p.Mode != mtasts.None { // §3.2: a policy of mode none needs no mx
		p.MX = append([]string{strings.ToLower(host)}, s.MX...)
	}
	return p
}

// ID is that of the policy, for the record _mta-sts (§3.1): it changes when, and only
// when, the policy does.
func (s STS) ID(host string) string { return zone.STSID(s.Policy(host).Text()) }

// putSTS changes the policy of a domain, if something of it is given, and tells it.
func putSTS(tx store.DirectoryTx, v *store.DirectoryView, name string, e DomainEdit, out *Domain) error {
	if e.MTASTS == nil && e.MX == nil {
		return nil
	}
	before, err := STSOf(v.Settings[stsSetting+name])
	if err != nil {
		return err
	}
	after, err := before.edited(e)
	if err != nil {
		return err
	}
	text, err := json.Marshal(after)
	if err != nil {
		return err
	}
	out.STS = &after
	return tx.PutSetting(stsSetting+name, string(text))
}

func (s STS) edited(e DomainEdit) (STS, error) {
	if e.MTASTS != nil {
		if s.Mode = *e.MTASTS; !slices.Contains(stsModes, s.Mode) {
			return s, fail(ErrUsage, "error.sts.mode", s.Mode)
		}
	}
	if e.MX == nil {
		return s, nil
	}
	s.MX = nil
	const most = 100
	for _, host := range *e.MX {
		d, err := addr.ParseDomain(strings.TrimPrefix(host, "*."))
		if err != nil || d.Labels() < 2 || len(s.MX) >= most {
			return s, fail(ErrUsage, "error.sts.mx", host)
		}
		if strings.HasPrefix(host, "*.") {
			d = "*." + d
		}
		s.MX = append(s.MX, string(d))
	}
	return s, nil
}
