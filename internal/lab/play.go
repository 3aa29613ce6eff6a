package lab

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// settled is how long something that happens by itself (a retry, a bounce) may
// take to be seen.
const settled = 30 * time.Second

// Result is what came of a scenario.
type Result struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	Got   string `json:"got"`
	Want  string `json:"want"`
	OK    bool   `json:"ok"`
	// Skipped says why it was not played, e.g. a program that is not installed.
	// Such a result is OK.
	Skipped string `json:"skipped,omitempty"`
	// Detail is the whole story of a scenario that failed, for people.
	Detail string `json:"detail,omitempty"`
}

// errSkip is wrapped by what a scenario needs and this machine lacks.
var errSkip = errors.New("passed over")

// mismatch is the difference between a scenario and what happened.
type mismatch struct {
	where     string
	want, got string
}

func (m *mismatch) Error() string {
	return fmt.Sprintf("%s\n  want: %s\n  got:  %s", m.where, m.want, m.got)
}

// play is one playing of a scenario.
type play struct {
	lab     *Lab
	s       *Scenario
	id      string
	house   *house
	peer    *peer
	letters map[string]string
	since   map[string]mark // where the mailboxes ended when the play began
	ids     []string        // of transactions, as replies told them
	link    string          // path of the page that the last of them leads to
	log     strings.Builder
	want    []string // what was asserted and held, in short
	got     []string
	audits  audits
}

// Play plays a scenario. It blocks until it has ended, at most some minutes.
func (l *Lab) Play(ctx context.Context, s *Scenario) Result {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	p := &play{lab: l, s: s, id: strings.ToLower(rand.Text()[:10]), house: l.house, letters: map[string]string{}}
	res := Result{Name: s.Name, Title: s.Title}
	err := p.run(ctx)
	if errors.Is(err, errSkip) {
		res.OK, res.Skipped = true, err.Error()
		return res
	}
	if m, ok := errors.AsType[*mismatch](err); ok {
		p.note(m.want, m.got)
	} else if err != nil {
		p.note("", err.Error())
	}
	res.OK = err == nil
	res.Want, res.Got = account(p.want), account(p.got)
	if err != nil {
		res.Detail = fmt.Sprintf("%s: %s\n%s%v\n", s.Name, s.Title, p.log.String(), err)
	}
	return res
}

// account joins notes, equal neighbours as one with its number.
func account(notes []string) string {
	var b strings.Builder
	for i := 0; i < len(notes); {
		n := 1
		for i+n < len(notes) && notes[i+n] == notes[i] {
			n++
		}
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(notes[i])
		if n > 1 {
			fmt.Fprintf(&b, " ×%d", n)
		}
		i += n
	}
	return b.String()
}

// note adds to the short account of the scenario.
func (p *play) note(want, got string) {
	if want != "" {
		p.want = append(p.want, want)
	}
	p.got = append(p.got, got)
}

func (p *play) run(ctx context.Context) (err error) {
	if err := p.mark(ctx); err != nil {
		return err
	}
	if p.s.disturbs() {
		set := p.house.setting
		set.play = p.s.Name + "-" + p.id
		if err := p.enter(ctx, set); err != nil {
			return err
		}
	}
	for _, s := range p.s.Sections {
		s.Text = strings.ReplaceAll(s.Text, "{id}", p.id)
		if err := kinds[s.Kind].play(p, ctx, s); err != nil {
			return fmt.Errorf("section %s at line %d: %w", s.Kind, s.Line-1, err)
		}
	}
	return nil
}

// keepLetter remembers a letter for the sections that send it.
func (p *play) keepLetter(_ context.Context, s Section) error {
	p.letters[s.Arg] = grow(s.Text)
	return nil
}

var growth = regexp.MustCompile(`\{(octets|line) (\d+)\}`)

// grow puts so many octets of text, in lines of 64, in the place of {octets N}, or in
// one line in that of {line N}.
func grow(text string) string {
	return growth.ReplaceAllStringFunc(text, func(s string) string {
		m := growth.FindStringSubmatch(s)
		n, _ := strconv.Atoi(m[2])
		if m[1] == "line" {
			return strings.Repeat("x", n)
		}
		line := strings.Repeat("0123456789abcdef", 4)[:62] + "\n"
		return strings.Repeat(line, n/64)
	})
}

// where names a line for a mismatch.
func (p *play) where(line int) string { return fmt.Sprintf("%s.txtar:%d", p.s.Name, line) }

// setHouse chooses our server by its setting, restarts it, or gives it commands.
func (p *play) setHouse(ctx context.Context, s Section) error {
	set := p.house.setting
	for n, l := range s.lines {
		key, value, _ := strings.Cut(l, " ")
		var err error
		switch key {
		case "restart":
			if err = p.enter(ctx, set); err == nil {
				fmt.Fprintln(&p.log, "   (our server restarts)")
				p.house, err = p.lab.restart(p.house)
			}
		case "do":
			if err = p.enter(ctx, set); err == nil {
				name, args, _ := strings.Cut(value, " ")
				_, err = p.house.do(ctx, name, json.RawMessage(args))
			}
		case "aged":
			if err = p.enter(ctx, set); err == nil {
				err = p.agePassword(ctx, value)
			}
		case "term":
			if err = p.enter(ctx, set); err == nil {
				err = p.ageTerm(ctx, value)
			}
		default:
			err = p.change(&set, key, value)
		}
		if err != nil {
			return fmt.Errorf("%s: %q: %w", p.where(n), l, err)
		}
	}
	return p.enter(ctx, set)
}

// change reads a line of a setting.
func (p *play) change(set *setting, key, value string) (err error) {
	switch key {
	case "level":
		set.level = value
	case "list":
		set.list = value
	case "sender_rate":
		set.rate, err = strconv.Atoi(value)
	case "greet_delay":
		set.greet, err = time.ParseDuration(value)
	case "alone":
		set.play = p.s.Name + "-" + p.id
	case "scanner":
		set.scanners, set.play = strings.TrimPrefix(set.scanners+","+value, ","), p.s.Name+"-"+p.id
	default:
		err = errors.New("no such setting")
	}
	return err
}

// enter goes to the server with a setting, unless the play is there.
func (p *play) enter(ctx context.Context, set setting) (err error) {
	if set == p.house.setting {
		return nil
	}
	if p.house, err = p.lab.houseAt(set); err != nil {
		return err
	}
	return p.mark(ctx)
}

// setWorld takes outside servers down or up.
func (p *play) setWorld(_ context.Context, s Section) error {
	for n, l := range s.lines {
		verb, name, _ := strings.Cut(l, " ")
		if p.house.setScanner(name, verb) {
			fmt.Fprintf(&p.log, "   (the scanner %s is %s)\n", name, verb)
			continue
		}
		srv := p.lab.outside.named(name)
		if srv == nil || verb != "up" && verb != "down" {
			return fmt.Errorf("%s: %q is not understood", p.where(n), l)
		}
		srv.setDown(verb == "down")
		fmt.Fprintf(&p.log, "   (%s is %s)\n", name, verb)
	}
	return nil
}

// setPeer reads who speaks next.
func (p *play) setPeer(_ context.Context, s Section) (err error) {
	c := &peer{Name: s.Arg, HELO: s.Arg, Door: "smtp", With: "raw"}
	for n, l := range s.lines {
		key, v, _ := strings.Cut(l, " ")
		v = strings.TrimSpace(v)
		switch key {
		case "helo":
			c.HELO = v
		case "ip":
			if c.IP, err = netip.ParseAddr(v); err != nil || !c.IP.Is4() {
				return fmt.Errorf("%s: %q is no IPv4 address: %w", p.where(n), v, err)
			}
		case "door":
			c.Door = v
		case "with":
			c.With = v
		case "tls":
			c.TLS = true
		case "user":
			c.User = v
		case "sign":
			c.Sign, c.SignWith = true, strings.Fields(v)
		case "seal":
			c.Seal = strings.Fields(v)
		case "tail":
			c.Tail = v
		default:
			return fmt.Errorf("%s: %q is not understood", p.where(n), l)
		}
	}
	p.peer = c
	from := "this machine"
	if c.IP.IsValid() {
		from = c.IP.String()
	}
	fmt.Fprintf(&p.log, "-- %s from %s\n", c.Name, from)
	return nil
}

// idPattern is how a transaction's id looks in a reply.
var idPattern = regexp.MustCompile(`\b[0-9a-hjkmnp-tv-z]{26}\b`)

// linkPattern is how the link of a refusal looks.
var linkPattern = regexp.MustCompile(`https://[^/ ]+(/why/\S+)`)

// heard remembers the ids that a reply tells, and its link.
func (p *play) heard(reply string) {
	ids := idPattern.FindAllString(reply, -1)
	p.ids = append(p.ids, ids...)
	if m := linkPattern.FindStringSubmatch(reply); m != nil {
		p.link = m[1]
	} else if len(ids) > 0 {
		p.link = "/why/" + ids[len(ids)-1]
	}
}

// eventually asks again until there is no mismatch, or time is up.
func eventually(ctx context.Context, check func() error) error {
	end := time.Now().Add(settled)
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		err := check()
		if _, waits := errors.AsType[*mismatch](err); !waits || time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// short is a reply, or the pattern of one, without the parts that are long: code,
// enhanced code and check.
func short(reply string) string {
	out := ""
	for i, w := range strings.Fields(strings.ReplaceAll(reply, "*", " ")) {
		if i < 1 || (i == 1 && strings.Count(w, ".") == 2) || strings.HasPrefix(w, "[") && strings.HasSuffix(w, "]") {
			out += " " + w
		}
	}
	return strings.TrimSpace(out)
}
