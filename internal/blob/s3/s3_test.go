package s3

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"posta/internal/blob"
	"posta/internal/blob/blobtest"
)

// service is an S3 service in memory, on loopback, that fails when told to.
type service struct {
	url string

	mu    sync.Mutex
	fault func(r *http.Request) http.HandlerFunc // nil, or nil answer: no fault
	seen  []string                               // method and path
}

func newService(t testing.TB) *service {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("mail"); err != nil {
		t.Fatal(err)
	}
	real := gofakes3.New(backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	v := &service{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v.mu.Lock()
		v.seen = append(v.seen, r.Method+" "+r.URL.Path)
		fault := v.fault
		v.mu.Unlock()
		if fault != nil {
			if answer := fault(r); answer != nil {
				answer(w, r)
				return
			}
		}
		real.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	v.url = strings.TrimPrefix(server.URL, "http://")
	return v
}

func (v *service) config() Config {
	return Config{
		Endpoint: v.url, Plaintext: true, Region: "us-east-1", Bucket: "mail", Prefix: "blobs/", AccessKey: "posta", SecretKey: "open sesame",
		SoloBytes: 1 << 20, Gather: 2 * time.Millisecond, Attempts: 4, Pause: time.Millisecond, Attempt: 5 * time.Second,
	}
}

func mustOpen(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blobtest.Env {
		v := newService(t)
		return blobtest.Env{Shared: true, SoloBytes: 1 << 20, Open: func(t testing.TB) blob.Store { return mustOpen(t, v.config()) }}
	})
}

// failing sets a fault for the first n requests of a method.
func (v *service) failing(method string, n int64, answer http.HandlerFunc) (hits *atomic.Int64) {
	hits = new(atomic.Int64)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.fault = func(r *http.Request) http.HandlerFunc {
		if r.Method != method || hits.Load() >= n {
			return nil
		}
		hits.Add(1)
		return answer
	}
	return hits
}

func slowDown(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(http.StatusServiceUnavailable)
	io.WriteString(w, `<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>`)
}

func cutOff(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func refuse(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		io.WriteString(w, `<?xml version="1.0"?><Error><Code>`+code+`</Code></Error>`)
	}
}

func TestFaultsThatPass(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{"SlowDown": slowDown, "broken connection": cutOff, "500": refuse(500, "InternalError")} {
		for _, size := range []int{5000, 1<<20 + 1, partBytes + 1} { // the last goes in two parts
			v := newService(t)
			cfg := v.config()
			if size > partBytes {
				if name != "SlowDown" {
					continue // once is enough for 32 MiB
				}
				cfg.AccessKey, cfg.SecretKey = "", "" // this service does not decode the chunked signature of parts
			}
			s := mustOpen(t, cfg)
			hits := v.failing(http.MethodPut, 2, answer)
			it := blobtest.Put(t, s, rand.New(rand.NewPCG(1, 1)), size)
			if hits.Load() != 2 {
				t.Errorf("%s: %d faults, want 2", name, hits.Load())
			}
			v.failing(http.MethodGet, 2, answer)
			blobtest.Check(t, s, it)
			s.Close()
		}
	}
}

func TestFaultsThatStay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   error
		tries  int64
	}{
		{"SlowDown", slowDown, blob.ErrTemporary, 4},
		{"broken connection", cutOff, blob.ErrTemporary, 4},
		{"storage full", refuse(507, "XMinioStorageFull"), blob.ErrFull, 1},
		{"access denied", refuse(403, "AccessDenied"), nil, 1},
	} {
		v := newService(t)
		s := mustOpen(t, v.config())
		hits := v.failing(http.MethodPut, 1000, c.answer)
		_, rec := blobtest.Record(rand.New(rand.NewPCG(1, 1)), 3000)
		_, err := s.Put(t.Context(), []blob.Record{rec})
		if err == nil || c.want != nil && !errors.Is(err, c.want) || errors.Is(err, blob.ErrTemporary) != (c.tries > 1) {
			t.Errorf("%s: Put: %v", c.name, err)
		}
		if hits.Load() != c.tries {
			t.Errorf("%s: %d tries, want %d", c.name, hits.Load(), c.tries)
		}
		if errors.Is(err, blob.ErrTemporary) && strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: the error tells the secret: %v", c.name, err)
		}
		v.failing("", 0, nil)
		blobtest.Check(t, s, blobtest.Put(t, s, rand.New(rand.NewPCG(2, 2)), 3000))
		s.Close()
	}
}

// The answer to a PUT is lost after the object was stored: the repeat stores the same bytes under the same
// key, so there is one object with one record.
func TestAnswerLostAfterSuccess(t *testing.T) {
	t.Parallel()
	for _, size := range []int{5000, 1<<20 + 1} {
		v := newService(t)
		cfg := v.config()
		lose := &losing{methods: map[string]int{http.MethodPut: 2}}
		cfg.Transport = lose
		s := mustOpen(t, cfg)
		it := blobtest.Put(t, s, rand.New(rand.NewPCG(1, 1)), size)
		blobtest.Check(t, s, it)
		if lose.lost != 2 {
			t.Errorf("%d answers lost, want 2", lose.lost)
		}
		found := 0
		damage, err := s.Scan(t.Context(), func(e blob.Entry) error { found++; return nil })
		if found != 1 || len(damage) > 0 || err != nil {
			t.Errorf("%d records, %v, %v", found, damage, err)
		}
		v.mu.Lock()
		keys := map[string]int{}
		for _, line := range v.seen {
			if strings.HasPrefix(line, "PUT ") {
				keys[line]++
			}
		}
		v.mu.Unlock()
		if len(keys) != 1 {
			t.Errorf("PUTs: %v, want one key three times", keys)
		}
		s.Close()
	}
}

// losing drops the first answers of a method.
type losing struct {
	mu      sync.Mutex
	methods map[string]int
	lost    int
}

func (l *losing) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(r)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && l.methods[r.Method] > 0 {
		l.methods[r.Method]--
		l.lost++
		res.Body.Close()
		return nil, errors.New("read: connection reset by peer")
	}
	return res, err
}

// A service that does not answer costs one attempt's time, not the session.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	v := newService(t)
	cfg := v.config()
	cfg.Attempt, cfg.Attempts, cfg.Budget = 50*time.Millisecond, 100, 300*time.Millisecond
	s := mustOpen(t, cfg)
	defer s.Close()
	v.failing(http.MethodPut, 1000, func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	_, rec := blobtest.Record(rand.New(rand.NewPCG(1, 1)), 3000)
	start := time.Now()
	if _, err := s.Put(t.Context(), []blob.Record{rec}); !errors.Is(err, blob.ErrTemporary) {
		t.Errorf("Put: %v", err)
	}
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("Put took %v", took)
	}
}

// A GET whose body stops in the middle is repeated; nothing torn is handed on.
func TestBodyCutShort(t *testing.T) {
	t.Parallel()
	v := newService(t)
	s := mustOpen(t, v.config())
	defer s.Close()
	it := blobtest.Put(t, s, rand.New(rand.NewPCG(1, 1)), 1<<20+5000)
	hits := v.failing(http.MethodGet, 2, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1048576")
		w.WriteHeader(http.StatusPartialContent)
		w.Write(make([]byte, 5000))
	})
	blobtest.Check(t, s, it)
	if hits.Load() != 2 {
		t.Errorf("%d faults, want 2", hits.Load())
	}
}

// Records that arrive together share an object.
func TestGather(t *testing.T) {
	t.Parallel()
	v := newService(t)
	cfg := v.config()
	cfg.Gather = time.Second
	cfg.BatchBytes = 10 * 5000
	s := mustOpen(t, cfg)
	defer s.Close()
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() { blobtest.Put(t, s, rand.New(rand.NewPCG(uint64(i), 1)), 5000) })
	}
	wg.Wait()
	units, err := s.Units(t.Context())
	if err != nil || len(units) != 1 {
		t.Errorf("units: %v, %v", units, err)
	}
}

func TestDamagedObject(t *testing.T) {
	t.Parallel()
	v := newService(t)
	s := mustOpen(t, v.config())
	defer s.Close()
	it := blobtest.Put(t, s, rand.New(rand.NewPCG(1, 1)), 5000)
	res, err := http.Get("http://" + v.url + "/mail/blobs/" + it.At.Unit)
	if err != nil {
		t.Fatal(err)
	}
	object, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	object[it.At.Offset+300] ^= 1
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+v.url+"/mail/blobs/"+it.At.Unit, bytes.NewReader(object))
	if res, err = http.DefaultClient.Do(req); err != nil || res.StatusCode != 200 {
		t.Fatal(res, err)
	}
	res.Body.Close()
	if _, err := s.Open(t.Context(), it.ID, it.At); !errors.Is(err, blob.ErrCorrupt) {
		t.Errorf("Open: %v", err)
	}
	damage, err := s.Scan(t.Context(), func(blob.Entry) error { return errors.New("visited") })
	if err != nil || len(damage) != 1 {
		t.Errorf("Scan: %v, %v", damage, err)
	}
}
