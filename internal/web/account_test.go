package web

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"posta/internal/admit"
	"posta/internal/command"
	"posta/internal/directory"
	"posta/internal/store"
	"posta/internal/store/sqlstore"
)

const oldPassword = "vieja contraseña"

// passwords is a door over a store with one account, ana, whose password is as old as
// a test says.
type passwords struct {
	*Handler
	t      *testing.T
	house  *command.House
	logins *admit.Authenticator
	term   store.PasswordTerm
	now    func() time.Time
}

func newPasswords(t *testing.T, now func() time.Time) *passwords {
	t.Helper()
	st, err := sqlstore.Open(t.Context(), sqlstore.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	dir, err := directory.Open(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	p := &passwords{t: t, house: &command.House{Store: st, Directory: dir, Now: now}, now: now}
	for _, c := range [][2]string{
		{"domain.add", `{"name":"empresa.test"}`},
		{"account.add", fmt.Sprintf(`{"address":"ana@empresa.test","password":%q}`, oldPassword)},
	} {
		p.boss(c[0], c[1])
	}
	p.logins = admit.New(dir, admit.Config{Failure: time.Millisecond, Now: now, Term: func() store.PasswordTerm { return p.term }})
	p.Handler, err = New(Config{
		Hostname: "mx.empresa.test", House: p.house, Logins: p.logins, Ready: func(context.Context) error { return nil },
		Metrics: http.NotFoundHandler(), Trusted: func(netip.Addr) bool { return false }, Log: slog.New(slog.DiscardHandler), Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// boss gives a command as the administrator.
func (p *passwords) boss(name, args string) {
	p.t.Helper()
	if _, err := command.Do(p.t.Context(), p.house, command.Principal{Name: "uid:0", Role: store.Owner}, name, []byte(args)); err != nil {
		p.t.Fatal(name, err)
	}
}

func form(login, old, next, again string) url.Values {
	return url.Values{"login": {login}, "old": {old}, "new": {next}, "again": {again}}
}

// post sends the form over TLS from one address, with further header fields.
func (p *passwords) post(f url.Values, fields ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "https://mx.empresa.test/account/password?lang=en", strings.NewReader(f.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.RemoteAddr = "203.0.113.1:5"
	for i := 0; i+1 < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w
}

// login tells what a door would say of a password.
func (p *passwords) login(password string) error {
	_, err := p.logins.Login(p.t.Context(), netip.MustParseAddr("203.0.113.9"), "ana@empresa.test", password)
	return err
}

// A user whose password is too old to log in with changes it, and logs in again.
func TestChangePassword(t *testing.T) {
	now := time.Date(2096, 3, 2, 10, 0, 0, 0, time.UTC)
	p := newPasswords(t, func() time.Time { return now })
	p.term.Age = 30 * 24 * time.Hour
	now = now.AddDate(0, 0, 31)
	if err := p.login(oldPassword); err != admit.ErrExpired {
		t.Fatalf("after 31 days: %v", err)
	}
	w := p.post(form("Ana@empresa.test", oldPassword, "cuatro palabras sin relación", "cuatro palabras sin relación"))
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/account/password?lang=en&done" {
		t.Fatalf("%d %v\n%s", w.Code, w.Header(), w.Body)
	}
	if err := p.login("cuatro palabras sin relación"); err != nil {
		t.Errorf("the new password: %v", err)
	}
	if err := p.login(oldPassword); err != admit.ErrRefused {
		t.Errorf("the old password: %v", err)
	}
	log, err := p.house.Store.AuditLog(t.Context(), 1)
	if err != nil || len(log) != 1 || log[0].Principal != "ana@empresa.test" || log[0].Command != "account.own-password" ||
		strings.Contains(fmt.Sprint(log[0]), "palabras") || strings.Contains(fmt.Sprint(log[0]), "argon2") {
		t.Errorf("the audit log: %+v, %v", log, err)
	}
}

// What is wrong is said, nothing is changed, and no password is on the page.
func TestChangePasswordRefused(t *testing.T) {
	p := newPasswords(t, time.Now)
	const good = "cuatro palabras sin relación"
	for name, c := range map[string]struct {
		form   url.Values
		status int
		says   string
	}{
		"a wrong password":     {form("ana@empresa.test", "otra cosa", good, good), http.StatusForbidden, "Address or password is wrong."},
		"nobody":               {form("nadie@empresa.test", oldPassword, good, good), http.StatusForbidden, "Address or password is wrong."},
		"no old password":      {form("ana@empresa.test", "", good, good), http.StatusForbidden, "Address or password is wrong."},
		"two new ones":         {form("ana@empresa.test", oldPassword, good, good+"x"), http.StatusUnprocessableEntity, "The two new passwords are not the same."},
		"a short one":          {form("ana@empresa.test", oldPassword, "corta", "corta"), http.StatusUnprocessableEntity, "At least 8 characters."},
		"the same":             {form("ana@empresa.test", oldPassword, oldPassword, oldPassword), http.StatusUnprocessableEntity, "the new password is the old one"},
		"with a line end":      {form("ana@empresa.test", oldPassword, good+"\r\nx", good+"\r\nx"), http.StatusUnprocessableEntity, "characters that no mail program can send"},
		"a name with a script": {form("<script>alert(1)</script>", "otra cosa", good, good), http.StatusForbidden, "&lt;script&gt;"},
		"too long":             {form("ana@empresa.test", oldPassword, strings.Repeat("x", 20<<10), "x"), http.StatusBadRequest, "The form could not be read."},
	} {
		p.tries = newTries()
		w := p.post(c.form)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s: %d\n%s", name, w.Code, w.Body)
		}
		if strings.Contains(w.Body.String(), "vieja") || strings.Contains(w.Body.String(), "palabras") || strings.Contains(w.Body.String(), "<script>") {
			t.Errorf("%s: what was typed is on the page\n%s", name, w.Body)
		}
	}
	if err := p.login(oldPassword); err != nil {
		t.Errorf("it was changed: %v", err)
	}
}

// Nothing is kept by anybody, and the page can be shown in no other.
func TestPasswordPageHeaders(t *testing.T) {
	p := newPasswords(t, time.Now)
	r := httptest.NewRequest("GET", "https://mx.empresa.test/account/password?lang=es", nil)
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "Cambiar su contraseña") || strings.Contains(w.Body.String(), "<script") {
		t.Errorf("%d\n%s", w.Code, w.Body)
	}
	for field, want := range map[string]string{
		"Cache-Control": "no-store", "Strict-Transport-Security": "max-age=31536000", "X-Content-Type-Options": "nosniff",
		"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
	} {
		if got := w.Header().Get(field); got != want {
			t.Errorf("%s: %q, want %q", field, got, want)
		}
	}
}

// Without TLS there is no form, and what was typed into one is not looked at.
func TestPasswordNeedsTLS(t *testing.T) {
	p := newPasswords(t, time.Now)
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequest("GET", "http://mx.empresa.test/account/password", nil))
	if w.Code != http.StatusPermanentRedirect || w.Header().Get("Location") != "https://mx.empresa.test/account/password?lang=en" {
		t.Errorf("%d %q", w.Code, w.Header().Get("Location"))
	}
	const good = "cuatro palabras sin relación"
	r := httptest.NewRequest("POST", "http://mx.empresa.test/account/password", strings.NewReader(form("ana@empresa.test", oldPassword, good, good).Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w = httptest.NewRecorder()
	if p.ServeHTTP(w, r); w.Code != http.StatusForbidden {
		t.Errorf("a form in clear: %d", w.Code)
	}
	if err := p.login(oldPassword); err != nil {
		t.Errorf("it was changed: %v", err)
	}
}

// A form of another site is refused, whatever it knows.
func TestPasswordForeignForm(t *testing.T) {
	p := newPasswords(t, time.Now)
	f := form("ana@empresa.test", oldPassword, "cuatro palabras sin relación", "cuatro palabras sin relación")
	for _, fields := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://malo.example"}} {
		if w := p.post(f, fields...); w.Code != http.StatusForbidden {
			t.Errorf("%v: %d", fields, w.Code)
		}
	}
	if err := p.login(oldPassword); err != nil {
		t.Errorf("it was changed: %v", err)
	}
}

// A network has ten tries a minute, and a wrong one is answered late.
func TestPasswordTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		dir, err := directory.Open(t.Context(), nobody{})
		if err != nil {
			t.Fatal(err)
		}
		h, err := New(Config{
			Hostname: "mx.empresa.test", House: &command.House{}, Logins: admit.New(dir, admit.Config{}), Metrics: http.NotFoundHandler(),
			Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		p := &passwords{Handler: h, t: t}
		var codes []int
		for range 15 {
			codes = append(codes, p.post(form("ana@empresa.test", "otra cosa", "x", "x")).Code)
		}
		refused := 0
		for _, c := range codes {
			if c == http.StatusForbidden {
				refused++
			}
		}
		// One more may be tried for each six seconds that the refusals took.
		if spent := time.Since(began); refused < 10 || refused > 12 || spent != time.Duration(refused)*time.Second {
			t.Errorf("%v within %v", codes, spent)
		}
	})
}

// nobody is a directory without accounts.
type nobody struct{ store.Directory }

func (nobody) DirectoryVersion(context.Context) (int64, error) { return 1, nil }
func (nobody) LoadDirectory(context.Context) (*store.DirectoryView, error) {
	return &store.DirectoryView{Version: 1}, nil
}

// An administrator who gives another password while a form is on its way has the last
// word.
func TestPasswordChangedMeanwhile(t *testing.T) {
	p := newPasswords(t, time.Now)
	p.cfg.Logins = meanwhile{p.logins, func() { p.boss("account.password", `{"address":"ana@empresa.test","password":"la del administrador"}`) }}
	w := p.post(form("ana@empresa.test", oldPassword, "la del ladrón de cuentas", "la del ladrón de cuentas"))
	if w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "changed by somebody else meanwhile") {
		t.Errorf("%d\n%s", w.Code, w.Body)
	}
	if err := p.login("la del administrador"); err != nil {
		t.Errorf("the administrator's: %v", err)
	}
}

// meanwhile lets something happen after a password was verified.
type meanwhile struct {
	Logins
	do func()
}

func (m meanwhile) Login(ctx context.Context, remote netip.Addr, login, password string) (admit.Identity, error) {
	id, err := m.Logins.Login(ctx, remote, login, password)
	m.do()
	return id, err
}

// A person changes a password with a browser, and one who is led to a form of another
// site does not.
func TestPasswordInBrowser(t *testing.T) {
	const fill = `<!doctype html><title>x</title><body><script>
var q = new XMLHttpRequest(); q.open("GET", "/account/password?lang=es", false); q.send();
var f = new DOMParser().parseFromString(q.responseText, "text/html").querySelector("form");
document.body.appendChild(document.adoptNode(f));
for (const [k, v] of Object.entries({login: "ana@empresa.test", old: "vieja contraseña", new: "cuatro palabras", again: "cuatro palabras"})) f.elements[k].value = v;
if (f.checkValidity()) f.querySelector("button").click();
</script>`
	const foreign = `<!doctype html><title>x</title><body><form method="post" action="%s/account/password?lang=es">
<input name="login" value="ana@empresa.test"><input name="old" value="vieja contraseña"><input name="new" value="la de otro sitio"><input name="again" value="la de otro sitio">
</form><script>document.forms[0].submit()</script>`
	p := newPasswords(t, time.Now)
	ours := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/fill" { // a person's hands
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprint(w, fill)
			return
		}
		p.ServeHTTP(w, r)
	}))
	defer ours.Close()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, foreign, ours.URL)
	}))
	defer other.Close()
	see := func(url string) string {
		t.Helper()
		return textOf(browser(t, "--ignore-certificate-errors", "--virtual-time-budget=20000", "--dump-dom", url))
	}
	if text := see(ours.URL + "/account/password?lang=es"); !strings.Contains(text, "Cambiar su contraseña") || !strings.Contains(text, "Contraseña actual") {
		t.Errorf("the page:\n%s", text)
	}
	if text := see(other.URL); !strings.Contains(text, "desde otro sitio") {
		t.Errorf("a foreign form:\n%s", text)
	}
	if err := p.login(oldPassword); err != nil {
		t.Fatalf("a foreign form changed it: %v", err)
	}
	if text := see(ours.URL + "/fill"); !strings.Contains(text, "Su contraseña está cambiada.") {
		t.Errorf("after the form:\n%s", text)
	}
	if err := p.login("cuatro palabras"); err != nil {
		t.Errorf("the new password: %v", err)
	}
}
