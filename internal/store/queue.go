package store

import (
	"context"
	"time"

	"posta/internal/blob"
	"posta/internal/mail"
	"posta/internal/mailbox"
)

// Enqueue is a message on its way out, to one or more recipients.
type Enqueue struct {
	ReversePath string // "" is the null reverse-path
	Prefix      []byte // fields that Posta adds above the blob
	Skip        int64
	EnvID       string
	RetFull     bool
	EightBit    bool
	Binary      bool // came with BODY=BINARYMIME
	UTF8        bool
	RequireTLS  bool
	Sign        bool              // by one of our own senders: sign it with the keys of its From domain
	Seal        string            // A-labels of the domain whose key seals (ARC) what its alias sends on, "" none; Prefix begins with our Authentication-Results
	Account     mailbox.AccountID // the sender here, 0 if none
	Expires     time.Time
	Held        bool // every recipient waits for a person from the first
	Recipients  []QueueTo
}

// TLSOptional is the field (RFC 8689 §5) with which the Prefix of a message of ours begins
// that must arrive though TLS fails, as a report of just that must (RFC 8460 §3).
const TLSOptional = "TLS-Required: No\r\n"

// QueueTo is one recipient of an Enqueue.
type QueueTo struct {
	Address string // forward-path
	// Domain is the next hop, and so the key of concurrency: the domain of the address in
	// A-labels, lower case, or the transport of a recipient that has a way of its own
	// ("lmtp:unix:/run/lmtp"; mail.Effect.Hop).
	Domain   string
	Original string // ORCPT
	Notify   mail.Notify
	Kind     QueueKind
	Due      time.Time // zero: at once
}

// QueueKind says what finishing a recipient means.
type QueueKind uint8

// The kinds of queue work.
const (
	Remote   QueueKind = iota // relay to another host
	Deferred                  // filing that could not finish in the session
)

// QueueState of one recipient.
type QueueState uint8

// The states: Ready until Done or Failed; Held is Ready that waits for a person.
// A recipient that is Done or Failed leaves the queue in the same transaction,
// its message with the last of them; what came of it is told by the trace.
const (
	Ready QueueState = iota
	Held
	Done
	Failed
)

// QueueEntry is one recipient with its message.
type QueueEntry struct {
	ID       int64   // of the recipient's row
	Message  mail.ID // the accept: queue id, trace id
	Group    int64   // recipients with the same group share the message's row
	State    QueueState
	Due      time.Time // while leased: when the lease ends
	Attempts int       // outcomes that were recorded
	Fence    int64     // of the lease
	Sending  bool      // an attempt reached its dot and its outcome was never recorded
	Last     string    // last reply or error, "" before the first attempt
	LastAt   time.Time
	Delayed  bool // a delay DSN was sent
	Created  time.Time
	QueueTo
	Enqueue // without Recipients
	Blob    BlobRef
}

// Attempt is the outcome of one attempt for one recipient.
type Attempt struct {
	Entry   int64
	Fence   int64
	State   QueueState // Ready: try again at Due
	Due     time.Time
	Reply   string // what the remote said, or our error
	Remote  string // "mx.example.net [192.0.2.1]"
	Delayed bool   // mark that a delay DSN goes out
	Event   TraceEvent
}

// Finish ends attempts. When DSN is not nil it is accepted in the same
// transaction, so that neither a lost DSN nor a second one is possible.
type Finish struct {
	Attempts []Attempt
}

// QueueFilter selects entries for people.
type QueueFilter struct {
	Message mail.ID // zero: any
	Domain  string
	Address string // recipient or reverse-path
	States  []QueueState
	Limit   int // 0 means 1,000
	After   int64
}

// Queue is what leaves. Leases and due times use the database's clock.
type Queue interface {
	// ClaimQueue leases due entries of up to limit for this node, entries of one
	// message and domain together, oldest due first. At most perDomain messages
	// are leased for one domain, counting those that are leased already: each is
	// one transaction of one connection. All entries of a claim share its fence.
	ClaimQueue(ctx context.Context, node string, limit, perDomain int, lease time.Duration) ([]QueueEntry, error)
	// ExtendQueue prolongs leases; ErrFenced if any was lost.
	ExtendQueue(ctx context.Context, ids []int64, fence int64, lease time.Duration) error
	// StartAttempt records that an attempt is about to send its final dot.
	StartAttempt(ctx context.Context, ids []int64, fence int64) error
	// FinishQueue records outcomes, all or, with ErrFenced, none; a lease that ran
	// out without being claimed again is still its holder's. A DSN goes through
	// Accept.FinishQueue instead.
	FinishQueue(ctx context.Context, f Finish) error
	// NextDue is when ClaimQueue will have work (in the past: it has, or would
	// have but for perDomain); zero if nothing is Ready.
	NextDue(ctx context.Context) (time.Time, error)
	ListQueue(ctx context.Context, f QueueFilter) ([]QueueEntry, error)
	// EditQueue changes entries by hand, in steps: due now, hold, release, or drop (Failed
	// without a DSN), and tells how many. Entries that are leased, and those that
	// the edit does not fit, stay as they are.
	EditQueue(ctx context.Context, ids []int64, edit QueueEdit, a Audit) (int, error)
	// QueueStats counts by state and domain.
	QueueStats(ctx context.Context) ([]QueueStat, error)
}

// QueueEdit is a change by hand.
type QueueEdit uint8

// The edits.
const (
	Retry QueueEdit = iota
	Hold
	Release
	Drop
)

// QueueStat is one line of the overview.
type QueueStat struct {
	Domain string
	State  QueueState
	Count  int
	Oldest time.Time
}

// Job is work of the outbox and the house: it runs on one node, to its end, over
// restarts. Key makes it unique: an insert with a key that waits is ErrExists in
// AddJob and ignored in Accept.
type Job struct {
	ID     int64
	Key    string
	Kind   string
	Due    time.Time
	Data   []byte
	Cursor []byte // progress, kept over steps
	Tries  int    // runs that failed or died since the last good one
	Fence  int64
	Last   string  // last error
	Blob   blob.ID // not zero: the job needs this blob, which is not doomed while it is there
}

// JobStep is progress of a leased job, recorded with what it did. One whose From is
// not the job's cursor was committed before: ErrFenced.
type JobStep struct {
	ID     int64
	Fence  int64
	From   []byte
	Cursor []byte
	Lease  time.Duration // from now on
	End    bool          // it was the last step: the job goes
}

// Jobs is the one job mechanism.
type Jobs interface {
	AddJob(ctx context.Context, j Job) error
	// ClaimJob leases the job that is due longest, of one of the kinds;
	// ErrNotFound when none is.
	ClaimJob(ctx context.Context, node string, kinds []string, lease time.Duration) (Job, error)
	// StepJob keeps progress and prolongs the lease; ErrFenced.
	StepJob(ctx context.Context, id, fence int64, cursor []byte, lease time.Duration) error
	// EndJob removes a finished job; with again not zero it is kept and due then,
	// with its cursor. lastErr is why the run failed, "" if it did not.
	EndJob(ctx context.Context, id, fence int64, again time.Time, lastErr string) error
	// NextJob is when ClaimJob will have work; zero if there is none.
	NextJob(ctx context.Context, kinds []string) (time.Time, error)
	// ListJobs lists what is due first, at most limit (0 means 1,000).
	ListJobs(ctx context.Context, limit int) ([]Job, error)
}
