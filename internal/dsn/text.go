package dsn

import (
	"strings"
	"time"
)

// phrases are the texts of one language.
type phrases struct {
	sender    string
	subject   map[Action]string
	greeting  string // %HOST%
	head      map[Action]string
	said      string // %HOST%
	unknown   string
	why       string
	retry     string // %TIME%
	attached  string
	noReply   string
	statusIs  string
	recipient string
}

var english = phrases{
	sender: "Mail Delivery System",
	subject: map[Action]string{
		Failed:    "Your message could not be delivered",
		Delayed:   "Your message is delayed (nothing for you to do yet)",
		Delivered: "Your message was delivered",
		Relayed:   "Your message was passed on",
		Expanded:  "Your message was passed to a list",
	},
	greeting: "This is the mail server %HOST%.",
	head: map[Action]string{
		Failed:    "Your message could not be delivered to:",
		Delayed:   "Your message has not been delivered yet. The server keeps trying; you need not send it again. It is for:",
		Delivered: "Your message was delivered to:",
		Relayed:   "Your message was passed on to a server that does not confirm delivery, for:",
		Expanded:  "Your message was passed to the members of a list:",
	},
	said:      "%HOST% said:",
	unknown:   "The reason given was:",
	why:       "What this means:",
	retry:     "It will be tried until %TIME%.",
	attached:  "The message, or its header, is attached.",
	noReply:   "This notice was made by a program; please write to the postmaster, not in reply to it.",
	statusIs:  "Status",
	recipient: "for",
}

var spanish = phrases{
	sender: "Sistema de correo",
	subject: map[Action]string{
		Failed:    "Su mensaje no se pudo entregar",
		Delayed:   "Su mensaje está retrasado (aún no tiene que hacer nada)",
		Delivered: "Su mensaje fue entregado",
		Relayed:   "Su mensaje fue reenviado a otro servidor",
		Expanded:  "Su mensaje fue enviado a una lista",
	},
	greeting: "Este es el servidor de correo %HOST%.",
	head: map[Action]string{
		Failed:    "Su mensaje no se pudo entregar a:",
		Delayed:   "Su mensaje todavía no se ha entregado. El servidor sigue intentándolo; no hace falta enviarlo de nuevo. Es para:",
		Delivered: "Su mensaje fue entregado a:",
		Relayed:   "Su mensaje fue pasado a un servidor que no confirma la entrega, para:",
		Expanded:  "Su mensaje fue pasado a los miembros de una lista:",
	},
	said:      "%HOST% respondió:",
	unknown:   "El motivo indicado fue:",
	why:       "Qué significa:",
	retry:     "Se intentará hasta %TIME%.",
	attached:  "Se adjunta el mensaje o su cabecera.",
	noReply:   "Este aviso lo ha escrito un programa; escriba al postmaster en lugar de responder.",
	statusIs:  "Estado",
	recipient: "para",
}

// humanActions is the order in which people are told.
var humanActions = [...]Action{Failed, Delayed, Relayed, Expanded, Delivered}

// human writes the text for people in one language.
func (n Notice) human(p *phrases) string {
	var b strings.Builder
	line := func(parts ...string) {
		for _, s := range parts {
			b.WriteString(s)
		}
		b.WriteByte('\n')
	}
	line(strings.ReplaceAll(p.greeting, "%HOST%", clean(n.ReportingMTA, true)))
	for _, action := range humanActions {
		first := true
		for _, r := range n.Recipients {
			if r.Action != action {
				continue
			}
			if first {
				line()
				line(p.head[action])
				first = false
			}
			line()
			n.humanRecipient(p, r, line)
		}
	}
	line()
	if len(n.Original) > 0 {
		line(p.attached)
	}
	line(p.noReply)
	return b.String()
}

func (n Notice) humanRecipient(p *phrases, r Recipient, line func(...string)) {
	line("    <", clean(r.Final.Value, true), ">")
	if o := r.Original; !o.IsZero() && !strings.EqualFold(o.Value, r.Final.Value) {
		line("    (", p.recipient, " <", clean(o.Value, true), ">)")
	}
	if r.Diagnostic != "" {
		said := p.unknown
		if r.RemoteMTA != "" {
			said = strings.ReplaceAll(p.said, "%HOST%", clean(r.RemoteMTA, true))
		}
		line("    ", said)
		line("        ", clean(clip(r.Diagnostic), true))
	}
	why := r.Why.English
	if p == &spanish {
		why = r.Why.Spanish
	}
	if why != "" {
		line("    ", p.why, " ", clean(why, true))
	}
	if r.Status != "" {
		line("    ", p.statusIs, ": ", clean(r.Status, true))
	}
	if r.Action == Delayed && !r.RetryUntil.IsZero() {
		line("    ", strings.ReplaceAll(p.retry, "%TIME%", r.RetryUntil.Format(time.RFC1123Z)))
	}
}
