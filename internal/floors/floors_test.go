// Package floors keeps the house's floors (ARCHITECTURE.md): imports point down.
package floors

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// floors lists the packages from the ground up. A package may import those of
// lower floors; neighbours meet in app.
var floors = []struct {
	name     string
	packages []string
}{
	{"ground", []string{"durable", "lineio", "memnet", "ratelimit", "gate", "resolver", "authority", "certs", "sandbox", "program", "systemd", "updates", "words"}},
	{"formats", []string{"addr", "message", "message/charset", "message/edit", "smtp", "imap", "sasl", "dsn", "authres", "dmarcreport", "tlsrpt", "arf", "unpack", "autoconf", "keytable", "sieve", "mbox", "parcel", "srs"}},
	{"domain", []string{"mail", "mailbox", "finding", "rules", "rewrite", "letter"}},
	{"state", []string{"blob", "store", "follow", "counts", "directory", "trace", "spam/tally"}},
	{"engines", []string{"blob/record", "blob/gather", "blob/pack", "blob/s3", "blob/blobtest", "store/sqlstore", "store/storetest", "pgtest", "bindtest", "postatest", "scan/scantest", "scan/peertest", "spam/tally/sqltally", "spam/tally/tallytest", "maildir", "imapclient"}},
	{"judgement", []string{"spf", "dkim", "arc", "dmarc", "iprev", "helo", "dnsbl", "mtasts", "dane", "refusal", "destination", "feedback", "standing", "reputation", "allowance", "zone", "probe", "audit", "zone/seen", "milter", "scan", "spam", "spam/content", "spam/learn", "spam/links", "spam/attach", "spam/spamtest"}},
	{"decision", []string{"policy", "access", "scripts", "reflector", "reportout"}},
	{"command", []string{"admit", "command", "config"}},
	{"movement", []string{"jobs", "filing", "intake", "route", "relay", "queue", "daily", "quarantine", "outbox", "answer", "remind", "rescue", "train", "dnsapply", "drift", "report", "rotate", "moving"}},
	{"doors", []string{"smtpserver", "imapserver", "pop3server", "web", "control"}},
	{"app", []string{"app"}},
	{"lab", []string{"lab"}},
}

// exceptions are imports that do not point to a lower floor, each with its
// reason.
var exceptions = map[string]string{
	"message/charset ← addr":         "display names in address lists are decoded; charset knows nothing else of messages",
	"addr ← message":                 "formats that contain each other: a header field holds addresses",
	"message/charset ← message":      "its own part, apart so that addr can use it",
	"message ← message/edit":         "it edits messages",
	"message/charset ← message/edit": "text beyond ASCII in fields",
	"addr ← message/edit":            "display names in fields of addresses",
	"message/edit ← sieve":           "editheader",
	"message ← sieve":                "a script judges a message",
	"message/charset ← sieve":        "header fields are compared decoded",
	"addr ← srs":                     "it rewrites addresses",
	"addr ← sieve":                   "addresses are compared by their parts",
	"message ← arf":                  "a feedback report holds header fields",
	"message ← dsn":                  "a DSN is a message",
	"addr ← dsn":                     "a DSN holds addresses",
	"blob ← store":                   "a row says where a blob rests",
	"store ← counts":                 "counts are added to the facts of the store",
	"store ← follow":                 "it reads the rows of the store's contract",
	"follow ← directory":             "how the rules are kept up to date",
	"store ← directory":              "the directory is a view of the store's contract",
	"store ← trace":                  "the store keeps traces as opaque records of its contract",
	"blob/record ← blob/pack":        "the record format that both stores share",
	"blob/record ← blob/s3":          "the record format that both stores share",
	"blob/record ← blob/gather":      "a Put is gathered by the length of its records",
	"blob/gather ← blob/pack":        "how Puts share a sync, which both stores do",
	"blob/gather ← blob/s3":          "how Puts share a request, which both stores do",
	"lineio ← gate":                  "a gate's connections are lines",
	"ratelimit ← gate":               "a gate counts connections by network",
	"smtpserver ← intake":            "the caller declares the interface: the door says what a backend must do, intake does it",
	"admit ← command":                "a command makes passwords",
	"route ← relay":                  "an attempt goes where the route says",
	"route ← queue":                  "the queue asks where a domain's mail goes",
	"relay ← queue":                  "the queue makes attempts through the relay",
	"jobs ← outbox":                  "the one way in which claimed work is done",
	"jobs ← answer":                  "the one way in which claimed work is done",
	"jobs ← train":                   "the one way in which claimed work is done",
	"jobs ← daily":                   "the one way in which claimed work is done",
	"mail ← letter":                  "a letter has a mail.ID",
	"jobs ← report":                  "the one way in which claimed work is done",
	"dmarc ← feedback":               "the organisational domain by which sources are grouped, and what a record says",
	"jobs ← remind":                  "the one way in which claimed work is done",
	"jobs ← rotate":                  "the one way in which claimed work is done",
	"filing ← intake":                "intake carries out what filing decides",
	"jobs ← quarantine":              "the one way in which claimed work is done",
	"filing ← quarantine":            "what is released is filed",
	"dkim ← zone":                    "the records to publish hold keys",
	"zone ← zone/seen":               "what is asked, and how answers are written",
	"jobs ← drift":                   "the one way in which claimed work is done",
	"spam/content ← spam/learn":      "what is learned is what content read",
	"spam/content ← spam":            "spam joins what its parts found",
	"spam/links ← spam":              "spam joins what its parts found",
	"spam/attach ← spam":             "spam joins what its parts found",
	"spam/learn ← spam":              "spam joins what its parts found",
	"spam/content ← spam/links":      "the links that content read",
	"spam/content ← spam/attach":     "the files that content read",
	"refusal ← destination":          "what a domain answered is kept with what it means",
	"dmarc ← audit":                  "an audit joins the evaluators of all subjects",
	"dnsbl ← audit":                  "an audit joins the evaluators of all subjects",
	"standing ← audit":               "what is asked of the lists about us is asked about anybody",
	"dnsbl ← standing":               "how we stand in the lists is what they answer",
	"milter ← scan":                  "a milter is one kind of scanner",
	"dkim ← arc":                     "RFC 8617 defines ARC's signatures by their differences from DKIM's",
	"sandbox ← program":              "a program is confined as we are",
	"postatest ← pgtest":             "a port is found in one place",
	"resolver ← authority":           "the names and addresses of the servers that are asked one by one",
	"mtasts ← audit":                 "what others publish is evidence for findings",
	"dane ← audit":                   "what others publish is evidence for findings",
	"spf ← audit":                    "an audit makes findings of what its neighbours see",
	"iprev ← audit":                  "an audit makes findings of what its neighbours see",
	"probe ← audit":                  "an audit makes findings of what its neighbours see",
	"helo ← audit":                   "an audit makes findings of what its neighbours see",
	"dkim ← audit":                   "an audit makes findings of what its neighbours see",
	"postatest ← scan/peertest":      "that a peer is missing is said in one place",
	"postatest ← bindtest":           "that a peer is missing is said in one place",
}

// imports lists, for each package of the house, what its product code imports of
// the house.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	root := ".."
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == "zzdeps") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, filepath.Dir(p))
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(rel)
		if _, ok := out[pkg]; !ok {
			out[pkg] = nil
		}
		for _, im := range f.Imports {
			name, err := strconv.Unquote(im.Path.Value)
			if err != nil {
				return err
			}
			if rest, ok := strings.CutPrefix(name, "posta/internal/"); ok && !slices.Contains(out[pkg], rest) {
				out[pkg] = append(out[pkg], rest)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func floorOf(pkg string) int {
	return slices.IndexFunc(floors, func(f struct {
		name     string
		packages []string
	}) bool {
		return slices.Contains(f.packages, pkg)
	})
}

// Imports point down; an exception has a reason and is really needed.
func TestImportsPointDown(t *testing.T) {
	used := map[string]bool{}
	for pkg, ims := range imports(t) {
		at := floorOf(pkg)
		if at < 0 {
			t.Errorf("internal/%s stands on no floor: add it to the list above and to ARCHITECTURE.md", pkg)
			continue
		}
		for _, im := range ims {
			if floorOf(im) < at {
				continue
			}
			key := im + " ← " + pkg
			if exceptions[key] == "" {
				t.Errorf("internal/%s (%s) imports internal/%s (%s): imports point down", pkg, floors[at].name, im, path.Base(im))
			}
			used[key] = true
		}
	}
	for key := range exceptions {
		if !used[key] && exists(key) {
			t.Errorf("the exception %q is not needed any more", key)
		}
	}
}

// exists reports whether both packages of an exception are there.
func exists(key string) bool {
	a, b, _ := strings.Cut(key, " ← ")
	_, errA := os.Stat(filepath.Join("..", a))
	_, errB := os.Stat(filepath.Join("..", b))
	return errA == nil && errB == nil
}

// The ground knows nothing of mail, formats no socket, disk or clock.
func TestFormatsAreValues(t *testing.T) {
	forbidden := []string{"net", "os", "net/http", "os/exec", "syscall", "database/sql"}
	for _, pkg := range floors[1].packages {
		files, err := filepath.Glob(filepath.Join("..", pkg, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range files {
			if strings.HasSuffix(p, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, im := range f.Imports {
				if name, _ := strconv.Unquote(im.Path.Value); slices.Contains(forbidden, name) {
					t.Errorf("%s imports %s: formats turn bytes into values and nothing else", p, name)
				}
			}
		}
	}
}
