package audit

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"posta/internal/dmarc"
	"posta/internal/finding"
)

const (
	maxLogo   = 32 << 10 // octets of a logo (draft-svg-tiny-ps §2)
	maxChain  = 64 << 10 // octets of a certificate chain
	maxCerts  = 10
	maxTokens = 20_000 // of a logo
	fetchWait = 10 * time.Second
)

// markUsage is the extended key usage of mark certificates (id-kp-BrandIndicatorforMessageIdentification).
var markUsage = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 31}

// brand judges BIMI where it is published; who publishes none lacks nothing.
func brand(ctx context.Context, a *audit) []finding.Finding {
	if a.setup() == absent {
		return nil
	}
	name := "default._bimi." + a.Domain
	r, err := a.cfg.Resolver.LookupTXT(ctx, name)
	if err != nil {
		return unverified(err, a.Domain, finding.BIMIRecord)
	}
	var records []string
	for _, t := range r.Records {
		if strings.HasPrefix(t, "v=BIMI1") {
			records = append(records, t)
		}
	}
	if len(records) == 0 {
		return []finding.Finding{finding.Of(finding.BIMIRecord, finding.NotApplicable, a.Domain, "asked", name)}
	}
	var facts []string
	for _, t := range records {
		facts = append(facts, name, t)
	}
	tags := bimiTags(records[0])
	logo, errLogo := httpsURL(tags["l"])
	if tags["l"] == "" && len(records) == 1 {
		return []finding.Finding{finding.Of(finding.BIMIRecord, finding.Pass, a.Domain, append(facts, "l=", "empty: the domain declines to take part")...)}
	}
	if len(records) > 1 || errLogo != nil {
		if errLogo != nil {
			facts = append(facts, "l=", errLogo.Error())
		}
		return []finding.Finding{finding.Of(finding.BIMIRecord, finding.Fail, a.Domain, facts...)}
	}
	out := []finding.Finding{finding.Of(finding.BIMIRecord, finding.Pass, a.Domain, facts...), a.enforced(facts)}
	a.probed("BIMI: " + logo)
	out = append(out, a.logo(ctx, logo)...)
	return append(out, a.mark(ctx, tags["a"])...)
}

func bimiTags(record string) map[string]string {
	tags := map[string]string{}
	for tag := range strings.SplitSeq(record, ";") {
		name, value, _ := strings.Cut(tag, "=")
		if name = strings.ToLower(strings.TrimSpace(name)); name != "" {
			tags[name] = strings.TrimSpace(value)
		}
	}
	return tags
}

func httpsURL(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil {
		return "", err
	}
	if u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("%q is no https address", s)
	}
	return u.String(), nil
}

// enforced asks whether the DMARC policy is one with which logos are shown.
func (a *audit) enforced(facts []string) finding.Finding {
	p := a.facts.dmarc()
	bad := p.query == nil || p.query.Record == nil || p.query.Record.Testing
	if !bad {
		policy := p.query.Record.P
		if !p.own && p.query.Record.SP != dmarc.Unset {
			policy = p.query.Record.SP
		}
		bad = policy < dmarc.Quarantine || p.query.Record.SP == dmarc.None
	}
	if p.query != nil {
		facts = append(slices.Clone(facts), "DMARC", p.query.Text)
	}
	return judged(finding.BIMIPolicy, bad, a.Domain, facts...)
}

func (a *audit) logo(ctx context.Context, address string) []finding.Finding {
	b, err := a.fetch(ctx, address, maxLogo)
	switch {
	case errors.Is(err, errTooLarge), errors.Is(err, errStatus):
		return []finding.Finding{finding.Of(finding.BIMILogo, finding.Fail, a.Domain, address, err.Error())}
	case err != nil:
		return unverified(err, a.Domain, finding.BIMILogo)
	}
	faults := svgFaults(b)
	facts := []string{address, fmt.Sprintf("%d octets", len(b))}
	for _, f := range faults {
		facts = append(facts, "fault", f)
	}
	return []finding.Finding{judged(finding.BIMILogo, len(faults) > 0, a.Domain, facts...)}
}

// svgFaults tells why a picture is no SVG Tiny PS that is shown. At most ten faults are told.
func svgFaults(b []byte) (faults []string) {
	fault := func(format string, args ...any) {
		if f := fmt.Sprintf(format, args...); len(faults) < 10 && !slices.Contains(faults, f) {
			faults = append(faults, f)
		}
	}
	d := xml.NewDecoder(bytes.NewReader(b))
	d.CharsetReader = func(string, io.Reader) (io.Reader, error) { return nil, errors.New("not UTF-8") }
	root, title := true, false
	for range maxTokens {
		tok, err := d.Token()
		if err == io.EOF {
			if root {
				fault("there is no element")
			} else if !title {
				fault("there is no title")
			}
			return faults
		}
		if err != nil {
			fault("XML: %v", err)
			return faults
		}
		switch tok := tok.(type) {
		case xml.Directive:
			if strings.Contains(strings.ToUpper(string(tok)), "ENTITY") {
				fault("it declares entities")
			}
		case xml.StartElement:
			if root {
				rootFaults(tok, fault)
				root = false
			}
			elementFaults(tok, fault)
			title = title || tok.Name.Local == "title"
		}
	}
	fault("more than %d parts", maxTokens)
	return faults
}

func rootFaults(e xml.StartElement, fault func(string, ...any)) {
	attr := map[string]string{}
	for _, x := range e.Attr {
		attr[x.Name.Local] = x.Value
	}
	if e.Name.Local != "svg" {
		fault("the outermost element is %s, not svg", e.Name.Local)
	}
	if attr["version"] != "1.2" {
		fault("version is %q, not 1.2", attr["version"])
	}
	if attr["baseProfile"] != "tiny-ps" {
		fault("baseProfile is %q, not tiny-ps", attr["baseProfile"])
	}
	if attr["x"] != "" || attr["y"] != "" {
		fault("the outermost element has x or y")
	}
	box := strings.FieldsFunc(attr["viewBox"], func(r rune) bool { return r == ' ' || r == ',' })
	if len(box) != 4 {
		fault("viewBox is %q", attr["viewBox"])
		return
	}
	w, err1 := strconv.ParseFloat(box[2], 64)
	h, err2 := strconv.ParseFloat(box[3], 64)
	if err1 != nil || err2 != nil || w <= 0 || w != h {
		fault("viewBox %q is not square", attr["viewBox"])
	}
}

func elementFaults(e xml.StartElement, fault func(string, ...any)) {
	switch e.Name.Local {
	case "script", "image", "foreignObject", "animate", "animateTransform", "animateMotion", "set", "a", "iframe":
		fault("it has the element %s", e.Name.Local)
	}
	for _, x := range e.Attr {
		if strings.HasPrefix(strings.ToLower(x.Name.Local), "on") {
			fault("it has the attribute %s", x.Name.Local)
		}
		if x.Name.Local == "href" && !strings.HasPrefix(x.Value, "#") {
			fault("it links to %.60q", x.Value)
		}
	}
}

// mark judges the certificate that says that the logo is the domain's.
func (a *audit) mark(ctx context.Context, address string) []finding.Finding {
	if address == "" {
		return []finding.Finding{finding.Of(finding.BIMICertificate, finding.Fail, a.Domain, "a=", "none")}
	}
	link, err := httpsURL(address)
	if err != nil {
		return []finding.Finding{finding.Of(finding.BIMICertificate, finding.Fail, a.Domain, "a=", err.Error())}
	}
	b, err := a.fetch(ctx, link, maxChain)
	switch {
	case errors.Is(err, errTooLarge), errors.Is(err, errStatus):
		return []finding.Finding{finding.Of(finding.BIMICertificate, finding.Fail, a.Domain, link, err.Error())}
	case err != nil:
		return unverified(err, a.Domain, finding.BIMICertificate)
	}
	faults, facts := markFaults(b, a.Domain, a.cfg.Now())
	for _, f := range faults {
		facts = append(facts, "fault", f)
	}
	return []finding.Finding{judged(finding.BIMICertificate, len(faults) > 0, a.Domain, append([]string{"a=", link}, facts...)...)}
}

// markFaults looks at the first certificate of a chain. Whether its authority is one of those that issue such certificates
// each receiver decides.
func markFaults(b []byte, domain string, now time.Time) (faults, facts []string) {
	var certs []*x509.Certificate
	for range maxCerts {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return []string{err.Error()}, nil
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return []string{"there is no certificate in it"}, nil
	}
	leaf := certs[0]
	facts = []string{"issuer", leaf.Issuer.String(), "valid until", leaf.NotAfter.UTC().Format(time.RFC3339)}
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		faults = append(faults, "it is not valid now")
	}
	if !slices.ContainsFunc(leaf.UnknownExtKeyUsage, markUsage.Equal) {
		faults = append(faults, "it is no mark certificate")
	}
	if !slices.ContainsFunc(leaf.DNSNames, func(n string) bool {
		n = strings.ToLower(n)
		return n == domain || n == "default._bimi."+domain || strings.HasSuffix(domain, "."+n)
	}) {
		faults = append(faults, "it is for "+strings.Join(leaf.DNSNames, " "))
	}
	for i := range len(certs) - 1 {
		if err := certs[i].CheckSignatureFrom(certs[i+1]); err != nil {
			faults = append(faults, "the chain is broken: "+err.Error())
			break
		}
	}
	return faults, facts
}

var (
	errTooLarge = errors.New("it is too large")
	errStatus   = errors.New("it is not there")
)

// fetch gets a page of at most so many octets. errTooLarge and errStatus are the page's faults; other errors say that it
// could not be asked.
func (a *audit) fetch(ctx context.Context, address string, most int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	resp, err := a.cfg.HTTP.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: %s", errStatus, resp.Status)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%w: more than %d octets", errTooLarge, most)
	}
	return b, err
}
