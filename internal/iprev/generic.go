package iprev

import (
	"encoding/hex"
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

// Words of provider names, whole: a run of letters between digits, hyphens and dots.
var (
	dynamicWords = words("adsl broadband cable catv cdma dhcp dial dialin dialup dip dsl dyn dynamic dynamicip dynip fbx gprs hfc kabel ppp pppoe pool umts vdsl xdsl")
	staticWords  = words("estatica estatico fixed static staticip statik statisch")
	// These are fit for a server too, so they count only beside a part of the address.
	customerWords = words("client clients cpe cust customer customers home host ip nat res subs subscriber unassigned user users")
)

func words(s string) []string { return strings.Fields(s) } // sorted as written

// Generic judges a name, as Check gives it, and says in English what it saw. Only what stands left of the registrable domain
// counts for words: mail.cable-company.example chose its name.
func Generic(name string, ip netip.Addr) (kind Kind, reason string) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	ip = ip.Unmap()
	host := name
	if registrable, err := publicsuffix.EffectiveTLDPlusOne(name); err == nil {
		host = strings.TrimSuffix(strings.TrimSuffix(name, registrable), ".")
	}
	spelling := spells(name, ip)
	dynamic, static, customer := "", "", ""
	if strings.Contains(name, "in-addr") || strings.Contains(name, "ip6.arpa") {
		dynamic = "in-addr"
	}
	for w := range strings.FieldsFuncSeq(host, func(r rune) bool { return r < 'a' || r > 'z' }) {
		switch {
		case slices.Contains(dynamicWords, w):
			dynamic = w
		case slices.Contains(staticWords, w):
			static = w
		case slices.Contains(customerWords, w):
			customer = w
		}
	}
	if spelling == "" && customer != "" && endsOf(host, ip) {
		spelling = strconv.Quote(customer) + " with the end of the address"
	}
	switch {
	case static != "" && (spelling != "" || dynamic != ""):
		return StaticPool, join(strconv.Quote(static), spelling)
	case dynamic != "":
		return Dynamic, join(strconv.Quote(dynamic), spelling)
	case spelling != "":
		return SpellsIP, spelling
	}
	return Chosen, ""
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
	case strings.Contains(name, hex.EncodeToString(a[:])), strings.Contains(name, hex.EncodeToString(b[:])):
		return "the address in hexadecimal"
	case runTogether(name, a), runTogether(name, b):
		return "the octets run together"
	}
	return ""
}

// numbers gives the decimal numbers in a name, -1 for those above 255.
func numbers(name string) []int {
	var out []int
	for run := range strings.FieldsFuncSeq(name, func(r rune) bool { return r < '0' || r > '9' }) {
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
	for run := range strings.FieldsFuncSeq(name, func(r rune) bool { return r < '0' || r > '9' }) {
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
