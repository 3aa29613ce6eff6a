package command

import (
	"context"

	"posta/internal/reportout"
	"posta/internal/store"
)

// SentReports are the reports that went to other domains, and who gets none.
type SentReports struct {
	Sent []reportout.Sent `json:"sent"` // of the last thirty days, by day
	// Suppressed are those who refused lately, then those whom a person suppressed.
	Suppressed []reportout.Suppressed `json:"suppressed"`
}

// SuppressReports asks for no more reports to an address, a domain or an https URL, or
// undoes it.
type SuppressReports struct {
	Target string `json:"target"`
	Reason string `json:"reason,omitempty"`
}

var reportSentCommands = []Command{
	run("report.sent.ls", store.Helpdesk, listSentReports),
	run("report.sent.suppress", store.Owner, suppressReports),
	run("report.sent.unsuppress", store.Owner, unsuppressReports),
}

func listSentReports(ctx context.Context, h *House, _ Principal, _ struct{}) (any, error) {
	sent, err := reportout.ListSent(ctx, h.Store)
	if err != nil {
		return nil, err
	}
	pausing, err := reportout.Pausing(ctx, h.Store)
	if err != nil {
		return nil, err
	}
	chosen := reportout.Suppressions(h.Directory.View().Setting(reportout.Setting))
	return SentReports{sent, append(pausing, chosen...)}, nil
}

func suppressReports(ctx context.Context, h *House, p Principal, a SuppressReports) (any, error) {
	err := h.change(ctx, p, "report.sent.suppress", a.Target, func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
		s := reportout.Suppressed{Target: a.Target, Reason: a.Reason, By: p.Name, At: h.now().UTC()}
		setting, err := reportout.Suppress(v.Settings[reportout.Setting], s)
		if err != nil {
			return nil, nil, fail(ErrUsage, "error.report.target", a.Target, err)
		}
		return nil, s, tx.PutSetting(reportout.Setting, setting)
	})
	return struct{}{}, err
}

func unsuppressReports(ctx context.Context, h *House, p Principal, a SuppressReports) (any, error) {
	resumed, err := reportout.Resume(ctx, h.Store, a.Target)
	if err != nil {
		return nil, fail(ErrUsage, "error.report.target", a.Target, err)
	}
	err = h.change(ctx, p, "report.sent.unsuppress", a.Target, func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
		setting, was, err := reportout.Unsuppress(v.Settings[reportout.Setting], a.Target)
		if err != nil || !was && !resumed {
			return nil, nil, fail(ErrMissing, "error.report.unsuppressed", a.Target)
		}
		return a, nil, tx.PutSetting(reportout.Setting, setting)
	})
	return struct{}{}, err
}
