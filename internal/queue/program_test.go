package queue

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"posta/internal/program"
	"posta/internal/smtp"
	"posta/internal/store"
)

// programs are doubles by name: each ends as it is told.
type programs struct {
	mu   sync.Mutex
	ends map[string][]program.Result // by recipient, in order; the last one repeats
	runs []string
	read string
}

func (p *programs) Run(_ context.Context, name string, env []string, stdin io.Reader) program.Result {
	b, err := io.ReadAll(stdin)
	if err != nil {
		return program.Result{Exit: -1, Err: err}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read = string(b)
	p.runs = append(p.runs, name+" "+strings.Join(env, " "))
	to := strings.TrimPrefix(env[1], "RECIPIENT=")
	res := p.ends[to][0]
	if len(p.ends[to]) > 1 {
		p.ends[to] = p.ends[to][1:]
	}
	return res
}

// A program gets the message once for each recipient; who is to be tried later is, and
// what is refused is told in the program's words.
func TestPrograms(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := &programs{ends: map[string][]program.Result{
			"tickets+alta@posta.test": {{Exit: 75}, {Exit: -1, Err: program.ErrTime}, {}},
			"nadie@posta.test":        {{Exit: 67, Output: []byte("no hay\ntal cola: ñ\n")}},
		}}
		b := newBench(t, func(c *Config) { c.Programs = p })
		e := mailTo()
		for to := range p.ends {
			e.Recipients = append(e.Recipients, store.QueueTo{Address: to, Domain: "pipe:tickets"})
		}
		b.enqueue(aLetter, e)
		time.Sleep(time.Hour)
		if b.left() != 0 {
			t.Errorf("%d left", b.left())
		}
		want(t, "notices", b.told(), "ana@posta.test: failed 5.1.1 nadie@posta.test")
		if n := b.deposited(); !strings.Contains(n[0].text, "The program knows no such user: no hay tal cola: ?") {
			t.Errorf("the program is not quoted:\n%s", n[0].text)
		}
		if len(p.runs) != 4 || p.runs[3] != "tickets SENDER=ana@posta.test RECIPIENT=tickets+alta@posta.test LOCAL=tickets+alta DOMAIN=posta.test USER=tickets EXTENSION=alta HOME=/" {
			t.Errorf("%d runs, the last %s", len(p.runs), p.runs[len(p.runs)-1])
		}
		if read := "Return-Path: <ana@posta.test>\n" + strings.ReplaceAll("Received: from x by mail.posta.test\r\n"+aLetter, "\r", ""); p.read != read {
			t.Errorf("it read %q\nwant %q", p.read, read)
		}
	})
}

// Nobody's mail is lost because a program is not named any more.
func TestProgramUnknown(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBench(t)
		e := mailTo()
		e.Recipients = []store.QueueTo{{Address: "a@posta.test", Domain: "pipe:nada"}}
		b.enqueue(aLetter, e)
		time.Sleep(time.Hour)
		if b.left() != 1 || len(b.told()) != 0 {
			t.Errorf("%d left, told %q", b.left(), b.told())
		}
	})
}

// sysexits.h, and what is none of it.
func TestMeaning(t *testing.T) {
	for exit, class := range map[int]int{0: 2, 1: 5, 64: 5, 65: 5, 66: 5, 67: 5, 68: 5, 69: 5, 70: 5, 71: 4, 72: 5, 73: 5, 74: 5, 75: 4, 76: 5, 77: 5, 78: 5, 127: 5, 255: 5} {
		code, enhanced, text := meaning(exit)
		r := smtp.New(code, enhanced, text)
		if code/100 != class || r.Enhanced == (smtp.Enhanced{}) {
			t.Errorf("%d is %s", exit, r)
		}
	}
}

// Whatever a program says, it is one ASCII line of a reply, and whatever is read in
// whatever pieces, only the CR of a CRLF is lost.
func FuzzProgram(f *testing.F) {
	f.Add([]byte("a\r\nb\rc\r\r\n\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s := quoted(b); len(s) > maxQuoted || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q", s)
		}
		want := strings.ReplaceAll(string(b), "\r\n", "\n")
		for _, r := range []io.Reader{strings.NewReader(string(b)), iotest.OneByteReader(strings.NewReader(string(b)))} {
			got, err := io.ReadAll(unixLines{bufio.NewReaderSize(r, 16)})
			if err != nil || string(got) != want {
				t.Errorf("got %q %v, want %q", got, err, want)
			}
		}
		for _, to := range []string{string(b), fmt.Sprintf("%s@example.org", b)} {
			for _, v := range environment("", to) {
				if !strings.Contains(v, "=") {
					t.Errorf("%q", v)
				}
			}
		}
	})
}
