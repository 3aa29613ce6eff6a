package sqlstore

import "posta/internal/store"

// sequence names a source of ids that are never used again.
type sequence string

// The sequences. In PostgreSQL each is a SEQUENCE, in SQLite a row.
const (
	seqEmail   sequence = "email"
	seqMailbox sequence = "mailbox"
	seqAccount sequence = "account"
	seqDomain  sequence = "domain"
	seqAudit   sequence = "audit"
	seqEvent   sequence = "event" // lines of a trace
	seqGroup   sequence = "group" // queue_group
	seqEntry   sequence = "entry" // queue_entry
	seqJob     sequence = "job"
	seqFence   sequence = "fence" // of leases
	seqHeld    sequence = "held"
)

func sequences() []sequence {
	return []sequence{seqEmail, seqMailbox, seqAccount, seqDomain, seqAudit, seqEvent, seqGroup, seqEntry, seqJob, seqFence, seqHeld}
}

// idBlock is how many ids are reserved by one write; those left at the end of the
// process are never used.
const idBlock = 1000

// idRange is what is left of a block.
type idRange struct{ next, end int64 }

// rowSequences reserves ids in the sequence table. The ranges are forgotten with
// a rollback, since the reservation may be undone by it.
type rowSequences map[sequence]idRange

func (r rowSequences) id(t *tx, s sequence) (int64, error) {
	have := r[s]
	if have.next == have.end {
		if t.counts == nil {
			return 0, store.ErrReadOnly
		}
		var end int64
		err := t.row("INSERT INTO sequence (name, next) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET next = sequence.next + $3 RETURNING next",
			string(s), idBlock+1, idBlock).scan(&end)
		if err != nil {
			return 0, err
		}
		have = idRange{end - idBlock, end}
	}
	r[s] = idRange{have.next + 1, have.end}
	return have.next, nil
}
