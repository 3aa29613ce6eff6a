package app

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"posta/internal/spam/learn"
	"posta/internal/spam/spamtest"
	"posta/internal/spam/tally"
)

// imapUser is somebody at the door imaps.
type imapUser struct {
	t *testing.T
	c *tls.Conn
	r *bufio.Reader
	n int
}

func (n *nodeUnderTest) imap(t *testing.T, user, password string) *imapUser {
	t.Helper()
	c, err := tls.Dial("tcp", n.addrs["imaps"], &tls.Config{InsecureSkipVerify: true}) // its certificate is nobody's
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	u := &imapUser{t: t, c: c, r: bufio.NewReader(c)}
	u.line()
	u.do("LOGIN " + user + ` "` + password + `"`)
	return u
}

func (u *imapUser) line() string {
	u.t.Helper()
	l, err := u.r.ReadString('\n')
	if err != nil {
		u.t.Fatal(err)
	}
	return strings.TrimRight(l, "\r\n")
}

// do gives a command that must succeed.
func (u *imapUser) do(command string) {
	u.t.Helper()
	u.n++
	tag := fmt.Sprintf("a%d ", u.n)
	if _, err := io.WriteString(u.c, tag+command+"\r\n"); err != nil {
		u.t.Fatal(err)
	}
	for {
		l := u.line()
		if rest, ok := strings.CutPrefix(l, tag); ok {
			if !strings.HasPrefix(rest, "OK") {
				u.t.Fatalf("%s\n%s", command, l)
			}
			return
		}
	}
}

func (u *imapUser) append(box string, letter []byte) {
	u.t.Helper()
	u.do(fmt.Sprintf("APPEND %s {%d+}\r\n%s", box, len(letter), letter))
}

// learned waits until a model has learned so much.
func (n *nodeUnderTest) learned(t *testing.T, s *State, m tally.Model, want tally.Count) {
	t.Helper()
	n.await(t, fmt.Sprintf("model %q learns %v", m, want), func() error {
		if jobs, err := s.Store.ListJobs(t.Context(), 0); err != nil {
			return err
		} else {
			for _, j := range jobs {
				if j.Kind == "train" {
					return errors.New("there is more to be learned")
				}
			}
		}
		got, err := s.Learner.Counts(t.Context(), m)
		if err == nil && got != want {
			err = fmt.Errorf("it has learned %v", got)
		}
		return err
	})
}

// What a user does with his mail is learned, once, for him and for everybody; his
// last word holds, and it is there after a restart.
func TestTraining(t *testing.T) {
	data := t.TempDir()
	n := startNodeIn(t, data, "")
	r := <-n.ready
	n.command(t, r, "domain.add", `{"name":"empresa.test"}`)
	for _, who := range []string{"ana", "luis"} {
		n.command(t, r, "account.add", `{"address":"`+who+`@empresa.test","password":"correct horse"}`)
	}
	model := func(login string) tally.Model {
		return tally.Account(int64(r.State.Directory.View().ByLogin(login + "@empresa.test").ID))
	}
	u := n.imap(t, "ana@empresa.test", "correct horse")
	mail := spamtest.Mail(11, 3)
	for _, letter := range mail[:4] {
		u.append("INBOX", letter)
	}
	u.do("SELECT INBOX")
	u.do("MOVE 1:2 Junk") // the first is spam, the second is taken back below
	n.learned(t, r.State, model("ana"), tally.Count{Spam: 2})
	n.learned(t, r.State, tally.Shared, tally.Count{Spam: 2})

	u.do("SELECT Junk")
	u.do("MOVE 2 INBOX")
	n.learned(t, r.State, model("ana"), tally.Count{Spam: 1, Ham: 1})
	u.do("COPY 1 Trash") // tells nothing
	u.do("SELECT INBOX")
	u.do("COPY 1 Junk") // one that was not judged yet
	n.learned(t, r.State, model("ana"), tally.Count{Spam: 2, Ham: 1})
	u.do("COPY 1 Junk") // again
	u.do("STORE 1 +FLAGS ($Junk)")
	n.learned(t, r.State, model("ana"), tally.Count{Spam: 2, Ham: 1})
	u.do("STORE 1 +FLAGS ($NotJunk)")
	n.learned(t, r.State, model("ana"), tally.Count{Spam: 1, Ham: 2})
	u.append("Junk", mail[4])
	n.learned(t, r.State, model("ana"), tally.Count{Spam: 2, Ham: 2})

	// Another user says the same of the same message: everybody's model knows it.
	v := n.imap(t, "luis@empresa.test", "correct horse")
	v.append("Junk", mail[4])
	n.learned(t, r.State, model("luis"), tally.Count{Spam: 1})
	n.learned(t, r.State, tally.Shared, tally.Count{Spam: 2, Ham: 2})

	n.end(t)
	n = startNodeIn(t, data, "")
	r = <-n.ready
	n.learned(t, r.State, model("ana"), tally.Count{Spam: 2, Ham: 2})
	n.command(t, r, "spam.reset", `{"account":"ana@empresa.test"}`)
	n.learned(t, r.State, model("ana"), tally.Count{})
	n.learned(t, r.State, tally.Shared, tally.Count{Spam: 2, Ham: 2})

	// What was learned of an account that is gone, goes.
	n.command(t, r, "account.add", `{"address":"eva@empresa.test","password":"correct horse"}`)
	gone := model("eva")
	sample, err := learn.SampleOf(mail[5], false)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.State.Learner.Train(t.Context(), gone, sample); err != nil {
		t.Fatal(err)
	}
	n.learned(t, r.State, gone, tally.Count{Ham: 1})
	n.command(t, r, "account.remove", `{"name":"eva@empresa.test"}`)
	if err := r.State.forget(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	n.learned(t, r.State, gone, tally.Count{})
	n.end(t)
}
