package reflector

import (
	"strings"

	"posta/internal/message"
	"posta/internal/words"
)

// Automatic says by what a header shows that its message is not to be answered by a
// program (RFC 3834 §2): the field, as evidence; "" when nothing speaks against an
// answer.
func Automatic(h message.Header) string {
	for f := range h.Fields() {
		name := strings.ToLower(f.Name())
		value := strings.TrimSpace(f.Value())
		word, _, _ := strings.Cut(value, ";") // parameters of RFC 3834 §5.2
		word, _, _ = strings.Cut(word, "(")
		word = strings.ToLower(strings.TrimSpace(word))
		switch {
		case name == "auto-submitted" && word == "no":
		case name == "auto-submitted", strings.HasPrefix(name, "list-"), name == "x-loop", name == "x-auto-response-suppress":
			return oneField(f.Name(), value)
		case name == "precedence" && (word == "bulk" || word == "list" || word == "junk" || word == "auto_reply"):
			return oneField(f.Name(), value)
		case name == "return-path" && value == "<>":
			return oneField(f.Name(), value)
		}
	}
	return ""
}

func oneField(name, value string) string { return name + ": " + cut(value, 100) }

// Languages are those in which a message is answered: the one that its subject is
// ("es", "español", "en", "English"), else the first of its Accept-Language field
// (RFC 3282 §3) that Posta speaks, else all.
func Languages(h message.Header, subject string) []words.Lang {
	switch strings.ToLower(strings.TrimSpace(subject)) {
	case "es", "español", "espanol", "spanish":
		return []words.Lang{"es"}
	case "en", "english", "inglés", "ingles":
		return []words.Lang{"en"}
	}
	const few = 10
	for i, l := range strings.SplitN(h.Get("Accept-Language"), ",", few+1) {
		l, _, _ = strings.Cut(l, ";")
		if l = strings.TrimSpace(l); i < few && words.Speaks(l) {
			return []words.Lang{words.Parse(l)}
		}
	}
	var all []words.Lang
	for _, l := range words.Languages() {
		all = append(all, words.Lang(l))
	}
	return all
}

// cut shortens a text to n octets or less, at a rune.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
