package web

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/trace"
)

// canary is what no page may show.
const canary = "canario-7d1f"

// Of each check of the catalogue the page of a refusal shows the title, and the
// evidence only where it is for anyone; of one that did not decide and is not for
// anyone it shows nothing.
func TestWhyDisclosesByCheck(t *testing.T) {
	h, rec := handler(t, nil)
	for _, c := range finding.All() {
		for _, decides := range []bool{true, false} {
			*rec = trace.Record{
				ID: mail.NewID(time.Unix(1_790_000_000, 0)), At: time.Unix(1_790_000_000, 0), Stage: trace.AtData, IP: "192.0.2.9", From: "a@x.example",
				To: []trace.Recipient{{Address: "ana@empresa.test", Action: "reject", Check: string(c.ID), Reply: "550 no"}},
			}
			if !decides {
				rec.To[0].Check = string(finding.LoopHops)
				if c.ID == finding.LoopHops {
					continue
				}
			}
			rec.Findings.Add(finding.Of(c.ID, finding.Fail, canary, canary, canary))
			body := get(h, "/why/"+rec.ID.String(), "en", "").Body.String()
			public := c.Disclosure() == finding.ToAnyone
			if strings.Contains(body, canary) != public {
				t.Errorf("%s (decides: %v): evidence shown: %v, for anyone: %v", c.ID, decides, !public, public)
			}
			if named := strings.Contains(body, `id="`+string(c.ID)+`"`); named != (decides || public) {
				t.Errorf("%s (decides: %v): named: %v", c.ID, decides, named)
			}
		}
	}
}

// A refusal without a recipient (at connect, at MAIL) names its check even where
// the evidence is ours.
func TestWhyWithoutRecipient(t *testing.T) {
	h, rec := handler(t, nil)
	*rec = trace.Record{ID: rec.ID, At: rec.At, Stage: trace.AtConnect, IP: "192.0.2.9"}
	rec.Findings.Add(finding.Of(finding.AccessDenied, finding.Fail, "", "entry", canary))
	body := get(h, "/why/"+rec.ID.String(), "es", "").Body.String()
	if !strings.Contains(body, "access.denied") || !strings.Contains(body, "no se muestra") || strings.Contains(body, canary) || strings.Contains(body, "&lt;&gt;") {
		t.Error(body)
	}
}

// Who was told 250 learns nothing of what became of the message: not by the id in
// the reply, and not by that of a recipient who was refused beside it.
func TestWhyOfAnAcceptedMessage(t *testing.T) {
	h, rec := handler(t, nil)
	junk := trace.Recipient{Address: "luis@empresa.test", Action: "junk", Check: string(finding.SpamScore)}
	*rec = trace.Record{ID: rec.ID, At: rec.At, Stage: trace.Accepted, IP: "192.0.2.9", From: "a@x.example", Reply: "250 2.0.0 Ok", To: []trace.Recipient{junk}}
	rec.Findings.Add(finding.Of(finding.DMARCMissing, finding.Fail, "x.example"))
	if w := get(h, "/why/"+rec.ID.String(), "en", ""); w.Code != http.StatusNotFound {
		t.Errorf("accepted: %d\n%s", w.Code, w.Body)
	}
	rec.To = append(rec.To, trace.Recipient{Address: "nadie@empresa.test", Action: "reject", Check: string(finding.RcptUnknown), Reply: "550 5.1.1 no"})
	body := get(h, "/why/"+rec.ID.String(), "en", "").Body.String()
	for _, s := range []string{"luis@", "spam.score", "dmarc.missing", "250 2.0.0"} {
		if strings.Contains(body, s) {
			t.Errorf("%q is not the sender's to know:\n%s", s, body)
		}
	}
	if !strings.Contains(body, "nadie@") || !strings.Contains(body, "550 5.1.1 no") {
		t.Error(body)
	}
}

// Every check has its page and its line in the list, in both languages.
func TestChecks(t *testing.T) {
	h, _ := handler(t, nil)
	for _, lang := range finding.Languages() {
		list := get(h, "/why/?lang="+lang, "", "").Body.String()
		for _, c := range finding.All() {
			w := get(h, "/why/"+string(c.ID)+"?lang="+lang, "", "")
			x := finding.TextOf(c.ID, lang)
			page := strings.NewReplacer("&#39;", "'", "&#34;", `"`, "&lt;", "<", "&gt;", ">", "&#43;", "+", "&amp;", "&").Replace(w.Body.String())
			for _, want := range []string{x.Title, x.Why, x.Them, c.Standard, `lang="` + lang + `"`} {
				if w.Code != 200 || !strings.Contains(page, want) {
					t.Errorf("%s in %s: %d, no %q", c.ID, lang, w.Code, want)
				}
			}
			if !strings.Contains(list, `href="/why/`+string(c.ID)+`?lang=`+lang+`"`) {
				t.Errorf("%s is not in the list in %s", c.ID, lang)
			}
		}
	}
	w := get(h, "/why/", "es", "")
	if !strings.Contains(w.Header().Get("X-Robots-Tag"), "noindex") || w.Header().Get("Cache-Control") != "no-store" {
		t.Error(w.Header())
	}
}

// The first language that the browser asks for and Posta speaks.
func TestLanguage(t *testing.T) {
	for in, want := range map[string]string{
		"": "en", "es": "es", "es-MX,es;q=0.9,en;q=0.8": "es", "fr-FR,fr;q=0.9,es;q=0.5": "es", "fr, en;q=0.8, es;q=0.5": "en", "de": "en",
		strings.Repeat("fr,", 1000) + "es": "en",
	} {
		r := get(mustHandler(t), "/why/", in, "")
		if !strings.Contains(r.Body.String(), `<html lang="`+want+`">`) {
			t.Errorf("%.40q: not %s", in, want)
		}
	}
}

func mustHandler(t *testing.T) *Handler {
	h, _ := handler(t, nil)
	return h
}
