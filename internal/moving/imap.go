package moving

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"posta/internal/imapclient"
	"posta/internal/mailbox"
)

// IMAP is an account on another server.
type IMAP struct {
	Config imapclient.Config

	c     *imapclient.Client
	boxes map[string]imapclient.Mailbox // by our name
	state map[string]imapclient.State
}

// together is how many messages one FETCH asks for.
const together = 50

// Name implements Source.
func (s *IMAP) Name() string { return "imap " + s.Config.User + " at " + s.Config.Address }

// Parallel implements Source: one session.
func (s *IMAP) Parallel() int { return 1 }

// Close ends the session.
func (s *IMAP) Close() error {
	if s.c == nil {
		return nil
	}
	return s.c.Close()
}

// Folders implements Source: it logs in and looks into each mailbox. A folder's units
// are messages; its mark is the UID up to which it was fetched.
func (s *IMAP) Folders(ctx context.Context) ([]Folder, error) {
	var err error
	if s.c, err = imapclient.Dial(ctx, s.Config); err != nil {
		return nil, err
	}
	list, err := s.c.List()
	if err != nil {
		return nil, err
	}
	s.boxes, s.state = map[string]imapclient.Mailbox{}, map[string]imapclient.State{}
	var out []Folder
	for _, b := range list {
		if _, twice := s.boxes[b.Name]; twice { // two names of the server are one of ours
			b.Name += " (" + b.Raw + ")"
		}
		state, err := s.c.Examine(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", b.Name, err)
		}
		s.boxes[b.Name], s.state[b.Name] = b, state
		f := Folder{Name: b.Name, Use: b.Use, All: b.All, Subscribed: b.Subscribed, Units: int64(state.Exists)}
		if state.UIDValidity != 0 {
			f.Mark = fmt.Sprintf("%s/%s %d %s", s.Config.Address, s.Config.User, state.UIDValidity, b.Raw)
		}
		if len(f.Mark) > 350 {
			f.Mark = ""
		}
		out = append(out, f)
	}
	return out, nil
}

// Messages implements Source.
func (s *IMAP) Messages(_ context.Context, f Folder, after uint64) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		if _, err := s.c.Examine(s.boxes[f.Name]); err != nil {
			yield(nil, fmt.Errorf("%s: %w", f.Name, err))
			return
		}
		uids, err := s.c.UIDs(uint32(min(after, 1<<32-1)))
		if err != nil {
			yield(nil, fmt.Errorf("%s: %w", f.Name, err))
			return
		}
		for from := 0; from < len(uids); from += together {
			some := uids[from:min(from+together, len(uids))]
			missing := map[uint32]bool{}
			for _, u := range some {
				missing[u] = true
			}
			for l, err := range s.c.Letters(some) {
				if err != nil {
					yield(nil, fmt.Errorf("%s: %w", f.Name, err))
					return
				}
				delete(missing, l.UID)
				if !yield(fromIMAP(f, l)) {
					return
				}
			}
			for _, u := range some {
				if missing[u] && !yield(nil, &Skipped{Folder: f.Name, Where: where(u), Key: "moving.left.gone", Units: 1}) {
					return
				}
			}
		}
	}
}

func where(uid uint32) string { return fmt.Sprintf("UID %d", uid) }

func fromIMAP(f Folder, l *imapclient.Letter) (*Message, error) {
	m := &Message{Where: where(l.UID), Date: l.Date, Data: l.Data, Mark: uint64(l.UID), Units: 1}
	for _, name := range l.Flags {
		flag := mailbox.FlagOf(name)
		m.Flags |= flag
		if flag == 0 && !strings.HasPrefix(name, `\`) { // \Recent and what else the server has of its own
			m.Keywords = append(m.Keywords, name)
		}
	}
	switch {
	case l.Long > 0:
		return nil, &Skipped{Folder: f.Name, Where: m.Where, Key: "moving.left.large", Args: []any{MaxMessage >> 20}, Units: 1}
	case len(l.Data) == 0:
		return nil, &Skipped{Folder: f.Name, Where: m.Where, Key: "moving.left.empty", Units: 1}
	}
	return m, nil
}
