package command

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"posta/internal/addr"
	"posta/internal/admit"
	"posta/internal/allowance"
	"posta/internal/directory"
	"posta/internal/policy"
	"posta/internal/rules"
	"posta/internal/store"
)

// Account is a mailbox user as people see it.
type Account struct {
	Address   string   `json:"address"`
	Name      string   `json:"name,omitempty"`
	Role      string   `json:"role"`
	Quota     int64    `json:"quota"` // octets, 0 is no limit
	Used      int64    `json:"used"`
	Messages  int64    `json:"messages"`
	Disabled  bool     `json:"disabled,omitempty"`
	Addresses []string `json:"addresses,omitempty"` // further ones
	// MessagesPerDay is its own limit: 0 is what the policy says, -1 none.
	MessagesPerDay int `json:"messages_per_day,omitempty"`
	// Language is its own, of what we write to it; "" is its domain's.
	Language string `json:"language,omitempty"`

	*Standing // when it is listed
}

// Standing is how an account stands now.
type Standing struct {
	PasswordSet  time.Time `json:"password_set,omitzero"`  // zero: it has none
	PasswordEnds time.Time `json:"password_ends,omitzero"` // zero: never
	Expired      bool      `json:"expired,omitempty"`      // nobody can log in with it any more
	Overdue      bool      `json:"overdue,omitempty"`      // it is older than it may be, and can be used until PasswordEnds
	Sent         int       `json:"sent,omitempty"`         // messages in the last day, if they are counted
	Limit        int       `json:"limit,omitempty"`        // of them; 0 is none
}

// NewAccount is the argument of account.add; Password "" makes a random one.
type NewAccount struct {
	Address  string `json:"address"`
	Name     string `json:"name,omitempty"`
	Password string `json:"password,omitempty"`
	Role     string `json:"role,omitempty"`
	Quota    int64  `json:"quota,omitempty"`
}

// Password is the argument of account.password; an empty one makes a random one.
type Password struct {
	Address  string `json:"address"`
	Password string `json:"password,omitempty"`
}

// Made tells a password that was made at random, once.
type Made struct {
	Address  string `json:"address"`
	Password string `json:"password,omitempty"`
}

// Edit is the argument of account.set; what is nil stays.
type Edit struct {
	Address  string  `json:"address"`
	Name     *string `json:"name,omitempty"`
	Quota    *int64  `json:"quota,omitempty"`
	Disabled *bool   `json:"disabled,omitempty"`
	Role     *string `json:"role,omitempty"`
	// MessagesPerDay: 0 takes what the policy says, -1 is no limit.
	MessagesPerDay *int `json:"messages_per_day,omitempty"`
	// Language: "en", "es", or "" for that of its domain.
	Language *string `json:"language,omitempty"`
}

// maxMessages bounds a limit of messages a day.
const maxMessages = 10_000_000

var roleNames = []string{"user", "helpdesk", "domain-admin", "owner"}

func parseRole(s string) (store.Role, error) {
	if s == "" {
		return store.User, nil
	}
	i := slices.Index(roleNames, s)
	if i < 0 {
		return 0, fail(ErrUsage, "error.account.role", s, strings.Join(roleNames, ", "))
	}
	return store.Role(i), nil
}

// minPassword is the least length that a person may choose (NIST 800-63B §3.1.1).
const minPassword = 8

func checkPassword(pw string) error {
	switch {
	case !utf8.ValidString(pw) || strings.ContainsAny(pw, "\x00\r\n"):
		return fail(ErrUsage, "error.password.characters")
	case utf8.RuneCountInString(pw) < minPassword:
		return fail(ErrUsage, "error.password.short", minPassword)
	case len(pw) > 1024:
		return fail(ErrUsage, "error.password.long")
	}
	return nil
}

// choose takes a given password or makes one; made is "" if it was given.
func choose(given string) (pw, made string, err error) {
	if given == "" {
		pw = admit.RandomPassword()
		return pw, pw, nil
	}
	return given, "", checkPassword(given)
}

var accountCommands = []Command{
	run("account.add", store.Owner, addAccount),
	run("account.password", store.Owner, setPassword),
	run("account.set", store.Owner, editAccount),
	run("account.remove", store.Owner, removeAccount),
	run("account.ls", store.Helpdesk, listAccounts),
	run("account.show", store.Helpdesk, showAccount),
}

func addAccount(ctx context.Context, h *House, p Principal, a NewAccount) (any, error) {
	ad, err := addr.ParseAddress(a.Address)
	if err != nil {
		return nil, fail(ErrUsage, "error.account.address", a.Address, err)
	}
	ad = ad.Fold()
	if base, _ := addr.SplitDetail(ad.Local, "+"); base != ad.Local {
		return nil, fail(ErrUsage, "error.account.plus", ad)
	}
	role, err := parseRole(a.Role)
	if err != nil {
		return nil, err
	}
	if a.Quota < 0 {
		return nil, fail(ErrUsage, "error.account.quota")
	}
	pw, made, err := choose(a.Password)
	if err != nil {
		return nil, err
	}
	hash := admit.HashPassword(pw)
	seen := Account{Address: ad.String(), Name: a.Name, Role: roleNames[role], Quota: a.Quota}
	err = h.change(ctx, p, "account.add", ad.String(), func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
		d := findDomain(v, string(ad.Domain))
		if d == nil {
			return nil, nil, fail(ErrMissing, "error.domain.foreign", ad.Domain, ad.Domain)
		}
		if e := findAddress(v, d.ID, string(ad.Local)); e != nil {
			return nil, nil, fail(ErrExists, "error.address.exists", ad)
		}
		if r := h.Directory.View().Rules().Get(rules.Address, []byte(ad.Fold().String())); r != "" && !rules.LeadsTo(r, ad.String()) {
			return nil, nil, fail(ErrExists, "error.address.exists", ad)
		}
		acc := &store.Account{
			Domain: d.ID, Tenant: d.Tenant, Login: ad.String(), Name: a.Name, Password: hash, Role: role,
			Quota: a.Quota, Created: h.now(),
		}
		acc.PasswordSet = acc.Created
		if err := tx.PutAccount(acc); err != nil {
			return nil, nil, err
		}
		return nil, seen, tx.PutAddress(store.Address{Domain: d.ID, Local: string(ad.Local), Kind: store.ToAccount, Account: acc.ID})
	})
	return Made{ad.String(), made}, err
}

func setPassword(ctx context.Context, h *House, p Principal, a Password) (any, error) {
	pw, made, err := choose(a.Password)
	if err != nil {
		return nil, err
	}
	hash := admit.HashPassword(pw)
	login := strings.ToLower(a.Address)
	err = h.change(ctx, p, "account.password", login, func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
		acc, err := needAccount(v, login)
		if err != nil {
			return nil, nil, err
		}
		acc.Password, acc.PasswordSet = hash, h.now()
		return nil, map[string]string{"password": "changed"}, tx.PutAccount(acc)
	})
	return Made{login, made}, err
}

func editAccount(ctx context.Context, h *House, p Principal, e Edit) (any, error) {
	login := strings.ToLower(e.Address)
	var out Account
	err := h.change(ctx, p, "account.set", login, func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
		acc, err := needAccount(v, login)
		if err != nil {
			return nil, nil, err
		}
		before := show(v, acc)
		if e.Name != nil {
			acc.Name = *e.Name
		}
		if e.Quota != nil {
			if acc.Quota = *e.Quota; acc.Quota < 0 {
				return nil, nil, fail(ErrUsage, "error.account.quota")
			}
		}
		if e.Disabled != nil {
			acc.Disabled = *e.Disabled
		}
		if e.Role != nil {
			if acc.Role, err = parseRole(*e.Role); err != nil {
				return nil, nil, err
			}
		}
		if e.MessagesPerDay != nil {
			if acc.MessagesPerDay = *e.MessagesPerDay; acc.MessagesPerDay < store.NoLimit || acc.MessagesPerDay > maxMessages {
				return nil, nil, fail(ErrUsage, "error.account.messages", acc.MessagesPerDay, maxMessages)
			}
		}
		out = show(v, acc)
		if err := putLanguage(tx, login, e.Language, &out.Language); err != nil {
			return nil, nil, err
		}
		return before, out, tx.PutAccount(acc)
	})
	return out, err
}

func removeAccount(ctx context.Context, h *House, p Principal, a Name) (any, error) {
	login := strings.ToLower(a.Name)
	return nil, h.change(ctx, p, "account.remove", login, func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
		acc, err := needAccount(v, login)
		if err != nil {
			return nil, nil, err
		}
		before := show(v, acc)
		for _, e := range v.Addresses {
			if e.Kind == store.ToAccount && e.Account == acc.ID {
				if err := tx.DeleteAddress(e.Domain, e.Local); err != nil {
					return nil, nil, err
				}
			}
		}
		return before, nil, errors.Join(tx.PutSetting(directory.LanguageSetting+login, ""), tx.DeleteAccount(acc.ID))
	})
}

func listAccounts(ctx context.Context, h *House, _ Principal, a struct {
	Domain string `json:"domain,omitempty"`
}) (any, error) {
	v, err := h.Store.LoadDirectory(ctx)
	if err != nil {
		return nil, err
	}
	var of []*store.Account
	for i := range v.Accounts {
		acc := &v.Accounts[i]
		if a.Domain == "" || strings.HasSuffix(acc.Login, "@"+strings.ToLower(a.Domain)) {
			of = append(of, acc)
		}
	}
	out, err := h.standing(ctx, v, of)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b Account) int { return strings.Compare(a.Address, b.Address) })
	return out, nil
}

func showAccount(ctx context.Context, h *House, _ Principal, a Name) (any, error) {
	v, err := h.Store.LoadDirectory(ctx)
	if err != nil {
		return nil, err
	}
	acc, err := needAccount(v, strings.ToLower(a.Name))
	if err != nil {
		return nil, err
	}
	out, err := h.standing(ctx, v, []*store.Account{acc})
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// standing shows accounts with what changes by itself: room, the password's age, what
// they sent. A policy that cannot be read says nothing of them.
func (h *House) standing(ctx context.Context, v *store.DirectoryView, of []*store.Account) ([]Account, error) {
	var p policy.Accounts
	if now, err := h.policies().Of(v.Settings[policy.Setting]); err == nil {
		p = now.Accounts
	}
	term := p.Term(v.Settings[policy.TermSetting])
	ids := make([]int64, len(of))
	for i, acc := range of {
		ids[i] = int64(acc.ID)
	}
	sent, err := allowance.New(h.Store, h.now).Sent(ctx, ids...)
	if err != nil {
		return nil, err
	}
	out := make([]Account, len(of))
	for i, acc := range of {
		s := show(v, acc)
		if s.Used, s.Messages, _, err = h.Store.Usage(ctx, acc.ID); err != nil {
			return nil, err
		}
		s.Standing = &Standing{PasswordEnds: acc.PasswordEnds(term), Limit: allowance.Limit(acc.MessagesPerDay, p.MessagesPerDay)}
		if acc.Password != "" {
			s.PasswordSet = acc.PasswordSet
		}
		s.Expired = acc.Expired(term, h.now())
		s.Overdue = !s.Expired && overdue(acc, term, h.now())
		if s.Limit > 0 {
			s.Sent = sent[i]
		}
		out[i] = s
	}
	return out, nil
}

func needAccount(v *store.DirectoryView, login string) (*store.Account, error) {
	for i := range v.Accounts {
		if v.Accounts[i].Login == login {
			return &v.Accounts[i], nil
		}
	}
	return nil, fail(ErrMissing, "error.account.missing", login)
}

func findAddress(v *store.DirectoryView, d store.DomainID, local string) *store.Address {
	for i := range v.Addresses {
		if v.Addresses[i].Domain == d && v.Addresses[i].Local == local {
			return &v.Addresses[i]
		}
	}
	return nil
}

// show is an account without its secret.
func show(v *store.DirectoryView, acc *store.Account) Account {
	out := Account{Address: acc.Login, Name: acc.Name, Role: roleNames[acc.Role], Quota: acc.Quota, Disabled: acc.Disabled, MessagesPerDay: acc.MessagesPerDay, Language: languageOf(v, acc.Login)}
	for _, e := range v.Addresses {
		if e.Kind != store.ToAccount || e.Account != acc.ID {
			continue
		}
		for _, d := range v.Domains {
			if full := e.Local + "@" + d.Name; d.ID == e.Domain && full != acc.Login {
				out.Addresses = append(out.Addresses, full)
			}
		}
	}
	return out
}
