package content

import "bytes"

// bareLinks finds URLs that stand in text, in one pass: a scheme of the web, or
// "www.".
func (w *reader) bareLinks(b []byte) {
	if !mayLink(b) {
		return
	}
	from := 0 // nothing before it belongs to a URL to come
	for i := 0; i < len(b); i++ {
		var start int
		switch {
		case b[i] == ':' && i+2 < len(b) && b[i+1] == '/' && b[i+2] == '/':
			start = i
			for start > from && i-start < 8 && isASCIILetter(b[start-1]) {
				start--
			}
		case b[i] == '.' && i-from >= 3 && isWWW(b[:i]):
			start = i - 3
		default:
			continue
		}
		end := start + urlLen(b[start:])
		if end-start > len("http://") {
			w.link(b[start:end], "")
		}
		from = max(i+1, end)
		i = from - 1
	}
}

// mayLink tells of nearly every line of text, quickly, that there is no URL in it.
func mayLink(b []byte) bool {
	if bytes.Contains(b, []byte("://")) {
		return true
	}
	for from := 0; ; {
		dot := bytes.IndexByte(b[from:], '.')
		if dot < 0 {
			return false
		}
		if from += dot; isWWW(b[:from]) {
			return true
		}
		from++
	}
}

func isASCIILetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// isWWW tells whether b ends with "www" as the beginning of a word.
func isWWW(b []byte) bool {
	n := len(b)
	if n < 3 || b[n-1]|0x20 != 'w' || b[n-2]|0x20 != 'w' || b[n-3]|0x20 != 'w' {
		return false
	}
	if n == 3 {
		return true
	}
	c := b[n-4]
	return !isASCIILetter(c) && c != '/' && c != '.' && c != '@'
}

// urlLen is how far a URL goes: to white space or a delimiter of RFC 3986
// appendix C, without the punctuation of the sentence around it.
func urlLen(b []byte) int {
	n := bytes.IndexAny(b, " \t\r\n<>\"'`|\\^{}")
	if n < 0 {
		n = len(b)
	}
	for n > 0 {
		switch b[n-1] {
		case '.', ',', ';', ':', '!', '?', ')', ']', '*':
			n--
			continue
		}
		break
	}
	return n
}
