package intake

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"posta/internal/blob"
	"posta/internal/mail"
	"posta/internal/message"
	"posta/internal/scripts"
	"posta/internal/sieve"
	"posta/internal/srs"
	"posta/internal/store"
)

var updateScripts = flag.Bool("update-scripts", false, "write what came of the messages of testdata/scripts into them")

// withScripts gives a house scripts: NAME.sieve is an account's, before.sieve and
// after.sieve the house's.
func (h *house) withScripts(files []txtar.File) {
	h.t.Helper()
	err := h.store.ChangeDirectory(h.t.Context(), func(tx store.DirectoryTx) (store.Audit, error) {
		for _, f := range files {
			name, ok := strings.CutSuffix(f.Name, ".sieve")
			if !ok {
				continue
			}
			s := store.Script{Name: name, Text: f.Data}
			if id := h.ids[name]; id != 0 {
				s.Owner, s.Active = store.ScriptsOf(id), true
			}
			if _, err := sieve.Compile(f.Data, sieve.Options{}); err != nil && !bytes.Contains(f.Data, []byte("# broken")) {
				return store.Audit{}, fmt.Errorf("%s: %w", f.Name, err)
			}
			if err := tx.PutScript(s); err != nil {
				return store.Audit{}, err
			}
		}
		return store.Audit{}, nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	if err := h.dir.Refresh(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	h.cfg.Scripts = scripts.New(h.store, h.dir, sieve.Options{})
	h.cfg.Forwards = &srs.Rewriter{Key: []byte("key")}
}

// settled tells what became of a message: mailboxes, queue, and what is to be answered.
func (h *house) settled() string {
	h.t.Helper()
	ctx := h.t.Context()
	var b strings.Builder
	for _, name := range []string{"ana", "luis"} {
		boxes, err := h.store.ListMailboxes(ctx, h.ids[name])
		if err != nil {
			h.t.Fatal(err)
		}
		for _, box := range boxes {
			msgs, err := h.store.Fetch(ctx, box.Account, box.ID, store.FetchQuery{Want: store.WantEnvelope})
			if err != nil {
				h.t.Fatal(err)
			}
			for _, m := range msgs {
				words := append(m.Flags.Names(), m.Keywords...)
				env := new(message.Envelope)
				if err := env.UnmarshalBinary(m.Envelope); err != nil {
					h.t.Fatal(err)
				}
				fmt.Fprintf(&b, "%s %s: %s %v\n", name, box.Name, env.Subject, words)
			}
		}
	}
	q, err := h.store.ClaimQueue(ctx, "n", 100, 100, time.Minute)
	if err != nil {
		h.t.Fatal(err)
	}
	slices.SortFunc(q, func(a, b store.QueueEntry) int { return strings.Compare(a.Address, b.Address) })
	for _, w := range q {
		from := w.ReversePath
		if i := strings.Index(from, "="); i >= 0 { // the hash and the day differ
			if j := strings.LastIndex(from, "good.example"); j >= 0 {
				from = from[:i+1] + "…=" + from[j:]
			}
		}
		mark := ""
		if strings.Contains(string(w.Prefix), redirectedField) {
			mark = " marked"
		}
		fmt.Fprintf(&b, "queue: <%s> → %s%s seal=%q\n", from, w.Address, mark, w.Seal)
	}
	for {
		j, err := h.store.ClaimJob(ctx, "n", []string{store.AnswerJobKind}, time.Minute)
		if err != nil {
			break
		}
		a, err := store.DecodeAnswerJob(&j)
		if err != nil {
			h.t.Fatal(err)
		}
		m := message.ParseBytes(a.Message, message.Budget{})
		body := string(a.Message[m.Body:])
		body, _, _ = strings.Cut(body, "\r\n")
		if strings.HasPrefix(body, "--=_") {
			body = m.Type + "/" + m.Subtype
		}
		fmt.Fprintf(&b, "%s → %s: %s | %s", a.What, a.To, m.Envelope.Subject, body)
		if a.Seconds > 0 {
			fmt.Fprintf(&b, " | not again for %d s", a.Seconds)
		}
		if a.Copy != nil {
			fmt.Fprintf(&b, " | copy in %s", a.Copy.Mailbox)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// What scripts want done with a message, and what is done: a file each in
// testdata/scripts, with the scripts, the envelope, the message and the outcome.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/scripts/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(err, "no scripts")
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			h := newHouse(t)
			h.withScripts(a.Files)
			get := func(name string) string {
				i := slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == name })
				if i < 0 {
					return ""
				}
				return string(a.Files[i].Data)
			}
			c := stranger()
			from, to := "", []string(nil)
			for line := range strings.Lines(get("envelope")) {
				verb, value, _ := strings.Cut(strings.TrimSpace(line), " ")
				switch verb {
				case "from":
					from = value
				case "to":
					to = append(to, value)
				case "lmtp":
					c.Door = mail.LMTP
				}
			}
			rcpt, final := h.talk(c, from, to, strings.ReplaceAll(get("message"), "\n", "\r\n"))
			got := ""
			for _, r := range rcpt {
				got += r + "\n"
			}
			for _, r := range final {
				r.Link = ""
				text := r.String()
				if r.Code == 250 {
					text = "250"
				}
				got += text + "\n"
			}
			got += h.settled()
			if *updateScripts {
				i := slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == "outcome" })
				if i < 0 {
					a.Files, i = append(a.Files, txtar.File{Name: "outcome"}), len(a.Files)
				}
				a.Files[i].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(get("outcome"), got); d != "" {
				t.Error(d)
			}
		})
	}
}

// What is forwarded for a stranger leaves with an address of ours, to which a bounce
// comes back, and nothing else does.
func TestForwardAndBounce(t *testing.T) {
	h := newHouse(t)
	h.withScripts(nil)
	if rcpt, final := h.talk(stranger(), "a@good.example", []string{"ventas@empresa.test"}, letter); len(rcpt) != 0 || final[0].Code != 250 {
		t.Fatal(rcpt, final)
	}
	q, err := h.store.ClaimQueue(t.Context(), "n", 10, 10, time.Minute)
	if err != nil || len(q) != 1 || !strings.HasPrefix(q[0].ReversePath, "SRS0=") || !strings.HasSuffix(q[0].ReversePath, "=good.example=a@empresa.test") {
		t.Fatal(q, err)
	}
	if _, err := blob.ReadAll(t.Context(), h.blobs, q[0].Blob.ID, q[0].Blob.At); err != nil {
		t.Fatal(err)
	}
	srsAddress := q[0].ReversePath
	bounce := "From: MAILER-DAEMON@good.example\r\nTo: " + srsAddress + "\r\nSubject: failed\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\nMessage-ID: <2@good.example>\r\n\r\nno such user\r\n"
	if rcpt, final := h.talk(stranger(), "", []string{srsAddress}, bounce); len(rcpt) != 0 || final[0].Code != 250 {
		t.Fatal(rcpt, final)
	}
	q, err = h.store.ClaimQueue(t.Context(), "n", 10, 10, time.Minute)
	if err != nil || len(q) != 1 || q[0].ReversePath != "" || q[0].Address != "a@good.example" {
		t.Fatalf("the bounce: %+v, %v", q, err)
	}
	for _, c := range []struct{ name, from, to, want string }{
		{"a letter", "a@good.example", srsAddress, "takes bounces only"},
		{"a forged address", "", strings.Replace(srsAddress, "=a@", "=victim@", 1), "no mail was forwarded"},
	} {
		rcpt, _ := h.talk(stranger(), c.from, []string{c.to}, letter)
		if len(rcpt) != 1 || !strings.HasPrefix(rcpt[0], "550 5.7.1 ") || !strings.Contains(rcpt[0], c.want) || !strings.Contains(rcpt[0], "rcpt.srs") {
			t.Errorf("%s: %q", c.name, rcpt)
		}
	}
}

// What a script edits is what is kept and sent, octet for octet below the edit, and comes
// back from the bytes alone.
func TestEditedMessageIsKept(t *testing.T) {
	h := newHouse(t)
	a, err := txtar.ParseFile("testdata/scripts/label.txtar")
	if err != nil {
		t.Fatal(err)
	}
	h.withScripts(a.Files)
	if rcpt, final := h.talk(stranger(), "a@good.example", []string{"ana@empresa.test", "luis@empresa.test"}, letter); len(rcpt) != 0 || final[0].Code != 250 {
		t.Fatal(rcpt, final)
	}
	ana, luis := h.mailIn("ana", "INBOX"), h.mailIn("luis", "INBOX")
	if len(ana) != 1 || len(luis) != 1 {
		t.Fatalf("%d and %d", len(ana), len(luis))
	}
	if !strings.HasPrefix(ana[0], "Subject: [CORREOS] hola\r\nOld-Subject: hola\r\nReturn-Path: <a@good.example>\r\nAuthentication-Results: ") ||
		strings.Count(ana[0], "Subject: ") != 2 || !strings.HasSuffix(ana[0], "\r\n\r\nhola\r\n") {
		t.Errorf("ana has\n%s", ana[0])
	}
	if !strings.HasSuffix(luis[0], letter) {
		t.Errorf("luis has\n%s", luis[0])
	}
	q, err := h.store.ClaimQueue(t.Context(), "n", 10, 10, time.Minute)
	if err != nil || len(q) != 1 {
		t.Fatal(q, err)
	}
	b, err := blob.ReadAll(t.Context(), h.blobs, q[0].Blob.ID, q[0].Blob.At)
	if err != nil {
		t.Fatal(err)
	}
	sent := string(q[0].Prefix) + string(b[q[0].Skip:])
	if !strings.HasPrefix(sent, "Authentication-Results: mx.empresa.test;") || strings.Contains(sent, "Return-Path") ||
		!strings.Contains(sent, "\r\nX-Sieve-Redirected-From: ana@empresa.test\r\nSubject: [CORREOS] hola\r\nOld-Subject: hola\r\nReceived: ") ||
		!strings.HasSuffix(sent, "Message-ID: <1@good.example>\r\n\r\nhola\r\n") {
		t.Errorf("what leaves is\n%s", sent)
	}
}
