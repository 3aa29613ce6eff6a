// Package intake is the way of a message from the door to the disk (DESIGN §2):
// it makes findings, folds them into one verdict for each recipient, files, and
// commits bytes, placements, queue entries and trace together, before the client
// reads 250.
//
// One Intake serves every SMTP door. The files follow the way: session.go
// (connection and envelope), allowance.go (how much our own may send), judge.go (the
// list of what runs, and when), message.go (after the dot), prefix.go (the header fields
// that we add), scan.go (milters and other scanners), commit.go (the accept
// transaction). What connection and envelope show is read in judgeconn.go, envelope.go
// and lists.go; who a stranger is to us, and what is remembered of it, in classes.go,
// strangers.go, grey.go, regard.go and written.go.
package intake

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"posta/internal/access"
	"posta/internal/addr"
	"posta/internal/admit"
	"posta/internal/allowance"
	"posta/internal/blob"
	"posta/internal/directory"
	"posta/internal/dkim"
	"posta/internal/dnsbl"
	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/policy"
	"posta/internal/reportout"
	"posta/internal/reputation"
	"posta/internal/resolver"
	"posta/internal/scan"
	"posta/internal/srs"
	"posta/internal/store"
)

// Store is what intake asks of the state.
type Store interface {
	store.Acceptor
	PlaceRefused(store.Refusal) mail.ID
	KeepRefused(store.TraceRecord)
	Usage(ctx context.Context, a AccountID) (octets, messages, quota int64, err error)
	HeldStats(ctx context.Context) ([]store.HeldStat, error)
	Trace(ctx context.Context, id mail.ID) (store.StoredTrace, error)
	ListMailboxes(ctx context.Context, a AccountID) ([]mailbox.Mailbox, error)
	FactsOf(ctx context.Context, kind store.FactKind, keys ...string) ([]store.Fact, error)
	ChangeFacts(ctx context.Context, kind store.FactKind, keys []string, f func(store.Fact) store.Fact) error
}

// Answers is told of submitted mail that answers other mail, some time after it was
// accepted; it may block as long as a commit does.
type Answers interface {
	// Answered: an account wrote to addresses, in answer to messages named by their
	// Message-IDs.
	Answered(ctx context.Context, a AccountID, ids []string, to []addr.Address)
}

// Config of an Intake.
type Config struct {
	Hostname string // our fully qualified name
	// PasswordPage is where people change a password that is too old; "" is nowhere.
	PasswordPage string
	WhyURL       string            // what a trace id is appended to, "https://mail.example.org/why/"
	Policies     *policy.Live      // how strict we are with strangers; nil is the shipped policy
	Access       *access.Followed  // the administrator's access map; nil is an empty one
	Trusted      []netip.Prefix    // the local network besides loopback
	OwnIPs       []netip.Addr      // our addresses as others see them
	Lists        dnsbl.Lists       // blocklists and allowlists to ask; none is fine
	Limits       reputation.Limits // of strangers; zero limits nothing
	Scanners     *scan.Live        // milters, rspamd, ClamAV; a session keeps those with which it began
	MaxHops      int               // Received fields; 0 means 50
	Shared       bool              // other nodes use the same store
	TempDir      string            // for messages that do not stay in memory; "" is the system's
	Lifetime     time.Duration     // of a message in the queue (RFC 5321 §4.5.4.1); 0 means 5 days
	Judge        time.Duration     // the longest wait for DNS in judging; 0 means 10 s
	// Memory of strangers and correspondents: without it nobody is greylisted and
	// nobody has a standing. Run writes it down.
	Memory *reputation.Memory
	// Learner says what was learned of such mail; nil: nothing was.
	Learner Learner
	// Scripts are what people want done with their mail; nil: nothing.
	Scripts Scripts
	// Forwards rewrites the reverse-path of strangers' mail that leaves again by an alias or
	// a script of ours (SRS); nil: it stays.
	Forwards *srs.Rewriter
	// Answers hears whom our users answer, where there is a Memory; nil: nobody does.
	Answers Answers
	// Sent counts what our accounts submit in a day; nil counts nothing.
	Sent *allowance.Counter
	// NearLimit is told of an account that has used most of its day, once a day; nil
	// tells nobody. It may block as long as a commit does.
	NearLimit func(ctx context.Context, account AccountID, a allowance.Answer)
	// Judged is told of each message of a stranger's as DMARC judged it, once it is kept or
	// refused for good; nil tells nobody. It must not block.
	Judged func(reportout.Judged)
	Now    func() time.Time // nil means time.Now
	Log    *slog.Logger     // nil discards
}

// Intake implements smtpserver.Backend.
type Intake struct {
	cfg   Config
	dir   *directory.Directory
	store Store
	blobs blob.Store
	dns   resolver.Resolver
	login *admit.Authenticator
	keys  *dkim.KeyCache
	lists *dnsbl.Checker
	quota *reservations
	held  *heldRoom

	strangers *reputation.Strangers
	standings standings
	written   *correspondents

	spools *spooler
	asked  *reflections  // by whom check-auth@ was asked
	slots  chan struct{} // of messages that are looked into, see newSlots

	counts Counts
}

// New joins the parts.
func New(cfg Config, dir *directory.Directory, st Store, blobs blob.Store, dns resolver.Resolver, login *admit.Authenticator) *Intake {
	if cfg.MaxHops <= 0 {
		cfg.MaxHops = 50
	}
	if cfg.Lifetime <= 0 {
		cfg.Lifetime = 5 * 24 * time.Hour
	}
	if cfg.Judge <= 0 {
		cfg.Judge = 10 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Scanners == nil {
		cfg.Scanners = &scan.Live{}
	}
	if cfg.Policies == nil {
		cfg.Policies = policy.NewLive(policy.Strict)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	in := &Intake{
		cfg: cfg, dir: dir, store: st, blobs: blobs, dns: dns, login: login,
		keys: dkim.NewKeyCache(0), lists: dnsbl.New(dns, cfg.Now), quota: newReservations(), held: &heldRoom{}, spools: newSpooler(cfg.TempDir),
		strangers: reputation.NewStrangers(cfg.Limits, 0), asked: newReflections(), slots: newSlots(),
	}
	if cfg.Memory != nil {
		in.written = newCorrespondents(cfg.Memory, cfg.Answers, cfg.Now)
	}
	return in
}
