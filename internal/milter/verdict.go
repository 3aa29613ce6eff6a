package milter

import (
	"strconv"
	"strings"

	"posta/internal/smtp"
)

// Action is what a milter wants to happen.
type Action uint8

// The actions.
const (
	Continue Action = iota // go on
	Accept                 // go on without asking this milter again
	Discard                // accept and drop
	TempFail               // refuse for now
	Reject                 // refuse
)

var actionNames = [...]string{"continue", "accept", "discard", "tempfail", "reject"}

func (a Action) String() string { return actionNames[a] }

// Verdict is a milter's answer to one stage. At connect and HELO it holds for
// the connection, at RCPT a refusal is of that recipient, else for the message.
type Verdict struct {
	Action Action
	// Reply is what the milter wants the client told (SMFIR_REPLYCODE); the zero
	// Reply leaves the words to us.
	Reply smtp.Reply
}

// Final reports whether the milter is not to be asked about the rest.
func (v Verdict) Final() bool { return v.Action != Continue }

// maxReplyLines bounds the lines of a reply.
const maxReplyLines = 32

// parseReply reads the text of SMFIR_REPLYCODE: an SMTP reply of one or more
// lines, 4yz or 5yz, where sendmail wants "%" doubled.
func parseReply(s string) (Verdict, error) {
	lines := strings.Split(strings.TrimRight(strings.ReplaceAll(s, "\r\n", "\n"), "\n"), "\n")
	if len(lines) > maxReplyLines {
		return Verdict{}, protocolError("a reply of %d lines", len(lines))
	}
	var r smtp.Reply
	texts := make([]string, len(lines))
	for i, l := range lines {
		code, rest, ok := cutCode(l)
		if !ok || i > 0 && code != r.Code {
			return Verdict{}, protocolError("the reply %.80q", l)
		}
		r.Code = code
		enhanced, text := cutEnhanced(code, rest)
		if i == 0 {
			r.Enhanced = enhanced
		}
		texts[i] = printable(strings.ReplaceAll(text, "%%", "%"))
	}
	r.Text = strings.Join(texts, "\n")
	if r.Temporary() {
		return Verdict{TempFail, r}, nil
	}
	return Verdict{Reject, r}, nil
}

// cutCode reads "550 ", "550-" or "550" at the start of a line.
func cutCode(l string) (code int, rest string, ok bool) {
	if len(l) < 3 || l[0] != '4' && l[0] != '5' || len(l) > 3 && l[3] != ' ' && l[3] != '-' {
		return 0, "", false
	}
	code, err := strconv.Atoi(l[:3])
	return code, l[min(4, len(l)):], err == nil && code >= 400
}

// cutEnhanced reads an enhanced code of the same class; what is none is text.
func cutEnhanced(code int, s string) (smtp.Enhanced, string) {
	word, rest, _ := strings.Cut(s, " ")
	parts := strings.Split(word, ".")
	if len(parts) != 3 || parts[0] != strconv.Itoa(code/100) {
		return smtp.Enhanced{}, s
	}
	e := smtp.Enhanced{uint16(code / 100)}
	for i, p := range parts[1:] {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n > 999 {
			return smtp.Enhanced{}, s
		}
		e[i+1] = uint16(n)
	}
	return e, rest
}

// printable keeps a milter's text from speaking in our name: what is no printable
// ASCII becomes "?".
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}
