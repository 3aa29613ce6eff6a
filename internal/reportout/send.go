package reportout

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"posta/internal/addr"
	"posta/internal/dmarcreport"
	"posta/internal/resolver"
	"posta/internal/store"
	"posta/internal/tlsrpt"
)

// Bounds of one run; what is more waits for the next.
const (
	maxReports = 5000  // domains
	maxRows    = 20000 // of one report
	pageSize   = 500
	postTime   = time.Minute
)

// Work reports on all days that are over and were not reported on. It may be repeated.
func (r *Reporter) Work(ctx context.Context) error {
	r.Flush(ctx)
	if r.cfg.From() == (addr.Address{}) {
		return errors.New("no domain here has a DKIM key: reports must be signed, so none is sent")
	}
	return errors.Join(
		r.each(ctx, store.DMARCResult, "dmarc", r.sendDMARC),
		r.each(ctx, store.TLSResult, "tls", r.sendTLS),
	)
}

// each walks through the domains of the days that are over. Keys are "day/domain/…".
func (r *Reporter) each(ctx context.Context, kind store.FactKind, name string, send func(ctx context.Context, day, domain string) Sent) error {
	today, after := day(r.cfg.Now()), ""
	var failed error
	for sent := 0; sent < maxReports; {
		facts, err := r.cfg.Facts.ListFacts(ctx, kind, "", after, 1)
		if err != nil || len(facts) == 0 || ctx.Err() != nil {
			return errors.Join(failed, err)
		}
		at, rest, _ := strings.Cut(facts[0].Key, "/")
		domain, _, _ := strings.Cut(rest, "/")
		if at >= today {
			return failed
		}
		after = at + "/" + domain + "0" // behind all keys with "domain/"
		done, err := r.once(ctx, at, name, domain, send)
		if done {
			sent++
		}
		if err != nil && failed == nil {
			failed = fmt.Errorf("report to %s: %w", domain, err) // the others are told
		}
	}
	return errors.Join(failed, fmt.Errorf("after %d reports the others wait for the next run", maxReports))
}

// once sends a report unless that was done; did tells that it tried.
func (r *Reporter) once(ctx context.Context, at, name, domain string, send func(ctx context.Context, day, domain string) Sent) (did bool, err error) {
	key := sentKey + at + "/" + name + "/" + domain
	done, err := r.cfg.Facts.FactsOf(ctx, store.ReportTo, key)
	if err != nil || !done[0].Until.IsZero() {
		return false, err
	}
	s := send(ctx, at, domain)
	if s.later != nil || ctx.Err() != nil {
		return true, errors.Join(s.later, ctx.Err())
	}
	s.Kind, s.Domain, s.Day, s.At, s.Why = name, domain, at, r.cfg.Now(), text(s.Why, 300)
	value, err := json.Marshal(s)
	if err != nil || len(value) > store.MaxFactValue {
		value = []byte(`{}`)
	}
	return true, r.cfg.Facts.ChangeFacts(ctx, store.ReportTo, []string{key}, func(f store.Fact) store.Fact {
		return store.Fact{Key: f.Key, Value: value, Until: s.At.Add(sentFor)}
	})
}

// refused notes why some are not told. Where that is nobody, and for a failure that may
// pass, there is another time.
func (s *Sent) refused(to []target, err error) {
	if err == nil {
		return
	}
	s.Why = err.Error()
	if len(to) == 0 && transient(err) {
		s.later = err
	}
}

// transient is a failure of the DNS that may pass.
func transient(err error) bool {
	e, ok := errors.AsType[*resolver.Error](err)
	return ok && e.Temporary()
}

// rows reads what was counted of a domain's day.
func rows[R any](ctx context.Context, facts Facts, kind store.FactKind, prefix string) ([]R, error) {
	var out []R
	for after := ""; len(out) < maxRows; {
		list, err := facts.ListFacts(ctx, kind, prefix, after, pageSize)
		if err != nil || len(list) == 0 {
			return out, err
		}
		for _, f := range list {
			after = f.Key
			var v R
			if json.Unmarshal(f.Value, &v) == nil {
				out = append(out, v)
			}
		}
	}
	return out, nil
}

// sendDMARC sends the aggregate report of one domain's day.
func (r *Reporter) sendDMARC(ctx context.Context, at, domain string) (s Sent) {
	counted, err := rows[dmarcRow](ctx, r.cfg.Facts, store.DMARCResult, at+"/"+domain+"/")
	if err != nil {
		return Sent{later: err}
	}
	record := ""
	rep := dmarcreport.Report{}
	for _, c := range counted {
		if c.Record != "" {
			record = c.Record
			continue
		}
		c.Row.Count = c.N
		rep.Records = append(rep.Records, c.Row)
	}
	policy, parsed, ok := published(domain, record)
	if !ok || len(rep.Records) == 0 {
		return Sent{Why: "nothing was counted"}
	}
	rep.Published = policy
	to, refused := r.targets(ctx, addr.Domain(domain), withLimits(record, parsed.RUA), true)
	s.refused(to, refused)
	begin, end, err := bounds(at)
	if err != nil || len(to) == 0 {
		return s
	}
	from := r.cfg.From()
	id := at + "." + digest("dmarc", at, domain, r.cfg.Hostname)
	rep.Metadata = dmarcreport.Metadata{Org: string(from.Domain), Email: from.String(), ReportID: id, Begin: begin, End: end, Generator: "Posta"}
	file, err := zipped(rep.AppendXML(nil))
	if err != nil {
		return Sent{Why: err.Error()}
	}
	l := letter{
		from: from, subject: dmarcreport.Subject(domain, string(from.Domain), id), id: id, kind: "multipart/mixed", media: "application/gzip",
		name: dmarcreport.Filename(string(from.Domain), domain, begin, end, "", "xml.gz"), file: file,
		says: []string{
			"This is a DMARC aggregate report (RFC 9990) about mail in the name of", domain + " that " + r.cfg.Hostname + " was offered on " + begin.Format(time.DateOnly) + " (UTC).",
			"It is sent because the domain's DMARC record asks for it.",
		},
	}
	r.mail(ctx, &s, &l, to)
	return s
}

// mail sends a letter to each who is told by mail.
func (r *Reporter) mail(ctx context.Context, s *Sent, l *letter, to []target) {
	for _, t := range to {
		l.to, l.at = t.mail, r.cfg.Now()
		message := l.compose()
		if t.max > 0 && int64(len(message)) > t.max {
			s.Why = strings.TrimSpace(s.Why + fmt.Sprintf(" %s takes %d octets, and the report has %d", t, t.max, len(message)))
			continue
		}
		if err := r.deposit(ctx, t.mail, message, l.tlsOptional); err != nil {
			s.Why = strings.TrimSpace(s.Why + " " + t.String() + ": " + err.Error())
			continue
		}
		s.To = append(s.To, t.String())
	}
}

// deposit notes whom a report goes to, so that a refusal is recognised, and sends it.
func (r *Reporter) deposit(ctx context.Context, to addr.Address, message []byte, tlsOptional bool) error {
	until := r.cfg.Now().Add(bounceFor)
	err := r.cfg.Facts.ChangeFacts(ctx, store.ReportTo, []string{toKey + to.Fold().String()}, func(f store.Fact) store.Fact {
		return store.Fact{Key: f.Key, Value: []byte("1"), Until: until}
	})
	if err != nil {
		return err
	}
	return r.cfg.Deposit(ctx, to, message, tlsOptional)
}

// sendTLS sends the TLS report of one domain's day, if it wants one.
func (r *Reporter) sendTLS(ctx context.Context, at, domain string) (s Sent) {
	rua, err := r.tlsRUA(ctx, domain)
	switch {
	case transient(err):
		return Sent{later: err}
	case err != nil:
		return Sent{Why: err.Error()}
	}
	if len(rua) == 0 {
		return Sent{Why: "the domain asks for no TLS reports"}
	}
	counted, err := rows[policyRow](ctx, r.cfg.Facts, store.TLSResult, at+"/"+domain+"/")
	begin, end, bad := bounds(at)
	if err = errors.Join(err, bad); err != nil {
		return Sent{Why: err.Error()}
	}
	to, refused := r.targets(ctx, addr.Domain(domain), rua, false)
	s.refused(to, refused)
	rep := tlsReport(domain, counted)
	if len(to) == 0 || len(rep.Policies) == 0 {
		return s
	}
	from := r.cfg.From()
	id := at + "." + digest("tls", at, domain, r.cfg.Hostname)
	rep.Org, rep.Contact, rep.ReportID, rep.Begin, rep.End = string(from.Domain), from.String(), id, begin, end
	text, err := rep.AppendJSON(nil)
	if err != nil {
		return Sent{Why: err.Error()}
	}
	file, err := zipped(text)
	if err != nil {
		return Sent{Why: err.Error()}
	}
	r.postAll(ctx, &s, file, to)
	l := tlsLetter(domain, r.cfg.Hostname, from, id, begin, end)
	l.file = file
	r.mail(ctx, &s, l, mailed(to))
	return s
}

// tlsLetter is the message of a TLS report (RFC 8460 §5.3) without its file.
func tlsLetter(domain, host string, from addr.Address, id string, begin, end time.Time) *letter {
	return &letter{
		// RFC 8460 §3: what tells of failures of TLS does not wait for them to end.
		tlsOptional: true,

		from: from, subject: tlsrpt.Subject(domain, string(from.Domain), id), id: id,
		extra: []string{"TLS-Report-Domain: " + domain, "TLS-Report-Submitter: " + string(from.Domain)},
		kind:  `multipart/report; report-type="tlsrpt"`, media: "application/tlsrpt+gzip",
		name: tlsrpt.Filename(string(from.Domain), domain, begin, end, "", "json.gz"),
		says: []string{
			"This is a TLS report (RFC 8460) about the connections of " + host, "to the mail exchangers of " + domain + " on " + begin.Format(time.DateOnly) + " (UTC).",
			"It is sent because the domain's TLSRPT record asks for it.",
		},
	}
}

func mailed(to []target) (out []target) {
	for _, t := range to {
		if t.https == "" {
			out = append(out, t)
		}
	}
	return out
}

// postAll sends a report by HTTPS to those who want it so (RFC 8460 §5.4).
func (r *Reporter) postAll(ctx context.Context, s *Sent, file []byte, to []target) {
	for _, t := range to {
		if t.https == "" {
			continue
		}
		if err := r.post(ctx, t.https, file); err != nil {
			s.Why = strings.TrimSpace(s.Why + " " + err.Error())
			continue
		}
		s.To = append(s.To, t.https)
	}
}

func (r *Reporter) post(ctx context.Context, url string, file []byte) error {
	ctx, cancel := context.WithTimeout(ctx, postTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(file))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/tlsrpt+gzip")
	req.Header.Set("User-Agent", "Posta")
	res, err := r.cfg.HTTP.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.CopyN(io.Discard, res.Body, 4<<10)
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s: status %.60q", url, res.Status)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return err
}
