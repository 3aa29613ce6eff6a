package scan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"posta/internal/milter"
)

// RspamdOptions are what an Rspamd may be told. The zero value is usable.
type RspamdOptions struct {
	Password string // of the controller or of a worker that wants one
	MaxBytes int64  // the largest message that is sent; 0 is 50 MiB, rspamd's max_message
	// Transport is used instead of one of our own, which knows unix sockets, no
	// proxies, and follows nobody elsewhere.
	Transport http.RoundTripper
}

// Rspamd is a scanner that asks rspamd with POST /checkv2.
type Rspamd struct {
	base   string
	o      RspamdOptions
	client http.Client
}

// maxRspamd bounds a reply of rspamd in octets.
const maxRspamd = 1 << 20

// NewRspamd makes a scanner of rspamd's address: http://host:11333, https://…,
// or unix:/run/rspamd/worker.sock.
func NewRspamd(address string, o RspamdOptions) (*Rspamd, error) {
	if o.MaxBytes <= 0 {
		o.MaxBytes = 50 << 20
	}
	r := &Rspamd{base: strings.TrimSuffix(address, "/"), o: o}
	dialer := new(net.Dialer)
	dial := dialer.DialContext
	if path, ok := strings.CutPrefix(address, "unix:"); ok && strings.HasPrefix(path, "/") {
		r.base = "http://rspamd"
		dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return dialer.DialContext(ctx, "unix", path) }
	}
	u, err := url.Parse(r.base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("rspamd address %q: want http://host:port, https://host:port or unix:/path", address)
	}
	r.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	r.client.Transport = o.Transport
	if o.Transport == nil {
		r.client.Transport = &http.Transport{
			DialContext: dial, DisableCompression: true, MaxIdleConnsPerHost: 16,
			IdleConnTimeout: 30 * time.Second, MaxResponseHeaderBytes: 64 << 10,
		}
	}
	return r, nil
}

// Defaults implements Scanner.
func (*Rspamd) Defaults() Defaults {
	return Defaults{Kind: "rspamd", Timeout: 20 * time.Second, OnFailure: Pass, OnTooLarge: Pass}
}

// Close implements Scanner.
func (r *Rspamd) Close() error {
	r.client.CloseIdleConnections()
	return nil
}

// Ping asks for /ping and takes the Server field for a version.
func (r *Rspamd) Ping(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base+"/ping", nil)
	if err != nil {
		return "", err
	}
	res, err := r.client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 100))
	if err != nil || !strings.HasPrefix(string(b), "pong") {
		return "", failed(Nonsense, "%s %q instead of pong (%v)", res.Status, clean(string(b)), err)
	}
	return clean(res.Header.Get("Server")), nil
}

// Scan sends the whole message.
func (r *Rspamd) Scan(ctx context.Context, f *Facts, m Message, _ TempDir) (Report, error) {
	if m.Size() > r.o.MaxBytes {
		return Report{}, failed(TooLarge, "%d octets, of at most %d", m.Size(), r.o.MaxBytes)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.base+"/checkv2", ours{m.Reader()})
	if err != nil {
		return Report{}, err
	}
	req.ContentLength = m.Size()
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(ours{m.Reader()}), nil }
	// A request may be sent again when a kept connection turns out to be dead.
	req.Header["Idempotency-Key"] = []string{}
	r.header(req.Header, f)
	res, err := r.client.Do(req)
	if err != nil {
		return Report{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxRspamd+1))
	switch {
	case err != nil:
		return Report{}, err
	case len(b) > maxRspamd:
		return Report{}, failed(Nonsense, "a reply of more than %d octets", maxRspamd)
	case res.StatusCode != http.StatusOK:
		return Report{}, failed(Refused, "%s %s", clean(res.Status), clean(string(b)))
	}
	return parseRspamd(b, m.Header)
}

// ours marks errors of reading the message as those of our side.
type ours struct{ r io.Reader }

func (o ours) Read(p []byte) (int, error) {
	n, err := o.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &milter.LocalError{Err: fmt.Errorf("reading the message: %w", err)}
	}
	return n, err
}

// header tells rspamd of the envelope. Values come from clients: what is not
// printable ASCII, or UTF-8 beyond it, becomes "?".
func (r *Rspamd) header(h http.Header, f *Facts) {
	e := f.Envelope
	set := func(name, value string) {
		if value != "" {
			h.Add(name, fieldValue(value))
		}
	}
	if c := &e.Client; c.IP.IsValid() {
		set("IP", c.IP.String())
	}
	set("Helo", e.Client.HELO)
	set("Hostname", f.Name)
	set("From", "<"+e.ReversePath.String()+">")
	for _, to := range e.Recipients {
		set("Rcpt", to.Address.String())
	}
	set("User", e.Client.Login)
	set("Queue-Id", e.ID.String())
	set("MTA-Name", f.Hostname)
	set("TLS-Version", strings.Replace(e.Client.TLS.Version, "TLS1", "TLSv1", 1))
	set("TLS-Cipher", e.Client.TLS.Cipher)
	set("Password", r.o.Password)
	h.Set("User-Agent", "Posta")
}

// fieldValue makes a value fit for an HTTP header.
func fieldValue(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}
