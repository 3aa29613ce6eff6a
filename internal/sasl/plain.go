package sasl

import (
	"bytes"
)

// plainServer is RFC 4616: one response, "identity NUL user NUL password".
type plainServer struct{ asked bool }

func (s *plainServer) Next(response []byte) ([]byte, Credentials, bool, error) {
	if response == nil {
		if s.asked {
			return nil, Credentials{}, false, ErrSyntax
		}
		s.asked = true
		return []byte{}, Credentials{}, false, nil
	}
	identity, rest, ok := bytes.Cut(response, []byte{0})
	user, password, ok2 := bytes.Cut(rest, []byte{0})
	if !ok || !ok2 {
		return nil, Credentials{}, false, ErrSyntax
	}
	c := Credentials{Mechanism: "PLAIN", Identity: string(identity), User: string(user), Password: string(password)}
	if err := c.valid(); err != nil {
		return nil, Credentials{}, false, err
	}
	return nil, c, true, nil
}

type plainClient struct{ user, password string }

// PlainClient authenticates with PLAIN; use it over TLS only.
func PlainClient(user, password string) Client { return plainClient{user, password} }

func (c plainClient) Start() (string, []byte) {
	return "PLAIN", []byte("\x00" + c.user + "\x00" + c.password)
}

// Next: a server that asks again did not understand the initial response, or
// is not speaking PLAIN.
func (c plainClient) Next([]byte) ([]byte, error) { return nil, ErrSyntax }
