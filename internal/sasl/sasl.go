// Package sasl has the mechanisms of the Simple Authentication and Security
// Layer (RFC 4422) that Posta speaks: PLAIN (RFC 4616) and LOGIN (a draft that
// never became an RFC, draft-murchison-sasl-login-00, but that Outlook needs),
// both sides. A mechanism is a state machine over decoded octets; the door
// brings the base64 lines.
//
// A mechanism of more rounds fits the same interface: a SCRAM server gets its
// look-up of stored keys when it is made, and the Credentials that it ends with
// name the user and carry no password; OAUTHBEARER ends with a token.
//
// # Budgets
//
// A response has at most MaxResponse octets, a name at most MaxName, a password
// at most MaxPassword. Mechanisms end after a fixed number of rounds.
package sasl

import (
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
	"unicode/utf8"
)

// Budgets of a dialogue, in octets after base64.
const (
	MaxResponse = 9216 // 12,288 of base64, RFC 4954 §4
	MaxName     = 320  // local part, "@" and domain
	MaxPassword = 1024
)

// Errors of a dialogue.
var (
	ErrCancelled = errors.New("the client cancelled the authentication")
	ErrSyntax    = errors.New("not a valid response for this mechanism")
	ErrTooLong   = errors.New("the response is too long")
)

// Credentials are what a finished dialogue claims; nothing is verified yet.
// They redact themselves in logs and never print their secret.
type Credentials struct {
	Mechanism string // "PLAIN", "LOGIN"
	Identity  string // authorization identity, "" if the user acts as himself
	User      string // authentication identity
	Password  string
}

// LogValue leaves the secret out.
func (c Credentials) LogValue() slog.Value {
	return slog.GroupValue(slog.String("mechanism", c.Mechanism), slog.String("user", c.User))
}

// String leaves the secret out.
func (c Credentials) String() string { return c.Mechanism + " " + c.User }

// GoString leaves the secret out.
func (c Credentials) GoString() string { return "sasl.Credentials{" + c.String() + "}" }

// Server is the server's side of one dialogue.
type Server interface {
	// Next takes the client's decoded response: nil at the beginning when there
	// was no initial response. It gives either a challenge to send (done is
	// false; it may be empty) or the credentials (done is true).
	Next(response []byte) (challenge []byte, c Credentials, done bool, err error)
}

// Client is the client's side of one dialogue.
type Client interface {
	// Start names the mechanism and its initial response (nil: none).
	Start() (mechanism string, initial []byte)
	// Next answers a decoded challenge.
	Next(challenge []byte) (response []byte, err error)
}

// Mechanisms lists what NewServer knows, best first.
func Mechanisms() []string { return []string{"PLAIN", "LOGIN"} }

// NewServer begins a dialogue; the name's case does not matter. False: unknown.
func NewServer(mechanism string) (Server, bool) {
	switch strings.ToUpper(mechanism) {
	case "PLAIN":
		return &plainServer{}, true
	case "LOGIN":
		return &loginServer{}, true
	}
	return nil, false
}

// Decode reads a line of the dialogue: base64, "=" for the empty response
// (RFC 4954 §4), "*" for ErrCancelled. The result is never nil without an error.
func Decode(line []byte) ([]byte, error) {
	switch {
	case len(line) == 1 && line[0] == '*':
		return nil, ErrCancelled
	case len(line) == 1 && line[0] == '=':
		return []byte{}, nil
	case base64.StdEncoding.DecodedLen(len(line)) > MaxResponse+2:
		return nil, ErrTooLong
	}
	for _, c := range line {
		if c == '\r' || c == '\n' { // the decoder of Go skips them
			return nil, ErrSyntax
		}
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(line)))
	n, err := base64.StdEncoding.Strict().Decode(out, line)
	if err != nil {
		return nil, ErrSyntax
	}
	return out[:n], nil
}

// AppendEncoded writes a challenge or response in base64; an empty initial
// response is written "=" by the caller, since only it knows where it stands.
func AppendEncoded(dst, octets []byte) []byte {
	return base64.StdEncoding.AppendEncode(dst, octets)
}

// valid says whether the claimed names and the secret may go on to a directory.
func (c Credentials) valid() error {
	if len(c.User) > MaxName || len(c.Identity) > MaxName || len(c.Password) > MaxPassword {
		return ErrTooLong
	}
	for _, s := range []string{c.Identity, c.User, c.Password} {
		if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
			return ErrSyntax
		}
	}
	if c.User == "" {
		return ErrSyntax
	}
	return nil
}
