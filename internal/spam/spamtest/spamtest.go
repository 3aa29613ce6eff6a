// Package spamtest makes mail for tests: wanted and unwanted, in English and
// Spanish, of simple forms, from a seed. It says nothing about how well real mail
// is judged; for that see TestEvaluate of package learn.
package spamtest

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// kinds of words. Both kinds of mail share the common ones.
var (
	common = strings.Fields(`the a and to of in is that for you we it on with as be at this have from are will
		el la de que y en un una los las por con para no es se su más como pero hoy gracias`)
	wanted = strings.Fields(`meeting report draft budget invoice question patch release kernel family dinner photos
		weekend thesis chapter review schedule minutes train flight school library deadline
		reunión informe presupuesto factura pregunta versión familia cena fotos capítulo horario tren escuela acta proyecto`)
	unwanted = strings.Fields(`winner prize lottery million guaranteed credit cheap pills viagra casino bonus offer
		unsubscribe investment miracle diet replica loan urgent transfer inheritance
		ganador premio lotería millones garantizado crédito barato pastillas oferta inversión milagro dieta préstamo herencia urgente`)
	friends  = strings.Fields("ana@escuela.example luis@taller.example mary@library.example tom@kernel.example")
	mailers  = strings.Fields("Thunderbird Mutt Evolution")
	bulkers  = strings.Fields("SuperBlast BulkPro MassMail")
	shops    = strings.Fields("best-deals.example win-now.example pharma4u.example")
	networks = []string{"192.0.2", "198.51.100", "203.0.113"}
)

// Message makes a message, spam or not, of about the given number of words.
func Message(r *rand.Rand, spam bool, words int) []byte {
	if spam {
		return unwantedMessage(r, words)
	}
	return wantedMessage(r, words)
}

// Mail makes n messages of each kind, in turn: spam at even places.
func Mail(seed uint64, n int) [][]byte {
	r := rand.New(rand.NewPCG(seed, seed))
	out := make([][]byte, 0, 2*n)
	for range n {
		out = append(out, Message(r, true, 40+r.IntN(160)), Message(r, false, 40+r.IntN(160)))
	}
	return out
}

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }

// text is lines of words: one in three or four is of the kind, the rest is common.
func text(r *rand.Rand, kind []string, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 && i%10 == 0 {
			b.WriteString("\r\n")
		}
		if r.IntN(7) < 2 {
			b.WriteString(pick(r, kind) + " ")
		} else {
			b.WriteString(pick(r, common) + " ")
		}
	}
	return b.String() + "\r\n"
}

func header(r *rand.Rand, helo, network, from, subject, mailer string) string {
	return fmt.Sprintf("Received: from %s ([%s.%d]) by mx.example.org with ESMTP id %08x; Mon, 5 Jan 2026 10:00:00 +0000\r\n"+
		"From: %s\r\nTo: me@example.org\r\nSubject: %s\r\nMessage-ID: <%x@%s>\r\nDate: Mon, 5 Jan 2026 10:00:00 +0000\r\nX-Mailer: %s\r\nMIME-Version: 1.0\r\n",
		helo, network, 1+r.IntN(250), r.Uint32(), from, subject, r.Uint64(), helo, mailer)
}

func wantedMessage(r *rand.Rand, words int) []byte {
	from := pick(r, friends)
	_, host, _ := strings.Cut(from, "@")
	return []byte(header(r, "mail."+host, networks[0], from, pick(r, wanted)+" "+pick(r, wanted), pick(r, mailers)) +
		"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + text(r, wanted, words))
}

func unwantedMessage(r *rand.Rand, words int) []byte {
	shop := pick(r, shops)
	body := fmt.Sprintf("<html><body><font color=red size=5>%s!!!</font><p>%s</p><a href=\"http://%s/%x\">%s</a></body></html>\r\n",
		pick(r, unwanted), text(r, unwanted, words), shop, r.Uint32(), pick(r, unwanted))
	return []byte(header(r, fmt.Sprintf("dyn-%d.%s", r.IntN(255), shop), networks[1+r.IntN(2)], fmt.Sprintf("\"%s\" <x%d@%s>", pick(r, unwanted), r.IntN(1e6), shop),
		strings.ToUpper(pick(r, unwanted))+" "+pick(r, unwanted), pick(r, bulkers)) +
		"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + body)
}

// Sized makes one message of at least so many octets.
func Sized(seed uint64, spam bool, octets int) []byte {
	r := rand.New(rand.NewPCG(seed, seed))
	for n := octets / 10; ; n += octets / 50 {
		if m := Message(r, spam, n); len(m) >= octets {
			return m
		}
	}
}
