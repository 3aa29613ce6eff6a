package refusal

import "posta/internal/finding"

// providers are known by the names of their mail hosts.
var providers = [...]struct{ below, name string }{
	{"google.com", gmail}, {"googlemail.com", gmail}, {"smtp.goog", gmail},
	{"outlook.com", microsoft}, {"hotmail.com", microsoft}, {"mx.microsoft", microsoft},
	{"yahoodns.net", yahoo},
	{"icloud.com", apple}, {"apple.com", apple},
}

const (
	gmail     = "Gmail"
	microsoft = "Microsoft"
	yahoo     = "Yahoo"
	apple     = "Apple"
)

// rules in order: the first that matches speaks. What a provider documents of itself goes before what
// its words would mean elsewhere, and that before the codes of everybody (RFC 3463, 7372, 7505).
//
// Gmail: support.google.com/a/answer/3726730 and 81126. Microsoft: "NDR error codes in Exchange Online",
// sendersupport.olc.protection.outlook.com/pm/troubleshooting. Yahoo: senders.yahooinc.com/smtp-error-codes. As of 2026-11.
var rules = [...]rule{
	{provider: gmail, status: "7.23", check: finding.PTRMissing, advice: "ptr"},
	{provider: gmail, status: "7.25", check: finding.PTRMissing, advice: "ptr"},
	{provider: gmail, status: "7.24", check: finding.SPFBroad, advice: "spf"},
	{provider: gmail, status: "7.26", text: []string{"dmarc"}, check: finding.DMARCFail, advice: "auth"},
	{provider: gmail, status: "7.26", check: finding.DKIMMissing, advice: "auth"},
	{provider: gmail, status: "7.27", check: finding.SPFFail, advice: "spf"},
	{provider: gmail, status: "7.28", advice: "rate"},
	{provider: gmail, status: "7.29", check: finding.TLSNone, advice: "tls"},
	{provider: gmail, status: "7.30", check: finding.DKIMMissing, advice: "dkim"},
	{provider: gmail, status: "7.32", check: finding.DMARCFail, advice: "align"},
	{provider: gmail, status: "7.0", text: []string{"blocked", "security"}, check: finding.ContentExecutable, advice: "content"},
	{provider: gmail, status: "7.1", text: []string{"rfc 5322"}, check: finding.HeaderSyntax, advice: "header"},
	{provider: gmail, status: "7.1", text: []string{"unsolicited"}, advice: "spam"},
	{provider: gmail, status: "7.1", text: []string{"ptr record"}, check: finding.PTRMissing, advice: "ptr"},
	{provider: gmail, status: "4.7.0", advice: "rate"},
	{provider: gmail, status: "4.2.1", advice: "rate-recipient"},

	{provider: microsoft, status: "7.515", check: finding.DMARCFail, advice: "auth"},
	{provider: microsoft, status: "7.25", check: finding.PTRMissing, advice: "ptr"},
	{provider: microsoft, status: "7.506", check: finding.HELOFQDN, advice: "helo"},
	{provider: microsoft, status: "7.509", check: finding.DMARCFail, advice: "align"},
	{provider: microsoft, status: "7.510", advice: "ipv6"},
	{provider: microsoft, status: "7.512", check: finding.HeaderSyntax, advice: "header"},
	{provider: microsoft, status: "7.23", check: finding.SPFFail, advice: "spf"},
	{provider: microsoft, status: "7.511", advice: "network"},
	{provider: microsoft, own: "s3140", advice: "network"},
	{provider: microsoft, own: "s3150", advice: "network"},
	{provider: microsoft, own: "s775", advice: "rate"},
	{provider: microsoft, status: "7.606", advice: "network"},
	{provider: microsoft, status: "7.650", advice: "rate"},
	{provider: microsoft, status: "4.7.500", advice: "wait"},
	{provider: microsoft, status: "7.501", advice: "spam"},
	{provider: microsoft, status: "7.323", advice: "tlsa"},
	{provider: microsoft, status: "7.321", advice: "tls"},
	{provider: microsoft, status: "5.4.1", text: []string{"access denied"}, check: finding.RcptUnknown, advice: "unknown"},

	{provider: yahoo, own: "tss04", advice: "rate"},
	{provider: yahoo, own: "tss05", advice: "rate"},
	{provider: yahoo, own: "tss09", advice: "spam"},
	{provider: yahoo, own: "ts01", advice: "rate"},
	{provider: yahoo, own: "ts02", advice: "rate"},
	{provider: yahoo, own: "ts03", advice: "spam"},
	{provider: yahoo, own: "bl21", check: finding.DNSBLListed, advice: "listed"},
	{provider: yahoo, own: "bl23", check: finding.DNSBLListed, advice: "listed"},
	{provider: yahoo, own: "ph01", advice: "spam"},
	{provider: yahoo, status: "5.7.9", text: []string{"policy"}, check: finding.DMARCFail, advice: "align"},

	{provider: apple, own: "cs01", advice: "spam"},
	{provider: apple, own: "hm08", advice: "spam"},

	// What the servers that everybody runs say.
	{text: []string{"spamhaus"}, check: finding.DNSBLListed, advice: "listed"},
	{text: []string{"blocked using"}, check: finding.DNSBLListed, advice: "listed"},
	{text: []string{"listed at"}, check: finding.DNSBLListed, advice: "listed"},
	{text: []string{"listed in", "dnsbl"}, check: finding.DNSBLListed, advice: "listed"},
	{text: []string{"barracuda", "reputation"}, check: finding.DNSBLListed, advice: "listed"},
	{text: []string{"greylist"}, check: finding.Greylisted, advice: "wait"},
	{text: []string{"graylist"}, check: finding.Greylisted, advice: "wait"},
	{text: []string{"cannot find your reverse hostname"}, check: finding.PTRMissing, advice: "ptr"},
	{text: []string{"cannot find your hostname"}, check: finding.PTRMismatch, advice: "ptr"},
	{text: []string{"reverse dns"}, check: finding.PTRMissing, advice: "ptr"},
	{text: []string{"helo command rejected", "fully-qualified"}, check: finding.HELOFQDN, advice: "helo"},
	{text: []string{"helo command rejected", "host not found"}, check: finding.HELOUnknown, advice: "helo"},
	{text: []string{"helo command rejected"}, check: finding.HELOMismatch, advice: "helo"},
	{text: []string{"sender address rejected", "domain not found"}, check: finding.SenderDomain, advice: "sender"},
	{text: []string{"sender address rejected", "does not exist"}, check: finding.SenderDomain, advice: "sender"},
	{text: []string{"not authorized to send", "spf"}, check: finding.SPFFail, advice: "spf"},
	{text: []string{"spf", "fail"}, check: finding.SPFFail, advice: "spf"},
	{text: []string{"dmarc"}, check: finding.DMARCFail, advice: "align"},
	{text: []string{"relay access denied"}, check: finding.RelayDenied, advice: "relay"},
	{text: []string{"relaying denied"}, check: finding.RelayDenied, advice: "relay"},

	// RFC 7372 and RFC 7505.
	{status: "7.20", check: finding.DKIMMissing, advice: "dkim"},
	{status: "7.21", check: finding.DKIMFail, advice: "dkim"},
	{status: "7.22", check: finding.DMARCFail, advice: "align"},
	{status: "7.23", check: finding.SPFFail, advice: "spf"},
	{status: "7.24", check: finding.SPFInvalid, advice: "spf"},
	{status: "7.25", check: finding.PTRMissing, advice: "ptr"},
	{status: "7.26", check: finding.DMARCFail, advice: "auth"},
	{status: "7.27", check: finding.MXNull, advice: "sender"},
	{status: "7.30", advice: "tls"},
	{status: "1.10", check: finding.MXNull, advice: "nomail"},

	// RFC 3463.
	{status: "1.1", check: finding.RcptUnknown, advice: "unknown"},
	{status: "1.2", check: finding.RcptUnknown, advice: "unknown"},
	{status: "1.3", check: finding.RcptUnknown, advice: "unknown"},
	{status: "1.6", check: finding.RcptUnknown, advice: "unknown"},
	{status: "1.8", check: finding.SenderDomain, advice: "sender"},
	{status: "1.7", check: finding.SenderDomain, advice: "sender"},
	{status: "2.1", advice: "disabled"},
	{status: "2.2", check: finding.RcptFull, advice: "full"},
	{status: "2.3", check: finding.MessageSize, advice: "size"},
	{status: "3.4", check: finding.MessageSize, advice: "size"},
	{status: "4.6", check: finding.LoopHops, advice: "loop"},
	{status: "4.7.10", advice: "tls"},
	{text: []string{"too many connections"}, advice: "rate"},
	{text: []string{"rate limit"}, advice: "rate"},
	{text: []string{"try again later"}, advice: "wait"},
	{text: []string{"user unknown"}, check: finding.RcptUnknown, advice: "unknown"},
	{text: []string{"no such user"}, check: finding.RcptUnknown, advice: "unknown"},
	{text: []string{"mailbox full"}, check: finding.RcptFull, advice: "full"},
	{text: []string{"quota"}, check: finding.RcptFull, advice: "full"},
	{text: []string{"spam"}, advice: "spam"},
	{status: "7.1", advice: "policy"},
	{status: "7.0", advice: "policy"},
}

// Advices lists the keys of the words catalogue that a Reading may name.
func Advices() []string {
	var out []string
	seen := map[string]bool{}
	for _, r := range rules {
		if !seen[r.advice] {
			seen[r.advice] = true
			out = append(out, r.advice)
		}
	}
	return out
}
