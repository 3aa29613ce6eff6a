package learn

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	maxRaw  = 200 // octets between white space; the rest is not looked at
	maxWord = 30  // octets of a word
)

// words takes the words of a text, under a prefix that tells where they stood,
// and the pairs of neighbours.
type words struct {
	s      *set
	prefix string
	pairs  bool

	word   []byte // the word at hand, folded
	last   int    // the place of the word before it; -1 at the beginning
	single []byte // letters that stood alone: "F R E E"

	letters, capitals int // ASCII, of all words
}

// takeWords takes the words of t, and tells how many of its letters are capitals.
func takeWords(s *set, prefix, t string, pairs bool) (letters, capitals int) {
	w := words{s: s, prefix: prefix, pairs: pairs, last: -1}
	for len(t) > 0 {
		n := 0
		for n < len(t) && t[n] > ' ' {
			n++
		}
		if n > 0 {
			w.raw(t[:n])
		}
		t = t[min(n+1, len(t)):]
	}
	w.endSingles()
	return w.letters, w.capitals
}

// raw takes what stands between white space.
func (w *words) raw(t string) {
	if len(t) > maxRaw {
		w.s.add(w.prefix, "(long)")
		t = t[:maxRaw]
	}
	if strings.Contains(t[:min(len(t), 16)], "://") {
		w.token(append(w.word[:0], "(url)"...)) // links are features of their own
		return
	}
	for {
		i := 0
		for i < len(t) && !isWord(t[i]) {
			i++
		}
		t = t[i:]
		n := 0
		for n < len(t) && (isWord(t[n]) || isInner(t[n]) && n+1 < len(t) && isWord(t[n+1])) {
			n++
		}
		if n == 0 {
			return
		}
		w.take(t[:n])
		if n < len(t) && t[n] == '!' && len(w.word) > 2 {
			w.join(w.word, "!")
		}
		t = t[n:]
	}
}

// isWord tells the octets of words; money and per cent speak for themselves.
func isWord(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c >= 0x80 || c == '$' || c == '%'
}

// isInner tells what may stand within a word.
func isInner(c byte) bool {
	return c == '\'' || c == '.' || c == ',' || c == '-' || c == '@' || c == '_'
}

// take folds a word and takes it.
func (w *words) take(t string) {
	b := w.word[:0]
	ascii, digits, letters, signs := true, 0, 0, false
	for i := 0; i < len(t); i++ {
		c := t[i]
		switch {
		case c >= 'a' && c <= 'z':
			letters++
		case c >= 'A' && c <= 'Z':
			letters++
			w.capitals++
			c |= 0x20
		case c >= '0' && c <= '9':
			digits++
		case c >= 0x80:
			ascii = false
		case c == '$' || c == '@':
			signs = true
		}
		b = append(b, c)
	}
	w.word = b
	w.letters += letters
	switch {
	case !ascii:
		w.foldUnicode(t)
	case digits > 0 && letters == 0 && len(b) > 4:
		for i, c := range b { // long numbers count by their shape
			if c >= '0' && c <= '9' {
				b[i] = '0'
			}
		}
	case len(b) == 1 && letters == 1:
		w.single = append(w.single, b[0])
		return
	case letters > 1 && (digits > 0 || signs):
		w.plainLetters(b)
	}
	w.token(w.word)
}

// plainLetters takes what "v1agr4" wants to be read as.
func (w *words) plainLetters(b []byte) {
	if !isASCIILetter(b[0]) || !isASCIILetter(b[len(b)-1]) {
		return
	}
	start := len(w.s.names)
	w.s.names = append(append(w.s.names, w.prefix...), "(digits)"...)
	for _, c := range b[:min(len(b), maxWord)] {
		if i := strings.IndexByte("013457$@", c); i >= 0 {
			c = "oieastsa"[i]
		}
		if !isASCIILetter(c) {
			w.s.names = w.s.names[:start]
			return
		}
		w.s.names = append(w.s.names, c)
	}
	w.s.close(start)
}

func isASCIILetter(c byte) bool { return c >= 'a' && c <= 'z' }

// foldUnicode folds case, accents and width, drops what cannot be seen, and puts
// Latin letters for those of other alphabets that look the same in a word with
// Latin ones. It notes both tricks.
func (w *words) foldUnicode(t string) {
	b := w.word[:0]
	if b, ok := foldLatin1(b, t); ok {
		w.word = b
		return
	}
	latin, twins, unseen := false, false, false
	for _, r := range norm.NFKD.String(t) {
		switch {
		case unicode.Is(unicode.Mn, r):
			continue
		case unicode.Is(unicode.Cf, r) || r == '\u034f' || r == '\u115f' || r == '\u3164':
			unseen = unseen || r != '\u200d' && r != '\ufeff' // the joiner of emoji, and a mark at the beginning
			continue
		case r < utf8.RuneSelf:
			latin = latin || lower(byte(r)) >= 'a' && lower(byte(r)) <= 'z'
		case twin(r) != 0:
			twins = true
		}
		b = utf8.AppendRune(b, unicode.ToLower(r))
	}
	if latin && twins {
		w.s.add(w.prefix, "(lookalikes)")
		b = latinTwins(b)
	}
	if unseen {
		w.s.add(w.prefix, "(invisible characters)")
	}
	w.word = b
}

// foldLatin1 folds text of the letters of Western Europe, the quick way; ok is
// false where there are others.
func foldLatin1(b []byte, t string) (out []byte, ok bool) {
	const from, base = 0xc0, "aaaaaa\x00ceeeeiiii\x00nooooo\x00\x00uuuuy\x00\x00"
	for i := 0; i < len(t); i++ {
		c := t[i]
		if c < utf8.RuneSelf {
			b = append(b, lower(c))
			continue
		}
		if c != 0xc3 || i+1 == len(t) {
			return b, false
		}
		i++
		letter := base[(t[i]+0x40-from)&0x1f]
		if letter == 0 {
			return b, false
		}
		b = append(b, letter)
	}
	return b, true
}

// latinTwins replaces letters that look like Latin ones.
func latinTwins(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for _, r := range string(b) {
		if t := twin(r); t != 0 {
			r = rune(t)
		}
		out = utf8.AppendRune(out, r)
	}
	return out
}

// twin is the Latin letter that a Greek, Cyrillic or other letter looks like, 0
// if none. After Unicode TR 39, the commonest.
func twin(r rune) byte {
	switch unicode.ToLower(r) {
	case 'а', 'α', 'ɑ':
		return 'a'
	case 'в', 'β':
		return 'b'
	case 'с', 'ϲ':
		return 'c'
	case 'ԁ':
		return 'd'
	case 'е', 'ε':
		return 'e'
	case 'һ', 'н', 'η':
		return 'h'
	case 'і', 'ι', 'ı':
		return 'i'
	case 'ј':
		return 'j'
	case 'к', 'κ':
		return 'k'
	case 'м', 'μ':
		return 'm'
	case 'ո':
		return 'n'
	case 'о', 'ο', 'օ':
		return 'o'
	case 'р', 'ρ':
		return 'p'
	case 'ѕ':
		return 's'
	case 'т', 'τ':
		return 't'
	case 'υ', 'ս':
		return 'u'
	case 'ν', 'ѵ':
		return 'v'
	case 'х', 'χ':
		return 'x'
	case 'у', 'γ':
		return 'y'
	}
	return 0
}

func (w *words) endSingles() {
	if len(w.single) >= 4 {
		w.join([]byte("(spaced)"), string(w.single[:min(len(w.single), maxWord)]))
	}
	w.single = w.single[:0]
}

// token takes a folded word, and the pair with the one before.
func (w *words) token(b []byte) {
	if len(w.single) > 0 {
		w.endSingles()
	}
	b = b[:min(len(b), maxWord)]
	w.word = b
	if len(b) == 0 {
		return
	}
	at := w.join(b, "")
	if w.pairs && w.last >= 0 && at >= 0 {
		w.s.pair(w.last, at)
	}
	w.last = at
}

func (w *words) join(a []byte, b string) int {
	start := len(w.s.names)
	w.s.names = append(append(append(w.s.names, w.prefix...), a...), b...)
	return w.s.close(start)
}
