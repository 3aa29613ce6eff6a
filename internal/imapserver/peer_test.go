package imapserver

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"crypto/tls"

	imap2 "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// TestPeer lets a client that we did not write do a day's work.
func TestPeer(t *testing.T) {
	t.Parallel()
	b := newBench(t, ImplicitTLS, nil)
	nc, err := b.l.Dial(t.Context(), netip.MustParseAddrPort("198.51.100.9:4000"))
	if err != nil {
		t.Fatal(err)
	}
	c := imapclient.New(tls.Client(nc, &tls.Config{InsecureSkipVerify: true}), nil)
	defer c.Close()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	must("LOGIN", c.Login("alice@example.org", "secret").Wait())
	must("CREATE", c.Create("Work/Übung", nil).Wait())
	boxes, err := c.List("", "*", &imap2.ListOptions{ReturnStatus: &imap2.StatusOptions{NumMessages: true}}).Collect()
	must("LIST", err)
	names := map[string]bool{}
	for _, m := range boxes {
		names[m.Mailbox] = true
	}
	if !names["Work/Übung"] || !names["INBOX"] || len(boxes) != 8 {
		t.Errorf("LIST: %v", names)
	}

	text := "From: Ann <ann@example.com>\r\nSubject: =?utf-8?q?Gr=C3=BCn?=\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nhello\r\n--x\r\nContent-Type: text/html\r\n\r\n<b>hello</b>\r\n--x--\r\n"
	up := c.Append("INBOX", int64(len(text)), &imap2.AppendOptions{Flags: []imap2.Flag{imap2.FlagFlagged, "$Work"}, Time: noon})
	_, err = up.Write([]byte(text))
	must("APPEND", err)
	must("APPEND", up.Close())
	placed, err := up.Wait()
	must("APPEND", err)

	sel, err := c.Select("INBOX", &imap2.SelectOptions{CondStore: true}).Wait()
	must("SELECT", err)
	if sel.NumMessages != 1 || placed.UID != 1 || placed.UIDValidity != sel.UIDValidity || sel.HighestModSeq == 0 {
		t.Errorf("SELECT: %+v, APPENDUID %+v", sel, placed)
	}
	html := &imap2.FetchItemBodySection{Part: []int{2}, Peek: true}
	head := &imap2.FetchItemBodySection{Specifier: imap2.PartSpecifierHeader, HeaderFields: []string{"Subject"}}
	got, err := c.Fetch(imap2.UIDSetNum(1), &imap2.FetchOptions{Envelope: true, Flags: true, InternalDate: true, RFC822Size: true, ModSeq: true,
		BodyStructure: &imap2.FetchItemBodyStructure{Extended: true}, BodySection: []*imap2.FetchItemBodySection{html, head}}).Collect()
	must("FETCH", err)
	m := got[0]
	if m.Envelope.Subject != "Grün" || m.Envelope.From[0].Addr() != "ann@example.com" || m.RFC822Size != int64(len(text)) || !m.InternalDate.Equal(noon) {
		t.Errorf("FETCH: %+v", m)
	}
	if s := string(m.FindBodySection(html)); s != "<b>hello</b>" {
		t.Errorf("BODY[2]: %q", s)
	}
	if s := string(m.FindBodySection(head)); !strings.HasPrefix(s, "Subject: =?utf-8?q?Gr=C3=BCn?=") {
		t.Errorf("HEADER.FIELDS: %q", s)
	}
	if m.BodyStructure.MediaType() != "multipart/mixed" || m.ModSeq == 0 {
		t.Errorf("structure %q, MODSEQ %d", m.BodyStructure.MediaType(), m.ModSeq)
	}
	found, err := c.UIDSearch(&imap2.SearchCriteria{Header: []imap2.SearchCriteriaHeaderField{{Key: "Subject", Value: "grün"}}, Body: []string{"hello"},
		Since: noon.Add(-48 * time.Hour), Flag: []imap2.Flag{"$Work"}}, &imap2.SearchOptions{ReturnCount: true, ReturnAll: true}).Wait()
	must("SEARCH", err)
	if found.Count != 1 || !found.All.(imap2.UIDSet).Contains(1) {
		t.Errorf("SEARCH: %+v", found)
	}
	must("STORE", c.Store(imap2.SeqSetNum(1), &imap2.StoreFlags{Op: imap2.StoreFlagsAdd, Flags: []imap2.Flag{imap2.FlagAnswered}}, nil).Close())
	cp, err := c.Copy(imap2.SeqSetNum(1), "Work/Übung").Wait()
	must("COPY", err)
	if cp.DestUIDs.String() != "1" {
		t.Errorf("COPYUID: %+v", cp)
	}
	_, err = c.Move(imap2.SeqSetNum(1), "Trash").Wait()
	must("MOVE", err)
	idle, err := c.Idle()
	must("IDLE", err)
	must("DONE", idle.Close())
	must("IDLE", idle.Wait())
	st, err := c.Status("Trash", &imap2.StatusOptions{NumMessages: true, NumUnseen: true, Size: true}).Wait()
	must("STATUS", err)
	if *st.NumMessages != 1 || *st.NumUnseen != 0 || *st.Size != int64(len(text)) {
		t.Errorf("STATUS: %+v", st)
	}
	must("LOGOUT", c.Logout().Wait())
}
