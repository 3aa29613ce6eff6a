package imapserver

// State of a connection (RFC 9051 §3).
type State uint8

// The states.
const (
	NotAuthenticated State = 1 << iota // RFC 9051 §3.1
	Authenticated                      // §3.2
	Selected                           // §3.3
	Logout                             // §3.4
)

const (
	anyState = NotAuthenticated | Authenticated | Selected
	loggedIn = Authenticated | Selected
)

// String names a state, or the states of a set.
func (s State) String() string {
	switch s {
	case NotAuthenticated:
		return "not authenticated"
	case Authenticated:
		return "authenticated"
	case Selected:
		return "selected"
	case Logout:
		return "logout"
	case anyState:
		return "any"
	case loggedIn:
		return "authenticated, selected"
	}
	return "none"
}
