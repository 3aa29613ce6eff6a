package imap

import (
	"strings"
	"time"
)

// The forms of RFC 9051 §9: date-text and date-time. date-day-fixed pads the day
// with a space on output; both forms are taken on input.
const (
	dateLayout     = "2-Jan-2006"
	dateTimeLayout = "_2-Jan-2006 15:04:05 -0700"
)

// Date reads date: date-text, quoted or not. The result is midnight UTC of that
// day; SEARCH disregards time and zone.
func (d *Decoder) Date(arg string) time.Time {
	s := d.Astring(arg)
	if d.err != nil {
		return time.Time{}
	}
	t, err := time.Parse(dateLayout, titleMonth(s))
	if err != nil {
		d.err = Bad("%s: date such as 1-Feb-1994 expected, not %.32q", arg, s)
	}
	return t
}

// DateTime reads date-time, always quoted. Years before 1 cannot be written; the
// zone is kept.
func (d *Decoder) DateTime(arg string) time.Time {
	s := d.String(arg)
	if d.err != nil {
		return time.Time{}
	}
	t, err := time.Parse(dateTimeLayout, titleMonth(s))
	if err != nil {
		t, err = time.Parse("2-Jan-2006 15:04:05 -0700", titleMonth(s))
	}
	if err != nil {
		d.err = Bad(`%s: date such as "17-Jul-1996 02:44:25 -0700" expected, not %.40q`, arg, s)
	}
	return t
}

// titleMonth writes the month as Go's layout wants it: the grammar's strings
// have no case.
func titleMonth(s string) string {
	i := strings.IndexByte(s, '-')
	if i < 0 || len(s) < i+4 {
		return s
	}
	return s[:i+1] + strings.ToUpper(s[i+1:i+2]) + strings.ToLower(s[i+2:i+4]) + s[i+4:]
}

// AppendDateTime writes date-time with its quotes. Years past 9999, which the
// grammar cannot write, become 9999.
func AppendDateTime(b []byte, t time.Time) []byte {
	switch {
	case t.Year() > 9999:
		t = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	case t.Year() < 0:
		t = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	b = append(b, '"')
	b = t.AppendFormat(b, dateTimeLayout)
	return append(b, '"')
}
