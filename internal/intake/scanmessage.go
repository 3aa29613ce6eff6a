package intake

import (
	"bytes"
	"context"
	"io"
	"slices"
	"time"

	"posta/internal/blob"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/message"
	"posta/internal/scan"
)

// forReply is how long after the scanners' time the rest may take: the commit.
const forReply = 5 * time.Second

// askScanners gives the whole message to those whom it concerns and keeps what they
// say as findings, and the message as the last of them left it. An error is the
// disk's. What is refused anyhow is not told them.
func (k *sink) askScanners(ctx context.Context, f *facts, set *finding.Set, asked mail.Action) error {
	r := k.s.asked
	if k.tx.scan == nil {
		return nil
	}
	if vs := k.decide(set, asked); refusedByAll(vs) {
		// What is taken and dropped ends without a Reset of the session.
		if slices.ContainsFunc(vs, func(v mail.Verdict) bool { return v.Action == mail.Discard }) {
			k.s.resetFilters(ctx)
		}
		return nil
	}
	m, err := k.forScanners(f)
	if err != nil {
		return err
	}
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end.Add(-forReply))
		defer cancel()
	}
	facts := k.s.scanFacts(ctx, k.env)
	var o *scan.Outcome
	if d := k.s.filters.dialogue; d != nil && k.tx.scan.opening.done != nil {
		o = d.Run(ctx, facts, m)
	} else {
		o = r.Run(ctx, facts, m)
	}
	defer o.Close()
	k.tx.scan.take(ctx, k, o, set)
	if d := k.s.filters.dialogue; d != nil && o.Action >= mail.Discard && !k.s.filters.stale {
		d.Reset(ctx) // not all have heard the end
	}
	if o.Action >= mail.Discard {
		return nil
	}
	k.changeEnvelope(o, set, asked)
	return k.adopt(f, o)
}

// refusedByAll reports whether nobody is to have the message.
func refusedByAll(vs []mail.Verdict) bool {
	return !slices.ContainsFunc(vs, func(v mail.Verdict) bool { return v.Action < mail.Discard })
}

// forScanners is the message as it would be kept: complete, and without our own
// fields above it. It is in the two parts that a reader of mail makes of it, so that
// a filter that hears header and body apart misses nothing between them.
func (k *sink) forScanners(f *facts) (scan.Message, error) {
	if err := k.complete(f); err != nil {
		return scan.Message{}, err
	}
	header, text := message.SplitHeader(f.header)
	f.header, f.inSpool = header, f.inSpool-int64(len(text))
	size := k.spool.size - f.inSpool
	return scan.Message{
		Header: append(bytes.Clone(f.missing), f.header...),
		Body:   blob.From(io.NewSectionReader(k.spool.body(), f.inSpool, size), size),
	}, nil
}

// maxEditedHeader bounds the edited header, in octets, that is kept in the prefix
// beside the bytes that came. A larger one goes into a blob of its own.
const maxEditedHeader = 64 << 10

// adopt takes the message as the filters left it: an edited header becomes prefix
// and skip, so that the blob stays what came, an edited body replaces the blob.
func (k *sink) adopt(f *facts, o *scan.Outcome) error {
	header := o.Message.Header
	switch {
	case !o.HeaderEdited && !o.BodyEdited:
		return nil
	case o.BodyEdited || len(header) > maxEditedHeader:
		if err := k.rewrite(f, header, o.Message.Body); err != nil {
			return err
		}
	default:
		if above, ok := bytes.CutSuffix(header, f.header); ok && !f.rewritten {
			f.missing = bytes.Clone(above) // no more than fields at the top
		} else {
			f.header, f.missing, f.rewritten = header, nil, true
		}
	}
	if err := k.reparse(f); err != nil {
		return err
	}
	f.defects = message.Inspect(append(bytes.Clone(f.missing), f.header...)) | f.tree.Defects
	return nil
}

// rewrite puts an edited message in the place of what came.
func (k *sink) rewrite(f *facts, header message.Header, body blob.Body) error {
	if !bytes.Equal(header, crlf) && !bytes.HasSuffix(header, endOfHeader) {
		header = append(bytes.Clone(header), crlf...)
	}
	err := k.spool.replace(func(w io.Writer, _ io.ReaderAt, _ int64) error {
		if _, err := w.Write(header); err != nil {
			return err
		}
		_, err := io.Copy(w, io.NewSectionReader(body, 0, body.Size()))
		return err
	})
	f.header, f.inSpool, f.missing, f.rewritten = header, int64(len(header)), nil, false
	k.replaced = true
	return err
}

var crlf = []byte("\r\n")
