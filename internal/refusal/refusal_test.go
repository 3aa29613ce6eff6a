package refusal

import (
	"strings"
	"testing"

	"posta/internal/finding"
	"posta/internal/words"
)

// Replies as they come, by who sends them.
func TestRead(t *testing.T) {
	for _, c := range []struct {
		host, reply string
		want        Reading
	}{
		{"gmail-smtp-in.l.google.com", "550-5.7.26 This mail has been blocked because the sender is unauthenticated.\n550-5.7.26 Gmail requires all senders to authenticate with either SPF or DKIM.\n550 5.7.26 https://support.google.com/mail/answer/81126#authentication d2e1a72fcca58-71b - gsmtp",
			Reading{Provider: "Gmail", Code: "5.7.26", Check: finding.DKIMMissing, Advice: "auth", Link: "https://support.google.com/mail/answer/81126#authentication"}},
		{"aspmx.l.google.com", "550-5.7.26 Unauthenticated email from empresa.test is not accepted due to domain's 550-5.7.26 DMARC policy. - gsmtp",
			Reading{Provider: "Gmail", Code: "5.7.26", Check: finding.DMARCFail, Advice: "auth"}},
		{"alt1.aspmx.l.google.com", "550-5.7.25 [203.0.113.9] The IP address sending this message does not have a PTR record setup",
			Reading{Provider: "Gmail", Code: "5.7.25", Check: finding.PTRMissing, Advice: "ptr"}},
		{"aspmx.l.google.com", "421-4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address.",
			Reading{Provider: "Gmail", Code: "4.7.28", Advice: "rate"}},
		{"empresa-com.mail.protection.outlook.com", "550 5.7.1 Unfortunately, messages from [203.0.113.9] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3150). You can also refer your provider to http://mail.live.com/mail/troubleshooting.aspx#errors.",
			Reading{Provider: "Microsoft", Code: "S3150", Advice: "network", Link: "http://mail.live.com/mail/troubleshooting.aspx#errors"}},
		{"x.mail.protection.outlook.com", "550 5.7.515 Access denied, sending domain EMPRESA.TEST does not meet the required authentication level.",
			Reading{Provider: "Microsoft", Code: "5.7.515", Check: finding.DMARCFail, Advice: "auth"}},
		{"x.mail.protection.outlook.com", "550 5.4.1 Recipient address rejected: Access denied. AS(201806281)",
			Reading{Provider: "Microsoft", Code: "5.4.1", Check: finding.RcptUnknown, Advice: "unknown"}},
		{"mta5.am0.yahoodns.net", "421 4.7.0 [TSS04] Messages from 203.0.113.9 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes",
			Reading{Provider: "Yahoo", Code: "TSS04", Advice: "rate", Link: "https://postmaster.yahooinc.com/error-codes"}},
		{"mx.example.net", "554 5.7.1 Service unavailable; Client host [203.0.113.9] blocked using zen.spamhaus.org; https://check.spamhaus.org/query/ip/203.0.113.9",
			Reading{Code: "5.7.1", Check: finding.DNSBLListed, Advice: "listed", List: "zen.spamhaus.org", Link: "https://check.spamhaus.org/query/ip/203.0.113.9"}},
		{"mx.example.net", "450 4.2.0 <luis@example.net>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/example.net.html",
			Reading{Code: "4.2.0", Check: finding.Greylisted, Advice: "wait", Link: "http://postgrey.schweikert.ch/help/example.net.html"}},
		{"mx.example.net", "504 5.5.2 <PC-SECRETARIA>: Helo command rejected: need fully-qualified hostname",
			Reading{Code: "5.5.2", Check: finding.HELOFQDN, Advice: "helo"}},
		{"mx.example.net", "450 4.7.1 Client host rejected: cannot find your reverse hostname, [203.0.113.9]",
			Reading{Code: "4.7.1", Check: finding.PTRMissing, Advice: "ptr"}},
		{"mx.example.net", "550 5.1.1 <nadie@example.net>: Recipient address rejected: User unknown in local recipient table",
			Reading{Code: "5.1.1", Check: finding.RcptUnknown, Advice: "unknown"}},
		{"mx.example.net", "550 User unknown", Reading{Check: finding.RcptUnknown, Advice: "unknown"}},
		{"mx.example.net", "550 5.7.25 no PTR", Reading{Code: "5.7.25", Check: finding.PTRMissing, Advice: "ptr"}},
		{"mx.example.net", "556 5.1.10 Recipient address has a null MX", Reading{Code: "5.1.10", Check: finding.MXNull, Advice: "nomail"}},
		{"mx.example.net", "550 Administrative prohibition", Reading{}},
		{"google.com.example.net", "421 4.7.28 x", Reading{}}, // not Gmail's, and nobody else's code
		{"mx.example.net", "550 5.7.1 see javascript://x", Reading{Code: "5.7.1", Advice: "policy"}},
	} {
		if got := Read(c.host, c.reply); got != c.want {
			t.Errorf("%s\n  %s\n  got  %+v\n  want %+v", c.host, c.reply, got, c.want)
		}
	}
}

// Every advice has its sentence in both languages, and every check is one.
func TestAdvices(t *testing.T) {
	for _, a := range Advices() {
		if !words.Has("refusal." + a) {
			t.Errorf("no words for %s", a)
		}
	}
	for _, r := range rules {
		if _, ok := finding.Lookup(r.check); r.check != "" && !ok {
			t.Errorf("%s is no check", r.check)
		}
	}
}

// Whatever a host answers, what is read of it is bounded and is part of it.
func FuzzRead(f *testing.F) {
	f.Add("aspmx.l.google.com", "550-5.7.26 no\n550 5.7.26 https://x/y")
	f.Add("mx.example.net", "554 blocked using zen.spamhaus.org")
	f.Add("x.outlook.com", "550 (S3150) \xff")
	f.Fuzz(func(t *testing.T, host, reply string) {
		r := Read(host, reply)
		if len(r.Link) > 300 || !strings.Contains(reply, r.Link) || r.Link != "" && !strings.HasPrefix(r.Link, "http") {
			t.Fatalf("link %q", r.Link)
		}
		if !strings.Contains(strings.ToLower(reply), strings.ToLower(r.Code)) {
			t.Fatalf("code %q", r.Code)
		}
		if len(r.List) > maxReply || r.Known() != (r.Advice != "") {
			t.Fatalf("%+v", r)
		}
	})
}
