package arc

import (
	"crypto/sha256"
	"errors"
	"strconv"
	"strings"
	"time"

	"posta/internal/authres"
	"posta/internal/dkim"
)

var (
	// ErrTerminated means that a set says cv=fail: such a chain gets no further set
	// (RFC 8617 §5.1).
	ErrTerminated = errors.New("arc: the chain has been declared failed, so it is not sealed any more")
	// ErrFull means that the message has an instance of 50 already.
	ErrFull = errors.New("arc: the message has 50 sets, so it is not sealed any more")
	// ErrStatus means that the status given cannot be that of this message's chain.
	ErrStatus = errors.New("arc: the chain validation status does not fit the sets of the message")
	// ErrHeaders means that a field was to be covered that must not be.
	ErrHeaders = errors.New("arc: a message signature covers no Authentication-Results and no field of ARC")
)

// SealOptions says what to seal.
type SealOptions struct {
	// ServerID is the authserv-id of who did the checks; Results are what they found,
	// as in our Authentication-Results. "arc" among them tells of the chain before.
	ServerID string
	Results  []authres.Result
	// Status is that of the chain as it came to us, before anything was changed.
	Status Status
	// Now becomes t=; zero leaves it out.
	Now time.Time
	// Headers and Oversign are as for dkim.Sign; nil is dkim.DefaultHeaders with every
	// DKIM-Signature, and dkim.DefaultOversign.
	Headers, Oversign []string
}

// Seal returns the three fields of the next ARC Set, each ending in CRLF, to be put
// before header. header is the header block that will be sent, with or without its
// empty line and with its ARC fields as they came; bodyHash is the Sum of a relaxed
// dkim.BodyHash over the body that will be sent. Of an error nothing is to be added:
// the message goes as it is. It does not block, unless the Signer of key does.
func Seal(header []byte, bodyHash [sha256.Size]byte, key dkim.Key, opts SealOptions) ([]byte, error) {
	v := dkim.NewVerifier(header, dkim.VerifyOptions{MaxSignatures: 1})
	earlier, err := sealable(v, opts.Status)
	if err != nil {
		return nil, err
	}
	instance := len(earlier) + 1
	first := "i=" + strconv.Itoa(instance) + ";"
	var stamp []string
	if !opts.Now.IsZero() {
		stamp = []string{"t=" + strconv.FormatInt(opts.Now.Unix(), 10) + ";"}
	}

	results := authres.Header{ServerID: opts.ServerID, Results: opts.Results}.AppendARC(nil, instance)

	names, data, err := covered(header, opts)
	if err != nil {
		return nil, err
	}
	m := dkim.SignedField{Name: messageName, First: first, Tags: stamp, Headers: names, BodyHash: bodyHash, Data: data}
	message, err := m.Sign(key)
	if err != nil {
		return nil, err
	}

	s := dkim.SignedField{Name: sealName, First: first, Tags: append([]string{"cv=" + opts.Status.String() + ";"}, stamp...)}
	if opts.Status == Pass { // RFC 8617 §5.1.2: a failed chain is sealed as if this set were alone
		for _, e := range earlier {
			for _, place := range []int{e.results, e.message, e.seal} {
				s.Data = v.AppendRelaxed(s.Data, place)
			}
		}
	}
	s.Data = dkim.AppendField(s.Data, results, dkim.Relaxed)
	s.Data = dkim.AppendField(s.Data, message, dkim.Relaxed)
	seal, err := s.Sign(key)
	if err != nil {
		return nil, err
	}
	return append(append(seal, message...), results...), nil
}

// sealable returns the sets that there are, if another may follow.
func sealable(v *dkim.Verifier, status Status) ([]set, error) {
	c := collect(v)
	switch {
	case c == nil && status == None:
		return nil, nil
	case c == nil || status == None || status > Fail:
		return nil, ErrStatus
	case c.why != nil && c.why.reason == ReasonTerminated:
		return nil, ErrTerminated
	case c.why != nil && c.why.reason == ReasonBudget, len(c.sets) >= MaxSets:
		return nil, ErrFull
	case c.why != nil && status == Pass:
		return nil, ErrStatus
	}
	return c.sets, nil
}

// covered selects what the message signature covers.
func covered(header []byte, opts SealOptions) (names []string, data []byte, err error) {
	so := dkim.SignOptions{Headers: opts.Headers, Oversign: opts.Oversign}
	if so.Headers == nil {
		so.Headers = append(dkim.DefaultHeaders(), "DKIM-Signature") // RFC 8617 §4.1.2
	}
	for _, n := range so.Headers {
		if strings.EqualFold(n, authres.FieldName) || len(n) > 4 && strings.EqualFold(n[:4], "ARC-") {
			return nil, nil, ErrHeaders
		}
	}
	return dkim.SelectHeaders(header, so)
}
