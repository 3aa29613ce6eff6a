//go:build linux

package program

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// The test is its own "posta": called by Verb it becomes the program.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == Verb {
		os.Exit(Child(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// script makes a program of shell text.
func script(t testing.TB, text string) Program {
	path := filepath.Join(t.TempDir(), "programa")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return Program{Name: "p", Path: path}
}

// How programs end, and what is told of it.
func TestRun(t *testing.T) {
	big := strings.Repeat("x", 1<<20)
	for _, c := range []struct {
		name, text string
		limit      func(*Program)
		want       string
	}{
		{"well", "cat", nil, "0 hola <nil>"},
		{"sysexits", "echo nadie >&2; exit 67", nil, "67 nadie <nil>"},
		{"later", "exit 75", nil, "75  <nil>"},
		{"reads nothing", "exit 0", nil, "0  <nil>"},
		{"a signal", "kill -SEGV $$", nil, "-1  it was ended by a signal: segmentation fault"},
		{"too long", "sleep 600", func(p *Program) { p.Time = 300 * time.Millisecond }, "-1  it took too long"},
		{"and its children", "(sleep 600) & sleep 600", func(p *Program) { p.Time = 300 * time.Millisecond }, "-1  it took too long"},
		{"leaves something behind", "sleep 600 & echo fin", nil, "0 fin <nil>"},
		{"deaf to TERM", "trap '' TERM INT HUP; sleep 600", func(p *Program) { p.Time = 300 * time.Millisecond }, "-1  it took too long"},
		{"turns in circles", "while :; do :; done", func(p *Program) { p.CPU = time.Second }, "-1  it was ended by a signal: killed"},
		{"has little memory", "perl -e '$x = \"x\" x 300_000_000; print \"took it\"' 2>/dev/null || exit 71", func(p *Program) { p.Memory = 64 << 20 }, "71  <nil>"},
		{"says much", "cat; i=0; while [ $i -lt 2000 ]; do echo 0123456789; i=$((i+1)); done", func(p *Program) { p.Output = 4 }, "0 hola <nil>"},
		{"its environment", "env | sort | tr '\\n' ' '", nil, "0 PATH=/usr/local/bin:/usr/bin:/bin PWD=/ RECIPIENT=b@c <nil>"},
		{"not there", "", func(p *Program) { p.Path += ".no" }, "-1 *: no such file or directory it could not be started"},
		{"another name", "", func(p *Program) { p.Name = "q" }, `-1  no program has this name: "p"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := script(t, c.text)
			if c.limit != nil {
				c.limit(&p)
			}
			in := "hola"
			if c.name == "reads nothing" {
				in = big
			}
			start := time.Now()
			res := New([]Program{p}).Run(t.Context(), "p", []string{"RECIPIENT=b@c"}, strings.NewReader(in))
			if time.Since(start) > 20*time.Second {
				t.Errorf("it was waited for: %v", time.Since(start))
			}
			got := fmt.Sprint(res.Exit, " ", strings.TrimSpace(string(res.Output)), " ", res.Err)
			if head, rest, ok := strings.Cut(c.want, "*"); ok && strings.HasPrefix(got, head) && strings.HasSuffix(got, rest) {
				return
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// A message that cannot be read to its end must not pass for a short one.
func TestBrokenInput(t *testing.T) {
	res := New([]Program{script(t, "cat")}).Run(t.Context(), "p", nil, iotest.ErrReader(errors.New("disk")))
	if res.Err == nil {
		t.Errorf("%+v", res)
	}
}

func TestEnds(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the server stops")
	time.AfterFunc(300*time.Millisecond, func() { cancel(why) })
	if res := New([]Program{script(t, "sleep 600")}).Run(ctx, "p", nil, strings.NewReader("")); res.Err != why {
		t.Errorf("%+v", res)
	}
}

// What a program cannot do though its user can.
func TestConfined(t *testing.T) {
	if st := kernel(t); st != "" {
		t.Skip(st)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	own, other := t.TempDir(), t.TempDir()
	socket := filepath.Join(other, "s")
	u, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	if err := os.WriteFile(filepath.Join(other, "clave"), []byte("secreto"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := script(t, fmt.Sprintf(`
echo a >%[1]s/a && echo writes its folder
cat %[2]s/clave 2>/dev/null || echo reads no other
echo a 2>/dev/null >%[2]s/a || echo writes no other
ls /proc/1 >/dev/null 2>&1 || echo sees no other process
cp /bin/true %[1]s/t; %[1]s/t 2>/dev/null || echo executes nothing that it wrote
perl -MIO::Socket::INET -e 'exit(IO::Socket::INET->new("127.0.0.1:%[3]s") ? 0 : 1)' 2>/dev/null || echo no network
perl -MIO::Socket::INET -e 'exit(IO::Socket::INET->new(Proto => "udp", PeerAddr => "127.0.0.1:%[3]s") ? 0 : 1)' 2>/dev/null || echo no UDP
perl -MIO::Socket::UNIX -e 'exit(IO::Socket::UNIX->new("%[4]s") ? 0 : 1)' 2>/dev/null || echo none of our sockets
`, own, other, port, socket))
	p.Write = []string{own}
	res := New([]Program{p}).Run(t.Context(), "p", nil, strings.NewReader(""))
	want := "writes its folder\nreads no other\nwrites no other\nsees no other process\nexecutes nothing that it wrote\n"
	const none = "no network\nno UDP\nnone of our sockets\n"
	if string(res.Output) != want+none || res.Exit != 0 {
		t.Errorf("%+v\ngot\n%s\nwant\n%s", res, res.Output, want+none)
	}
	p.Network = true
	if res := New([]Program{p}).Run(t.Context(), "p", nil, strings.NewReader("")); string(res.Output) != want+"none of our sockets\n" {
		t.Errorf("with network: %+v\ngot\n%s", res, res.Output)
	}
}

// kernel says what this kernel cannot; "" is nothing.
func kernel(t *testing.T) string {
	res := New([]Program{script(t, "cat /etc/passwd >/dev/null 2>&1 && echo open")}).Run(t.Context(), "p", nil, strings.NewReader(""))
	if strings.Contains(string(res.Output), "open") {
		return "this kernel has no Landlock"
	}
	return ""
}

func TestPaths(t *testing.T) {
	if got := Paths(nil); len(got.Execute)+len(got.ReadWrite) != 0 {
		t.Errorf("without programs: %+v", got)
	}
	got := Paths([]Program{{Path: "/opt/x/x", Read: []string{"/opt/x"}, Write: []string{"/var/x"}}})
	if s := strings.Join(got.Execute, " "); !strings.Contains(s, "/opt/x/x /opt/x") || len(got.ReadWrite) != 1 {
		t.Errorf("%+v", got)
	}
}
