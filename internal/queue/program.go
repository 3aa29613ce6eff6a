package queue

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"posta/internal/addr"
	"posta/internal/program"
	"posta/internal/relay"
	"posta/internal/route"
	"posta/internal/smtp"
)

// Programs runs the programs of transports (pipe:NAME).
type Programs interface {
	Run(ctx context.Context, name string, env []string, stdin io.Reader) program.Result
}

// pipe gives a message to a program, once for each recipient. Between the program's end and
// the record of it a crash has it run again, as a host gets a message again whose reply was
// lost.
func (q *Queue) pipe(ctx context.Context, rt *route.Route, m *relay.Message) []relay.Outcome {
	out := make([]relay.Outcome, len(m.Recipients))
	for i := range m.Recipients {
		out[i] = q.pipeTo(ctx, rt.Program, m, m.Recipients[i].Address)
		out[i].Remote, out[i].Ended = "program "+rt.Program, time.Now()
	}
	return out
}

func (q *Queue) pipeTo(ctx context.Context, name string, m *relay.Message, to string) relay.Outcome {
	fail := func(text string, err error) relay.Outcome {
		return relay.Outcome{Status: relay.Temporary, Ours: true, Reply: smtp.New(451, "4.3.0", text), Note: err.Error()}
	}
	if ctx.Err() != nil {
		return fail("The program was not reached in time", context.Cause(ctx))
	}
	content, err := m.Open(ctx, relay.EightBits)
	if err != nil {
		return fail("The message cannot be read here", err)
	}
	if content.Close != nil {
		defer content.Close()
	}
	if err := m.BeforeDot(ctx); err != nil {
		return fail("The attempt could not be recorded here", err)
	}
	head := append([]byte("Return-Path: <"+m.ReversePath+">\r\n"), content.Head...)
	message := io.MultiReader(bytes.NewReader(head), io.NewSectionReader(content.Body, content.Offset, content.Size))
	return ofProgram(name, q.cfg.Programs.Run(ctx, name, environment(m.ReversePath, to), unixLines{bufio.NewReaderSize(message, 32<<10)}))
}

// environment is what local delivery has told programs since qmail and Postfix: addresses
// without brackets, SENDER "" for the null reverse-path.
func environment(from, to string) []string {
	a, err := addr.ParseAddress(to)
	local, domain := string(a.Local), string(a.Domain)
	if err != nil {
		local, domain, _ = strings.Cut(to, "@")
	}
	user, extension := addr.SplitDetail(addr.Localpart(local), "+")
	return []string{
		"SENDER=" + from, "RECIPIENT=" + to, "LOCAL=" + local, "DOMAIN=" + domain,
		"USER=" + string(user), "EXTENSION=" + extension, "HOME=/",
	}
}

// ofProgram reads a program's end: 0 is delivered, 75 and every end without a status is
// later, and any other status is final, in the words of the program.
func ofProgram(name string, res program.Result) relay.Outcome {
	said := quoted(res.Output)
	if res.Err != nil {
		text := "The program " + name + " did not end well: " + res.Err.Error()
		if errors.Is(res.Err, program.ErrUnknown) {
			text = "The program " + name + " is not among those that may be run here"
		}
		return relay.Outcome{Status: relay.Temporary, Ours: true, Reply: smtp.New(451, "4.3.5", text), Note: said}
	}
	code, enhanced, text := meaning(res.Exit)
	if said != "" && code != 250 {
		text += ": " + said
	}
	o := relay.Outcome{Reply: smtp.New(code, enhanced, text)}
	switch {
	case o.Reply.Temporary():
		o.Status = relay.Temporary
	case o.Reply.Permanent():
		o.Status = relay.Permanent
	}
	return o
}

// meaning is what an exit status of sysexits.h says, as a reply.
func meaning(exit int) (code int, enhanced, text string) {
	switch exit {
	case 0:
		return 250, "2.0.0", "Taken by the program"
	case 65: // EX_DATAERR
		return 554, "5.6.0", "The program cannot read the message"
	case 67: // EX_NOUSER
		return 550, "5.1.1", "The program knows no such user"
	case 68: // EX_NOHOST
		return 550, "5.1.2", "The program knows no such host"
	case 71: // EX_OSERR: fork failed, no memory
		return 451, "4.3.0", "The system has no room for the program"
	case 75: // EX_TEMPFAIL
		return 451, "4.3.0", "The program asks to try again later"
	case 76: // EX_PROTOCOL
		return 554, "5.5.0", "The program met a protocol error"
	case 77: // EX_NOPERM
		return 550, "5.7.1", "The program does not allow it"
	case 78: // EX_CONFIG
		return 554, "5.3.5", "The program is not set up well"
	}
	return 554, "5.3.0", "The program failed"
}

// maxQuoted bounds what of a program's output is told, in octets.
const maxQuoted = 400

// quoted is a program's output as one line that a reply may hold.
func quoted(output []byte) string {
	line := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		if r > 0x7e {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(string(output), "?"))
	line = strings.Join(strings.Fields(line), " ")
	return line[:min(len(line), maxQuoted)]
}

// unixLines ends lines with LF, as programs on this side of the wire expect it: the CR of
// each CRLF is dropped, one that stands alone stays.
type unixLines struct{ r *bufio.Reader }

func (u unixLines) Read(p []byte) (n int, err error) {
	for n < len(p) {
		b, err := u.r.ReadByte()
		if err != nil {
			return n, err
		}
		if b == '\r' {
			if next, _ := u.r.Peek(1); len(next) == 1 && next[0] == '\n' {
				continue
			}
		}
		p[n] = b
		n++
	}
	return n, nil
}
