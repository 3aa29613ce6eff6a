package intake

import (
	"bytes"
	"io"
	"slices"

	"posta/internal/blob"
	"posta/internal/mail"
	"posta/internal/message"
	"posta/internal/scan"
	"posta/internal/trace"
)

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

// forFiling is the envelope with its verdicts as it is filed: whom filters added
// stands behind those that the client named, and in the trace too. A repeat of an
// accept adds nobody: they were added with the first.
func (k *sink) forFiling(verdicts []mail.Verdict, rec *trace.Record) (*mail.Envelope, []mail.Verdict) {
	if len(k.tx.scan.added) == 0 || k.again {
		return k.env, verdicts
	}
	filed := *k.env
	filed.Recipients = slices.Clone(filed.Recipients)
	vs, named := slices.Clone(verdicts), len(verdicts)
	for _, r := range k.tx.scan.added {
		filed.Recipients, vs = append(filed.Recipients, r.Recipient), append(vs, r.verdict)
		rec.To = slices.Insert(rec.To, named, trace.Recipient{Address: r.Address.String(), Action: r.verdict.Action.String(), Check: r.verdict.Check})
		named++ // those that were refused at RCPT stand behind
	}
	return &filed, vs
}
