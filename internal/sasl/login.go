package sasl

// loginServer asks for the name, then for the password. Clients do not look at
// the prompts, but some wait for exactly these.
type loginServer struct {
	step int
	user string
}

func (s *loginServer) Next(response []byte) ([]byte, Credentials, bool, error) {
	if response == nil {
		if s.step != 0 {
			return nil, Credentials{}, false, ErrSyntax
		}
		s.step = 1
		return []byte("Username:"), Credentials{}, false, nil
	}
	switch s.step {
	case 0, 1: // 0: the name came as initial response, as Outlook sends it
		if len(response) > MaxName {
			return nil, Credentials{}, false, ErrTooLong
		}
		s.user, s.step = string(response), 2
		return []byte("Password:"), Credentials{}, false, nil
	case 2:
		s.step = 3
		c := Credentials{Mechanism: "LOGIN", User: s.user, Password: string(response)}
		if err := c.valid(); err != nil {
			return nil, Credentials{}, false, err
		}
		return nil, c, true, nil
	}
	return nil, Credentials{}, false, ErrSyntax
}

type loginClient struct {
	user, password string
	step           int
}

// LoginClient authenticates with LOGIN, for servers that know nothing better;
// use it over TLS only.
func LoginClient(user, password string) Client {
	return &loginClient{user: user, password: password}
}

func (c *loginClient) Start() (string, []byte) { return "LOGIN", nil }

func (c *loginClient) Next([]byte) ([]byte, error) {
	c.step++
	switch c.step {
	case 1:
		return []byte(c.user), nil
	case 2:
		return []byte(c.password), nil
	}
	return nil, ErrSyntax
}
