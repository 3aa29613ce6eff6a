// Package moving brings mail from other servers and files into accounts, and out again.
//
// A Source has folders and messages: a maildir, mbox files, single letters, an account
// on another server by IMAP. Import goes through them, folder by folder, several at a
// time, and gives what is not there yet to the house in batches, each durable before
// the next. Nothing of it is judged, answered or sent.
//
// # Once each
//
// A message is known by the digest of its octets: of each digest a mailbox is given as
// many messages as the source's folder has, less those that it has already. So an
// import can be repeated, after a crash or to fetch what came since, whoever was killed.
// (What its owner deleted here meanwhile comes again.) Of an IMAP server it is also
// remembered how far each folder was fetched.
//
// # What changes
//
// Octets are kept, save that a line end without CR gets one, as mail has it, and that
// what other programs keep about an mbox within its header becomes flags.
package moving

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"posta/internal/command"
	"posta/internal/mailbox"
	"posta/internal/parcel"
)

// MaxMessage bounds the octets of a message that is moved.
const MaxMessage = 150 << 20

// House is the way to a house that runs, or to its folder.
type House struct {
	Do     func(name string, args, out any) error
	Stream func(name string, args any, in io.Reader, out io.Writer) error
}

// Folder is one folder of a source.
type Folder struct {
	Name       string // UTF-8, levels parted by "/"; "INBOX"
	Use        string // special use such as "\\Sent", if it is known
	Subscribed bool
	Mark       string // under which its progress is remembered; "" is nowhere
	All        bool   // it holds what other folders hold too, and perhaps more (RFC 6154 \All)
	Path       string // for the source
	Units      int64  // how much is to be done in it, in the source's measure; 0: unknown
}

// Message is one message of a source.
type Message struct {
	Where    string // its place, for people: a file, or a UID
	Flags    mailbox.Flags
	Keywords []string
	Date     time.Time // INTERNALDATE; zero: that of its Date field, else now
	Data     []byte
	Mark     uint64 // the folder is done up to here once this message is; 0: says nothing
	Units    int64  // of the folder's
}

// Skipped is why one message or folder of a source is not taken; the rest is.
type Skipped struct {
	Folder string `json:"folder"`
	Where  string `json:"where"`
	Key    string `json:"key"` // of the words catalogue
	Args   []any  `json:"args,omitempty"`
	Units  int64  `json:"-"`
}

func (s *Skipped) Error() string { return s.Folder + ": " + s.Where + ": " + s.Key }

// Source is where mail comes from. Folders of one source may be walked at the same
// time if Parallel is above one.
type Source interface {
	Name() string // for the audit log, without secrets
	Parallel() int
	Folders(ctx context.Context) ([]Folder, error)
	// Messages walks a folder. An error that is a *Skipped concerns one message; any
	// other ends the walk. after is the mark that the folder came to, 0 for none.
	Messages(ctx context.Context, f Folder, after uint64) iter.Seq2[*Message, error]
}

// Options of an import.
type Options struct {
	Account string
	Into    string         // all folders go below this one; "" is where they belong
	Only    []string       // folders of the source; none: all
	Dry     bool           // nothing is stored
	Told    func(Progress) // is called often, one call at a time; nil: nobody is told
	Now     func() time.Time
}

// Progress is how far an import has come.
type Progress struct {
	Put     int64         `json:"put"`     // messages stored
	Known   int64         `json:"known"`   // that were there already
	Skipped int64         `json:"skipped"` // that were not taken, with a reason each
	Octets  int64         `json:"octets"`  // stored
	Took    time.Duration `json:"took"`
	Done    float64       `json:"done"` // 0 … 1, as far as it can be told
}

// Left is how long it may still take; 0 is not known.
func (p Progress) Left() time.Duration {
	if p.Done <= 0.001 || p.Took < time.Second {
		return 0
	}
	return time.Duration(float64(p.Took) * (1 - p.Done) / p.Done)
}

// Rate is messages a second, known ones with them.
func (p Progress) Rate() float64 { return float64(p.Put+p.Known) / max(p.Took.Seconds(), 0.001) }

// Report is what an import did.
type Report struct {
	Progress
	Folders []FolderReport `json:"folders"`
	Left    []Skipped      `json:"left"` // out, with reasons
}

// FolderReport is what came of one folder.
type FolderReport struct {
	Folder  string `json:"folder"`
	Mailbox string `json:"mailbox"`
	Made    bool   `json:"made,omitempty"`
	Put     int    `json:"put"`
	Known   int    `json:"known"`
	Skipped int    `json:"skipped"`
}

// maxLeft is how many messages that were not taken are named.
const maxLeft = 10_000

// Import brings the mail of a source into an account. What it did is in the report
// even with an error, after which it can be repeated.
func Import(ctx context.Context, h House, src Source, opt Options) (Report, error) {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	m := &mover{house: h, src: src, opt: opt, began: opt.Now()}
	err := m.run(ctx)
	m.report.Progress = m.progress()
	return m.report, err
}

// mover is one import at work.
type mover struct {
	house House
	src   Source
	opt   Options
	began time.Time

	session int64

	mu     sync.Mutex
	report Report
	done   int64
	units  int64
	seen   map[[32]byte]bool // digests of all folders, if one of them is All
}

func (m *mover) run(ctx context.Context) error {
	folders, err := m.src.Folders(ctx)
	if err != nil {
		return err
	}
	folders = m.chosen(folders)
	begin := command.MoveIn{Account: m.opt.Account, Source: m.src.Name()}
	for _, f := range folders {
		begin.Folders = append(begin.Folders, m.asked(f))
		m.units += f.Units
		if f.All {
			m.seen = map[[32]byte]bool{}
		}
	}
	begun := command.MoveBegun{Places: make([]command.MovePlace, len(folders))}
	if m.opt.Dry {
		for i, f := range begin.Folders {
			begun.Places[i].Name = f.Name
		}
	} else if err := m.house.Do("mail.begin", begin, &begun); err != nil {
		return err
	}
	m.session = begun.Session
	places := begun.Places
	m.report.Folders = make([]FolderReport, len(folders))
	for i, f := range folders {
		m.report.Folders[i] = FolderReport{Folder: f.Name, Mailbox: places[i].Name, Made: places[i].Made}
	}
	// What holds everything comes last, when it is known what the others held.
	for _, all := range []bool{false, true} {
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(max(1, m.src.Parallel()))
		for i, f := range folders {
			if f.All == all {
				g.Go(func() error { return m.folder(ctx, f, places[i], &m.report.Folders[i]) })
			}
		}
		if err := g.Wait(); err != nil {
			return err
		}
	}
	return nil
}

// chosen are the folders that are wanted.
func (m *mover) chosen(all []Folder) []Folder {
	if len(m.opt.Only) == 0 {
		return all
	}
	var out []Folder
	for _, f := range all {
		for _, want := range m.opt.Only {
			if f.Name == want {
				out = append(out, f)
			}
		}
	}
	return out
}

// asked is where a folder is to go.
func (m *mover) asked(f Folder) command.MoveFolder {
	out := command.MoveFolder{Name: f.Name, Use: f.Use, Subscribed: f.Subscribed, Mark: f.Mark}
	if f.All {
		out.Use = `\Archive`
	}
	if out.Use == "" {
		out.Use = useOf(f.Name)
	}
	if m.opt.Into != "" {
		out.Name, out.Use = m.opt.Into, ""
		if f.Name != "INBOX" {
			out.Name += "/" + f.Name
		}
		if f.Mark != "" {
			out.Mark += " into " + m.opt.Into
		}
	}
	return out
}

// folder moves one folder.
func (m *mover) folder(ctx context.Context, f Folder, to command.MovePlace, r *FolderReport) error {
	b := &batch{m: m, folder: f, asked: m.asked(f), to: to, report: r, known: command.MoveDigests{}}
	if !m.opt.Dry {
		if err := m.house.Do("mail.known", command.MoveMailbox{Account: m.opt.Account, Mailbox: to.Mailbox}, &b.known); err != nil {
			return err
		}
	}
	m.note(b.known)
	for msg, err := range m.src.Messages(ctx, f, to.Mark) {
		if s, ok := errors.AsType[*Skipped](err); ok {
			m.skip(r, s)
			continue
		}
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = b.take(msg)
		}
		if err != nil {
			return errors.Join(err, b.flush())
		}
	}
	return b.flush()
}

// note remembers what a mailbox has, if that matters.
func (m *mover) note(known command.MoveDigests) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seen == nil {
		return
	}
	for hex := range known {
		if d, ok := digestOf(hex); ok {
			m.seen[d] = true
		}
	}
}

// elsewhere notes a digest and reports whether another folder had it.
func (m *mover) elsewhere(d [32]byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seen == nil {
		return false
	}
	was := m.seen[d]
	m.seen[d] = true
	return was
}

func (m *mover) skip(r *FolderReport, s *Skipped) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r.Skipped++
	m.done += s.Units
	if len(m.report.Left) < maxLeft {
		m.report.Left = append(m.report.Left, *s)
	}
	m.tell()
}

// count adds to a folder's report, and tells.
func (m *mover) count(r *FolderReport, put, known int, octets, units int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r.Put, r.Known = r.Put+put, r.Known+known
	m.report.Octets += octets
	m.done += units
	m.tell()
}

func (m *mover) tell() {
	if m.opt.Told != nil {
		m.opt.Told(m.progress())
	}
}

// progress sums up; the caller holds mu, or is alone.
func (m *mover) progress() Progress {
	p := Progress{Octets: m.report.Octets, Took: m.opt.Now().Sub(m.began)}
	for _, f := range m.report.Folders {
		p.Put, p.Known, p.Skipped = p.Put+int64(f.Put), p.Known+int64(f.Known), p.Skipped+int64(f.Skipped)
	}
	if m.units > 0 {
		p.Done = min(1, float64(m.done)/float64(m.units))
	}
	return p
}

// crlf gives each line end of mail a CR. Data without a bare LF is returned as it is.
func crlf(data []byte) []byte {
	bare := bytes.Count(data, []byte("\n")) - bytes.Count(data, []byte("\r\n"))
	if bare == 0 {
		return data
	}
	out := make([]byte, 0, len(data)+bare)
	for i, c := range data {
		if c == '\n' && (i == 0 || data[i-1] != '\r') {
			out = append(out, '\r')
		}
		out = append(out, c)
	}
	return out
}

// item is a message as it travels.
func (msg *Message) item(to command.MovePlace) parcel.Item {
	return parcel.Item{Mailbox: to.Mailbox, Flags: msg.Flags.Names(), Keywords: msg.Keywords, Date: msg.Date, Size: int64(len(msg.Data))}
}
