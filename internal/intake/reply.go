package intake

import (
	"errors"
	"fmt"

	"posta/internal/addr"
	"posta/internal/blob"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/smtp"
	"posta/internal/store"
	"posta/internal/trace"
)

// enhanced is the enhanced status code of a refusal, by check: RFC 3463, and RFC
// 7372 for authentication of mail. What is not listed is 7.1: a matter of policy.
var enhanced = map[finding.ID][2]uint16{
	finding.PTRMissing:     {7, 25},
	finding.PTRMismatch:    {7, 25},
	finding.PTRGeneric:     {7, 25},
	finding.SenderDomain:   {1, 8},
	finding.SenderMX:       {1, 8},
	finding.MXNull:         {7, 27},
	finding.SPFFail:        {7, 23},
	finding.SPFInvalid:     {7, 24},
	finding.SPFLookups:     {7, 24},
	finding.SPFMultiple:    {7, 24},
	finding.MXAddress:      {1, 8},
	finding.MXPrivate:      {1, 8},
	finding.MXDangling:     {1, 8},
	finding.DKIMMissing:    {7, 20},
	finding.DKIMFail:       {7, 20},
	finding.DKIMKey:        {7, 20},
	finding.DKIMSHA1:       {7, 20},
	finding.DKIMLength:     {7, 20},
	finding.DKIMExpired:    {7, 20},
	finding.DKIMClock:      {7, 20},
	finding.DMARCFail:      {7, 26},
	finding.RcptUnknown:    {1, 1},
	finding.RcptFull:       {2, 2},
	finding.LoopHops:       {4, 6},
	finding.MessageSize:    {3, 4},
	finding.AuthRequired:   {7, 0},
	finding.AuthFailed:     {7, 8},
	finding.ScanDown:       {3, 0},
	finding.AuthExpired:    {7, 13},
	finding.SystemBusy:     {3, 0},
	finding.SystemFull:     {3, 1},
	finding.QuarantineFull: {3, 1},
}

// refusal makes the reply of a check: code 5yz, or 4yz when it may pass later.
// subject is what it is about, e.g. "<x@example.org>", "" if nothing.
func (in *Intake) refusal(id mail.ID, check finding.ID, code int, subject, text string) *smtp.Reply {
	e, ok := enhanced[check]
	if !ok {
		e = [2]uint16{7, 1}
	}
	if text == "" {
		text = finding.TextOf(check, "en").Title
	}
	if subject != "" {
		text = subject + ": " + text
	}
	r := smtp.Reply{Code: code, Enhanced: smtp.Enhanced{uint16(code / 100), e[0], e[1]}, Text: text}
	r = r.WithCheck(string(check), in.cfg.WhyURL+id.String())
	return &r
}

// verdictReply turns a verdict that is no acceptance into its reply.
func (in *Intake) verdictReply(id mail.ID, v mail.Verdict, s *finding.Set, subject string) *smtp.Reply {
	code := 550
	if v.Action == mail.Defer {
		code = 451
		if v.Check == string(finding.RateRcpt) {
			code = 452 // the mailbox may have room later (RFC 5321 §4.2.3)
		}
	}
	check := finding.ID(v.Check)
	text := finding.TextOf(check, "en").Title
	if f, ok := s.Find(check); ok && f.Subject != "" {
		text += fmt.Sprintf(" (%s)", f.Subject)
	}
	return in.refusal(id, check, code, subject, text)
}

// storeReply is what a client reads when we could not keep its message. The zero id
// leads to the page of the check: there is no record.
func (in *Intake) storeReply(id mail.ID, err error) smtp.Reply {
	check, text := finding.SystemBusy, "Cannot keep the message now, try again later"
	if errors.Is(err, store.ErrFull) || errors.Is(err, blob.ErrFull) {
		check, text = finding.SystemFull, "No space left here, try again later"
	}
	code := 451
	if check == finding.SystemFull {
		code = 452
	}
	r := in.refusal(id, check, code, "", text)
	if id.IsZero() {
		r.Link = in.cfg.WhyURL + string(check)
	}
	return *r
}

// putOff is storeReply for a message that was judged: it has a record, which is kept
// as far as the state keeps anything now.
func (k *sink) putOff(rec *trace.Record, err error) smtp.Reply {
	check := finding.ID(k.s.in.storeReply(mail.ID{}, err).Check)
	id := k.s.place(k.env, addr.Address{}, check)
	r := k.s.in.storeReply(id, err)
	if id == k.env.ID {
		rec.Stage, rec.Reply, rec.Replied = trace.AtData, r.String(), k.s.in.cfg.Now()
		for i := range rec.To {
			if to := &rec.To[i]; to.Reply == "" {
				to.Action, to.Check, to.Effects, to.More = mail.Defer.String(), string(check), nil, 0
			}
		}
		rec.Findings.Add(finding.Of(check, finding.Fail, "", "error", err.Error()))
		k.s.in.store.KeepRefused(rec.Encode())
	}
	return r
}
