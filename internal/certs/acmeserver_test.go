package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// acmeServer is an ACME authority (the subset of RFC 8555 that an order needs)
// that believes nothing: it checks each signature, nonce and URL, and validates
// names by really asking the doors at httpAddr and tlsAddr.
type acmeServer struct {
	*httptest.Server
	t        *testing.T
	ca       *Authority
	httpAddr string // where HTTP-01 asks, whatever the name
	tlsAddr  string // where TLS-ALPN-01 asks
	offer    []string
	life     func() (notBefore, notAfter time.Time)
	window   func() (start, end time.Time) // ARI; nil means that it says nothing

	mu       sync.Mutex
	nonces   map[string]bool
	accounts map[string]*acmeAccount // by URL
	orders   []*acmeOrder
	asked    []string // challenges validated with success: "type name"
	down     bool     // answers 503
	contacts []string
}

type acmeAccount struct {
	url   string
	key   *ecdsa.PublicKey
	thumb string
}

type acmeOrder struct {
	id          int
	account     *acmeAccount
	name        string
	token       string
	state       string // of the order
	authz       string // of its one authorization
	why         string
	certificate []byte
}

func newACMEServer(t *testing.T) *acmeServer {
	ca, err := NewAuthority("ACME test", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	s := &acmeServer{
		t: t, ca: ca, offer: []string{"http-01", "tls-alpn-01", "dns-01"},
		nonces: map[string]bool{}, accounts: map[string]*acmeAccount{},
		life: func() (time.Time, time.Time) {
			return time.Now().Add(-time.Hour), time.Now().Add(90 * 24 * time.Hour)
		},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /dir", s.directory)
	mux.HandleFunc("/nonce", func(w http.ResponseWriter, r *http.Request) {})
	mux.HandleFunc("POST /account", s.post(s.newAccount))
	mux.HandleFunc("POST /account/{id}", s.post(s.updateAccount))
	mux.HandleFunc("POST /order", s.post(s.newOrder))
	mux.HandleFunc("POST /order/{id}", s.post(s.order(s.showOrder)))
	mux.HandleFunc("POST /authz/{id}", s.post(s.order(s.showAuthz)))
	mux.HandleFunc("POST /challenge/{id}/{type}", s.post(s.order(s.challenge)))
	mux.HandleFunc("POST /finalize/{id}", s.post(s.order(s.finalize)))
	mux.HandleFunc("POST /cert/{id}", s.post(s.order(s.giveCert)))
	mux.HandleFunc("GET /ari/{id}", s.renewalInfo)
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.down {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		nonce := rand.Text()
		s.nonces[nonce] = true
		w.Header().Set("Replay-Nonce", nonce)
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Type", "application/json")
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// root is the PEM of what signed the server's own HTTPS certificate.
func (s *acmeServer) root() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

func (s *acmeServer) directory(w http.ResponseWriter, r *http.Request) {
	d := map[string]any{
		"newNonce": s.URL + "/nonce", "newAccount": s.URL + "/account", "newOrder": s.URL + "/order",
		"meta": map[string]any{"termsOfService": s.URL + "/terms"},
	}
	if s.window != nil {
		d["renewalInfo"] = s.URL + "/ari"
	}
	json.NewEncoder(w).Encode(d)
}

// request is a verified JWS.
type request struct {
	*http.Request
	account *acmeAccount // nil for newAccount
	key     *ecdsa.PublicKey
	payload []byte
}

// post verifies the JWS of a request (RFC 8555 §6.2 to §6.5).
func (s *acmeServer) post(h func(http.ResponseWriter, *request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		req, err := s.verify(r)
		if err != nil {
			s.t.Errorf("acme: %s: %v", r.URL.Path, err)
			problem(w, "malformed", err.Error())
			return
		}
		h(w, req)
	}
}

func problem(w http.ResponseWriter, kind, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(http.StatusBadRequest)
	json.NewEncoder(w).Encode(map[string]string{"type": "urn:ietf:params:acme:error:" + kind, "detail": detail})
}

func (s *acmeServer) verify(r *http.Request) (*request, error) {
	var jws struct{ Protected, Payload, Signature string }
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<16)).Decode(&jws); err != nil {
		return nil, err
	}
	var head struct {
		Alg, Nonce, URL, Kid string
		JWK                  *struct{ Kty, Crv, X, Y string }
	}
	if err := json.Unmarshal(unbase64(jws.Protected), &head); err != nil {
		return nil, err
	}
	req := &request{Request: r, payload: unbase64(jws.Payload)}
	switch {
	case r.Header.Get("Content-Type") != "application/jose+json":
		return nil, errors.New("content type")
	case head.Alg != "ES256":
		return nil, fmt.Errorf("alg %q", head.Alg)
	case head.URL != s.URL+r.URL.Path:
		return nil, fmt.Errorf("url %q", head.URL)
	case !s.nonces[head.Nonce]:
		return nil, errors.New("nonce used or unknown")
	case head.JWK != nil:
		var err error
		point := append([]byte{4}, append(unbase64(head.JWK.X), unbase64(head.JWK.Y)...)...)
		if req.key, err = ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point); err != nil {
			return nil, err
		}
	default:
		if req.account = s.accounts[head.Kid]; req.account == nil {
			return nil, fmt.Errorf("kid %q", head.Kid)
		}
		req.key = req.account.key
	}
	delete(s.nonces, head.Nonce)
	sum, sig := sha256.Sum256([]byte(jws.Protected+"."+jws.Payload)), unbase64(jws.Signature)
	if len(sig) != 64 || !ecdsa.Verify(req.key, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
		return nil, errors.New("signature")
	}
	return req, nil
}

func unbase64(s string) []byte {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}

// thumbprint is that of RFC 7638.
func thumbprint(k *ecdsa.PublicKey) string {
	point, err := k.Bytes()
	if err != nil {
		return ""
	}
	e := base64.RawURLEncoding.EncodeToString
	sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, e(point[1:33]), e(point[33:])))
	return e(sum[:])
}

func (s *acmeServer) newAccount(w http.ResponseWriter, r *request) {
	var in struct {
		Contact              []string
		TermsOfServiceAgreed bool
	}
	if err := json.Unmarshal(r.payload, &in); err != nil || !in.TermsOfServiceAgreed {
		problem(w, "userActionRequired", "terms of service")
		return
	}
	thumb := thumbprint(r.key)
	for _, a := range s.accounts {
		if a.thumb == thumb {
			w.Header().Set("Location", a.url)
			json.NewEncoder(w).Encode(map[string]any{"status": "valid", "contact": s.contacts})
			return
		}
	}
	s.contacts = in.Contact
	a := &acmeAccount{fmt.Sprintf("%s/account/%d", s.URL, len(s.accounts)+1), r.key, thumb}
	s.accounts[a.url] = a
	w.Header().Set("Location", a.url)
	w.WriteHeader(http.StatusCreated)
	json.NewEncoder(w).Encode(map[string]any{"status": "valid", "contact": s.contacts})
}

func (s *acmeServer) updateAccount(w http.ResponseWriter, r *request) {
	var in struct{ Contact []string }
	if err := json.Unmarshal(r.payload, &in); err == nil && in.Contact != nil {
		s.contacts = in.Contact
	}
	json.NewEncoder(w).Encode(map[string]any{"status": "valid", "contact": s.contacts})
}

func (s *acmeServer) newOrder(w http.ResponseWriter, r *request) {
	var in struct {
		Identifiers []struct{ Type, Value string }
	}
	if err := json.Unmarshal(r.payload, &in); err != nil || len(in.Identifiers) != 1 || in.Identifiers[0].Type != "dns" {
		problem(w, "malformed", "one dns identifier per order")
		return
	}
	o := &acmeOrder{
		id: len(s.orders), account: r.account, name: in.Identifiers[0].Value, token: rand.Text(),
		state: "pending", authz: "pending",
	}
	s.orders = append(s.orders, o)
	w.Header().Set("Location", fmt.Sprintf("%s/order/%d", s.URL, o.id))
	w.WriteHeader(http.StatusCreated)
	s.writeOrder(w, o)
}

// order finds the order of a request and that it is the asker's.
func (s *acmeServer) order(h func(http.ResponseWriter, *request, *acmeOrder)) func(http.ResponseWriter, *request) {
	return func(w http.ResponseWriter, r *request) {
		for _, o := range s.orders {
			if fmt.Sprint(o.id) == r.PathValue("id") && o.account == r.account {
				h(w, r, o)
				return
			}
		}
		problem(w, "unauthorized", "no such order of yours")
	}
}

func (s *acmeServer) writeOrder(w http.ResponseWriter, o *acmeOrder) {
	out := map[string]any{
		"status": o.state, "identifiers": []any{map[string]string{"type": "dns", "value": o.name}},
		"authorizations": []string{fmt.Sprintf("%s/authz/%d", s.URL, o.id)},
		"finalize":       fmt.Sprintf("%s/finalize/%d", s.URL, o.id),
	}
	if o.state == "valid" {
		out["certificate"] = fmt.Sprintf("%s/cert/%d", s.URL, o.id)
	}
	json.NewEncoder(w).Encode(out)
}

func (s *acmeServer) showOrder(w http.ResponseWriter, r *request, o *acmeOrder) { s.writeOrder(w, o) }

func (s *acmeServer) showAuthz(w http.ResponseWriter, r *request, o *acmeOrder) {
	if strings.Contains(string(r.payload), "deactivated") {
		o.authz = "deactivated"
	}
	var offers []any
	for _, kind := range s.offer {
		offers = append(offers, s.challengeObject(o, kind))
	}
	json.NewEncoder(w).Encode(map[string]any{
		"status": o.authz, "identifier": map[string]string{"type": "dns", "value": o.name}, "challenges": offers,
	})
}

func (s *acmeServer) challengeObject(o *acmeOrder, kind string) map[string]any {
	out := map[string]any{
		"type": kind, "url": fmt.Sprintf("%s/challenge/%d/%s", s.URL, o.id, kind), "token": o.token, "status": o.authz,
	}
	if o.authz == "invalid" {
		out["error"] = map[string]string{"type": "urn:ietf:params:acme:error:unauthorized", "detail": o.why}
	}
	return out
}

// challenge validates at once.
func (s *acmeServer) challenge(w http.ResponseWriter, r *request, o *acmeOrder) {
	kind := r.PathValue("type")
	var err error
	switch {
	case !slices.Contains(s.offer, kind):
		err = errors.New("not offered")
	case kind == "http-01":
		err = s.askHTTP(o)
	case kind == "tls-alpn-01":
		err = s.askTLS(o)
	default:
		err = errors.New("cannot validate " + kind)
	}
	if err != nil {
		o.authz, o.state, o.why = "invalid", "invalid", err.Error()
	} else {
		o.authz, o.state = "valid", "ready"
		s.asked = append(s.asked, kind+" "+o.name)
	}
	json.NewEncoder(w).Encode(s.challengeObject(o, kind))
}

// askHTTP is RFC 8555 §8.3.
func (s *acmeServer) askHTTP(o *acmeOrder) error {
	req, err := http.NewRequest("GET", "http://"+s.httpAddr+"/.well-known/acme-challenge/"+o.token, nil)
	if err != nil {
		return err
	}
	req.Host = o.name
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if want := o.token + "." + o.account.thumb; err != nil || resp.StatusCode != 200 || strings.TrimRight(string(body), " \r\n") != want {
		return fmt.Errorf("http-01: %s %q %v", resp.Status, body, err)
	}
	return nil
}

// askTLS is RFC 8737 §3.
func (s *acmeServer) askTLS(o *acmeOrder) error {
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", s.tlsAddr, &tls.Config{
		ServerName: o.name, NextProtos: []string{"acme-tls/1"}, InsecureSkipVerify: true,
	})
	if err != nil {
		return err
	}
	defer c.Close()
	state := c.ConnectionState()
	leaf := state.PeerCertificates[0]
	sum := sha256.Sum256([]byte(o.token + "." + o.account.thumb))
	want := append([]byte{0x04, 0x20}, sum[:]...)
	switch {
	case state.NegotiatedProtocol != "acme-tls/1":
		return fmt.Errorf("tls-alpn-01: protocol %q", state.NegotiatedProtocol)
	case len(leaf.DNSNames) != 1 || leaf.DNSNames[0] != o.name:
		return fmt.Errorf("tls-alpn-01: names %q", leaf.DNSNames)
	}
	for _, e := range leaf.Extensions {
		if e.Id.String() == "1.3.6.1.5.5.7.1.31" && e.Critical && slices.Equal(e.Value, want) {
			return nil
		}
	}
	return errors.New("tls-alpn-01: no acmeIdentifier with our key authorization")
}

func (s *acmeServer) finalize(w http.ResponseWriter, r *request, o *acmeOrder) {
	var in struct{ CSR string }
	if err := json.Unmarshal(r.payload, &in); err != nil || o.state != "ready" {
		problem(w, "orderNotReady", o.state)
		return
	}
	csr, err := x509.ParseCertificateRequest(unbase64(in.CSR))
	if err != nil || csr.CheckSignature() != nil || !slices.Equal(csr.DNSNames, []string{o.name}) {
		problem(w, "badCSR", fmt.Sprint(err))
		return
	}
	if o.certificate, err = s.issue(o.name, csr.PublicKey); err != nil {
		problem(w, "serverInternal", err.Error())
		return
	}
	o.state = "valid"
	s.writeOrder(w, o)
}

func (s *acmeServer) issue(name string, key crypto.PublicKey) ([]byte, error) {
	t := template(name, time.Now(), time.Hour)
	t.NotBefore, t.NotAfter = s.life()
	setNames(t, []string{name})
	der, err := x509.CreateCertificate(rand.Reader, t, s.ca.Certificate, key, s.ca.key)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), err
}

func (s *acmeServer) giveCert(w http.ResponseWriter, r *request, o *acmeOrder) {
	w.Header().Set("Content-Type", "application/pem-certificate-chain")
	w.Write(append(o.certificate, s.ca.PEM()...))
}

func (s *acmeServer) renewalInfo(w http.ResponseWriter, r *http.Request) {
	start, end := s.window()
	json.NewEncoder(w).Encode(map[string]any{"suggestedWindow": map[string]any{"start": start, "end": end}})
}

// set changes how the server behaves.
func (s *acmeServer) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// validated lists the challenges that were validated so far.
func (s *acmeServer) validated() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}
