package e2e

import (
	"errors"
	"net/smtp"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// send is the client of Go's library in one transaction, under TLS.
func (h *house) send(t *testing.T, addr string, login smtp.Auth, from string, to []string, message string) {
	t.Helper()
	c, err := smtp.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.StartTLS(h.tls()); err != nil {
		t.Fatal(err)
	}
	if login != nil {
		if err := c.Auth(login); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Mail(from); err != nil {
		t.Fatal(err)
	}
	for _, r := range to {
		if err := c.Rcpt(r); err != nil {
			t.Fatal(err)
		}
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

// deliver hands a message in between servers, for tests that are about reading.
func (h *house) deliver(t *testing.T, from, to, message string) {
	t.Helper()
	h.send(t, h.doors["smtp"], nil, from, []string{to}, message)
}

// submit sends as our user does, with a password.
func (h *house) submit(t *testing.T, from string, to []string, message string) {
	t.Helper()
	h.send(t, h.doors["submission"], smtp.PlainAuth("", from, h.password[from], "127.0.0.1"), from, to, message)
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
