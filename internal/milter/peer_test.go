package milter

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	peer "github.com/d--j/go-milter"
	"github.com/google/go-cmp/cmp"
)

// listener is a milter on a library of others; it writes down what it hears and
// asks for every edit.
type listener struct {
	peer.NoOpMilter
	mu   *sync.Mutex
	book *[]string
	body bytes.Buffer
}

func (l *listener) note(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*l.book = append(*l.book, fmt.Sprintf(format, args...))
}

func (l *listener) Connect(host, family string, port uint16, addr string, m peer.Modifier) (*peer.Response, error) {
	l.note("connect %s %s %d %s j=%s", host, family, port, addr, m.Get(peer.MacroMTAFQDN))
	return peer.RespContinue, nil
}

func (l *listener) Helo(name string, m peer.Modifier) (*peer.Response, error) {
	l.note("helo %s tls=%s", name, m.Get(peer.MacroTlsVersion))
	return peer.RespContinue, nil
}

func (l *listener) MailFrom(from, args string, m peer.Modifier) (*peer.Response, error) {
	l.note("mail %s %s i=%s addr=%s", from, args, m.Get(peer.MacroQueueId), m.Get(peer.MacroMailAddr))
	l.body.Reset()
	return peer.RespContinue, nil
}

func (l *listener) RcptTo(to, args string, m peer.Modifier) (*peer.Response, error) {
	l.note("rcpt %s %s addr=%s", to, args, m.Get(peer.MacroRcptAddr))
	if strings.HasPrefix(to, "nobody") {
		return peer.RejectWithCodeAndReason(550, "5.1.1 100% nobody")
	}
	return peer.RespContinue, nil
}

func (l *listener) Data(peer.Modifier) (*peer.Response, error) {
	l.note("data")
	return peer.RespContinue, nil
}

func (l *listener) Header(name, value string, _ peer.Modifier) (*peer.Response, error) {
	l.note("header %s:%q", name, value)
	return peer.RespContinue, nil
}

func (l *listener) BodyChunk(chunk []byte, _ peer.Modifier) (*peer.Response, error) {
	l.body.Write(chunk)
	return peer.RespContinue, nil
}

func (l *listener) EndOfMessage(m peer.Modifier) (*peer.Response, error) {
	l.note("end %d octets", l.body.Len())
	return peer.RespContinue, errors.Join(
		m.Progress(),
		m.AddHeader("X-Last", "a\n b"),
		m.InsertHeader(0, "X-First", "c"),
		m.ChangeHeader(1, "Subject", "new"),
		m.ChangeHeader(1, "X-Spam", ""),
		m.AddRecipient("<carl@example.org>", "NOTIFY=NEVER"),
		m.DeleteRecipient("<bea@example.org>"),
		m.ChangeFrom("<new@example.net>", ""),
		m.Quarantine("odd"),
		m.ReplaceBody(strings.NewReader("new body\n")),
	)
}

// go-milter's server hears what is to be heard and its edits arrive; a body of several chunks arrives whole.
func TestGoMilter(t *testing.T) {
	for _, protocol := range []peer.OptProtocol{0, peer.OptNoReplies &^ peer.OptNoRcptReply, peer.OptHeaderLeadingSpace} {
		t.Run(fmt.Sprintf("%#x", uint32(protocol)), func(t *testing.T) { playGoMilter(t, protocol) })
	}
}

func playGoMilter(t *testing.T, protocol peer.OptProtocol) {
	var mu sync.Mutex
	var book []string
	server := peer.NewServer(
		peer.WithMilter(func() peer.Milter { return &listener{mu: &mu, book: &book} }),
		peer.WithActions(peer.OptAddHeader|peer.OptChangeBody|peer.OptAddRcpt|peer.OptRemoveRcpt|peer.OptChangeHeader|peer.OptQuarantine|peer.OptChangeFrom|peer.OptAddRcptWithArgs),
		peer.WithProtocols(protocol),
	)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	c, err := New(l.Addr().String(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("0123456789\r\n", 20_000)
	tx := &Transaction{
		Client: netip.MustParseAddrPort("192.0.2.7:4711"), Name: "mx.example.net", Helo: "mx.example.net",
		From: Path{"ana@example.net", []string{"SIZE=1"}}, To: []Path{{"nobody@example.org", nil}, {"bea@example.org", nil}},
		Macros: Macros{"j": "mx.example.org", "i": "01abc", "tls_version": "TLS1.3"},
		Header: []byte("Subject: old\r\n one\r\nX-Spam: yes\r\n\r\n"), Body: func() io.Reader { return strings.NewReader(long) },
	}
	for range 2 {
		var body bytes.Buffer
		r, err := c.Play(t.Context(), tx, func() io.Writer { body.Reset(); return &body })
		if err != nil {
			t.Fatal(err)
		}
		if r.Rcpt == nil || r.Rcpt[0].Reply.String() != "550 5.1.1 100% nobody" || r.Rcpt[1].Final() {
			t.Error("recipients:", r.Rcpt)
		}
		checkEdited(t, tx, r, &body, protocol)
	}
	if err := errors.Join(c.Close(), server.Close()); err != nil {
		t.Error(err)
	}
	<-served
	checkHeard(t, book, protocol)
}

func checkEdited(t *testing.T, tx *Transaction, r Result, body *bytes.Buffer, protocol peer.OptProtocol) {
	t.Helper()
	var m bytes.Buffer
	if err := Apply(&m, tx.Header, nil, body, r.Edits); err != nil {
		t.Error(err)
	}
	want := "X-First: c\r\nSubject: new\r\nX-Last: a\r\n b\r\n\r\nnew body\r\n"
	if protocol&peer.OptHeaderLeadingSpace != 0 { // it writes no space, so none is there
		want = strings.NewReplacer("First: ", "First:", "Subject: ", "Subject:", "Last: ", "Last:").Replace(want)
	}
	if diff := cmp.Diff(want, m.String()); diff != "" {
		t.Error(diff)
	}
	var rest []string
	for _, e := range r.Edits {
		if !e.ofHeader() {
			rest = append(rest, e.String())
		}
	}
	if diff := cmp.Diff([]string{
		"add recipient <carl@example.org>", "delete recipient <bea@example.org>",
		"change reverse-path to <new@example.net>", "quarantine: odd", "replace the body",
	}, rest); diff != "" {
		t.Error(diff)
	}
}

func checkHeard(t *testing.T, book []string, protocol peer.OptProtocol) {
	t.Helper()
	space := ""
	if protocol&peer.OptHeaderLeadingSpace != 0 {
		space = " "
	}
	once := []string{
		"connect mx.example.net tcp4 4711 192.0.2.7 j=mx.example.org",
		"helo mx.example.net tls=TLS1.3",
		"mail ana@example.net SIZE=1 i=01abc addr=ana@example.net",
		"rcpt nobody@example.org  addr=nobody@example.org",
		"rcpt bea@example.org  addr=bea@example.org",
		"data",
		fmt.Sprintf("header Subject:%q", space+"old\n one"),
		fmt.Sprintf("header X-Spam:%q", space+"yes"),
		"end 240000 octets",
	}
	if diff := cmp.Diff(append(once, once...), book); diff != "" {
		t.Error(diff)
	}
}
