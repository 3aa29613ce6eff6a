package sieve

import "strconv"

// spamTests are RFC 5235. Values are numbers as text: 0 is "not tested".
func spamTests() []spec {
	return []spec{
		{name: "spamtest", test: true, caps: []string{"spamtest", "spamtestplus"}, tags: []tag{{name: "percent", cap: "spamtestplus"}}, match: true, args: []kind{str}, eval: evalSpamTest},
		{name: "virustest", test: true, caps: []string{"virustest"}, match: true, args: []kind{str}, eval: evalVirusTest},
	}
}

// evalSpamTest gives 1 (surely wanted) … 10 (surely not), or with :percent 0 … 100.
func evalSpamTest(r *run, k *call) bool {
	s := r.env.Spam
	n := 0
	switch percent := min(max(s.Percent, 0), 100); {
	case !s.Known:
	case k.has("percent"):
		n = percent
	default:
		n = 1 + percent*9/100
	}
	return r.score(k, n, s.Known)
}

func evalVirusTest(r *run, k *call) bool {
	return r.score(k, r.env.Virus, r.env.Virus > 0)
}

// score compares a number; :count is 1 when the message was tested (RFC 5235 §2).
func (r *run) score(k *call, n int, tested bool) bool {
	t := r.begin(k)
	if (tested || k.match.how != matchCount) && t.try(strconv.Itoa(n), "") {
		return true
	}
	return t.end()
}
