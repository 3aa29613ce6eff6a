package store

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/klauspost/compress/s2"

	"posta/internal/mail"
	"posta/internal/mailbox"
)

// AnswerJobKind is the kind of the jobs that send what a script wrote.
const AnswerJobKind = "answer"

// AnswerJob is a message that a script had written about one that was accepted: a
// vacation reply, a notification, a refusal (DESIGN §2.6). It is a job of that accept, and
// filed once: ID is the id of the accept that files it.
type AnswerJob struct {
	ID      mail.ID
	About   mail.ID // the message that was answered, for its trace
	Account mailbox.AccountID
	To      string // address
	Message []byte // with CRLF
	UTF8    bool
	What    string // "vacation", "notify", "reject", "fault"
	// Remember is a key under which it is remembered for so many seconds that this was
	// sent; while it is, no other one of the key is. "" remembers nothing.
	Remember string
	Seconds  int64
	// Copy is where the account keeps a copy (RFC 8580); nil: nowhere.
	Copy *AnswerCopy
}

// AnswerCopy is the place of a copy.
type AnswerCopy struct {
	Mailbox  string
	Flags    mailbox.Flags
	Keywords []string
}

// maxAnswerJob bounds what DecodeAnswerJob unpacks.
const maxAnswerJob = 4 << 20

// ErrAnswerJob says that the data of a job is not what AnswerJob.Job wrote.
var ErrAnswerJob = errors.New("store: malformed answer job")

// Job is the job for the accept of the message that is answered.
func (a *AnswerJob) Job() (Job, error) {
	b, err := json.Marshal(a)
	if err == nil && len(b) > maxAnswerJob {
		err = fmt.Errorf("%w: an answer of %d octets", ErrInvalid, len(b))
	}
	return Job{Key: AnswerJobKind + "/" + a.ID.String(), Kind: AnswerJobKind, Data: s2.Encode(nil, b)}, err
}

// DecodeAnswerJob reads what a job of the kind AnswerJobKind has to do.
func DecodeAnswerJob(j *Job) (*AnswerJob, error) {
	n, err := s2.DecodedLen(j.Data)
	if err != nil || n > maxAnswerJob {
		return nil, errors.Join(ErrAnswerJob, err)
	}
	b, err := s2.Decode(nil, j.Data)
	if err != nil {
		return nil, errors.Join(ErrAnswerJob, err)
	}
	a := &AnswerJob{}
	if err := json.Unmarshal(b, a); err != nil {
		return nil, errors.Join(ErrAnswerJob, err)
	}
	if a.ID.IsZero() || a.To == "" {
		return nil, fmt.Errorf("%w: without id or recipient", ErrAnswerJob)
	}
	return a, nil
}
