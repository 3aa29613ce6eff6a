package app

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"posta/internal/admit"
	"posta/internal/certs"
	"posta/internal/command"
	"posta/internal/config"
	"posta/internal/destination"
	"posta/internal/durable"
	"posta/internal/feedback"
	"posta/internal/finding"
	"posta/internal/intake"
	"posta/internal/mailbox"
	"posta/internal/mtasts"
	"posta/internal/outbox"
	"posta/internal/program"
	"posta/internal/quarantine"
	"posta/internal/queue"
	"posta/internal/relay"
	"posta/internal/remind"
	"posta/internal/reportout"
	"posta/internal/resolver"
	"posta/internal/rotate"
	"posta/internal/route"
	"posta/internal/scan"
	"posta/internal/scripts"
	"posta/internal/srs"
	"posta/internal/store"
	"posta/internal/train"
)

// Options are what a configuration file does not say: where the program runs.
// The lab and the tests give their own; the zero value is the world.
type Options struct {
	Log *slog.Logger // nil means standard error as the configuration asks
	// Listen opens a door's socket; nil means net.Listen, or the socket that
	// systemd handed over.
	Listen func(door, address string) (net.Listener, error)
	// Dial opens connections to other servers; nil means the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Roots are the authorities that other servers' certificates are verified
	// against; nil means the system's.
	Roots *x509.CertPool
	// Certificates are used instead of what the configuration says.
	Certificates *certs.Manager
	// Reread reads the configuration again for Reload; nil: it stays as it is.
	Reread func() (*config.Config, error)
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Failpoints stop the program at named steps, for crash tests; nil is none.
	Failpoints *durable.Failpoints
	// LoginFailure is the time after which each failed login is answered; 0 means
	// 1 s.
	LoginFailure time.Duration
	// Bound is called when the sockets are bound and nothing else is open yet: the
	// moment to stop being root.
	Bound func() error
	// Waiting is called before each pause in which the start waits for a database
	// or bucket that is away; within that time it is called again, or Ready is.
	Waiting func(within time.Duration)
	// Opened is called when everything is open that a name leads to, before the
	// first client is served: the moment to give the file system up. What it
	// returns are findings about ourselves.
	Opened func() ([]finding.Finding, error)
	// Ready is told when every door is open.
	Ready func(*Running)
}

// Running is a server with its doors open.
type Running struct {
	State  *State
	Addrs  map[string]string // door → host:port
	Certs  *certs.Manager
	House  *command.House // gives commands as the command socket does
	reload func(context.Context) error
}

// Reload reads again what can change without new sockets: certificates, the directory,
// and the scanners of the configuration.
func (r *Running) Reload(ctx context.Context) error { return r.reload(ctx) }

// drain is how long sessions and attempts may take to end.
const drain = 30 * time.Second

// server is the parts of a running server.
type server struct {
	cfg          *config.Config
	opt          Options
	log          *slog.Logger
	state        *State
	certs        *certs.Manager
	dns          resolver.Resolver
	login        *admit.Authenticator
	in           *intake.Intake
	scanners     *scan.Live
	asking       []config.Scanner // that scanners is made of; under rereading
	rereading    sync.Mutex
	queue        *queue.Queue
	keeper       *quarantine.Keeper
	train        *train.Trainer
	scripts      *scripts.Cache // what people want done with their mail
	forwards     *srs.Rewriter
	watch        watch
	rotate       *rotate.Rotator
	remind       *remind.Reminder
	destinations *destination.Recorder // how others take our mail
	sent         *feedback.SentLog     // how much goes to whom
	relay        *relay.Relay
	router       *route.Router
	published    relay.Policy        // how a way out must be protected
	sts          *mtasts.Cache       // policies of others
	reports      *reportout.Reporter // to others
	reg          *prometheus.Registry
	trust        []netip.Prefix
	bound        []bound
	doors        []door
	house        *command.House
	traces       *retention
	found        []finding.Finding // about ourselves, at the start
	overdue      *overdue

	forgot time.Time // when what was learned was pruned last
}

// Run starts a server and blocks until the context ends, then stops it gently.
// Order of start: sockets, (no longer root), state (waited for while its database
// or bucket is away), certificates, judgement, doors, (confined), queue and jobs, ready. Order of stop: doors stop listening,
// sessions and attempts end, state closes.
func Run(ctx context.Context, cfg *config.Config, opt Options) (err error) {
	s := &server{cfg: cfg, opt: opt, log: opt.Log, reg: prometheus.NewRegistry(), traces: newRetention(cfg.Trace)}
	if s.log == nil {
		s.log = NewLogger(cfg.Log)
	}
	if s.opt.Now == nil {
		s.opt.Now = time.Now
	}
	if err := s.bind(); err != nil {
		return err
	}
	defer s.unbind()
	if opt.Bound != nil {
		if err := opt.Bound(); err != nil {
			return err
		}
	}
	if err := s.openState(ctx); err != nil || s.state == nil {
		return err
	}
	s.house = s.state.House()
	s.house.Self = s.self
	s.house.Runs = program.New(cfg.Runnable()).Has
	s.house.OwnIPs, s.house.Published = s.ownIPs, s.publishedDMARC
	defer func() {
		if s.relay != nil {
			s.relay.Close()
		}
		if s.scanners != nil { // it came so far
			err = errors.Join(err, s.scanners.Close())
		}
		err = errors.Join(err, s.state.Close())
	}()
	if err := s.join(ctx); err != nil {
		return err
	}
	if err := s.openDoors(); err != nil {
		return err
	}
	if opt.Opened != nil {
		if s.found, err = opt.Opened(); err != nil {
			return err
		}
	}
	for _, f := range s.self() {
		s.log.WarnContext(ctx, "finding about ourselves", "check", string(f.Check), "title", finding.TextOf(f.Check, cfg.Language).Title, "seen", f.String())
	}
	return s.run(ctx)
}

// join makes the parts and gives them to each other.
func (s *server) join(ctx context.Context) (err error) {
	if s.certs = s.opt.Certificates; s.certs == nil {
		if s.certs, err = certs.Open(s.certConfig()); err != nil {
			return err
		}
	}
	s.train = s.newTrainer() // before the intake, which tells it of answers
	if err := s.joinIntake(ctx); err != nil {
		return err
	}
	if err := s.recoverUnconfirmed(ctx); err != nil {
		return err
	}
	if err := s.joinPublished(); err != nil {
		return err
	}
	s.queue = s.newQueue()
	s.keeper = s.newKeeper()
	s.house.Digests = s.keeper
	s.rotate = s.newRotator()
	s.house.Rotator = s.rotate
	s.metrics()
	s.quarantineMetrics()
	return nil
}

// joinIntake makes what judges mail, of a state that is open.
func (s *server) joinIntake(ctx context.Context) (err error) {
	cfg := s.cfg
	for _, n := range cfg.Network.Trusted {
		p, err := config.ParsePrefix(n)
		if err != nil {
			return err
		}
		s.trust = append(s.trust, p)
	}
	if err := s.state.Access.Refresh(ctx); err != nil {
		return err
	}
	if s.dns, err = s.newResolver(); err != nil {
		return err
	}
	s.login = admit.New(s.state.Directory, admit.Config{
		Failure: s.opt.LoginFailure, Now: s.opt.Now, Term: s.passwordTerm,
	})
	if err := s.house.SettlePasswordTerm(ctx, command.Principal{Name: "posta.toml", Role: store.Owner}); err != nil {
		return fmt.Errorf("since when passwords may be only so old: %w", err)
	}
	s.overdue = &overdue{s: s, told: map[mailbox.AccountID]time.Time{}}
	s.remind = s.newReminder()
	s.destinations = destination.NewRecorder(s.state.Store, s.log)
	s.reports = s.newReporter()
	s.sent = feedback.NewSentLog(s.state.Store, s.log)
	runner, err := s.newScanners(cfg)
	if err != nil {
		return err
	}
	s.scanners, s.asking = scan.NewLive(runner), cfg.Scanners
	if err := s.joinScripts(ctx); err != nil {
		return err
	}
	s.in = intake.New(s.intakeConfig(), s.state.Directory, s.state.Store, s.state.Blobs, s.dns, s.login)
	s.house.Explain, s.house.Append = s.in.Explain, storing(s.in)
	return s.joinRecords()
}

// joinRecords gives the commands on DNS what they know of this server.
func (s *server) joinRecords() error {
	r, err := newRecords(s.cfg, s.dns, func() (*x509.Certificate, error) { return s.certs.Leaf(), nil })
	if err != nil {
		return err
	}
	r.doors = s.programDoors
	s.house.DNS = r
	return nil
}

// whyURL is what an id is put behind to explain a refusal.
func (s *server) whyURL() string { return "https://" + s.cfg.Hostname + "/why/" }

// certConfig says where our certificate comes from.
func (s *server) certConfig() certs.Config {
	t := s.cfg.TLS
	c := certs.Config{
		Certificate: t.Certificate, Key: t.Key, Dir: filepath.Join(s.cfg.Data, certDir),
		Names: []string{s.cfg.Hostname, "localhost", "127.0.0.1"}, Now: s.opt.Now, Log: s.log,
	}
	if t.ACME.Enabled {
		c.ACME = &certs.ACME{
			Directory: t.ACME.Directory, Email: t.ACME.Email, CA: t.ACME.CA,
			Names: append([]string{s.cfg.Hostname}, t.ACME.Names...), More: s.webNames, Dial: s.opt.Dial,
		}
		// A proof that no door of ours can give is not offered: authorities count
		// failures.
		if s.cfg.Listen.HTTP != "" {
			c.ACME.Challenges = append(c.ACME.Challenges, certs.HTTP01)
		}
		if s.cfg.Listen.HTTPS != "" {
			c.ACME.Challenges = append(c.ACME.Challenges, certs.TLSALPN01)
		}
	}
	return c
}

// recoverUnconfirmed treats the accepts of the minutes before an unclean end as
// those whose 250 may not have been read: no session outlives its idle limit.
func (s *server) recoverUnconfirmed(ctx context.Context) error {
	if s.cfg.Store.PostgreSQL != "" {
		return nil // said with each accept, since other nodes live on
	}
	n, err := s.state.Store.RecoverUnconfirmed(ctx, s.opt.Now().Add(-15*time.Minute))
	if err != nil {
		return fmt.Errorf("unconfirmed accepts: %w", err)
	}
	if n > 0 {
		s.log.InfoContext(ctx, "accepts whose reply may not have been read", "count", n)
	}
	return nil
}

func (s *server) newResolver() (resolver.Resolver, error) { return NewResolver(s.cfg) }

// ownIPs are the addresses that a stranger must not claim as its HELO.
func (s *server) ownIPs() []netip.Addr {
	var out []netip.Addr
	for _, a := range s.cfg.Network.Public {
		if ip, err := netip.ParseAddr(a); err == nil {
			out = append(out, ip)
		}
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return out
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok && !ip.Unmap().IsLoopback() {
				out = append(out, ip.Unmap())
			}
		}
	}
	return out
}

// run owns every goroutine: doors, queue, jobs. The first that fails ends all.
func (s *server) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	// What serves lives on after ctx until it is drained.
	serving, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	for _, d := range s.doors {
		g.Go(func() error { return d.serve(serving) })
	}
	g.Go(func() error { // until the last session has ended
		s.in.Run(serving)
		return nil
	})
	g.Go(func() error { return s.certs.Run(ctx) })
	g.Go(func() error { // until the last attempt is noted
		return s.destinations.Run(serving)
	})
	g.Go(func() error { return s.sent.Run(serving) })
	g.Go(func() error { return s.newCollector().Run(ctx) })
	g.Go(func() error { return s.newReportWatch().Run(ctx) })
	g.Go(func() error { return s.queue.Run(ctx) })
	g.Go(func() error {
		return outbox.New(outbox.Config{Store: s.state.Store, Node: nodeName(), Now: s.opt.Now, Log: s.log}).Run(ctx)
	})
	g.Go(func() error { return s.sts.Run(ctx) })
	g.Go(func() error { // until the last attempt is counted
		return s.reports.Run(serving)
	})
	g.Go(func() error { return s.reportJob().Run(ctx) })
	g.Go(func() error { return s.keeper.Run(ctx) })
	g.Go(func() error { return s.newListWatch().Run(ctx) })
	g.Go(func() error { return s.newDaily().Run(ctx) })
	g.Go(func() error { return s.watchDaily(ctx) })
	g.Go(func() error { return s.train.Run(ctx) })
	g.Go(func() error {
		a, end := s.newAnswerer()
		defer end()
		return a.Run(ctx)
	})
	g.Go(func() error { return s.rotate.Run(ctx) })
	g.Go(func() error { return s.remind.Run(ctx) })
	g.Go(func() error { return s.newDrift().Run(ctx) })
	g.Go(func() error { return s.housekeeping(ctx) })
	g.Go(func() error {
		<-ctx.Done()
		s.log.InfoContext(ctx, "stopping", "why", context.Cause(ctx))
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		s.drain(grace)
		cut()
		return nil
	})
	if s.opt.Ready != nil {
		s.opt.Ready(&Running{State: s.state, Addrs: s.addresses(), Certs: s.certs, House: s.house, reload: s.reload})
	}
	err := g.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (s *server) reload(ctx context.Context) error {
	return errors.Join(s.certs.Reload(), s.state.Directory.Refresh(ctx), s.state.Access.Refresh(ctx), s.reloadConfig(ctx))
}

// NewLogger writes to standard error as the configuration asks.
func NewLogger(c config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, o))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, o))
}
