package e2e

import (
	"errors"
	"net/smtp"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// deliver hands a message in between servers, with the client of Go's library:
// for tests that are about reading.
func (h *house) deliver(t *testing.T, from, to, message string) {
	t.Helper()
	c, err := smtp.Dial(h.doors["smtp"])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := errors.Join(c.StartTLS(h.tls()), c.Mail(from), c.Rcpt(to)); err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Write([]byte(message))
	if err := errors.Join(err, w.Close(), c.Quit()); err != nil {
		t.Fatal(err)
	}
}

// mark adds a flag to the message with a subject.
func mark(t *testing.T, c *imapclient.Client, folder, subject, flag string) {
	t.Helper()
	if _, err := c.Select(folder, nil).Wait(); err != nil {
		t.Fatal(err)
	}
	got, err := c.Search(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Subject", Value: subject}}}, nil).Wait()
	if err != nil {
		t.Fatal(err)
	}
	err = c.Store(got.All, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.Flag(flag)}, Silent: true}, nil).Close()
	if err != nil {
		t.Fatal(err)
	}
}
