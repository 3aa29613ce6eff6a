package feedback

import (
	"strings"

	"posta/internal/message"
	"posta/internal/message/charset"
)

// Looks reports whether a message has the shape of a report, from its structure alone:
// cheap, and wrong at times. Whether it is one, reading it tells.
//
// RFC 9990 §3.5 and RFC 8460 §5.3 give subjects, file names and types; reporters keep to
// one of them at least. Of a complaint (RFC 5965 §2) the type is certain.
func Looks(root *message.Part) bool {
	if root.Is("multipart/report") {
		switch strings.ToLower(root.Params.Get("report-type")) {
		case "feedback-report", "tlsrpt":
			return true
		case "delivery-status", "disposition-notification":
			return false
		}
	}
	subject := ""
	if root.Envelope != nil {
		subject = strings.ToLower(charset.DecodeHeader(root.Envelope.Subject))
	}
	spoken := strings.Contains(subject, "report domain:") || strings.Contains(subject, "report-id:") || strings.Contains(subject, "dmarc") && strings.Contains(subject, "report")
	found := false
	root.Walk(func(p *message.Part) bool {
		found = looksPart(p, spoken)
		return !found
	})
	return found
}

func looksPart(p *message.Part, spoken bool) bool {
	switch p.Type + "/" + p.Subtype {
	case "application/tlsrpt+json", "application/tlsrpt+gzip", "message/feedback-report":
		return true
	}
	name := strings.ToLower(p.Filename())
	if strings.Count(name, "!") >= 3 && packed(name) {
		return true
	}
	if !spoken || p.Multipart() {
		return false
	}
	switch p.Type + "/" + p.Subtype {
	case "application/gzip", "application/x-gzip", "application/zip", "application/x-zip", "application/x-zip-compressed", "application/xml", "text/xml", "application/json":
		return true
	}
	return packed(name)
}

func packed(name string) bool {
	for _, ext := range []string{".xml", ".xml.gz", ".gz", ".zip", ".json", ".gzip"} {
		if strings.HasSuffix(name, ext) {
			return true
		}
	}
	return false
}
