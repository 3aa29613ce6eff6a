package app

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/smtp"
	"strings"
	"testing"
	"time"

	"posta/internal/command"
	"posta/internal/config"
	"posta/internal/spam/tally"
	"posta/internal/store"
)

// send gives a letter to a door of the node: to submissions with a login, otherwise to smtp.
func (n *nodeUnderTest) send(t *testing.T, login, from, to, letter string) {
	t.Helper()
	door := "smtp"
	if login != "" {
		door = "submissions"
	}
	conn, err := net.Dial("tcp", n.addrs[door])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil { // however busy the machine is
		t.Fatal(err)
	}
	if login != "" {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // its certificate is nobody's
	}
	c, err := smtp.NewClient(conn, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	if login != "" {
		if err := c.Auth(smtp.PlainAuth("", login, "correct horse", "127.0.0.1")); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(c.Mail(from), c.Rcpt(to)); err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, strings.ReplaceAll(letter, "\n", "\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(), c.Quit()); err != nil {
		t.Fatal(err)
	}
}

// startSubmitting runs a node with the door submissions besides, where ana has an account.
func startSubmitting(t *testing.T) (*nodeUnderTest, *Running) {
	t.Helper()
	n := startNodeWith(t, t.TempDir(), "", func(cfg *config.Config, _ *Options) { cfg.Listen.Submissions = "127.0.0.1:0" })
	r := <-n.ready
	n.command(t, r, "domain.add", `{"name":"empresa.test"}`)
	n.command(t, r, "account.add", `{"address":"ana@empresa.test","password":"correct horse","role":"owner"}`)
	return n, r
}

// What somebody answers is wanted: the submission of an answer, at the door, has the
// answered letter learned; one that answers nothing, or somebody else, teaches nothing.
func TestAnswersAreLearned(t *testing.T) {
	n, r := startSubmitting(t)
	ana := tally.Account(int64(r.State.Directory.View().ByLogin("ana@empresa.test").ID))
	for _, id := range []string{"uno", "dos"} {
		n.send(t, "", "eva@example.net", "ana@empresa.test", "From: Eva <eva@example.net>\nTo: ana@empresa.test\nSubject: presupuesto "+id+
			"\nDate: Mon, 30 Nov 2026 10:00:00 +0000\nMessage-ID: <"+id+"@example.net>\n\nTe mando el presupuesto de la obra del tejado.\n")
	}
	answer := func(to, head string) {
		t.Helper()
		n.send(t, "ana@empresa.test", "ana@empresa.test", to, "From: Ana <ana@empresa.test>\nTo: "+to+"\nSubject: Re: presupuesto\n"+head+"\nDe acuerdo.\n")
	}
	answer("eva@example.net", "")                                              // it names no letter
	answer("abuse@example.org", "In-Reply-To: <dos@example.net>\n")            // it is told of to others
	answer("eva@example.net", "In-Reply-To: <nada@example.net>\n")             // nothing that ana has
	n.learned(t, r.State, ana, tally.Count{})                                  // all of that was looked at
	answer("eva@example.net", "In-Reply-To: <uno@example.net>\n")              //
	n.learned(t, r.State, ana, tally.Count{Ham: 1})                            //
	n.learned(t, r.State, tally.Shared, tally.Count{Ham: 1})                   //
	answer("eva@example.net", "References: <x@y.example> <uno@example.net>\n") // once more
	n.learned(t, r.State, ana, tally.Count{Ham: 1})
	n.end(t)
}

// A report of others that comes by SMTP to the address that we publish is read, and is no
// mail of anybody.
func TestReportsArrive(t *testing.T) {
	n, r := startSubmitting(t)
	began := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -1)
	begin, end := began.Unix(), began.Add(24*time.Hour-time.Second).Unix()
	xml := fmt.Sprintf(`<feedback><report_metadata><org_name>example.net</org_name><report_id>r1</report_id><date_range><begin>%d</begin><end>%d</end></date_range></report_metadata>
<policy_published><domain>empresa.test</domain><p>none</p></policy_published>
<record><row><source_ip>192.0.2.25</source_ip><count>7</count><policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated></row><identifiers><header_from>empresa.test</header_from></identifiers></record></feedback>`, begin, end)
	var lines strings.Builder
	for b := base64.StdEncoding.EncodeToString([]byte(xml)); b != ""; {
		k := min(len(b), 76)
		lines.WriteString(b[:k] + "\n")
		b = b[k:]
	}
	n.send(t, "", "reports@example.net", "dmarc-reports@empresa.test", fmt.Sprintf("From: reports@example.net\nTo: dmarc-reports@empresa.test\nSubject: Report Domain: empresa.test Submitter: example.net Report-ID: <r1>\n"+
		"Date: Mon, 30 Nov 2026 10:00:00 +0000\nMessage-ID: <r1@example.net>\nMIME-Version: 1.0\nContent-Type: text/xml; name=\"example.net!empresa.test!%d!%d.xml\"\nContent-Transfer-Encoding: base64\n\n%s", begin, end, lines.String()))
	n.await(t, "posta report ls has the report", func() error {
		out, err := command.Do(t.Context(), r.House, command.Principal{Name: "test", Role: store.Helpdesk}, "report.ls", []byte(`{"domain":"empresa.test"}`))
		if err != nil {
			return err
		}
		list, _ := out.([]command.Report)
		if len(list) != 1 || list[0].Org != "example.net" || list[0].Name != "r1" || list[0].Kind != "dmarc" || list[0].Messages != 7 {
			return fmt.Errorf("%+v", out)
		}
		return nil
	})
	account := r.State.Directory.View().ByLogin("ana@empresa.test").ID // postmaster@ leads there
	boxes, err := r.State.Store.ListMailboxes(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range boxes {
		if b.UIDNext != 1 {
			t.Errorf("there is mail in %s", b.Name)
		}
	}
	n.end(t)
}
