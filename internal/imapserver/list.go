package imapserver

import (
	"context"
	"slices"
	"strings"

	"posta/internal/imap"
	"posta/internal/mailbox"
)

// listed is one line of LIST.
type listed struct {
	name       string
	box        *mailbox.Mailbox // nil: a name that is only subscribed to, or only a level
	subscribed bool
	children   bool // a mailbox is below
	childInfo  bool // a subscribed name below does not match (RFC 5258 §4)
}

// list serves LIST with RFC 5258, 5819, 6154.
func (c *conn) list(ctx context.Context, d *imap.Decoder) error {
	args, err := d.ListArgs()
	if err != nil {
		return err
	}
	if len(args.Patterns) == 1 && args.Patterns[0] == "" && !args.Extended { // RFC 9051 §6.3.9: asks for the separator
		c.print("* LIST (\\Noselect) \"/\" \"\"\r\n")
		return nil
	}
	names, err := c.names(ctx)
	if err != nil {
		return err
	}
	for _, n := range names {
		if !matchesAny(args, n.name) || !c.chosen(args, names, n) {
			continue
		}
		c.writeList("LIST", n, args)
		if args.ReturnStatus != 0 && n.box != nil {
			if err := c.writeStatus(ctx, *n.box, args.ReturnStatus); err != nil {
				return err
			}
		}
	}
	return nil
}

// names is all mailboxes and subscriptions, by name, INBOX first.
func (c *conn) names(ctx context.Context) ([]*listed, error) {
	boxes, err := c.srv.Store.ListMailboxes(ctx, c.account)
	if err != nil {
		return nil, err
	}
	subs, err := c.srv.Store.Subscriptions(ctx, c.account)
	if err != nil {
		return nil, err
	}
	all := make(map[string]*listed, len(boxes))
	for i := range boxes {
		all[boxes[i].Name] = &listed{name: boxes[i].Name, box: &boxes[i]}
	}
	for _, s := range subs {
		if all[s] == nil {
			all[s] = &listed{name: s}
		}
		all[s].subscribed = true
	}
	for _, b := range boxes {
		for up := parent(b.Name); up != ""; up = parent(up) {
			if all[up] == nil {
				all[up] = &listed{name: up}
			}
			all[up].children = true
		}
	}
	out := make([]*listed, 0, len(all))
	for _, n := range all {
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b *listed) int {
		if (a.name == "INBOX") != (b.name == "INBOX") {
			if a.name == "INBOX" {
				return -1
			}
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	return out, nil
}

func parent(name string) string {
	return name[:max(strings.LastIndexByte(name, mailbox.Separator), 0)]
}

// chosen applies the selection options; it sets childInfo for RECURSIVEMATCH.
func (c *conn) chosen(args imap.List, names []*listed, n *listed) bool {
	if args.RecursiveMatch {
		for _, below := range names {
			if strings.HasPrefix(below.name, n.name+string(mailbox.Separator)) && !matchesAny(args, below.name) &&
				(!args.Subscribed || below.subscribed) && (!args.SpecialUse || below.special()) {
				n.childInfo = true
			}
		}
		if n.childInfo {
			return true
		}
	}
	switch {
	case args.Subscribed && !n.subscribed, args.SpecialUse && !n.special():
		return false
	}
	return args.Subscribed || n.box != nil
}

func (n *listed) special() bool { return n.box != nil && n.box.Role.Attr() != "" }

// writeList writes one LIST or LSUB.
func (c *conn) writeList(verb string, n *listed, args imap.List) {
	var attrs []string
	if n.box == nil {
		if args.Extended || c.rev2 {
			attrs = append(attrs, `\NonExistent`)
		} else {
			attrs = append(attrs, `\Noselect`)
		}
	}
	if n.children {
		attrs = append(attrs, `\HasChildren`)
	} else {
		attrs = append(attrs, `\HasNoChildren`)
	}
	if n.special() {
		attrs = append(attrs, n.box.Role.Attr())
	}
	if n.subscribed && (args.Subscribed || args.ReturnSubscribed) {
		attrs = append(attrs, `\Subscribed`)
	}
	c.compose(func(b []byte) []byte {
		b = append(append(append(b, "* "...), verb...), ' ')
		b = imap.AppendList(b, attrs)
		b = append(b, ` "/" `...)
		b = imap.AppendMailbox(b, n.name, c.utf8)
		if n.childInfo {
			option := "SUBSCRIBED"
			if !args.Subscribed {
				option = "SPECIAL-USE"
			}
			b = append(append(append(b, ` ("CHILDINFO" ("`...), option...), `"))`...)
		}
		return append(b, "\r\n"...)
	})
}

func matchesAny(args imap.List, name string) bool {
	return slices.ContainsFunc(args.Patterns, func(p string) bool { return matchName(imap.CanonicalInbox(args.Reference+p), name) })
}

// matchName matches a pattern where "*" is any text and "%" any without the
// separator (RFC 9051 §6.3.9). It takes time len(name) × len(pattern), whatever
// the pattern.
func matchName(pattern, name string) bool {
	// reach[i]: the pattern so far matches name[:i]
	reach := make([]bool, len(name)+1)
	reach[0] = true
	for p := range len(pattern) {
		c := pattern[p]
		switch c {
		case '*', '%':
			for i := 1; i <= len(name); i++ {
				reach[i] = reach[i] || reach[i-1] && (c == '*' || name[i-1] != mailbox.Separator)
			}
		default:
			for i := len(name); i > 0; i-- {
				reach[i] = reach[i-1] && name[i-1] == c
			}
			reach[0] = false
		}
	}
	return reach[len(name)]
}
