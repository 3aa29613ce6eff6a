package remind

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"posta/internal/directory"
	"posta/internal/letter"
	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/message"
	"posta/internal/policy"
	"posta/internal/store"
	"posta/internal/store/sqlstore"
	"posta/internal/words"
)

// house is a store with people, and the letters that were filed.
type house struct {
	t      *testing.T
	store  *sqlstore.Store
	dir    *directory.Directory
	policy policy.Accounts
	term   string // the setting that says since when it holds

	mu     sync.Mutex
	filed  map[mail.ID]bool
	heard  []string // who was told what, on which day
	whole  []string
	broken int // deposits that still fail
	clock  time.Time
}

var began = time.Date(2096, 3, 1, 0, 0, 0, 0, time.UTC)

func (h *house) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.clock
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, filed: map[mail.ID]bool{}, policy: policy.Profile(policy.Guia).Accounts, clock: began}
	st, err := sqlstore.Open(t.Context(), sqlstore.Options{Dir: t.TempDir(), Now: h.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	h.store = st
	h.change(func(tx store.DirectoryTx, _ *store.DirectoryView) error {
		return tx.PutDomain(&store.Domain{Name: "empresa.test", Created: began})
	})
	return h
}

func (h *house) change(f func(store.DirectoryTx, *store.DirectoryView) error) {
	h.t.Helper()
	err := h.store.ChangeDirectory(h.t.Context(), func(tx store.DirectoryTx) (store.Audit, error) {
		v, err := tx.View()
		if err != nil {
			return store.Audit{}, err
		}
		return store.Audit{Command: "test"}, f(tx, v)
	})
	if err == nil && h.dir == nil {
		h.dir, err = directory.Open(h.t.Context(), h.store)
	} else if err == nil {
		err = h.dir.Refresh(h.t.Context())
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// put makes an account, or changes it.
func (h *house) put(name string, f func(*store.Account)) (id mailbox.AccountID) {
	h.t.Helper()
	h.change(func(tx store.DirectoryTx, v *store.DirectoryView) error {
		a := store.Account{Domain: v.Domains[0].ID, Login: name + "@empresa.test", Password: "$argon2id$" + name, Created: h.now(), PasswordSet: h.now()}
		for _, have := range v.Accounts {
			if have.Login == a.Login {
				a = have
			}
		}
		fresh := a.ID == 0
		f(&a)
		if err := tx.PutAccount(&a); err != nil || !fresh {
			return err
		}
		id = a.ID
		return tx.PutAddress(store.Address{Domain: a.Domain, Local: name, Kind: store.ToAccount, Account: a.ID})
	})
	return id
}

// deposit files a letter once.
func (h *house) deposit(_ context.Context, l letter.Letter) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.broken > 0 {
		h.broken--
		return store.ErrTemporary
	}
	if h.filed[l.ID] {
		return store.ErrExists
	}
	h.filed[l.ID] = true
	head, _ := message.SplitHeader(l.Message)
	h.heard = append(h.heard, fmt.Sprintf("%s %s", h.clock.Sub(began), head.Get("To")))
	h.whole = append(h.whole, string(l.Message))
	return nil
}

// node is one node's reminder.
func (h *house) node(name, lang string) *Reminder {
	return New(Config{
		Store: h.store, Directory: h.dir, Term: func() store.PasswordTerm { return h.policy.Term(h.term) }, Deposit: h.deposit,
		Hostname: "mx.empresa.test", Node: name, Language: words.Lang(lang), Now: h.now,
	})
}

// until lets nodes look for work every half hour, one after the other, up to a time
// after the beginning. (In a bubble a month of the store's own tickers takes minutes.)
func (h *house) until(end time.Duration, nodes ...*Reminder) {
	for h.now().Before(began.Add(end)) {
		h.mu.Lock()
		h.clock = h.clock.Add(30 * time.Minute)
		h.mu.Unlock()
		for _, r := range nodes {
			r.plan(h.t.Context())
			for r.worker.Turn(h.t.Context()) == 0 {
			}
		}
	}
}

const day = 24 * time.Hour

func (h *house) want(what string, want ...string) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Equal(h.heard, want) {
		h.t.Errorf("%s:\n got %q\nwant %q", what, h.heard, want)
	}
}

func nothing(*store.Account) {}

// Thirty-one days of passwords that may be thirty days old: each account is told once,
// seven days before, over restarts, failures, and with two nodes.
func TestPasswords(t *testing.T) {
	h := newHouse(t)
	h.put("ana", nothing)
	h.put("eva", nothing)
	h.put("sin", func(a *store.Account) { a.Password = "" })
	h.put("baja", func(a *store.Account) { a.Disabled = true })
	h.put("vieja", func(a *store.Account) { a.PasswordSet = a.Created.Add(-40 * day) })
	a, b := h.node("a", "en"), h.node("b", "en")
	h.until(10*day, a, b)
	h.want("after ten days")
	h.put("eva", func(a *store.Account) { a.Password, a.PasswordSet = "$argon2id$new", h.now() })
	h.until(23*day-30*time.Minute, b)
	h.want("half an hour before the seventh day before the end")
	h.broken = 2 // the store is away for a while
	h.until(23*day+3*time.Hour, b)
	h.want("on day 23", "553h30m0s ana@empresa.test")
	a, b = h.node("a", "en"), h.node("b", "en") // both start again
	h.until(31*day, a, b)
	h.want("on day 31", "553h30m0s ana@empresa.test")
	h.until(34*day, a) // eva's was changed on day 10
	h.want("on day 34", "553h30m0s ana@empresa.test", "792h30m0s eva@empresa.test")
	for _, want := range []string{
		"From: \"mx.empresa.test\" <postmaster@empresa.test>\r\n", "Auto-Submitted: auto-generated\r\n",
		"Subject: The password of ana@empresa.test must be changed before 2096-03-31\r\n 00:00 UTC\r\n",
		"here a password may be 30 days old",
	} {
		if text := strings.ReplaceAll(h.whole[0], "=\r\n", ""); !strings.Contains(text, want) {
			t.Errorf("missing %q in\n%s", want, text)
		}
	}
}

// A node that died after the letter was filed and before that was recorded: the next
// one files no second letter.
func TestDiedBetween(t *testing.T) {
	h := newHouse(t)
	h.put("ana", nothing)
	h.until(23*day-30*time.Minute, h.node("a", "en"))
	dead := h.node("dead", "en")
	if err := dead.tellEnd(t.Context(), h.dir.View().ByLogin("ana@empresa.test"), h.policy.Term(h.term)); err != nil {
		t.Fatal(err)
	}
	h.until(24*day, h.node("b", "en"))
	h.want("the letter of the dead node", "551h30m0s ana@empresa.test")
}

// With a policy that lets passwords be of any age there is no job; a changed policy is
// told anew.
func TestPolicyChanges(t *testing.T) {
	h := newHouse(t)
	h.policy = policy.Accounts{}
	h.put("ana", nothing)
	r := h.node("a", "es")
	jobs := func() int {
		list, err := h.store.ListJobs(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	h.until(24*day, r)
	h.want("passwords of any age")
	if n := jobs(); n != 0 {
		t.Errorf("%d jobs for passwords of any age", n)
	}
	h.policy.PasswordDays = 30
	h.until(25*day, r)
	h.want("thirty days", "576h30m0s ana@empresa.test")
	h.policy.PasswordDays = 60
	h.until(54*day, r)
	h.want("sixty days", "576h30m0s ana@empresa.test", "1272h30m0s ana@empresa.test")
	if !strings.Contains(h.whole[0], "La contrase=C3=B1a de ana@empresa.test vale hasta") {
		t.Errorf("not in Spanish:\n%s", h.whole[0])
	}
	h.policy.PasswordDays = 0
	h.until(55*day, r)
	if n := jobs(); n != 0 {
		t.Errorf("%d jobs when passwords do not grow old any more", n)
	}
}

// Each reads his own language, or his domain's, or the node's.
func TestLanguage(t *testing.T) {
	h := newHouse(t)
	h.put("ana", nothing)
	h.put("luis", nothing)
	h.change(func(tx store.DirectoryTx, _ *store.DirectoryView) error {
		return errors.Join(tx.PutSetting(directory.LanguageSetting+"empresa.test", "es"), tx.PutSetting(directory.LanguageSetting+"luis@empresa.test", "en"))
	})
	h.until(24*day, h.node("a", "en"))
	for i, want := range []string{"La contrase=C3=B1a de ana@empresa.test vale hasta", "The password of luis@empresa.test can be used"} {
		if len(h.whole) != 2 || !strings.Contains(strings.ReplaceAll(h.whole[i], "=\r\n", ""), want) {
			t.Errorf("letter %d of %d lacks %q", i, len(h.whole), want)
		}
	}
}

// Short-lived passwords are told of in the middle of their life, not when they are set.
func TestShortLives(t *testing.T) {
	h := newHouse(t)
	h.policy.PasswordDays = 4
	h.put("ana", nothing)
	h.until(4*day, h.node("a", "en"))
	h.want("in the middle", "48h30m0s ana@empresa.test")
}

// A rule that is new tells at once whose password is older, and once; the others are
// told when their own is near its end. A page where it can be changed is named.
func TestGrace(t *testing.T) {
	h := newHouse(t)
	h.policy = policy.Accounts{}
	h.put("vieja", func(a *store.Account) { a.PasswordSet = a.Created.Add(-100 * day) })
	h.put("media", func(a *store.Account) { a.PasswordSet = a.Created.Add(-20 * day) })
	h.put("ana", nothing)
	a, b := h.node("a", "en"), h.node("b", "en")
	for _, r := range []*Reminder{a, b} {
		r.cfg.PasswordPage = "https://mx.empresa.test/account/password"
	}
	h.until(5*day, a, b)
	h.want("passwords of any age")
	h.policy = policy.Accounts{PasswordDays: 30}
	h.term = policy.Began{}.Next(30, h.now()).String() // day 5
	h.until(6*day, a, b)
	h.want("the rule is new", "120h30m0s vieja@empresa.test", "120h30m0s media@empresa.test")
	h.until(18*day, b, a)
	h.want("its password can still be used", "120h30m0s vieja@empresa.test", "120h30m0s media@empresa.test")
	for i, want := range []string{
		"Here a password may be 30 days old, a rule that holds since 2096-03-06 00:00 UTC. The password of vieja@empresa.test is older, so it can be used only until 2096-03-20 00:00 UTC.",
		"The password of media@empresa.test can be used until 2096-03-20 00:00 UTC: here a password may be 30 days old.",
	} {
		text := strings.ReplaceAll(h.whole[i], "=\r\n", "")
		for _, want := range []string{want, "\r\nhttps://mx.empresa.test/account/password\r\n"} {
			if !strings.Contains(text, want) {
				t.Errorf("missing %q in\n%s", want, text)
			}
		}
	}
	// Off and on again: another rule, of which they are told anew.
	h.term = policy.Began{}.Next(30, h.now()).String()
	h.until(19*day, a, b)
	h.want("a second rule", "120h30m0s vieja@empresa.test", "120h30m0s media@empresa.test", "432h30m0s vieja@empresa.test", "432h30m0s media@empresa.test")
}

// An account that nears its limit is told, and its administrator; an administrator is
// told once.
func TestAllowance(t *testing.T) {
	h := newHouse(t)
	h.policy = policy.Accounts{MessagesPerDay: 500}
	jefa := h.put("jefa", func(a *store.Account) { a.Role = store.Owner })
	ana := h.put("ana", nothing)
	r := h.node("a", "en")
	if err := r.Allowance(t.Context(), ana, 400, 500); err != nil {
		t.Fatal(err)
	}
	if err := r.Allowance(t.Context(), ana, 401, 500); !errors.Is(err, store.ErrExists) {
		t.Errorf("a second time: %v", err)
	}
	h.broken = 1
	h.until(2*time.Hour, r, h.node("b", "en"))
	h.want("ana", "1h0m0s ana@empresa.test", "1h0m0s postmaster@empresa.test")
	if err := r.Allowance(t.Context(), jefa, 80, 100); err != nil {
		t.Fatal(err)
	}
	h.until(3*time.Hour, r)
	h.want("jefa", "1h0m0s ana@empresa.test", "1h0m0s postmaster@empresa.test", "2h30m0s jefa@empresa.test")
	if want := "Subject: ana@empresa.test has sent 400 of the 500 messages that it may send"; !strings.Contains(h.whole[1], want) {
		t.Errorf("missing %q in\n%s", want, h.whole[1])
	}
	if jobs, err := h.store.ListJobs(t.Context(), 0); err != nil || len(jobs) != 0 {
		t.Errorf("%d jobs are left, %v", len(jobs), err)
	}
}

// Run does the same by itself, and ends with its context.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		ana := h.put("ana", nothing)
		r := h.node("a", "en")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- r.Run(ctx) }()
		if err := r.Allowance(t.Context(), ana, 400, 500); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		h.want("after a minute", "0s ana@empresa.test")
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
