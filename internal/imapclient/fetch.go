package imapclient

import (
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"posta/internal/imap"
)

// State is what EXAMINE tells of a mailbox.
type State struct {
	UIDValidity uint32
	Exists      uint32
}

// Examine opens a mailbox for reading; nothing in it changes.
func (c *Client) Examine(m Mailbox) (s State, err error) {
	err = c.each("EXAMINE "+string(quote(m.Raw)), func(r response) error {
		switch {
		case r.word(2) == "EXISTS":
			n, err := strconv.ParseUint(r.text(1), 10, 32)
			s.Exists = uint32(n)
			return err
		case r.word(1) == "OK":
			// "[UIDVALIDITY 17] UIDs valid"
			if rest, ok := strings.CutPrefix(strings.ToUpper(r.text(2)), "[UIDVALIDITY "); ok {
				digits, _, _ := strings.Cut(rest, "]")
				n, err := strconv.ParseUint(digits, 10, 32)
				s.UIDValidity = uint32(n)
				return err
			}
		}
		return nil
	})
	return s, err
}

// quote writes a mailbox name as the server gave it.
func quote(raw string) []byte {
	return imap.AppendAstring(nil, raw, true)
}

// UIDs lists the UIDs of the open mailbox that are above a number, ascending.
func (c *Client) UIDs(above uint32) (out []uint32, err error) {
	if above == 1<<32-1 {
		return nil, nil
	}
	err = c.each(fmt.Sprintf("UID SEARCH UID %d:*", above+1), func(r response) error {
		if r.word(1) != "SEARCH" {
			return nil
		}
		for i := 2; i < len(r); i++ {
			n, err := strconv.ParseUint(r.text(i), 10, 32)
			if err != nil {
				return errSyntax
			}
			// "5:*" means the last message too, whatever its number.
			if uint32(n) > above {
				out = append(out, uint32(n))
			}
		}
		return nil
	})
	slices.Sort(out)
	return slices.Compact(out), err
}

// Letter is one message as FETCH gave it.
type Letter struct {
	UID   uint32
	Flags []string // as written: \Seen, $Work
	Date  time.Time
	Data  []byte // nil: the server gave no octets
	Long  int64  // octets of a message that was too long to read
}

// Letters fetches messages of the open mailbox by UID, in the order in which the server
// gives them; those that are gone are missing. They come one by one as they are read.
func (c *Client) Letters(uids []uint32) iter.Seq2[*Letter, error] {
	return func(yield func(*Letter, error) bool) {
		stopped := false
		err := c.each("UID FETCH "+set(uids)+" (UID FLAGS INTERNALDATE BODY.PEEK[])", func(r response) error {
			if stopped || r.word(2) != "FETCH" || len(r) < 4 {
				return nil // the rest is read all the same, so that the session goes on
			}
			l, err := letterOf(r[3].list)
			if err == nil && slices.Contains(uids, l.UID) && (l.Data != nil || l.Long > 0) {
				stopped = !yield(l, nil)
			}
			return err
		})
		if err != nil && !stopped {
			yield(nil, err)
		}
	}
}

// set writes UIDs as a sequence set with ranges.
func set(uids []uint32) string {
	var b strings.Builder
	for i := 0; i < len(uids); {
		j := i
		for j+1 < len(uids) && uids[j+1] == uids[j]+1 {
			j++
		}
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%d", uids[i])
		if j > i {
			fmt.Fprintf(&b, ":%d", uids[j])
		}
		i = j + 1
	}
	return b.String()
}

// letterOf reads the pairs of a FETCH response.
func letterOf(pairs []value) (*Letter, error) {
	l := &Letter{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v := pairs[i+1]
		switch name := strings.ToUpper(pairs[i].text); name {
		case "UID":
			n, err := strconv.ParseUint(v.text, 10, 32)
			if err != nil {
				return nil, errSyntax
			}
			l.UID = uint32(n)
		case "FLAGS":
			for _, f := range v.list {
				l.Flags = append(l.Flags, f.text)
			}
		case "INTERNALDATE":
			t, err := time.Parse("_2-Jan-2006 15:04:05 -0700", v.string())
			if err == nil {
				l.Date = t
			}
		case "BODY[]", "BODY[]<0>":
			l.Long = v.long
			if v.octets != nil {
				l.Data = v.octets
			} else if v.text != "" && !strings.EqualFold(v.text, "NIL") {
				l.Data = []byte(v.text)
			}
		}
	}
	return l, nil
}
