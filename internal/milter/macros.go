package milter

import "strings"

// Macros are what a milter may be told beside the commands, by sendmail's names
// without braces: "j", "client_addr". A macro without a value is not sent. Values
// of the current MAIL and RCPT (mail_addr, mail_host, rcpt_addr, rcpt_host) are set by
// the stages themselves.
//
//	j daemon_name daemon_addr daemon_port v            about us
//	_ client_addr client_name client_ptr client_port   about the client
//	tls_version cipher                                 of its TLS
//	auth_authen auth_type                              who logged in, and how
//	i                                                  the queue id
//	msg_id                                             Message-ID, at the end
type Macros map[string]string

// defaultMacros are told at each stage where the milter did not list its own:
// sendmail's lists, and what milters commonly want to be added to them.
var defaultMacros = [stages][]string{
	StageConnect: {"j", "_", "daemon_name", "daemon_addr", "daemon_port", "v", "client_addr", "client_name", "client_ptr", "client_port"},
	StageHelo:    {"tls_version", "cipher"},
	StageMail:    {"i", "auth_type", "auth_authen", "mail_mailer", "mail_host", "mail_addr", "tls_version", "cipher"},
	StageRcpt:    {"i", "rcpt_mailer", "rcpt_host", "rcpt_addr"},
	StageData:    {"i"},
	StageEOH:     {"i"},
	StageEnd:     {"i", "msg_id"},
}

// maxMacros bounds the names that a milter may ask for at one stage.
const maxMacros = 100

// parseMacroList reads what a milter asks for: names parted by white space or
// commas, in braces or without.
func parseMacroList(s string) []string {
	names := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' })
	if len(names) > maxMacros {
		names = names[:maxMacros]
	}
	for i, n := range names {
		names[i] = strings.TrimSuffix(strings.TrimPrefix(n, "{"), "}")
	}
	return names
}

// appendMacro appends a name, in braces unless it has one letter, and its value.
func appendMacro(b []byte, name, value string) []byte {
	if len(name) > 1 {
		name = "{" + name + "}"
	}
	return appendString(appendString(b, name), value)
}
