package content

import (
	"bytes"
	"strconv"

	"golang.org/x/net/html/atom"
)

// look is how text is shown, as far as styles in the elements tell.
type look struct {
	gone   bool // display:none and the like: for all that is within
	tiny   bool // font of less than two pixels; an inner element may undo it
	fg, bg uint32
}

// plainLook is black on white.
var plainLook = look{fg: 0, bg: 0xffffff}

// hidden tells whether nobody sees the text.
func (l *look) hidden() bool { return l.gone || l.tiny || near(l.fg, l.bg) }

// near tells whether two colours cannot be told apart.
func near(a, b uint32) bool {
	for shift := 0; shift <= 16; shift += 8 {
		x, y := int(a>>shift&0xff), int(b>>shift&0xff)
		if x-y > 12 || y-x > 12 {
			return false
		}
	}
	return true
}

// attribute takes an attribute of HTML 4.
func (l *look) attribute(tag atom.Atom, key string, value []byte) {
	switch {
	case key == "bgcolor":
		l.background(value)
	case key == "color" && tag == atom.Font:
		l.colour(value)
	}
}

func (l *look) colour(v []byte) {
	if c, ok := parseColour(v); ok {
		l.fg = c
	}
}

func (l *look) background(v []byte) {
	if c, ok := parseColour(v); ok {
		l.bg = c
	}
}

// style takes a style attribute and tells note of its colours and fonts.
func (l *look) style(b []byte, note func(string, []byte)) {
	b = lower(b[:min(len(b), 2000)])
	for len(b) > 0 {
		var decl []byte
		decl, b, _ = bytes.Cut(b, []byte{';'})
		name, value, ok := bytes.Cut(decl, []byte{':'})
		if !ok {
			continue
		}
		value, _, _ = bytes.Cut(value, []byte{'!'})
		l.declare(string(trim(name)), trim(value), note)
	}
}

// declare takes one declaration of CSS.
func (l *look) declare(name string, v []byte, note func(string, []byte)) {
	switch name {
	case "display":
		l.gone = l.gone || string(v) == "none"
	case "visibility":
		l.gone = l.gone || string(v) == "hidden" || string(v) == "collapse"
	case "mso-hide":
		l.gone = l.gone || string(v) == "all"
	case "opacity":
		n, _, ok := number(v)
		l.gone = l.gone || ok && n < 0.05
	case "max-height", "max-width", "line-height":
		n, _, ok := number(v)
		l.gone = l.gone || ok && n == 0 && name != "line-height"
	case "text-indent":
		n, _, ok := number(v)
		l.gone = l.gone || ok && n < -500
	case "font-size":
		n, unit, ok := number(v)
		if ok {
			l.tiny = n == 0 || n < 2 && (unit == "px" || unit == "pt")
		}
		note("size", v)
	case "color":
		l.colour(v)
		note("color", v)
	case "background", "background-color":
		l.background(v)
		note("bgcolor", v)
	case "font-family":
		note("face", v)
	}
}

// number reads "1.5px".
func number(v []byte) (n float64, unit string, ok bool) {
	i := 0
	for i < len(v) && i < 16 && (v[i] >= '0' && v[i] <= '9' || v[i] == '.' || v[i] == '-') {
		i++
	}
	n, err := strconv.ParseFloat(string(v[:i]), 64)
	return n, string(trim(v[i:])), err == nil
}

// parseColour reads the forms of mail: #rgb, #rrggbb (the # may be missing, as
// in HTML 4), rgb(r,g,b) and the commonest names.
func parseColour(v []byte) (uint32, bool) {
	v = lower(trim(v[:min(len(v), 40)]))
	switch string(v) {
	case "white":
		return 0xffffff, true
	case "black":
		return 0, true
	case "red":
		return 0xff0000, true
	case "blue":
		return 0x0000ff, true
	case "green":
		return 0x008000, true
	case "yellow":
		return 0xffff00, true
	case "gray", "grey":
		return 0x808080, true
	case "silver":
		return 0xc0c0c0, true
	case "navy":
		return 0x000080, true
	}
	if rest, ok := bytes.CutPrefix(v, []byte("rgb(")); ok {
		return parseRGB(rest)
	}
	hex := bytes.TrimPrefix(v, []byte{'#'})
	n, err := strconv.ParseUint(string(hex), 16, 32)
	switch {
	case err != nil:
		return 0, false
	case len(hex) == 6:
		return uint32(n), true
	case len(hex) == 3:
		r, g, b := n>>8&15, n>>4&15, n&15
		return uint32(r*17<<16 | g*17<<8 | b*17), true
	}
	return 0, false
}

func parseRGB(v []byte) (uint32, bool) {
	var out uint32
	for i := range 3 {
		part, rest, ok := bytes.Cut(v, []byte{','})
		if i == 2 {
			part, _, ok = bytes.Cut(v, []byte{')'})
		}
		n, err := strconv.ParseUint(string(trim(part)), 10, 8)
		if !ok || err != nil {
			return 0, false
		}
		out, v = out<<8|uint32(n), rest
	}
	return out, true
}

func trim(b []byte) []byte { return bytes.TrimSpace(b) }

// lower makes ASCII letters small, in a copy if there are large ones.
func lower(b []byte) []byte {
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			out := bytes.Clone(b)
			for j := i; j < len(out); j++ {
				if c := out[j]; c >= 'A' && c <= 'Z' {
					out[j] = c | 0x20
				}
			}
			return out
		}
	}
	return b
}
