// Package config reads posta.toml: what one node needs to start (who it is,
// where it listens, where its state is). Domains, accounts and rules live in the
// store and are changed by commands.
//
// Every error is reported at once, with key, line and, for a misspelt key, the
// one that was meant. A value that is left out has a good default; `posta config
// show` prints what is in force.
package config

import (
	"fmt"
	"time"
)

// Config is posta.toml. The comments here are its manual.
type Config struct {
	// Hostname is our full name, e.g. "mail.example.org": said in greeting and
	// HELO, and it must be what the PTR record of our address says. Required.
	Hostname string `toml:"hostname"`
	// Greeting is what follows the host name in SMTP's first line. Default "ESMTP
	// Posta"; it never tells a version.
	Greeting string `toml:"greeting"`
	// Data is the folder that holds everything. Default "/var/lib/posta".
	Data string `toml:"data"`
	// Backups is the folder into which a running server may write backups. Without
	// it, below the data folder only: a confined server has no other.
	Backups string `toml:"backups"`
	// User is whom the process becomes after it has bound its ports, when it is
	// started as root. Default "posta".
	User string `toml:"user"`
	// Language of what Posta writes to people: "en" or "es". Default "en".
	Language string `toml:"language"`

	Listen  Listen  `toml:"listen"`
	TLS     TLS     `toml:"tls"`
	DNS     DNS     `toml:"dns"`
	DKIM    DKIM    `toml:"dkim"`
	Store   Store   `toml:"store"`
	Blobs   Blobs   `toml:"blobs"`
	Network Network `toml:"network"`
	Policy  Policy  `toml:"policy"`
	Limits  Limits  `toml:"limits"`
	Queue   Queue   `toml:"queue"`
	Trace   Trace   `toml:"trace"`
	Daily   Daily   `toml:"daily"`
	Reports Reports `toml:"reports"`
	Log     Log     `toml:"log"`

	// Scanners are asked about each message, in the order in which they stand.
	Scanners []Scanner `toml:"scanner"`

	// Programs are those that rules may give mail to.
	Programs []Program `toml:"program"`

	// Path and Source are the file that Load has read and its text, for a backup;
	// otherwise empty.
	Path   string `toml:"-" json:"-"`
	Source []byte `toml:"-" json:"-"`
}

// Listen says where each door is: "host:port", ":port" for all addresses, a
// path for a unix socket, "" for none.
type Listen struct {
	SMTP string `toml:"smtp"` // from other servers; default ":25"
	// SMTPProxy takes mail from other servers by way of a load balancer: each
	// connection there begins with a PROXY header, and comes from network.proxy
	// (default loopback). Default none.
	SMTPProxy   string `toml:"smtp_proxy"`
	Submission  string `toml:"submission"`  // our users, STARTTLS; default ":587"
	Submissions string `toml:"submissions"` // our users, TLS; default ":465"
	LMTP        string `toml:"lmtp"`        // from an agent beside us; default none
	IMAP        string `toml:"imap"`        // STARTTLS; default ":143"
	IMAPS       string `toml:"imaps"`       // TLS; default ":993"
	POP3        string `toml:"pop3"`        // STARTTLS; default none
	POP3S       string `toml:"pop3s"`       // TLS; default ":995"
	HTTP        string `toml:"http"`        // /why, /healthz, /metrics, ACME's HTTP-01; default ":80"
	HTTPS       string `toml:"https"`       // the same over TLS, where refusals' links lead; default ":443"
}

// TLS says which certificate we show. With none of it, one is made and signed by
// ourselves, which is a finding.
type TLS struct {
	Certificate string `toml:"certificate"` // PEM file, full chain
	Key         string `toml:"key"`         // PEM file
	ACME        ACME   `toml:"acme"`
}

// ACME gets certificates by itself (RFC 8555): HTTP-01 and TLS-ALPN-01.
type ACME struct {
	Enabled   bool     `toml:"enabled"`
	Email     string   `toml:"email"`     // for the authority's warnings
	Directory string   `toml:"directory"` // default Let's Encrypt
	CA        string   `toml:"ca"`        // PEM of a private authority's root
	Names     []string `toml:"names"`     // besides the host name
}

// DNS says whom we ask, and where we publish.
type DNS struct {
	Servers []string `toml:"servers"` // "127.0.0.1:53"; default those of the system

	// Delegate is a zone of ours, kept by one of the providers, to which DKIM keys and
	// ACME's challenge are delegated by an alias each, so that the domains' own zones are
	// changed only when a key comes or goes. Default "": none.
	Delegate string `toml:"delegate"`
	// Providers keep zones of our domains; posta dns apply writes there.
	Providers []DNSProvider `toml:"provider"`
}

// Store says where metadata is.
type Store struct {
	PostgreSQL string `toml:"postgresql"` // connection URL; "" keeps SQLite in the data folder
}

// Blobs says where message bytes are.
type Blobs struct {
	S3 *S3 `toml:"s3"` // none keeps packs in the data folder
}

// S3 is a bucket of any S3 service.
type S3 struct {
	Endpoint      string `toml:"endpoint"` // "https://s3.example.org"
	Bucket        string `toml:"bucket"`
	Prefix        string `toml:"prefix"`
	Region        string `toml:"region"`
	AccessKey     string `toml:"access_key"`
	SecretKey     string `toml:"secret_key"` // or the file named by secret_key_file
	SecretKeyFile string `toml:"secret_key_file"`
}

// Network says who is near.
type Network struct {
	Trusted []string `toml:"trusted"` // local network class besides loopback: findings, but no refusals
	Proxy   []string `toml:"proxy"`   // load balancers: at every mail door their connections begin with a PROXY header
	Public  []string `toml:"public"`  // our addresses as others see them, behind NAT
}

// Policy says how strict we are.
type Policy struct {
	Level      string   `toml:"level"`      // lenient, strict, paranoid or guia, as long as no policy was set by command; default strict
	Blocklists []string `toml:"blocklists"` // DNSBL zones to ask about clients' addresses; allowlists too
	// DomainBlocklists are zones to ask about the names in HELO, the domains of senders
	// and those in the text of messages, e.g. "dbl.spamhaus.org".
	DomainBlocklists []string `toml:"domain_blocklists"`
	// Greylist is how long a stranger that the policy greylists is put off; default 5
	// minutes ("5m").
	Greylist Duration `toml:"greylist"`
}

// Limits bound what one client may cost.
type Limits struct {
	MessageSize           Size `toml:"message_size"`            // default 150 MiB
	Connections           int  `toml:"connections"`             // in total on each door; default 1,000
	PerNetwork            int  `toml:"per_network"`             // of one /24 or /48; default 50
	Recipients            int  `toml:"recipients"`              // in one transaction, from 100 to 1,000; default 1,000
	MessagesPerConnection int  `toml:"messages_per_connection"` // default 1,000
	// How many recipients a minute strangers may name, with ten minutes' worth at once;
	// 0 is no limit. Local, authenticated and outgoing mail and DSNs are never limited
	// by these, and big providers not by network.
	NetworkRate   int `toml:"network_rate"`   // from one /24 or /64; default 300
	SenderRate    int `toml:"sender_rate"`    // from one sender's address; default 300
	RecipientRate int `toml:"recipient_rate"` // to one address of ours, from all of them; default 100
	// GreetDelay is how long a stranger at the MX waits for the greeting, to see who
	// speaks first (smtp.early-talker); who does is greeted at once. Up to 1 m; left out,
	// only what has arrived by itself is seen.
	GreetDelay Duration `toml:"greet_delay,omitempty"`
}

// Queue says how mail leaves.
type Queue struct {
	// SmartHost takes all that leaves: "host:port" by the MX of host, "[host]:port" the
	// host itself; the port is 25 if none is given. Default "": direct, by MX.
	SmartHost string `toml:"smart_host"`
	// SmartHostTLS is what is asked of the connection to it: "none"; "opportunistic",
	// TLS where it is offered; "required", TLS whatever the certificate; "verified",
	// TLS with a certificate for its name. Where it is not met, mail waits. Default
	// "opportunistic", with a login "verified".
	SmartHostTLS string `toml:"smart_host_tls"`
	// SmartHostImplicit is TLS from the first octet, without STARTTLS (RFC 8314 §3.3);
	// at port 465 that goes without saying.
	SmartHostImplicit bool `toml:"smart_host_implicit"`
	// SmartHostCA is a PEM file of the authorities that vouch for the smart host; ""
	// are those of the system.
	SmartHostCA string `toml:"smart_host_ca"`
	// Login and the first line of PasswordFile are said to the smart host (RFC 4954),
	// never in clear.
	Login        string `toml:"login"`
	PasswordFile string `toml:"password_file"`

	// Retry are the pauses between the attempts; the last one repeats. Each is made up
	// to a tenth shorter or longer. From 10 s to 24 h, at most 50. Default 1m, 5m, 15m, 30m, 1h,
	// 2h, 4h.
	Retry []Duration `toml:"retry"`
	// HostDown is how long a host that could not be talked to is not asked again, for
	// whatever mail. From 1 s to 1 h; default 30 s.
	HostDown Duration `toml:"host_down"`
	// Lifetime is how long mail is tried before its sender is told that it failed.
	// RFC 5321 §4.5.4.1 wants 4 to 5 days. From 1 h to 30 days; default 5 days ("120h").
	Lifetime Duration `toml:"lifetime"`
	// DelayWarning is when the sender is told that mail is late; not before Lifetime:
	// never. At least 1 m; default 4 h.
	DelayWarning Duration `toml:"delay_warning"`
	PerDomain    int      `toml:"per_domain"` // attempts at once to one domain; default 4
	PerHost      int      `toml:"per_host"`   // connections at once to one address; default 20
	Total        int      `toml:"total"`      // attempts at once; default 64
}

// Trace says how long it is kept why a message was taken, refused or junked, for
// posta trace, the pages of refusals and the dry run of a policy.
type Trace struct {
	// Keep is for how long, in whole days. From 24 h to 10 years; default 45 days
	// ("1080h").
	Keep Duration `toml:"keep"`
	// Size is how much it may take in all: above it whole days are forgotten, the
	// oldest first, but for the present one. At least 16 MiB; default 10 GiB.
	Size Size `toml:"size"`
}

// Log says what is written to standard error.
type Log struct {
	Level  string `toml:"level"`  // debug, info, warn, error; default info
	Format string `toml:"format"` // text or json; default text
}

// Size is a number of octets, written 1048576, "512 KiB", "150 MiB" or "2 GiB".
type Size int64

// UnmarshalText reads a size with its unit.
func (s *Size) UnmarshalText(b []byte) error {
	var n int64
	var unit string
	if _, err := fmt.Sscanf(string(b), "%d%s", &n, &unit); err != nil {
		if _, err := fmt.Sscanf(string(b), "%d", &n); err != nil {
			return fmt.Errorf("%q is no size: write it as \"150 MiB\"", b)
		}
	}
	factor, ok := map[string]int64{"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}[unit]
	if !ok || n < 0 || n > 1<<40 {
		return fmt.Errorf("%q is no size: the units are KiB, MiB and GiB", b)
	}
	*s = Size(n * factor)
	return nil
}

// Duration is written as Go does: "120h", "30m".
type Duration time.Duration

// UnmarshalText reads a duration.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil || v <= 0 {
		return fmt.Errorf("%q is no length of time: write it as \"120h\" or \"30m\"", b)
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Default is the configuration of a server without a file.
func Default() *Config {
	return &Config{
		Data: "/var/lib/posta", User: "posta", Language: "en",
		Listen: Listen{
			SMTP: ":25", Submission: ":587", Submissions: ":465", IMAP: ":143", IMAPS: ":993", POP3S: ":995", HTTP: ":80", HTTPS: ":443",
		},
		Policy:  Policy{Level: "strict", Greylist: Duration(5 * time.Minute)},
		Limits:  Limits{MessageSize: 150 << 20, Connections: 1000, PerNetwork: 50, Recipients: 1000, MessagesPerConnection: 1000, NetworkRate: 300, SenderRate: 300, RecipientRate: 100},
		Queue:   defaultQueue(),
		Trace:   Trace{Keep: Duration(45 * 24 * time.Hour), Size: 10 << 30},
		Daily:   Daily{Letter: "always", BackupDays: 8, TimeServers: []string{"pool.ntp.org"}},
		Reports: Reports{DMARC: true, TLS: true},
		DKIM:    DKIM{Rotate: Duration(defaultRotate)},
		Log:     Log{Level: "info", Format: "text"},
	}
}
