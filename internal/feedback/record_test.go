package feedback

import "testing"

// The next record has what the one before it had, nothing that RFC 9989 has removed, and no
// part that is weaker than the step.
func TestNextRecord(t *testing.T) {
	for _, c := range []struct {
		record, policy string
		testing        bool
		want           string
	}{
		{"", "none", false, "v=DMARC1; p=none; rua=mailto:dmarc-reports@example.org"},
		{"v=DMARC1; p=none; rua=mailto:a@b.test; pct=50; rf=afrf; ri=86400", "quarantine", true, "v=DMARC1; p=quarantine; rua=mailto:a@b.test; t=y"},
		{"v=DMARC1; p=quarantine; sp=none; np=reject; t=y; rua=mailto:a@b.test", "quarantine", false, "v=DMARC1; p=quarantine; sp=quarantine; np=reject; rua=mailto:a@b.test"},
		{"v=DMARC1;p=quarantine;adkim=s;aspf=s;sp=none", "reject", true, "v=DMARC1; p=reject; adkim=s; aspf=s; sp=reject; np=reject; t=y; rua=mailto:dmarc-reports@example.org"},
		{"v=DMARC1; P=none; RUA=mailto:a@b.test; rua=mailto:twice@b.test; fo=", "none", false, "v=DMARC1; p=none; rua=mailto:a@b.test"},
	} {
		if got := NextRecord(c.record, "example.org", c.policy, c.testing); got != c.want {
			t.Errorf("%s → %s:\n%s", c.record, c.policy, got)
		}
	}
}
