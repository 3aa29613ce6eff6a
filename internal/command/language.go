package command

import (
	"context"
	"strings"

	"posta/internal/directory"
	"posta/internal/store"
	"posta/internal/words"
)

// DomainEdit is the argument of domain.set; what is nil stays.
type DomainEdit struct {
	Name     string  `json:"name"`
	Language *string `json:"language,omitempty"` // of what we write to its people: "en", "es", or "" for the node's
	// MTASTS is the mode of the policy that we serve for it: "none", "testing", "enforce"; MX are hosts in it besides ours.
	MTASTS *string   `json:"mta_sts,omitempty"`
	MX     *[]string `json:"mx,omitempty"`
}

var languageCommands = []Command{
	run("domain.set", store.Owner, func(ctx context.Context, h *House, p Principal, a DomainEdit) (any, error) {
		name := strings.ToLower(a.Name)
		var out Domain
		err := h.change(ctx, p, "domain.set", name, func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
			d := findDomain(v, name)
			if d == nil {
				return nil, nil, fail(ErrMissing, "error.domain.missing", name)
			}
			before := countDomain(v, d, h.rulesByDomain())
			out = before
			if err := putLanguage(tx, name, a.Language, &out.Language); err != nil {
				return nil, nil, err
			}
			return before, &out, putSTS(tx, v, name, a, &out)
		})
		return out, err
	}),
}

// languageOf is the own language of an account (by login) or a domain.
func languageOf(v *store.DirectoryView, of string) string {
	return v.Settings[directory.LanguageSetting+of]
}

// putLanguage sets it, if one is given, and tells it.
func putLanguage(tx store.DirectoryTx, of string, lang, out *string) error {
	if lang == nil {
		return nil
	}
	if *lang != "" && !words.Speaks(*lang) {
		return fail(ErrUsage, "error.language", *lang, strings.Join(words.Languages(), ", "))
	}
	*out = strings.ToLower(*lang)
	return tx.PutSetting(directory.LanguageSetting+of, *out)
}
