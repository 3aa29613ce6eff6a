package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"posta/internal/addr"
	"posta/internal/app"
	"posta/internal/message"
	"posta/internal/smtp"
)

// Exit statuses of sysexits.h that programs expect of sendmail.
const (
	exUsage    = 64
	exNoUser   = 67
	exIOErr    = 74
	exTempFail = 75
	exNoPerm   = 77
	exNoInput  = 66
)

func (c *cli) sendmailCommand() *cobra.Command {
	cmd := c.group("sendmail [-t] [-i] [-f ADDRESS] [RECIPIENT...]", "sendmail")
	cmd.DisableFlagParsing = true // sendmail's flags are older than ours
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if st := c.sendmail(cmd.Context(), c.ownFlags(args)); st != 0 {
			return found{st}
		}
		return nil
	}
	return cmd
}

// ownFlags takes posta's own flags, which stand before sendmail's, out of the
// arguments: `posta --data DIR sendmail -t`.
func (c *cli) ownFlags(args []string) []string {
	for len(args) > 0 {
		name, value, joined := strings.Cut(args[0], "=")
		rest := args[1:]
		if !joined && len(rest) > 0 {
			value = rest[0]
		}
		switch name {
		case "--config":
			c.configFile = value
		case "--data":
			c.dataDir = value
		case "--lang": // read before
		default:
			return args
		}
		if !joined {
			if len(rest) == 0 {
				return nil
			}
			rest = rest[1:]
		}
		args = rest
	}
	return args
}

// asSendmail is the program under the name of sendmail, mailq or newaliases.
func asSendmail(ctx context.Context, name string, args []string) int {
	c := &cli{lang: chosenLanguage(nil), out: os.Stdout, configFile: defaultConfig(), dataDir: os.Getenv("POSTA_DATA")}
	switch name {
	case "newaliases":
		return 0 // aliases are live
	case "mailq":
		args = []string{"-bp"}
	}
	return c.sendmail(ctx, args)
}

// submission is what sendmail's flags and arguments say.
type submission struct {
	from       string
	name       string // -F
	mode       byte   // of -b: m (deliver), p (list the queue), s (SMTP on standard input)
	fromHeader bool   // -t
	dots       bool   // a lone dot is text: -i
	rcpts      []string
}

// parseSendmail reads the flags that programs give to sendmail; those without
// meaning here are passed over, as every other sendmail does.
func parseSendmail(args []string) (submission, error) {
	s := submission{mode: 'm'}
	value := func(i *int, rest string) (string, error) {
		if rest != "" {
			return rest, nil
		}
		if *i++; *i >= len(args) {
			return "", errUsage
		}
		return args[*i], nil
	}
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			s.rcpts = append(s.rcpts, args[i+1:]...)
			break
		}
		if len(a) < 2 || a[0] != '-' {
			s.rcpts = append(s.rcpts, a)
			continue
		}
		var err error
		switch rest := a[2:]; a[1] {
		case 'f', 'r':
			s.from, err = value(&i, rest)
		case 'F':
			s.name, err = value(&i, rest)
		case 't':
			s.fromHeader = true
		case 'i':
			s.dots = true
		case 'b':
			if rest != "" {
				s.mode = rest[0]
			}
		case 'o':
			s.dots = s.dots || rest == "i"
		case 'B', 'h', 'N', 'R', 'V', 'X', 'L', 'O', 'p', 'C', 'A':
			_, err = value(&i, rest)
		}
		if err != nil {
			return s, fmt.Errorf("%w: %s", errUsage, a)
		}
	}
	return s, nil
}

func (c *cli) sendmail(ctx context.Context, args []string) int {
	s, err := parseSendmail(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "sendmail:", err)
		return exUsage
	}
	cfg, err := c.loadConfig()
	if err != nil {
		fmt.Fprintln(os.Stderr, "sendmail:", err)
		return exUsage
	}
	if s.mode == 'p' {
		q := c.queueList("ls", "queue.ls", 0)
		q.SetContext(ctx)
		if err := q.RunE(q, nil); err != nil {
			fmt.Fprintln(os.Stderr, "mailq:", err)
			return exTempFail
		}
		return 0
	}
	if s.mode == 'i' {
		return 0 // newaliases
	}
	conn, err := net.DialTimeout("unix", filepath.Join(cfg.Data, app.SendmailSocket), 10*time.Second)
	if err != nil {
		fmt.Fprintln(os.Stderr, "sendmail:", c.lang.Say("sendmail.down"), err)
		return exTempFail
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if s.mode == 's' {
		return passThrough(conn)
	}
	msg, err := readMessage(os.Stdin, s.dots)
	if err != nil {
		fmt.Fprintln(os.Stderr, "sendmail:", err)
		return exNoInput
	}
	st, err := s.submit(conn, msg, cfg.Hostname)
	if err != nil {
		fmt.Fprintln(os.Stderr, "sendmail:", err)
	}
	return st
}

// passThrough joins standard input and output with the server's dialogue (-bs).
func passThrough(conn net.Conn) int {
	go func() {
		io.Copy(conn, os.Stdin)
		if u, ok := conn.(*net.UnixConn); ok {
			u.CloseWrite()
		}
	}()
	if _, err := io.Copy(os.Stdout, conn); err != nil {
		return exIOErr
	}
	return 0
}

// maxLocal bounds what a local program may hand over.
const maxLocal = 150 << 20

// readMessage reads until the end, or until a line with a lone dot unless -i was
// given. Line ends become CRLF.
func readMessage(r io.Reader, dots bool) ([]byte, error) {
	var out bytes.Buffer
	in := bufio.NewReaderSize(io.LimitReader(r, maxLocal+1), 64<<10)
	w := message.NewCRLFWriter(&out)
	for {
		line, err := in.ReadBytes('\n')
		if !dots && len(bytes.TrimRight(line, "\r\n")) == 1 && line[0] == '.' {
			break
		}
		if _, werr := w.Write(line); werr != nil {
			return nil, werr
		}
		if out.Len() > maxLocal {
			return nil, errors.New("message too large")
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	return out.Bytes(), w.Close()
}

// recipients are the arguments, and with -t those of To, Cc and Bcc.
func (s *submission) recipients(h message.Header, host string) ([]string, error) {
	var out []string
	for _, r := range s.rcpts {
		out = append(out, qualify(r, host))
	}
	if !s.fromHeader {
		return out, nil
	}
	for _, name := range []string{"To", "Cc", "Bcc"} {
		for f := range h.All(name) {
			entries, err := addr.ParseList(f.Value(), 1000)
			if err != nil && len(entries) == 0 {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			for _, e := range entries {
				a, err := e.Address()
				if err != nil {
					return nil, fmt.Errorf("%s: %w", name, err)
				}
				out = append(out, a.String())
			}
		}
	}
	return out, nil
}

// qualify gives a bare local name the host's domain (S127).
func qualify(a, host string) string {
	a = strings.Trim(a, "<>")
	if strings.Contains(a, "@") {
		return a
	}
	_, domain, ok := strings.Cut(host, ".")
	if !ok || !strings.Contains(domain, ".") {
		domain = host
	}
	return a + "@" + domain
}

// submit speaks SMTP with the server and gives the exit status.
func (s *submission) submit(conn net.Conn, msg []byte, host string) (int, error) {
	h, _ := message.SplitHeader(msg)
	rcpts, err := s.recipients(h, host)
	if err != nil {
		return exUsage, err
	}
	if len(rcpts) == 0 {
		return exUsage, errors.New("no recipients")
	}
	from := s.from
	if from == "" {
		if u, err := user.Current(); err == nil {
			from = u.Username
		}
	}
	if from != "" && from != "<>" {
		from = qualify(from, host)
	}
	d := dialogue{conn: conn, in: bufio.NewReader(conn)}
	if err := d.expect(220, ""); err != nil {
		return exTempFail, err
	}
	for _, step := range []string{"EHLO localhost", "MAIL FROM:<" + strings.Trim(from, "<>") + "> BODY=8BITMIME"} {
		if err := d.expect(250, step); err != nil {
			return sysexit(err), err
		}
	}
	for _, r := range rcpts {
		if err := d.expect(250, "RCPT TO:<"+r+">"); err != nil {
			return sysexit(err), err
		}
	}
	if err := d.expect(354, "DATA"); err != nil {
		return sysexit(err), err
	}
	var st smtp.Stuffer
	if _, err := conn.Write(st.Finish(st.Append(nil, msg))); err != nil {
		return exTempFail, err
	}
	if err := d.expect(250, ""); err != nil {
		return sysexit(err), err
	}
	return 0, d.expect(221, "QUIT")
}

// dialogue is the client's side of SMTP.
type dialogue struct {
	conn net.Conn
	in   *bufio.Reader
}

// expect sends a command and reads its reply; another code than want is the
// reply as an error.
func (d *dialogue) expect(want int, command string) error {
	if command != "" {
		if strings.ContainsAny(command, "\r\n") {
			return errUsage
		}
		if _, err := io.WriteString(d.conn, command+"\r\n"); err != nil {
			return err
		}
	}
	var p smtp.ReplyParser
	for {
		line, err := d.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		r, done, err := p.Line(bytes.TrimRight(line, "\r\n"))
		if err != nil {
			return err
		}
		if done {
			if r.Code != want {
				return r
			}
			return nil
		}
	}
}

// sysexit is the status that a program understands (sysexits.h).
func sysexit(err error) int {
	r, ok := errors.AsType[smtp.Reply](err)
	switch {
	case !ok || r.Temporary():
		return exTempFail
	case r.Enhanced[1] == 1:
		return exNoUser
	case r.Enhanced[1] == 7:
		return exNoPerm
	}
	return exUsage
}
