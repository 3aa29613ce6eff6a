package iprev

import (
	"encoding/binary"
	"encoding/hex"
	"iter"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// Kind is how much a reverse name looks like one that a provider gives to every address. The order is that of suspicion.
type Kind uint8

const (
	// Chosen: nothing generic in it.
	Chosen Kind = iota
	// StaticPool: generic, but it says that the address is fixed.
	StaticPool
	// SpellsIP: the name spells the address.
	SpellsIP
	// Dynamic: the name speaks of dial-up, DHCP, cable, a pool and the like.
	Dynamic
)

// String gives the kind as lower-case words.
func (k Kind) String() string {
	return [...]string{"chosen", "static pool", "spells the address", "dynamic"}[min(k, Dynamic)]
}

// class is what a word of a name says. Words are whole: a run of letters between digits, hyphens and dots.
type class uint8

const (
	_ class = iota
	// lineWord is fit for nothing but a customer's line. Beside a number it is enough, unless the host says that it is a mail
	// server.
	lineWord
	// poolWord names groups of servers too, so it counts only in the host's own label, and there only beside a number.
	poolWord
	// staticWord says that the address is fixed.
	staticWord
	// customerWord is fit for a server, so it counts only beside a part of the address.
	customerWord
	// mailWord in the host's own label says that somebody chose it for a mail server. The address spelled beside it says
	// otherwise.
	mailWord
)

// classes are the words of CH-ID-04, after the table of rspamd's hfilter, in more languages.
var classes = func() map[string]class {
	m := map[string]class{}
	for c, words := range map[class]string{
		lineWord: "adsl bband broadband cable catv cdma cgn cgnat dhcp dial dialin dialup din dinamic dinamica dinamico dip docsis " +
			"dsl dyn dynamic dynamicip dynamisch dynip fbx fttb ftth fttx gpon gprs hfc kabel modem ppp pppoe residential sdsl " +
			"umts unallocated unassigned unused vdsl wimax xdsl",
		poolWord:   "fiber fibra fibre lte mobile pool pools wifi wireless wlan",
		staticWord: "estatica estatico fija fijo fix fixed static staticip statik statisch",
		customerWord: "client clients cpe cust customer customers home host hosts ip ipv nat node res rev reverse subs subscriber " +
			"subscribers user users",
		mailWord: "correo email imap in mail mailer mailers mailgw mailhost mailhub mailout mails mda mout msa mta mtas mx mxout " +
			"newsletter out outbound post poczta relay send sender smarthost smtp smtpout spamfilter webmail",
	} {
		for w := range strings.FieldsSeq(words) {
			m[w] = c
		}
	}
	return m
}()

// Generic judges a name, as Check gives it, and says in English what it saw. Only what stands left of the registrable domain
// counts for words: mail.cable-company.example chose its name. In doubt a name counts as chosen.
func Generic(name string, ip netip.Addr) (kind Kind, reason string) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	ip = ip.Unmap()
	host := name
	if registrable, err := publicsuffix.EffectiveTLDPlusOne(name); err == nil {
		host = strings.TrimSuffix(strings.TrimSuffix(name, registrable), ".")
	}
	v := vocabulary{spelling: spells(name, ip)}
	if strings.Contains(name, "in-addr") || strings.Contains(name, "ip6.arpa") {
		v.dynamic = "in-addr"
	}
	v.read(host)
	if v.spelling == "" && v.customer != "" && endsOf(host, ip) {
		v.spelling = strconv.Quote(v.customer) + " with the end of the address"
	}
	switch {
	case v.static != "" && (v.spelling != "" || v.dynamic != ""):
		return StaticPool, join(strconv.Quote(v.static), v.spelling)
	case v.dynamic != "":
		return Dynamic, join(strconv.Quote(v.dynamic), v.spelling)
	case v.spelling != "":
		return SpellsIP, v.spelling
	}
	return Chosen, ""
}

// vocabulary is which words of which kind a name has.
type vocabulary struct {
	spelling                  string // how it spells the address
	dynamic, static, customer string
}

// read looks at the words of what stands left of the registrable domain.
func (v *vocabulary) read(host string) {
	own, _, _ := strings.Cut(host, ".")
	mailer := false
	for w := range letters(own) {
		mailer = mailer || classes[w] == mailWord
	}
	numbered := strings.ContainsAny(host, "0123456789")
	first := true
	for label := range strings.SplitSeq(host, ".") {
		for w := range letters(label) {
			switch c := classes[w]; {
			case c == staticWord:
				v.static = w
			case c == customerWord:
				v.customer = w
			case v.spelling == "" && mailer:
			case c == lineWord && (v.spelling != "" || numbered || first && label == w):
				v.dynamic = w
			case c == poolWord && (v.spelling != "" || first && label != w && numbered):
				v.dynamic = w
			}
		}
		first = false
	}
}

// letters gives the runs of letters in a label.
func letters(label string) iter.Seq[string] {
	return strings.FieldsFuncSeq(label, func(r rune) bool { return r < 'a' || r > 'z' })
}

func join(word, spelling string) string {
	if spelling == "" {
		return "has the word " + word
	}
	return "has the word " + word + " and " + spelling
}

// spells tells how the name spells the address, or "".
func spells(name string, ip netip.Addr) string {
	switch {
	case ip.Is4():
		return spells4(name, ip.As4())
	case ip.Is6():
		return spells6(name, ip)
	}
	return ""
}

func spells4(name string, a [4]byte) string {
	b := [4]byte{a[3], a[2], a[1], a[0]}
	runs := numbers(name)
	switch {
	case contains(runs, a[:]):
		return "the four octets in order"
	case contains(runs, b[:]):
		return "the four octets backwards"
	case contains(runs, a[:3]), contains(runs, a[1:]), contains(runs, b[:3]), contains(runs, b[1:]):
		return "three octets of the address"
	case inHex(name, a), inHex(name, b):
		return "the address in hexadecimal"
	case a[0] > 0 && hasNumber(name, binary.BigEndian.Uint32(a[:])):
		return "the address as one number"
	case runTogether(name, a), runTogether(name, b):
		return "the octets run together"
	}
	return ""
}

// inHex finds c0000211, or c0-00-02-11 with any one separator.
func inHex(name string, a [4]byte) bool {
	var plain [8]byte
	hex.Encode(plain[:], a[:])
	if strings.Contains(name, string(plain[:])) {
		return true
	}
	for _, sep := range []byte("-._") {
		text := [11]byte{2: sep, 5: sep, 8: sep}
		for i := range 4 {
			copy(text[3*i:], plain[2*i:2*i+2])
		}
		if strings.Contains(name, string(text[:])) {
			return true
		}
	}
	return false
}

// hasNumber finds a number that stands alone.
func hasNumber(name string, n uint32) bool {
	var buf [10]byte
	text := strconv.AppendUint(buf[:0], uint64(n), 10)
	for run := range strings.FieldsFuncSeq(name, notDigit) {
		if run == string(text) {
			return true
		}
	}
	return false
}

func notDigit(r rune) bool { return r < '0' || r > '9' }

// numbers gives the decimal numbers in a name, -1 for those above 255.
func numbers(name string) []int {
	var out []int
	for run := range strings.FieldsFuncSeq(name, notDigit) {
		n, err := strconv.Atoi(run)
		if err != nil || n > 255 || len(run) > 3 {
			n = -1
		}
		out = append(out, n)
	}
	return out
}

// contains tells whether the octets follow one another among the numbers.
func contains(numbers []int, octets []byte) bool {
	for i := 0; i+len(octets) <= len(numbers); i++ {
		j := 0
		for j < len(octets) && numbers[i+j] == int(octets[j]) {
			j++
		}
		if j == len(octets) {
			return true
		}
	}
	return false
}

// runTogether finds 192000002001, or 19202001 when that is long enough not to be chance.
func runTogether(name string, a [4]byte) bool {
	var padded, plain []byte
	for _, o := range a {
		padded = append(padded, '0'+o/100, '0'+o/10%10, '0'+o%10)
		plain = strconv.AppendUint(plain, uint64(o), 10)
	}
	for run := range strings.FieldsFuncSeq(name, notDigit) {
		if run == string(padded) || len(plain) >= 8 && run == string(plain) {
			return true
		}
	}
	return false
}

// endsOf tells whether the last two octets follow one another in the name, in either order.
func endsOf(name string, ip netip.Addr) bool {
	if !ip.Is4() {
		return false
	}
	a, runs := ip.As4(), numbers(name)
	return contains(runs, a[2:]) || contains(runs, []byte{a[3], a[2]})
}

// spells6 finds all nibbles, or the interface identifier when that is no small number, in either order and however they are
// separated; or the usual text with hyphens for colons.
func spells6(name string, ip netip.Addr) string {
	a := ip.As16()
	nibbles := hex.EncodeToString(a[:])
	squeezed := strings.Map(func(r rune) rune {
		if r == '-' || r == '.' || r == '_' {
			return -1
		}
		return r
	}, name)
	if strings.Contains(squeezed, nibbles) || strings.Contains(squeezed, backwards(nibbles)) {
		return "all nibbles of the address"
	}
	if text := strings.ReplaceAll(ip.WithZone("").String(), ":", "-"); len(text) >= 6 && strings.Contains(name, text) {
		return "the address with hyphens"
	}
	if id := nibbles[16:]; !strings.HasPrefix(id, "00000000") && (strings.Contains(squeezed, id) || strings.Contains(squeezed, backwards(id))) {
		return "the interface identifier of the address"
	}
	return ""
}

func backwards(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}
