package scan

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"posta/internal/mail"
	"posta/internal/milter"
)

// rspamd is an HTTP server that answers as a test says.
func rspamd(t *testing.T, answer http.HandlerFunc) *Rspamd {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	r, err := NewRspamd(server.URL, RspamdOptions{Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// answers is a server that reads the request and answers with a text.
func answers(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, text)
	}
}

// rspamd hears the whole message and the envelope; what a client says cannot end
// a field.
func TestRspamdRequest(t *testing.T) {
	var got http.Header
	var body, path string
	s := rspamd(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got, body, path = r.Header, string(b), r.Method+" "+r.URL.Path
		io.WriteString(w, `{"action":"no action"}`)
	})
	f := facts(t)
	f.Envelope.Client.HELO = "a\r\nSettings: {}"
	f.Envelope.Client.Login = "ana"
	f.Envelope.Client.TLS = mail.TLS{Version: "TLS1.3", Cipher: "TLS_AES_128_GCM_SHA256"}
	o := runner(t, Member{Scanner: s}).Run(t.Context(), f, text(header, "Hello\r\n"))
	if o.Action != mail.Accept || o.Results[0].Err != nil {
		t.Fatal(o.Results)
	}
	if body != header+"Hello\r\n" || path != "POST /checkv2" {
		t.Errorf("%s %q", path, body)
	}
	got.Del("Queue-Id")
	want := http.Header{
		"Ip": {"192.0.2.7"}, "Helo": {"a??Settings: {}"}, "Hostname": {"mx.example.net"}, "From": {"<ana@example.net>"},
		"Rcpt": {"bea@example.org", "carl@example.org"}, "User": {"ana"}, "Mta-Name": {"mx.example.org"},
		"Tls-Version": {"TLSv1.3"}, "Tls-Cipher": {"TLS_AES_128_GCM_SHA256"}, "Password": {"secret"},
		"User-Agent": {"Posta"}, "Content-Length": {fmt.Sprint(len(body))},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRspamdActions(t *testing.T) {
	for _, c := range []struct {
		reply string
		want  mail.Action
		cause Cause
		more  string // reply to the client, or "greylist"
	}{
		{`{"action":"no action","score":1.5,"required_score":15}`, mail.Accept, NoCause, ""},
		{`{"action":"greylist"}`, mail.Accept, NoCause, "greylist"},
		{`{"action":"add header"}`, mail.Junk, NoCause, ""},
		{`{"action":"rewrite subject"}`, mail.Junk, NoCause, ""},
		{`{"action":"quarantine"}`, mail.Quarantine, NoCause, ""},
		{`{"action":"discard"}`, mail.Discard, NoCause, ""},
		{`{"action":"soft reject","messages":{"smtp_message":"Try again later"}}`, mail.Defer, NoCause, "451 4.7.1 Try again later"},
		{`{"action":"soft reject","messages":[]}`, mail.Accept, Nonsense, ""},
		{`{"action":"reject","messages":{"smtp_message":["Gtube\r\npattern","x"]}}`, mail.Reject, NoCause, "554 5.7.1 Gtube  pattern"},
		{`{"is_skipped":true}`, mail.Accept, NoCause, ""},
		{`{}`, mail.Accept, Nonsense, ""},
		{`{"action":"make tea"}`, mail.Accept, Nonsense, ""},
		{`{"error":"cannot scan"}`, mail.Accept, Refused, ""},
		{`pong`, mail.Accept, Nonsense, ""},
		{`{"action":"reject","score":1e999}`, mail.Accept, Nonsense, ""},
		{`{"action":"reject","score":nan}`, mail.Accept, Nonsense, ""},
		{`[[[[`, mail.Accept, Nonsense, ""},
		{`{"action":"no action","x":"` + strings.Repeat("x", maxRspamd) + `"}`, mail.Accept, Nonsense, ""},
		{``, mail.Accept, Nonsense, ""},
	} {
		name := c.reply[:min(len(c.reply), 60)]
		t.Run(name, func(t *testing.T) {
			o := runner(t, Member{Scanner: rspamd(t, answers(c.reply))}).Run(t.Context(), facts(t), text(header, ""))
			res := o.Results[0]
			more := ""
			if !res.Reply.IsZero() {
				more = res.Reply.String()
			} else if res.Greylist {
				more = "greylist"
			}
			if o.Action != c.want || res.Cause != c.cause || more != c.more {
				t.Errorf("%v %v %q (%v)", o.Action, res.Cause, more, res.Err)
			}
		})
	}
}

const richReply = `{"action": "rewrite subject", "score": 7.5, "required_score": 15,
 "symbols": {
  "BAYES_SPAM": {"name": "BAYES_SPAM", "score": 4.5, "options": ["99.9%", 7]},
  "DKIM_OK": {"score": -0.5}, "ONE": {"score": 4.5, "options": "alone"}},
 "subject": "[SPAM] Grüße",
 "dkim-signature": "v=1; a=rsa-sha256",
 "milter": {
  "remove_headers": {"x-spam": 0, "Received": -1, "X-Not-There": 1, "Bad Name": 0},
  "add_headers": {
   "X-Spamd": "plain\r\nfolded",
   "X-Top": {"value": "first", "order": 0},
   "X-Many": [{"value": "a"}, "b", {"value": "above the last", "order": -2}],
   "Bad:Name": "x"}}}`

// Symbols come with the heaviest first, and edits in an order that does not depend
// on chance.
func TestRspamdEdits(t *testing.T) {
	const header = "Received: one\r\nX-Spam: a\r\nReceived: two\r\nx-spam: b\r\nSubject: Hello\r\n\r\n"
	o := runner(t, Member{Scanner: rspamd(t, answers(richReply))}).Run(t.Context(), facts(t), text(header, "Hello\r\n"))
	defer o.Close()
	res := o.Results[0]
	if res.Err != nil || res.Score != 7.5 || res.Required != 15 {
		t.Fatal(res)
	}
	want := []Symbol{{"BAYES_SPAM", 4.5, []string{"99.9%", "7"}}, {"ONE", 4.5, []string{"alone"}}, {"DKIM_OK", -0.5, nil}}
	if diff := cmp.Diff(want, res.Symbols); diff != "" {
		t.Error(diff)
	}
	edited := "X-Top: first\r\nReceived: one\r\nX-Many: above the last\r\n" +
		"Subject: =?utf-8?b?W1NQQU1dIEdyw7zDn2U=?=\r\nX-Many: a\r\nX-Many: b\r\nX-Spamd: plain\r\n\tfolded\r\n\r\nHello\r\n"
	if diff := cmp.Diff(edited, whole(t, o.Message)); diff != "" {
		t.Error(diff)
	}
}

// A flood of fields that rspamd wants removed does not make its answer unusable.
func TestRspamdRemovesAFlood(t *testing.T) {
	reply := `{"action":"reject","milter":{"remove_headers":{"X-Spam":0}}}`
	flood := strings.Repeat("X-Spam: no\r\n", 10_000)
	for _, action := range []string{"reject", "no action"} {
		s := rspamd(t, answers(strings.Replace(reply, "reject", action, 1)))
		o := runner(t, Member{Scanner: s}).Run(t.Context(), facts(t), text(flood+header, ""))
		if o.Results[0].Err != nil || action == "reject" != (o.Action == mail.Reject) || action == "no action" && whole(t, o.Message) != header {
			t.Errorf("%v %v", o.Action, o.Results)
		}
	}
}

// Down, slow, killed in the middle, wrong: rspamd has no opinion, the mail goes on
// or is put off as set.
func TestRspamdFailures(t *testing.T) {
	kill := func(after string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			io.WriteString(conn, after)
			conn.Close()
		}
	}
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		cause  Cause
	}{
		{"killed before the reply", kill(""), Down},
		{"killed in the reply", kill("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"action\":\"no"), Down},
		{"no HTTP", kill("OK milter\r\n"), Down},
		{"refuses", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "wrong password", http.StatusForbidden) }, Refused},
		{"sends elsewhere", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
		}, Refused},
		{"hangs", func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}, Slow},
		{"hangs in the reply", func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			io.WriteString(w, `{"action":`)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, Slow},
	} {
		for set, want := range map[Fallback]mail.Action{ByKind: mail.Accept, Defer: mail.Defer} {
			t.Run(c.name+" "+set.String(), func(t *testing.T) {
				m := Member{Scanner: rspamd(t, c.answer), OnFailure: set}
				if c.cause == Slow {
					m.Timeout = 200 * time.Millisecond
				}
				r := runner(t, m)
				o := r.Run(t.Context(), facts(t), text(header, "Hello\r\n"))
				if o.Action != want || o.Results[0].Cause != c.cause {
					t.Errorf("%v %v", o.Action, o.Results)
				}
			})
		}
	}
	t.Run("nobody listens", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s, err := NewRspamd("http://"+l.Addr().String(), RspamdOptions{})
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		r := runner(t, Member{Scanner: s})
		if o := r.Run(t.Context(), facts(t), text(header, "")); o.Action != mail.Accept || o.Results[0].Cause != Down {
			t.Error(o.Results)
		}
		if h := r.Health(t.Context())[0]; h.Err == nil {
			t.Error("it is said to be well")
		}
	})
}

// rspamd can listen on a unix socket, and says who it is.
func TestRspamdUnixSocket(t *testing.T) {
	path := t.TempDir() + "/s"
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", "rspamd/3.4")
		io.WriteString(w, "pong\r\n")
	})}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	s, err := NewRspamd("unix:"+path, RspamdOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if h := runner(t, Member{Scanner: s}).Health(t.Context())[0]; h.Err != nil || h.Version != "rspamd/3.4" {
		t.Error(h)
	}
	if err := server.Shutdown(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
	<-done
	for _, bad := range []string{"rspamd:11333", "ftp://rspamd", "unix:run/rspamd", ""} {
		if _, err := NewRspamd(bad, RspamdOptions{}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// Whatever rspamd writes becomes a report within bounds, whose edits leave a sound
// header, or an error.
func FuzzRspamd(f *testing.F) {
	f.Add([]byte(richReply))
	f.Add([]byte(`{"action":"no action","symbols":{"A":{"score":1,"options":[["x"]]}},"milter":{"remove_headers":{"a":[0,-9223372036854775808]}}}`))
	f.Add([]byte(`{"action":"rewrite subject","subject":"\r\n\u0000x","milter":{"add_headers":{"A":[{"value":"\r\n\r\n","order":-3}]}}}`))
	const header = "A: b\r\na: c\r\nSubject: x\r\n\r\n"
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRspamd(b, []byte(header))
		if err != nil {
			return
		}
		if !json.Valid(b) {
			t.Fatalf("%q is no JSON", b)
		}
		if len(r.Symbols) > maxSymbols || len(r.Edits) > milter.MaxEdits || len(r.Reason) > maxText {
			t.Fatal("more than the bounds")
		}
		h := string(milter.EditHeader([]byte(header), r.Edits))
		lines := strings.Split(strings.TrimSuffix(h, "\r\n\r\n"), "\r\n")
		if h != "\r\n" && !strings.HasSuffix(h, "\r\n\r\n") {
			t.Fatalf("no empty line at the end of %q", h)
		}
		for i, l := range lines {
			if h != "\r\n" && (strings.ContainsAny(l, "\r\n") || strings.Trim(l, " \t") == "" && i > 0) {
				t.Fatalf("the line %q in %q", l, h)
			}
		}
	})
}
