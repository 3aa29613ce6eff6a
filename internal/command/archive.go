package command

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"posta/internal/directory"
	"posta/internal/store"
)

// ArchiveRule says whose mail is copied, and where to: Of is an account, a domain, or "*"
// for the house.
type ArchiveRule struct {
	Of string `json:"of"`
	directory.Archive
}

var archiveCommands = []Command{
	run("archive.ls", store.Helpdesk, listArchives),
	run("archive.set", store.Owner, setArchive),
	run("archive.rm", store.Owner, removeArchive),
}

func listArchives(_ context.Context, h *House, _ Principal, _ struct{}) (any, error) {
	all := h.Directory.View().Archives()
	out := []ArchiveRule{}
	for _, of := range slices.Sorted(maps.Keys(all)) {
		out = append(out, ArchiveRule{of, all[of]})
	}
	return out, nil
}

// archiveOf holds whose mail is meant against who is here.
func archiveOf(v *store.DirectoryView, of string) (string, error) {
	of = strings.ToLower(of)
	switch {
	case of == "*":
		return of, nil
	case strings.Contains(of, "@"):
		acc, err := needAccount(v, of)
		if err != nil {
			return "", err
		}
		return acc.Login, nil
	}
	d := findDomain(v, of)
	if d == nil {
		return "", fail(ErrMissing, "error.domain.foreign", of, of)
	}
	return d.Name, nil
}

func setArchive(ctx context.Context, h *House, p Principal, a ArchiveRule) (any, error) {
	if !a.In && !a.Out {
		return nil, fail(ErrUsage, "error.archive.way")
	}
	if len(a.Mailbox) > 500 || strings.HasPrefix(a.Mailbox, "/") || strings.HasSuffix(a.Mailbox, "/") || strings.Contains(a.Mailbox, "//") {
		return nil, fail(ErrUsage, "error.archive.mailbox", a.Mailbox)
	}
	return &a, h.change(ctx, p, "archive.set", a.Of, func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
		of, err := archiveOf(v, a.Of)
		if err != nil {
			return nil, nil, err
		}
		to, err := needAccount(v, strings.ToLower(a.To))
		if err != nil {
			return nil, nil, err
		}
		a.Of, a.To = of, to.Login
		b, err := json.Marshal(a.Archive)
		if err != nil {
			return nil, nil, err
		}
		key := directory.ArchiveSetting + of
		return v.Settings[key], a, tx.PutSetting(key, string(b))
	})
}

func removeArchive(ctx context.Context, h *House, p Principal, n Name) (any, error) {
	return n, h.change(ctx, p, "archive.rm", n.Name, func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
		key := directory.ArchiveSetting + strings.ToLower(n.Name)
		if v.Settings[key] == "" {
			return nil, nil, fail(ErrMissing, "error.archive.missing", n.Name)
		}
		return v.Settings[key], nil, tx.PutSetting(key, "")
	})
}
