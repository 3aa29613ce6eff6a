package report

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"posta/internal/arf"
	"posta/internal/dmarcreport"
	"posta/internal/message"
	"posta/internal/tlsrpt"
	"posta/internal/unpack"
)

// Bounds of what is looked at in one message.
const (
	maxParts   = 10 // leaf parts
	maxReports = 20
	maxPart    = 25 << 20  // octets of a part, decoded
	maxRead    = 100 << 20 // octets of all parts together, unpacked: half a minute of work at most
)

// found is what a message brought.
type found struct {
	dmarc []*dmarcreport.Report
	tls   []*tlsrpt.Report
	arf   *arf.Report
	left  int64 // octets that may still be read
	why   error // of the parts that were none, the most telling error
}

func (f *found) empty() bool { return len(f.dmarc) == 0 && len(f.tls) == 0 && f.arf == nil }

// extract reads the reports in a message. An error is one of reading its bytes; what
// is no report leaves a reason in found.
func extract(r io.ReaderAt, size int64) (*found, error) { return extractWithin(r, size, maxRead) }

// extractWithin is extract with another bound of what is read.
func extractWithin(r io.ReaderAt, size, most int64) (*found, error) {
	tree, err := message.Parse(r, size, message.Budget{})
	if err != nil {
		return nil, err
	}
	f := &found{left: most}
	var failed error
	n := 0
	tree.Walk(func(p *message.Part) bool {
		if p.Multipart() || p.Message != nil {
			return true
		}
		if n++; n > maxParts || len(f.dmarc)+len(f.tls) >= maxReports {
			return false
		}
		failed = f.part(r, tree, p)
		return failed == nil
	})
	return f, failed
}

// part reads one leaf.
func (f *found) part(r io.ReaderAt, tree, p *message.Part) error {
	in, err := message.Open(r, p)
	if err != nil {
		f.none(err) // an encoding that nobody knows
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(in, maxPart+1))
	if err != nil {
		return err
	}
	if p.Is("message/feedback-report") {
		f.complaint(r, tree, data)
		return nil
	}
	if f.left <= 0 {
		f.none(fmt.Errorf("%w: the parts before it were too much", unpack.ErrLimit))
		return nil
	}
	err = unpack.Each(data, unpack.Limits{Packed: maxPart, Unpacked: f.left}, f.file)
	if err != nil && err != errEnough {
		f.none(err)
	}
	return nil
}

var errEnough = errors.New("report: enough of them")

// file reads a file by how it begins.
func (f *found) file(r io.Reader) error {
	if len(f.dmarc)+len(f.tls) >= maxReports {
		return errEnough
	}
	in := bufio.NewReader(&counter{r, f})
	switch first(in) {
	case '<', 0xff, 0xfe: // also UTF-16
		rep, err := dmarcreport.Parse(in, dmarcreport.Limits{})
		if err != nil {
			return err
		}
		f.dmarc = append(f.dmarc, rep)
	case '{':
		rep, err := tlsrpt.Parse(in)
		if err != nil {
			return err
		}
		f.tls = append(f.tls, rep)
	}
	return nil
}

// counter takes what is read from what may be read.
type counter struct {
	r io.Reader
	f *found
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.f.left -= int64(n)
	return n, err
}

// first is the first octet that is no white space or part of a byte order mark of UTF-8.
func first(in *bufio.Reader) byte {
	head, _ := in.Peek(256)
	head = bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n\x00")
	if len(head) == 0 {
		return 0
	}
	return head[0]
}

// none keeps why a part is no report; that a bomb went off tells more than that a page is
// no XML.
func (f *found) none(err error) {
	if f.why == nil || errors.Is(err, unpack.ErrLimit) || errors.Is(err, dmarcreport.ErrLimit) || errors.Is(f.why, dmarcreport.ErrNotReport) {
		f.why = err
	}
}

// complaint reads a feedback report, with the header of what it complains of.
func (f *found) complaint(r io.ReaderAt, tree *message.Part, machine []byte) {
	var header []byte
	tree.Walk(func(p *message.Part) bool {
		switch {
		case p.Message != nil:
			header = section(r, p.Message.Start, min(p.Message.Body, p.Message.Start+arf.MaxHeader))
		case p.Is("text/rfc822-headers"), p.Is("message/rfc822-headers"):
			if in, err := message.Open(r, p); err == nil {
				header, _ = io.ReadAll(io.LimitReader(in, arf.MaxHeader))
			}
		}
		return header == nil
	})
	rep, err := arf.Read(machine, header)
	if err != nil {
		f.none(err)
		return
	}
	f.arf = rep
}

func section(r io.ReaderAt, from, to int64) []byte {
	b := make([]byte, max(0, to-from))
	n, _ := r.ReadAt(b, from)
	return b[:n]
}

// reason is why nothing was found, for the postmaster.
func (f *found) reason() string {
	if f.why == nil {
		return "no part of it is a report"
	}
	return fmt.Sprintf("it looks like a report and is none: %v", f.why)
}
