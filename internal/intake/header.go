package intake

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"posta/internal/finding"
	"posta/internal/message"
)

// addHeader maps what is wrong with the header (RFC 5322) to findings.
func addHeader(set *finding.Set, f *facts) {
	has := func(ds ...message.Defects) bool {
		return slices.ContainsFunc(ds, func(d message.Defects) bool { return f.defects.Has(d) })
	}
	add := func(id finding.ID, bad bool) {
		o := finding.Pass
		if bad {
			o = finding.Fail
		}
		var facts []string
		if bad {
			facts = []string{"defects", strings.Join(slices.Collect(f.defects.Names()), " ")}
		}
		set.Add(finding.Of(id, o, "", facts...))
	}
	add(finding.FromMissing, has(message.MissingFrom) || len(f.from) == 0)
	add(finding.FromMultiple, has(message.DuplicateFrom) || severalDomains(f.from))
	add(finding.HeaderID, has(message.MissingMessageID, message.DuplicateMessageID))
	add(finding.HeaderDate, has(message.MissingDate, message.DuplicateDate) || f.date().IsZero())
	add(finding.HeaderSyntax, has(message.DuplicateField, message.InvalidUTF8Header, message.LongLine,
		message.ContainsNUL, message.MalformedHeader, message.DuplicateMIME))
}

func severalDomains(ds []string) bool {
	return len(ds) > 1 && slices.ContainsFunc(ds, func(d string) bool { return d != ds[0] })
}

func itoa(n int) string { return strconv.Itoa(n) }

func base64Text(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
