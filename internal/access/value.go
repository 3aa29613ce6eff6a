package access

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"posta/internal/smtp"
)

// Action is the word of a value.
type Action uint8

// The actions; the zero Action is no value.
const (
	None Action = iota
	OK
	RELAY
	REJECT
	DISCARD
	SKIP
	QUARANTINE // Text is the reason
	ERROR      // Text is the reply: "550 5.7.1 text"
	FRIEND
	HATER
	SPAMFRIEND // of sendmail before 8.12
	SPAMHATER
	TLS // Text is the requirement: "TEMP+VERIFY:112"
	SUBJECT
)

var actionNames = [...]string{"", "OK", "RELAY", "REJECT", "DISCARD", "SKIP", "QUARANTINE", "ERROR", "FRIEND", "HATER", "SPAMFRIEND", "SPAMHATER", "TLS", "SUBJECT"}

// String gives the word.
func (a Action) String() string { return actionNames[a] }

// hasText reports whether values of the action differ by their text.
func (a Action) hasText() bool { return a == QUARANTINE || a == ERROR || a == TLS }

// Value is the right side of an entry. Values are comparable; make them with
// [ParseValue]. The zero Value is none.
type Value struct {
	Action Action
	Text   string // of QUARANTINE, ERROR and TLS
}

// MaxText is the longest text of a value in octets: what fits into one reply.
const MaxText = 400

// Reply is the reply of an ERROR; the zero Reply for other actions.
func (v Value) Reply() smtp.Reply {
	if v.Action != ERROR {
		return smtp.Reply{}
	}
	var p smtp.ReplyParser
	r, _, err := p.Line([]byte(v.Text))
	if err != nil { // only of a Value that ParseValue did not make
		return smtp.New(550, "5.7.1", "Access denied")
	}
	return r
}

// String is the value as it stands in a file.
func (v Value) String() string {
	switch v.Action {
	case QUARANTINE:
		return "QUARANTINE:" + v.Text
	case TLS:
		return v.Text
	case ERROR:
		r := v.Reply()
		code := strconv.Itoa(r.Code)
		if r.Enhanced[1] == 0 && r.Enhanced[2] == 0 {
			return "ERROR:" + code + " " + r.Text
		}
		return "ERROR:" + r.Enhanced.String() + ":" + code + " " + r.Text
	}
	return v.Action.String()
}

// ParseValue reads a value. The error says what to write instead.
func ParseValue(s string) (Value, error) {
	if len(s) > MaxText {
		return Value{}, fmt.Errorf("a value has at most %d octets", MaxText)
	}
	for i := range len(s) {
		if s[i] != '\t' && (s[i] < ' ' || s[i] >= 0x7f) {
			return Value{}, errors.New("a value is printable ASCII: replies of SMTP can hold nothing else")
		}
	}
	if s = strings.ReplaceAll(unquote(strings.TrimSpace(s)), "\t", " "); s == "" {
		return Value{}, errors.New("the value is missing: write OK, RELAY, REJECT, DISCARD, SKIP, QUARANTINE:text or ERROR:D.S.N:code text")
	}
	for a := OK; int(a) < len(actionNames); a++ {
		if !a.hasText() && strings.EqualFold(s, actionNames[a]) {
			return Value{Action: a}, nil
		}
	}
	if isDigit(s[0]) {
		return parseError("", s)
	}
	head, rest, _ := strings.Cut(s, ":")
	switch strings.ToUpper(head) {
	case "QUARANTINE":
		if rest = unquote(strings.TrimSpace(rest)); rest == "" {
			return Value{}, errors.New("QUARANTINE: wants a reason, as in QUARANTINE:suspicious host")
		}
		return Value{QUARANTINE, rest}, nil
	case "ERROR":
		return parseTaggedError(rest)
	}
	if v, ok, err := parseTLS(s); ok || err != nil {
		return v, err
	}
	return Value{}, fmt.Errorf("%q is no value; for a text that clients read, write ERROR:5.7.1:550 %s", s, s)
}

// parseTaggedError reads what follows "ERROR:".
func parseTaggedError(s string) (Value, error) {
	s = unquote(strings.TrimSpace(s))
	if head, rest, ok := strings.Cut(s, ":"); ok && strings.Count(head, ".") == 2 && strings.Trim(head, "0123456789.") == "" {
		return parseError(head, unquote(strings.TrimSpace(rest)))
	}
	if s == "" || !isDigit(s[0]) {
		return Value{}, errors.New("ERROR: wants a reply, as in ERROR:5.7.1:550 text; ERROR:nouser belongs into a virtual user table")
	}
	return parseError("", s)
}

// parseError reads "code text". dsn is the enhanced code, "" when it is to be
// taken from the text or the class.
func parseError(dsn, s string) (Value, error) {
	number, text, _ := strings.Cut(s, " ")
	text = strings.TrimSpace(text)
	code, err := strconv.Atoi(number)
	if len(number) != 3 || err != nil || code < 400 || code > 599 {
		return Value{}, fmt.Errorf("%q is no reply of refusal: the code is 400 to 599, as in 550 text", s)
	}
	if dsn == "" {
		if first, rest, _ := strings.Cut(text, " "); strings.Count(first, ".") == 2 && strings.Trim(first, "0123456789.") == "" {
			dsn, text = first, strings.TrimSpace(rest)
		} else {
			dsn = number[:1] + ".0.0"
		}
	}
	if text == "" {
		text = "Access denied"
	}
	line := number + " " + dsn + " " + text
	var p smtp.ReplyParser
	r, _, err := p.Line([]byte(line))
	if err != nil || r.Enhanced == (smtp.Enhanced{}) {
		return Value{}, fmt.Errorf("the codes %s and %s contradict each other: write %s%s or change the reply code", number, dsn, number[:1], strings.TrimLeft(dsn, "0123456789"))
	}
	return Value{ERROR, line}, nil
}

// checkValue refuses values that mean nothing beside their key.
func checkValue(k Key, v Value) error {
	tls := k.tag == TLSServer || k.tag == TLSClient
	switch {
	case tls && v.Action == TLS, tls && v.Action == OK:
		return nil
	case v.Action == TLS:
		return fmt.Errorf("%s is a value for TLS_Srv: and TLS_Clt: keys", v)
	case tls:
		return fmt.Errorf("%s: takes VERIFY, VERIFY:bits, ENCR:bits or OK", k.tag)
	case k.tag == CertIssuer && (v.Action == RELAY || v.Action == SUBJECT), k.tag == CertSubject && v.Action == RELAY:
		return nil
	case k.tag == CertIssuer || k.tag == CertSubject:
		return fmt.Errorf("%s: takes RELAY (CERTISSUER: also SUBJECT)", k.tag)
	case v.Action == SUBJECT:
		return errors.New("SUBJECT is a value for CERTISSUER: keys")
	case k.tag == Spam:
		if v.Action != FRIEND && v.Action != HATER && v.Action != SKIP {
			return errors.New("a Spam: key takes FRIEND or HATER")
		}
	case v.Action == FRIEND || v.Action == HATER:
		return fmt.Errorf("%s is a value of Spam:; write Spam:%s", v, k.Name())
	case (v.Action == SPAMFRIEND || v.Action == SPAMHATER) && k.tag != To:
		return fmt.Errorf("%s is a value of To:; better, write Spam:%s %s", v, k.Name(), strings.TrimPrefix(v.String(), "SPAM"))
	}
	if v.Action == SKIP && (kindOf(k.raw) == kindUser || kindOf(k.raw) == kindAddress) {
		return errors.New("SKIP is for hosts and networks; for an address write OK")
	}
	return nil
}

// unquote takes away the quotes with which sendmail is kept from reading a text
// as an address.
func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return strings.TrimSpace(s[1 : len(s)-1])
	}
	return s
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
