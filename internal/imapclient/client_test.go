package imapclient

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// script is a server that says its lines: "S: " it says, "C: " it expects. A line
// "S{n}: " is said without its line end and cut to n octets: literals.
func script(t *testing.T, c net.Conn, text string) {
	defer c.Close()
	r := bufio.NewReader(c)
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		say, isServer := strings.CutPrefix(line, "S: ")
		want, isClient := strings.CutPrefix(line, "C: ")
		switch {
		case isServer:
			if _, err := io.WriteString(c, strings.ReplaceAll(say, `\r\n`, "\r\n")+"\r\n"); err != nil {
				return // the client has had enough
			}
		case isClient:
			got, err := r.ReadString('\n')
			if err != nil {
				t.Errorf("expected %q: %v", want, err)
				return
			}
			if got = strings.TrimRight(got, "\r\n"); got != want {
				t.Errorf("the client said %q, expected %q", got, want)
				return
			}
		}
	}
}

// session does what an import does, and tells what it learned.
func session(t *testing.T, text string) string {
	t.Helper()
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() { defer close(done); script(t, theirs, text) }()
	defer func() { ours.Close(); <-done }()
	var b strings.Builder
	c, err := Dial(t.Context(), Config{
		Address: "mail.test:143", Plain: true, User: "ana", Password: `a"b`,
		Dial: func(context.Context, string, string) (net.Conn, error) { return ours, nil },
	})
	if err != nil {
		return err.Error() + "\n"
	}
	boxes, err := c.List()
	if err != nil {
		return err.Error() + "\n"
	}
	for _, m := range boxes {
		fmt.Fprintf(&b, "%s (%s) use=%s all=%t subscribed=%t\n", m.Name, m.Raw, m.Use, m.All, m.Subscribed)
	}
	if len(boxes) == 0 {
		return b.String()
	}
	s, err := c.Examine(boxes[0])
	if err != nil {
		return b.String() + err.Error() + "\n"
	}
	fmt.Fprintf(&b, "%d messages, UIDVALIDITY %d\n", s.Exists, s.UIDValidity)
	uids, err := c.UIDs(4)
	if err != nil {
		return b.String() + err.Error() + "\n"
	}
	fmt.Fprintln(&b, uids)
	for l, err := range c.Letters(uids) {
		if err != nil {
			return b.String() + err.Error() + "\n"
		}
		fmt.Fprintf(&b, "%d %v %s %q\n", l.UID, l.Flags, l.Date.UTC().Format("2006-01-02 15:04"), l.Data)
	}
	if err := c.Close(); err != nil {
		fmt.Fprintln(&b, err)
	}
	return b.String()
}

// Sessions with servers of several kinds, line by line.
func TestSessions(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(err, "no sessions")
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			a, err := txtar.ParseFile(f)
			if err != nil || len(a.Files) != 2 {
				t.Fatal(err)
			}
			got := session(t, string(a.Files[0].Data))
			if d := cmp.Diff(string(a.Files[1].Data), got); d != "" {
				t.Error(d)
			}
		})
	}
}

// Any octets of a server are read to an error or to the end, within the bounds.
func FuzzResponses(f *testing.F) {
	f.Add([]byte("* LIST (\\Sent) \"/\" \"a\\\"b\"\r\n"))
	f.Add([]byte("* 1 FETCH (UID 5 FLAGS (\\Seen $W) BODY[HEADER.FIELDS (A B)] {3}\r\nabc BODY[] NIL)\r\nA1 OK [X] it's done\r\n"))
	f.Add([]byte("+ go\r\n* OK ~{1+}\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := &reader{in: bufio.NewReader(bytes.NewReader(data))}
		octets := 0
		var count func([]value)
		count = func(all []value) {
			for _, v := range all {
				octets += len(v.text) + len(v.octets)
				count(v.list)
			}
		}
		for {
			resp, err := r.response()
			if err != nil {
				if errors.Is(err, io.EOF) && r.in.Buffered() > 0 {
					t.Fatal("ended early")
				}
				break
			}
			count(resp)
			if _, err := letterOf(resp); err != nil && !errors.Is(err, errSyntax) {
				t.Fatal(err)
			}
			mailboxOf(resp)
		}
		if octets > len(data) {
			t.Fatalf("%d octets of %d", octets, len(data))
		}
	})
}

func TestSet(t *testing.T) {
	for want, uids := range map[string][]uint32{"1": {1}, "1:3,7,9:10": {1, 2, 3, 7, 9, 10}} {
		if got := set(uids); got != want {
			t.Errorf("%v: %s, want %s", uids, got, want)
		}
	}
}
