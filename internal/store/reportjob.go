package store

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/klauspost/compress/s2"

	"posta/internal/blob"
	"posta/internal/mail"
)

// ReportJobKind is the kind of the jobs that look whether a message is a report.
const ReportJobKind = "report"

// ReportJob is a message that looks like a report of others about our mail. It is
// acknowledged when the job is durable; what it turns out not to be is delivered as it
// would have been at once.
type ReportJob struct {
	Accept mail.ID
	Blob   blob.ID
	Size   int64
	Sender string // address of its author
	Proved bool   // the author's domain passed DMARC
	// Deliveries and Enqueues are where it goes if it is no report.
	Deliveries []Delivery
	Enqueues   []Enqueue
}

// Job is the job for the accept that brings the message.
func (r *ReportJob) Job() (Job, error) {
	b, err := json.Marshal(r)
	return Job{Key: ReportJobKind + "/" + r.Accept.String(), Kind: ReportJobKind, Data: s2.Encode(nil, b), Blob: r.Blob}, err
}

// maxReportJob bounds what DecodeReportJob unpacks.
const maxReportJob = 16 << 20

// ErrReportJob says that the data of a job is not what ReportJob.Job wrote.
var ErrReportJob = errors.New("store: malformed report job")

// DecodeReportJob reads what a job of the kind ReportJobKind has to do.
func DecodeReportJob(j *Job) (*ReportJob, error) {
	n, err := s2.DecodedLen(j.Data)
	if err != nil || n > maxReportJob {
		return nil, errors.Join(ErrReportJob, err)
	}
	b, err := s2.Decode(nil, j.Data)
	if err != nil {
		return nil, errors.Join(ErrReportJob, err)
	}
	r := &ReportJob{}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, errors.Join(ErrReportJob, err)
	}
	if r.Blob.IsZero() || r.Blob != j.Blob {
		return nil, fmt.Errorf("%w: of blob %s, not %s", ErrReportJob, r.Blob, j.Blob)
	}
	return r, nil
}
