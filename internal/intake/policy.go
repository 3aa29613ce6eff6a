package intake

import (
	"posta/internal/addr"
	"posta/internal/directory"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/policy"
)

// policyOf is the policy of a view. One that is stored and cannot be read is told in
// the log each time, and the shipped one holds.
func (in *Intake) policyOf(v *directory.View) *policy.Policy {
	p, err := in.cfg.Policies.Of(v.Setting(policy.Setting))
	if err != nil {
		in.cfg.Log.Error("the stored policy cannot be read; the shipped one holds", "err", err)
	}
	return p
}

// verdict asks policy for one recipient. asked is what the From domain's DMARC record
// asks for.
func (tx *transaction) verdict(a addr.Address, set *finding.Set, asked mail.Action) mail.Verdict {
	return tx.access.overrule(a, tx.policy.Fold(set, tx.policyFacts(a, asked)))
}

// policyFacts are what the table needs besides the findings.
func (tx *transaction) policyFacts(a addr.Address, asked mail.Action) policy.Facts {
	return policy.Facts{
		Class: tx.env.Client.Class, Recipient: a, DMARC: asked, Filter: tx.scan.wish(), Greylist: tx.scan.wantsAgain(),
		Postmaster: directory.IsPostmaster(a) || tx.view.Reflects(a),
		Friend:     tx.access.granted[a].friend,
	}
}
