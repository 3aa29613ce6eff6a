package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"posta/internal/addr"
	"posta/internal/app"
	"posta/internal/command"
	"posta/internal/config"
	"posta/internal/directory"
	"posta/internal/store"
	"posta/internal/zone"
)

// quickstart is what the flags of the command say.
type quickstart struct {
	hostname string
	ips      []string
	force    bool
}

// started is the result for programs.
type started struct {
	Config   string        `json:"config"`
	Address  string        `json:"address"`
	Password string        `json:"password"`
	Records  []zone.Record `json:"records"`
}

func (c *cli) quickstartCommand() *cobra.Command {
	var q quickstart
	cmd := c.leaf("quickstart ADDRESS", "quickstart", 1, false, func(cmd *cobra.Command, args []string) error {
		return c.quickstart(cmd, q, args[0])
	})
	cmd.Flags().StringVar(&q.hostname, "hostname", "", c.lang.Say("flag.quickstart.hostname"))
	cmd.Flags().StringSliceVar(&q.ips, "ip", nil, c.lang.Say("flag.quickstart.ip"))
	cmd.Flags().BoolVar(&q.force, "force", false, c.lang.Say("flag.quickstart.force"))
	return cmd
}

func (c *cli) quickstart(cmd *cobra.Command, q quickstart, address string) error {
	a, err := addr.ParseAddress(address)
	if err != nil {
		return fmt.Errorf("%w: %q: %w", errUsage, address, err)
	}
	a = a.Fold()
	if q.hostname == "" {
		q.hostname = "mail." + string(a.Domain)
	}
	if why := config.HostnameProblem(q.hostname); why != "" {
		return fmt.Errorf("%w: %s", errUsage, why)
	}
	ips, err := publicIPs(q.ips)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	path := c.configFile
	if _, err := os.Stat(path); err == nil && !q.force {
		return fmt.Errorf("%w: %s", errUsage, c.lang.Say("quickstart.exists", path))
	}
	data := c.dataDir
	if data == "" {
		data = config.Default().Data
	}
	if data, err = filepath.Abs(data); err != nil {
		return err
	}
	text := c.lang.Say("quickstart.config", q.hostname, data, string(c.lang))
	cfg, err := config.Parse(path, []byte(text))
	if err != nil {
		return err
	}
	if err := c.userExists(cfg.User); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return err
	}
	if err := app.Become(cfg); err != nil {
		return err
	}
	out, err := c.populate(cmd, cfg, a, ips)
	if err != nil {
		return err
	}
	out.Config = path
	if c.json {
		return c.printJSON(out)
	}
	c.printStarted(out, cfg)
	return nil
}

// userExists looks, before anything is written, for the user that the server is to
// become when root starts it.
func (c *cli) userExists(name string) error {
	if os.Geteuid() != 0 || name == "root" {
		return nil
	}
	if _, err := user.Lookup(name); err != nil {
		return &command.Error{Kind: errUsage, Key: "quickstart.user", Args: []any{name}}
	}
	return nil
}

// populate makes domain, owner and keys by the commands that anybody would give.
func (c *cli) populate(cmd *cobra.Command, cfg *config.Config, a addr.Address, ips []netip.Addr) (*started, error) {
	house, done, err := app.OpenHouse(cmd.Context(), cfg)
	if err != nil {
		return nil, err
	}
	defer done()
	who := command.Principal{Name: fmt.Sprintf("uid:%d", os.Getuid()), Role: store.Owner}
	give := func(name string, args, result any) error {
		raw, err := json.Marshal(args)
		if err != nil {
			return err
		}
		v, err := command.Do(cmd.Context(), house, who, name, raw)
		if err != nil || result == nil {
			return err
		}
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		return json.Unmarshal(b, result)
	}
	domain := string(a.Domain)
	var made command.Made
	var keys []command.Key
	if err := give("domain.add", command.Name{Name: domain}, nil); err != nil {
		return nil, err
	}
	if err := give("account.add", command.NewAccount{Address: a.String(), Role: "owner"}, &made); err != nil {
		return nil, err
	}
	if err := give("dkim.add", command.NewKeys{Domain: domain}, &keys); err != nil {
		return nil, err
	}
	return &started{Address: made.Address, Password: made.Password, Records: zone.Wanted(zone.Facts{
		Domain: domain, Host: cfg.Hostname, IPs: ips, Keys: zoneKeys(keys),
		Reports: directory.DMARCReports + "@" + domain, TLSReports: directory.TLSReports + "@" + domain,
		Services: zone.Services(config.Port(cfg.Listen.Submission), config.Port(cfg.Listen.Submissions), config.Port(cfg.Listen.IMAP), config.Port(cfg.Listen.IMAPS), config.Port(cfg.Listen.POP3), config.Port(cfg.Listen.POP3S)),
	})}, nil
}

func zoneKeys(keys []command.Key) []zone.Key {
	out := make([]zone.Key, len(keys))
	for i, k := range keys {
		out[i] = zone.Key{Selector: k.Selector, Record: k.Record}
	}
	return out
}

// publicIPs are the addresses given, or those of this machine that the world can
// reach.
func publicIPs(given []string) ([]netip.Addr, error) {
	var out []netip.Addr
	for _, s := range given {
		ip, err := netip.ParseAddr(s)
		if err != nil {
			return nil, err
		}
		out = append(out, ip)
	}
	if len(out) > 0 {
		return out, nil
	}
	return app.PublicIPs(new(config.Config)), nil
}

func (c *cli) printStarted(s *started, cfg *config.Config) {
	c.say("quickstart.done", s.Config, s.Address, s.Password)
	hasAddress := false
	for _, r := range s.Records {
		hasAddress = hasAddress || r.Type == "A" || r.Type == "AAAA"
		if !r.ByProvider {
			fmt.Fprintf(c.out, "; %s\n%s\n", c.lang.Say(r.Why), r.Line())
		}
	}
	if !hasAddress {
		c.say("quickstart.no-ip", cfg.Hostname)
	}
	fmt.Fprintln(c.out)
	c.say("quickstart.ptr")
	for _, r := range s.Records {
		if r.ByProvider {
			fmt.Fprintf(c.out, "  %s\n", strings.TrimSpace(r.Line()))
		}
	}
	c.say("quickstart.next", s.Config)
}
