package intake

import (
	"posta/internal/addr"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/smtp"
	"posta/internal/trace"
)

// baseRecord has what is known of the connection and the envelope.
func (s *session) baseRecord(e *mail.Envelope) *trace.Record {
	c := &e.Client
	r := &trace.Record{
		ID: e.ID, At: e.Received, Door: c.Door.String(), Class: c.Class.String(),
		Port: c.Port, PTR: s.judge.name(), HELO: c.HELO, TLS: c.TLS.Version, Cipher: c.TLS.Cipher, Login: c.Login,
		Opened: s.opened, Replied: s.in.cfg.Now(),
		From: e.ReversePath.String(), Level: s.in.policyOf(s.in.dir.View()).Level.String(),
	}
	if c.IP.IsValid() {
		r.IP = c.IP.String()
	}
	if r.At.IsZero() {
		r.At = e.ID.Time()
	}
	return r
}

// place says where the refusals of a transaction will be found. The first of them
// decides: one transaction is one record, or counts in one. a is whom it refuses, the
// zero Address is nobody in particular.
func (s *session) place(e *mail.Envelope, a addr.Address, check finding.ID) mail.ID {
	tx := s.tx
	if tx.placed.IsZero() {
		tx.placed = e.ID
		if e.Client.Class < mail.LocalNetwork {
			r := s.baseRecord(e)
			if !a.IsZero() {
				r.To = []trace.Recipient{{Address: a.String()}}
			}
			tx.placed = s.in.store.PlaceRefused(r.Refusal(e.Client.IP, check))
		}
	}
	return tx.placed
}

// refusal is Intake.refusal of one recipient, with the link of the transaction.
func (s *session) refusal(e *mail.Envelope, a addr.Address, check finding.ID, code int, subject, text string) *smtp.Reply {
	return s.in.refusal(s.place(e, a, check), check, code, subject, text)
}

// keepTransaction records a transaction that ended without an acceptance.
func (s *session) keepTransaction(stage trace.Stage, tx *transaction, reply string) {
	last := &tx.refused[len(tx.refused)-1]
	if s.place(tx.env, addr.Address{}, finding.ID(last.Check)) != tx.env.ID {
		return // it was counted
	}
	r := s.baseRecord(tx.env)
	r.Stage, r.Reply, r.To = stage, reply, tx.refused
	tx.traceScan(r)
	if tx.set != nil {
		r.Findings = *tx.set
	} else {
		for _, f := range s.noted { // what is known without waiting for anything
			r.Findings.Add(f)
		}
	}
	tx.tell(r)
	tx.access.tell(r)
	s.addDeciding(r)
	s.in.store.KeepRefused(r.Encode())
}

// keepMail records that a transaction was refused at MAIL, by a check that was not
// evaluated but is plain.
func (s *session) keepMail(e *mail.Envelope, check finding.ID, reply *smtp.Reply) {
	s.in.counts.refused(reply.Check)
	if s.tx.placed != e.ID {
		return // it was counted
	}
	r := s.baseRecord(e)
	r.Stage, r.Reply = trace.AtMail, reply.String()
	r.Findings.Add(finding.Of(check, finding.Fail, r.From))
	s.in.store.KeepRefused(r.Encode())
}

// addDeciding gives the checks that refused a recipient without having been
// evaluated (relaying, unknown addresses) their finding.
func (s *session) addDeciding(r *trace.Record) {
	for _, to := range r.To {
		id := finding.ID(to.Check)
		if id != "" && r.Findings.Outcome(id) == finding.NotApplicable {
			r.Findings.Add(finding.Of(id, finding.Fail, to.Address))
		}
	}
}

// keepRefusal records a refusal before any envelope, and gives it the link to its
// record.
func (s *session) keepRefusal(stage trace.Stage, f finding.Finding, reply smtp.Reply) *smtp.Reply {
	return s.keepRefusalOf("", stage, f, reply)
}

// keepRefusalOf is keepRefusal of somebody whose login is known though he was not let
// in; "" is nobody.
func (s *session) keepRefusalOf(login string, stage trace.Stage, f finding.Finding, reply smtp.Reply) *smtp.Reply {
	e := &mail.Envelope{ID: mail.NewID(s.in.cfg.Now()), Client: *s.client}
	e.Client.Login = login
	r := s.baseRecord(e)
	return s.keepUnlessMany(r, stage, f, reply)
}

// keepUnlessMany keeps a record that is one finding, or counts it where there are many
// of its kind, and gives the reply the link to it.
func (s *session) keepUnlessMany(r *trace.Record, stage trace.Stage, f finding.Finding, reply smtp.Reply) *smtp.Reply {
	id := s.in.store.PlaceRefused(r.Refusal(s.client.IP, f.Check))
	reply = reply.WithCheck(string(f.Check), s.in.cfg.WhyURL+id.String())
	if id == r.ID { // else it was counted
		r.Stage, r.Reply = stage, reply.String()
		r.Findings.Add(f)
		s.in.store.KeepRefused(r.Encode())
	}
	return &reply
}
