package dnsbl

// Groups of codes that several zones share.
var (
	spamhausCodes = []Code{
		{"127.0.0.2", "SBL: source of spam", false},
		{"127.0.0.3", "SBL CSS: source of low-reputation mail", false},
		{"127.0.0.4-7", "XBL: hijacked host or proxy", false},
		{"127.0.0.9", "SBL DROP: hijacked network, all its traffic is to be dropped", false},
		{"127.0.0.10", "PBL: the provider says that this address sends no mail by itself", false},
		{"127.0.0.11", "PBL: Spamhaus says that this address sends no mail by itself", false},
	}
	spamhausDomainCodes = []Code{
		{"127.0.1.2", "spam domain", false},
		{"127.0.1.4", "phishing domain", false},
		{"127.0.1.5", "malware domain", false},
		{"127.0.1.6", "domain of a botnet's control", false},
		{"127.0.1.102", "legitimate domain, abused for spam", false},
		{"127.0.1.103", "redirector used in spam", false},
		{"127.0.1.104", "abused for phishing", false},
		{"127.0.1.105", "abused for malware", false},
		{"127.0.1.106", "abused for a botnet's control", false},
	}
	mailspikeCodes = []Code{
		{"127.0.0.2", "part of a distributed wave of spam", false},
		{"127.0.0.10", "worst reputation", false},
		{"127.0.0.11", "very bad reputation", false},
		{"127.0.0.12", "bad reputation", false},
		{"127.0.0.13", "suspicious", false},
		{"127.0.0.14", "neutral, rather bad", false},
		{"127.0.0.15", "neutral", false},
		{"127.0.0.16", "neutral, rather good", true},
		{"127.0.0.17", "possibly legitimate", true},
		{"127.0.0.18", "good reputation", true},
		{"127.0.0.19", "very good reputation", true},
		{"127.0.0.20", "excellent reputation", true},
	}
	spamratsCodes = []Code{
		{"127.0.0.36", "dynamic address", false},
		{"127.0.0.37", "no reverse name, or a bad one", false},
		{"127.0.0.38", "seen spamming", false},
		{"127.0.0.43", "seen guessing passwords", false},
	}
	droneCodes = []Code{
		{"127.0.0.3", "IRC drone", false}, {"127.0.0.5", "bottler", false}, {"127.0.0.6", "unknown spambot or drone", false},
		{"127.0.0.7", "DDoS drone", false}, {"127.0.0.8", "SOCKS proxy", false}, {"127.0.0.9", "HTTP proxy", false},
		{"127.0.0.10", "chain of proxies", false}, {"127.0.0.11", "web page proxy", false}, {"127.0.0.12", "open DNS resolver", false},
		{"127.0.0.13", "brute force attacker", false}, {"127.0.0.14", "open Wingate proxy", false}, {"127.0.0.15", "compromised router or gateway", false},
		{"127.0.0.16", "worm", false}, {"127.0.0.17", "botnet, found automatically", false}, {"127.0.0.18", "possibly compromised DNS or MX", false},
		{"127.0.0.19", "abused VPN service", false},
	}
)

const (
	spamhausPage  = "https://check.spamhaus.org/results/?query={subject}"
	spamhausTerms = "free for few questions without commerce, asked by an own resolver; else with a key (DQS): KEY.zen.dq.spamhaus.net"
	spamratsPage  = "https://www.spamrats.com/lookup.php?ip={subject}"
	monkeyPage    = "https://spameatingmonkey.com/lookup/{subject}"
	monkeyTerms   = "free for fewer than 100,000 questions a day"
	ucePage       = "https://www.uceprotect.net/en/rblcheck.php?ipr={subject}"
)

// catalogue is the table of lists, as of 2026-11. The living were seen alive by a shipped scanner's defaults or by hand that
// year; what is dead stays here so that it is refused by name. Never changed at run time.
var catalogue = [...]List{
	{Zone: "zen.spamhaus.org", What: "Spamhaus SBL, CSS, XBL and PBL together", Codes: spamhausCodes, Delist: spamhausPage, Terms: spamhausTerms},
	{Zone: "*.zen.dq.spamhaus.net", State: WithAccount, What: "Spamhaus SBL, CSS, XBL and PBL together", Codes: spamhausCodes, Delist: spamhausPage, Terms: "with a key (DQS), through any resolver"},
	{Zone: "sbl.spamhaus.org", What: "sources of spam", Codes: spamhausCodes, Delist: spamhausPage, Terms: spamhausTerms},
	{Zone: "xbl.spamhaus.org", What: "hijacked hosts and proxies", Codes: spamhausCodes, Delist: spamhausPage, Terms: spamhausTerms},
	{Zone: "pbl.spamhaus.org", What: "addresses that send no mail by themselves", Codes: spamhausCodes, Delist: spamhausPage, Terms: spamhausTerms},
	{Zone: "dbl.spamhaus.org", Kind: Domains, What: "domains in spam, phishing and malware", Codes: spamhausDomainCodes, Refusal: "127.0.1.255", Delist: spamhausPage, Terms: spamhausTerms},
	{Zone: "*.dbl.dq.spamhaus.net", Kind: Domains, State: WithAccount, What: "domains in spam, phishing and malware", Codes: spamhausDomainCodes, Refusal: "127.0.1.255", Delist: spamhausPage, Terms: "with a key (DQS), through any resolver"},
	{Zone: "bl.spamcop.net", What: "addresses that SpamCop's users reported", Codes: []Code{{"127.0.0.2", "reported for spam", false}}, Delist: "https://www.spamcop.net/w3m?action=checkblock&ip={subject}", Terms: "free"},
	{Zone: "b.barracudacentral.org", State: WithAccount, What: "addresses that Barracuda's devices saw sending spam", Codes: []Code{{"127.0.0.2", "seen sending spam", false}}, Delist: "https://www.barracudacentral.org/rbl/removal-request", Terms: "free; the resolver's address must be registered"},
	{Zone: "bl.mailspike.net", What: "addresses of bad reputation", Codes: mailspikeCodes, Delist: "https://mailspike.org/iplookup.html", Terms: "free for few questions"},
	{Zone: "rep.mailspike.net", What: "the reputation of addresses, bad and good", Codes: mailspikeCodes, Delist: "https://mailspike.org/iplookup.html", Terms: "free for few questions"},
	{Zone: "wl.mailspike.net", White: true, What: "addresses of good reputation", Codes: mailspikeCodes, Delist: "https://mailspike.org/iplookup.html", Terms: "free for few questions"},
	{Zone: "psbl.surriel.com", What: "addresses that sent to spam traps", Codes: []Code{{"127.0.0.2", "sent to a spam trap", false}}, Delist: "https://psbl.org/listing?ip={subject}", Terms: "free"},
	{Zone: "bl.spameatingmonkey.net", What: "addresses that sent to spam traps", Codes: []Code{{"127.0.0.2-3", "sent to a spam trap", false}}, Delist: monkeyPage, Terms: monkeyTerms},
	{Zone: "bl.ipv6.spameatingmonkey.net", What: "IPv6 addresses that sent to spam traps", Codes: []Code{{"127.0.0.2-3", "sent to a spam trap", false}}, Delist: monkeyPage, Terms: monkeyTerms},
	{Zone: "hostkarma.junkemailfilter.com", What: "white, yellow, brown and black hosts", Codes: []Code{
		{"127.0.0.1", "white: sends no spam", true}, {"127.0.0.2", "black: sends spam only", false}, {"127.0.0.3", "yellow: sends both", false},
		{"127.0.0.4", "brown: sends mostly spam", false}, {"127.0.0.5", "not to be listed as black", true},
	}, Delist: "https://ipadmin.junkemailfilter.com/remove.php?ip={subject}", Terms: "free"},
	{Zone: "bip.virusfree.cz", What: "addresses that sent viruses or spam", Delist: "https://www.virusfree.cz/en/blacklist", Terms: "free"},
	{Zone: "bl.blocklist.de", What: "addresses that attacked a service", Codes: []Code{{"127.0.0.*", "attacked a service", false}}, Delist: "https://www.blocklist.de/en/search.html?ip={subject}", Terms: "free"},
	{Zone: "bl.0spam.org", What: "addresses that sent spam", Delist: "https://0spam.org/", Terms: "free"},
	{Zone: "rbl.0spam.org", What: "addresses that sent spam", Delist: "https://0spam.org/", Terms: "free"},
	{Zone: "dnsbl.zapbl.net", What: "addresses that sent spam", Delist: "https://zapbl.net/", Terms: "free"},
	{Zone: "bl.suomispam.net", What: "addresses that sent spam to Finland", Delist: "https://suomispam.net/", Terms: "free"},
	{Zone: "bl.scientificspam.net", What: "senders of spam about conferences and journals", Delist: "https://www.scientificspam.net/", Terms: "free"},
	{Zone: "dnsrbl.swinog.ch", What: "addresses that sent to the spam traps of Swiss providers", Delist: "https://antispam.imp.ch/", Terms: "free"},
	{Zone: "dnsbl.kempt.net", What: "addresses that sent spam", Delist: "https://www.kempt.net/dnsbl/", Terms: "free"},
	{Zone: "dnsbl.dronebl.org", What: "drones, proxies and attackers", Codes: droneCodes, Delist: "https://dronebl.org/lookup?ip={subject}", Terms: "free"},
	{Zone: "dyna.spamrats.com", What: "dynamic addresses", Codes: spamratsCodes, Delist: spamratsPage, Terms: "free"},
	{Zone: "noptr.spamrats.com", What: "addresses without a proper reverse name", Codes: spamratsCodes, Delist: spamratsPage, Terms: "free"},
	{Zone: "spam.spamrats.com", What: "addresses that sent spam", Codes: spamratsCodes, Delist: spamratsPage, Terms: "free"},
	{Zone: "auth.spamrats.com", What: "addresses that guess passwords", Codes: spamratsCodes, Delist: spamratsPage, Terms: "free"},
	{Zone: "all.spamrats.com", What: "all of SpamRATS", Codes: spamratsCodes, Delist: spamratsPage, Terms: "free"},
	{Zone: "*.combined.mail.abusix.zone", State: WithAccount, What: "Abusix: spam traps, exploits, policy", Codes: []Code{
		{"127.0.0.2-3", "sent to a spam trap", false}, {"127.0.0.4", "exploited host", false}, {"127.0.0.11-12", "address that sends no mail by itself", false},
	}, Delist: "https://lookup.abusix.com/search?q={subject}", Terms: "with a key"},
	{Zone: "*.dblack.mail.abusix.zone", Kind: Domains, State: WithAccount, What: "Abusix: domains in spam", Delist: "https://lookup.abusix.com/search?q={subject}", Terms: "with a key"},
	{Zone: "multi.surbl.org", Kind: Domains, Form: RegisteredDomain, What: "domains in the text of spam", Codes: []Code{
		{"bit 4", "DM: disposable mail address", false}, {"bit 8", "PH: phishing", false}, {"bit 16", "MW: malware", false},
		{"bit 32", "CT: click tracker", false}, {"bit 64", "ABUSE: spam", false}, {"bit 128", "CR: cracked site", false},
	}, Entry: "surbl-org-permanent-test-point.com", Delist: "https://surbl.org/surbl-analysis", Terms: "free for few questions; asked about the registered domain"},
	{Zone: "multi.uribl.com", Kind: Domains, Form: RegisteredDomain, What: "domains in the text of spam", Codes: []Code{
		{"bit 2", "black: seen in spam", false}, {"bit 4", "grey: bulk mail, some unwanted", false}, {"bit 8", "red: young, seen by automats", false},
	}, Entry: "test.uribl.com", Delist: "https://lookup.uribl.com/", Terms: "free for few questions; asked about the registered domain"},
	{Zone: "ebl.msbl.org", Kind: Hashes, What: "mail addresses of fraudsters", Delist: "https://msbl.org/", Terms: "free"},
	{Zone: "list.dnswl.org", White: true, What: "addresses of known mail servers", Codes: []Code{
		{"127.0.*.0", "no trust: known, sends some spam", false}, {"127.0.*.1", "low trust", false}, {"127.0.*.2", "medium trust", false}, {"127.0.*.3", "high trust", false},
	}, Refusal: "127.0.0.255", Delist: "https://www.dnswl.org/s/?s={subject}", Terms: "free for fewer than 100,000 questions a day"},
	{Zone: "score.senderscore.com", State: WithAccount, What: "a score from 0 (bad) to 100 (good)", Codes: []Code{
		{"127.0.4.0-69", "low score", false}, {"127.0.4.70-79", "middling score", false}, {"127.0.4.80-100", "good score", true},
	}, Delist: "https://senderscore.org/", Terms: "with an account since 2026"},
	{Zone: "dnsbl-1.uceprotect.net", What: "addresses that sent to spam traps", Codes: []Code{{"127.0.0.2", "level 1: the address itself", false}}, Delist: ucePage, Terms: "free; asks for money to remove an address at once"},
	{Zone: "dnsbl-2.uceprotect.net", State: ShowOnly, What: "networks with addresses that sent to spam traps", Delist: ucePage, Terms: "lists neighbours too"},
	{Zone: "dnsbl-3.uceprotect.net", State: ShowOnly, What: "whole providers with addresses that sent to spam traps", Delist: ucePage, Terms: "lists whole providers"},
	{Zone: "ips.backscatterer.org", State: ShowOnly, What: "hosts that sent bounces to strangers", Delist: "https://www.backscatterer.org/?target=test&ip={subject}", Terms: "not every sender of bounces sends spam"},
	{Zone: "backscatter.spameatingmonkey.net", State: ShowOnly, What: "hosts that sent bounces to strangers", Delist: monkeyPage, Terms: monkeyTerms},

	{Zone: "sorbs.net", State: Gone, Terms: "closed on 2024-06-05"},
	{Zone: "ix.dnsbl.manitu.net", State: Gone, Terms: "closed in January 2025"},
	{Zone: "cbl.abuseat.org", State: Gone, Terms: "a part of xbl.spamhaus.org and zen.spamhaus.org now"},
	{Zone: "spamcannibal.org", State: Gone, Terms: "closed; the domain has other owners"},
	{Zone: "njabl.org", State: Gone, Terms: "closed"},
	{Zone: "ahbl.org", State: Gone, Terms: "closed; for a time it listed everything"},
	{Zone: "wpbl.info", State: Gone, Terms: "closed"},
	{Zone: "virbl.bit.nl", State: Gone, Terms: "closed"},
	{Zone: "msrbl.net", State: Gone, Terms: "closed"},
	{Zone: "msrbl.com", State: Gone, Terms: "closed"},
	{Zone: "dnsbl.cyberlogic.net", State: Gone, Terms: "closed"},
	{Zone: "bl.emailbasura.org", State: Gone, Terms: "closed"},
	{Zone: "drand.net", State: Gone, Terms: "closed"},
}
