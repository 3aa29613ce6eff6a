package access

import "errors"

// Unasked says why an entry would have no effect here, though sendmail's map may have
// it; nil: it has one. What the administrator believes to be in force and is not is
// worse than an import that he has to mend. Entries that ask for nothing pass.
func Unasked(k Key, v Value) error {
	switch k.tag {
	case CertIssuer, CertSubject:
		return errors.New("our doors ask clients for no certificate, so nobody can relay by one: give the client a login, or its network an entry Connect: RELAY")
	case TLSClient:
		if v.Action == TLS {
			return errors.New("what a client must encrypt is not asked at our doors: the submission doors take no password and no mail of our users without TLS; strangers' mail is taken as it comes")
		}
	case TLSServer:
		if v.Action == TLS {
			return errors.New("the way out does not ask this map: set queue.smart_host_tls in posta.toml for the smart host; other servers are spoken to with TLS where they offer it")
		}
	}
	return nil
}
