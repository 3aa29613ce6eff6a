package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"posta/internal/app"
	"posta/internal/certs"
	"posta/internal/command"
	"posta/internal/config"
	"posta/internal/directory"
	"posta/internal/store"
	"posta/internal/zone"
)

// Who we are in the lab.
const (
	ourDomain  = "empresa.test"
	ourHost    = "mail.empresa.test"
	blocklist  = "bl.lab.test"
	domainList = "dbl.lab.test"
	proxyDoor  = "smtp_proxy"
)

// ourIP is our address as the world sees it.
var ourIP = netip.MustParseAddr("203.0.113.25")

// usual are the ports of the lab, when they are free.
var usual = map[string]string{
	"smtp": "127.0.0.1:2525", "submission": "127.0.0.1:2587", "submissions": "127.0.0.1:2465",
	"lmtp": "127.0.0.1:2424", "imap": "127.0.0.1:2143", "imaps": "127.0.0.1:2993",
	"pop3": "127.0.0.1:2110", "pop3s": "127.0.0.1:2995", "http": "127.0.0.1:8025", "https": "127.0.0.1:8443",
	"dns": "127.0.0.1:2553",
}

// User is one of the people of the lab.
type User struct {
	Address  string `json:"address"`
	Password string `json:"password"`
}

// setting is how our server differs from the lab's own: scenarios with the same one
// share a server.
type setting struct {
	level    string        // of policy
	list     string        // one more blocklist, "" for none
	rate     int           // of recipients a minute that one sender may name; 0 is the default
	greet    time.Duration // limits.greet_delay
	scanners string        // that it asks, "NAME KIND FALLBACK" parted by commas
	// play is the one that has the server, and its scanners, to itself; "" shares it.
	play string
}

// folder is where the server with a setting keeps its data, below the lab's.
func (s setting) folder() string {
	name := s.level
	if s.list != "" {
		name += "-" + s.list
	}
	if s.rate != 0 {
		name += "-" + strconv.Itoa(s.rate)
	}
	if s.greet != 0 {
		name += "-" + s.greet.String()
	}
	if s.play != "" {
		name += "-" + s.play
	}
	return name
}

// house is our server, running.
type house struct {
	setting
	scans []scanner
	addrs map[string]string // door → where it is
	state *app.State
	house *command.House
	stop  func() // ends it and waits for its end
}

// do gives a command as the administrator.
func (h *house) do(ctx context.Context, name string, args any) (any, error) {
	raw, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	return command.Do(ctx, h.house, command.Principal{Name: "lab", Role: store.Owner}, name, raw)
}

// houseConfig is an ordinary configuration: nothing in it knows of the lab.
func (l *Lab) houseConfig(dir string, set setting, scans []scanner) *config.Config {
	c := config.Default()
	c.Hostname, c.Data, c.User = ourHost, dir, ""
	if l.opt.Lang != "" {
		c.Language = string(l.opt.Lang)
	}
	c.Listen = config.Listen{
		SMTP: usual["smtp"], SMTPProxy: "127.0.0.1:0", Submission: usual["submission"], Submissions: usual["submissions"],
		LMTP: usual["lmtp"], IMAP: usual["imap"], IMAPS: usual["imaps"],
		POP3: usual["pop3"], POP3S: usual["pop3s"], HTTP: usual["http"], HTTPS: usual["https"],
	}
	c.DNS.Servers = []string{l.dns.addr.String()}
	c.Network.Public = []string{ourIP.String()}
	c.Daily = config.Daily{Letter: "off"} // no network, and no letter among those of the scenarios
	c.Policy.Level, c.Policy.Blocklists, c.Policy.DomainBlocklists = set.level, []string{blocklist}, []string{domainList}
	c.Policy.Greylist = 1 // ns: the second attempt passes, however soon it comes
	if set.list != "" {
		c.Policy.Blocklists = append(c.Policy.Blocklists, set.list)
	}
	if set.rate != 0 {
		c.Limits.SenderRate = set.rate
	}
	c.Limits.GreetDelay = config.Duration(set.greet)
	for _, s := range scans {
		c.Scanners = append(c.Scanners, s.Scanner)
	}
	return c
}

// startHouse runs our server until the lab ends, and waits until its doors are
// open. main is the one with the usual ports; others take any.
func (l *Lab) startHouse(dir string, set setting, main bool) (*house, error) {
	m, err := certs.Open(certs.Config{Certificate: l.certFile, Key: l.keyFile, Now: l.opt.Now})
	if err != nil {
		return nil, err
	}
	scans, err := l.scannersOf(set)
	if err != nil {
		return nil, err
	}
	log := l.opt.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(l.ctx)
	ready, ended := make(chan *app.Running, 1), make(chan error, 1)
	l.group.Go(func() error {
		defer close(ended)
		err := app.Run(ctx, l.houseConfig(dir, set, scans), app.Options{
			Log: log, Listen: listenAt(main), Dial: l.outside.dial, Roots: l.ca.Pool(), Certificates: m,
			Now: l.opt.Now, Ready: func(r *app.Running) { ready <- r },
		})
		ended <- err
		return err
	})
	select {
	case r := <-ready:
		h := &house{setting: set, scans: scans, addrs: r.Addrs, state: r.State, house: r.House}
		h.addrs["sendmail"] = filepath.Join(dir, app.SendmailSocket)
		h.stop = func() {
			cancel()
			for range ended { // until it is closed; the group has the error
			}
		}
		return h, nil
	case err := <-ended:
		cancel()
		return nil, errors.Join(errors.New("lab: our server ended before it was ready"), err)
	}
}

// listenAt opens a door where the configuration says or, when somebody else has
// that port, at a free one.
func listenAt(main bool) func(door, address string) (net.Listener, error) {
	return func(_, address string) (net.Listener, error) {
		if main {
			if l, err := net.Listen("tcp", address); err == nil {
				return l, nil
			}
		}
		return net.Listen("tcp", "127.0.0.1:0")
	}
}

// settle makes domain and people where they are missing.
func (l *Lab) settle(ctx context.Context, h *house) error {
	if _, err := h.do(ctx, "domain.add", command.Name{Name: ourDomain}); err != nil && !errors.Is(err, command.ErrExists) {
		return err
	}
	for i, u := range l.users {
		role := "user"
		if i == 0 {
			role = "owner" // postmaster@ and abuse@ lead to ana
		}
		_, err := h.do(ctx, "account.add", command.NewAccount{Address: u.Address, Password: u.Password, Role: role})
		if err != nil && !errors.Is(err, command.ErrExists) {
			return err
		}
	}
	return nil
}

// settleKeys makes the keys where they are missing, and publishes what our domain
// wants. Only the lab's own server has keys: those of another with the same
// selectors would make theirs ambiguous.
func (l *Lab) settleKeys(ctx context.Context, h *house) error {
	found, err := h.do(ctx, "dkim.ls", struct{}{})
	if err != nil {
		return err
	}
	keys, ok := found.([]command.Key)
	if !ok {
		return fmt.Errorf("lab: dkim.ls gave %T", found)
	}
	if len(keys) == 0 {
		made, err := h.do(ctx, "dkim.add", command.NewKeys{Domain: ourDomain})
		if err != nil {
			return err
		}
		if keys, ok = made.([]command.Key); !ok {
			return fmt.Errorf("lab: dkim.add gave %T", made)
		}
	}
	return l.publish(h, keys)
}

// publish puts our records into the zone: exactly those that package zone says
// that the domain wants.
func (l *Lab) publish(h *house, keys []command.Key) error {
	port := func(door string) uint16 {
		_, p, _ := net.SplitHostPort(h.addrs[door])
		n, _ := strconv.ParseUint(p, 10, 16)
		return uint16(n)
	}
	f := zone.Facts{
		Domain: ourDomain, Host: ourHost, IPs: []netip.Addr{ourIP},
		Reports: directory.DMARCReports + "@" + ourDomain, TLSReports: directory.TLSReports + "@" + ourDomain,
		Services: zone.Services(port("submission"), port("submissions"), port("imap"), port("imaps"), port("pop3"), port("pop3s")),
	}
	for _, k := range keys {
		f.Keys = append(f.Keys, zone.Key{Selector: k.Selector, Record: k.Record})
	}
	for _, r := range zone.Wanted(f) {
		if err := l.dns.publish(r.Line()); err != nil {
			return err
		}
	}
	return nil
}

// loadUsers takes the people's passwords from the folder, or makes them, so that
// a kept lab keeps them.
func loadUsers(file string, random func() string) ([]User, error) {
	b, err := os.ReadFile(file)
	if err == nil {
		var users []User
		if err := json.Unmarshal(b, &users); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return users, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var users []User
	for _, name := range []string{"ana", "luis"} {
		users = append(users, User{name + "@" + ourDomain, random()})
	}
	if b, err = json.Marshal(users); err != nil {
		return nil, err
	}
	return users, os.WriteFile(file, b, 0o600)
}
