package probe

import (
	"context"
	"fmt"
)

// FalseEnds are what some servers take for the end of a message beside CR LF . CR LF
// (CVE-2023-51764, 51765, 51766; RFC 5321 §4.1.1.4 wants CR LF and nothing else).
func FalseEnds() []string {
	return []string{
		"\n.\n", "\n.\r", "\r.\n", "\r.\r", "\n.\r\n", "\r\n.\n", "\r.\r\n", "\r\n.\r", "\r\n\x00.\r\n", "\r\n.\x00\r\n", "\r\n.\r\r\n",
	}
}

// Smuggled is one false end and what became of it.
type Smuggled struct {
	End      string `json:"end"` // quoted, as Go writes it
	Accepted Answer `json:"accepted"`
	Reply    string `json:"reply"` // to the message
	Error    string `json:"error,omitempty"`
}

// ProbeSmuggling sends up to eleven small messages to a recipient who agreed, each with
// a false end, a NOOP behind it, and then the true end. A server that takes the false
// end answers once more: a sender who hides a whole message there has it sent in any
// name. It is for servers of one's own, since it needs DATA and may deliver.
//
// The sender's reverse-path is null, so that nothing bounces.
func ProbeSmuggling(ctx context.Context, cfg Config, t Target, recipient string) []Smuggled {
	p := newProber(cfg, t)
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeouts.Whole)
	defer cancel()
	var out []Smuggled
	for _, end := range FalseEnds() {
		x := Smuggled{End: fmt.Sprintf("%q", end)}
		var err error
		if x.Accepted, x.Reply, err = p.smuggle(ctx, end, recipient); err != nil {
			x.Error = err.Error()
		}
		out = append(out, x)
	}
	return out
}

func (p *prober) smuggle(ctx context.Context, end, recipient string) (Answer, string, error) {
	s, err := p.greeted(ctx)
	if err != nil {
		return Unknown, "", err
	}
	defer s.close()
	for _, c := range []string{"MAIL FROM:<>", "RCPT TO:<" + recipient + ">", "DATA"} {
		r, err := s.quietly(c, NoteMail)
		if err == nil && !r.OK() && r.Code != 354 {
			err = r
		}
		if err != nil {
			return Unknown, "", err
		}
	}
	now := p.cfg.Now().UTC()
	s.line.WriteString("From: Posta <postmaster@" + p.cfg.Hello + ">\r\nTo: <" + recipient + ">\r\nSubject: posta probe --smuggling\r\nDate: " +
		now.Format("Mon, 02 Jan 2006 15:04:05 -0700") + "\r\n" + fmt.Sprintf("Message-ID: <%d@%s>", now.UnixNano(), p.cfg.Hello) + "\r\n\r\n" +
		"This message tests whether the server takes a false end of data for the true one.")
	p.saw(Line{Connection: s.number, From: Us, Text: fmt.Sprintf("%q NOOP, %q QUIT", end, "\r\n.\r\n"), Note: NoteFalseEnd})
	s.line.WriteString(end + "NOOP\r\n\r\n.\r\nQUIT\r\n")
	return s.smuggledReplies()
}

// smuggledReplies counts the answers: one, and that to QUIT, when only the true end
// ends. With more, what stood behind the false end was taken for commands.
func (s *session) smuggledReplies() (Answer, string, error) {
	first, n := "", 0
	for {
		r, lines, err := s.reply(s.p.cfg.Timeouts.Command)
		if err != nil {
			if n == 0 {
				return Unknown, "", err
			}
			break // hung up after its answer
		}
		if n++; n == 1 {
			first = r.String()
		}
		note := ""
		if n > 1 && r.Code != 221 {
			note = NoteSmuggled
		}
		for _, l := range lines {
			s.heard(l, note)
		}
		if r.Code == 221 || r.Code == 421 {
			n--
			break
		}
	}
	if n == 0 {
		return Unknown, first, ErrClosing
	}
	return answer(n > 1), first, nil
}
