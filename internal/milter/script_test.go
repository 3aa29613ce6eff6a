package milter

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite the results of testdata")

// A dialogue is a file with these sections:
//
//	transaction   what is played: "client", "name", "helo", "from", "to", "macro"
//	message       header and body, LF for CRLF
//	milter        what a milter hears (C:) and says (M:), packet by packet, each
//	              its letter and its data as a Go string; beside packets it can
//	              "M: raw" octets, "M: close" or "M: wait" (until the client goes away)
//	result        what comes of it
//
// Time is fake, so a milter that waits costs none.
func TestDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no dialogues", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sections := map[string]string{}
			for _, f := range ar.Files {
				sections[f.Name] = string(f.Data)
			}
			var got string
			synctest.Test(t, func(t *testing.T) { got = playDialogue(t, sections) })
			if *update {
				for i := range ar.Files {
					if ar.Files[i].Name == "result" {
						ar.Files[i].Data = []byte(got)
					}
				}
				if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(sections["result"], got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
		})
	}
}

// playDialogue plays the transaction against the scripted milter, once for each
// "M: next" that the script has and once more, and tells what came of it.
func playDialogue(t *testing.T, sections map[string]string) string {
	script := &scripted{t: t, lines: strings.Split(strings.TrimSpace(sections["milter"]), "\n")}
	c, err := New("inet:1@scripted.test", Options{Dial: script.dial, MaxBody: 1000})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
	defer cancel()
	tx := transaction(t, sections)
	var out strings.Builder
	for range 1 + strings.Count(sections["milter"], "M: next") {
		var body *bytes.Buffer
		r, err := c.Play(ctx, tx, func() io.Writer { body = &bytes.Buffer{}; return body })
		out.WriteString(describe(tx, r, body, err))
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	script.finish()
	return out.String()
}

// describe is a result in lines.
func describe(tx *Transaction, r Result, body *bytes.Buffer, err error) string {
	if err != nil {
		return "error " + err.Error() + "\n"
	}
	var b strings.Builder
	fmt.Fprintln(&b, "verdict", text(r.Verdict))
	for i, v := range r.Rcpt {
		fmt.Fprintln(&b, "recipient", tx.To[i].Address, text(v))
	}
	for _, e := range r.Edits {
		fmt.Fprintln(&b, "edit", e)
	}
	if len(r.Edits) > 0 {
		var replaced io.Reader
		if body != nil {
			replaced = body
		}
		var m bytes.Buffer
		if err := Apply(&m, tx.Header, tx.Body(), replaced, r.Edits); err != nil {
			return err.Error()
		}
		for line := range strings.SplitAfterSeq(m.String(), "\n") {
			if line != "" {
				fmt.Fprintf(&b, "| %q\n", line)
			}
		}
	}
	return b.String()
}

func text(v Verdict) string {
	if v.Reply.IsZero() {
		return v.Action.String()
	}
	return v.Action.String() + " " + v.Reply.String()
}

// transaction reads what is played.
func transaction(t *testing.T, sections map[string]string) *Transaction {
	tx := &Transaction{Macros: Macros{}}
	for line := range strings.Lines(sections["transaction"]) {
		key, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch key {
		case "client":
			tx.Client = netip.MustParseAddrPort(rest)
		case "name":
			tx.Name = rest
		case "helo":
			tx.Helo = rest
		case "from", "to":
			words := strings.Fields(rest)
			p := Path{Address: strings.Trim(words[0], "<>"), Params: words[1:]}
			if key == "from" {
				tx.From = p
			} else {
				tx.To = append(tx.To, p)
			}
		case "macro":
			name, value, _ := strings.Cut(rest, " ")
			tx.Macros[name] = value
		default:
			t.Fatalf("transaction: %q", line)
		}
	}
	header, body, _ := strings.Cut(strings.ReplaceAll(sections["message"], "\n", "\r\n"), "\r\n\r\n")
	tx.Header = []byte(header + "\r\n\r\n")
	tx.Body = func() io.Reader { return strings.NewReader(body) }
	return tx
}

// scripted is a milter that does what its script says, over one connection after
// the other.
type scripted struct {
	t     *testing.T
	lines []string
	done  []chan struct{}
}

func (s *scripted) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	s.done = append(s.done, done)
	go func() {
		defer close(done)
		defer theirs.Close()
		s.serve(theirs)
	}()
	return ours, nil
}

// finish waits for the milter, which must have come to the end of its script.
func (s *scripted) finish() {
	for _, d := range s.done {
		<-d
	}
	if len(s.lines) > 0 {
		s.t.Errorf("the milter still waits for %s", s.lines[0])
	}
}

// serve speaks until the connection or the script is over.
func (s *scripted) serve(conn net.Conn) {
	r := bufio.NewReader(conn)
	for len(s.lines) > 0 {
		line := s.lines[0]
		s.lines = s.lines[1:]
		if line == "" || line[0] == '#' || line == "M: next" {
			continue
		}
		who, what, _ := strings.Cut(line, ": ")
		word, arg, _ := strings.Cut(what, " ")
		data := ""
		if arg != "" {
			var err error
			if data, err = strconv.Unquote(arg); err != nil {
				s.t.Errorf("%s: %v", line, err)
				return
			}
		}
		switch {
		case who == "C":
			if err := hears(r, word, data); err != nil {
				s.t.Errorf("%s: %v", line, err)
				return
			}
		case word == "close":
			return
		case word == "wait":
			if _, err := io.Copy(io.Discard, r); err != nil && !errors.Is(err, io.ErrClosedPipe) {
				s.t.Error(err)
			}
			return
		case word == "raw":
			io.WriteString(conn, data)
		default:
			conn.Write(packet(word[0], data))
		}
	}
	if rest, _ := io.ReadAll(r); len(rest) > 0 {
		s.t.Errorf("the milter hears more than its script has: %q", rest)
	}
}

// hears reads one packet, octet by octet and by no code of ours.
func hears(r io.Reader, code, data string) error {
	head := make([]byte, 5)
	if _, err := io.ReadFull(r, head); err != nil {
		return fmt.Errorf("instead: %w", err)
	}
	n := int(head[0])<<24 | int(head[1])<<16 | int(head[2])<<8 | int(head[3])
	got := make([]byte, n-1)
	if _, err := io.ReadFull(r, got); err != nil {
		return err
	}
	if string(head[4]) != code || string(got) != data {
		return fmt.Errorf("instead: %c %q", head[4], got)
	}
	return nil
}

func packet(code byte, data string) []byte {
	n := len(data) + 1
	return append([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n), code}, data...)
}
