package main

import (
	_ "embed"
	"html/template"

	"posta/internal/finding"
)

//go:embed auditpage.html
var auditPageText string

// auditPage writes the report as one HTML file: no script, nothing loaded from
// elsewhere, fit to be printed or sent.
func (c *cli) auditPage(x *audited) error {
	t, err := template.New("audit").Funcs(template.FuncMap{
		"say":    func(key string, args ...any) string { return c.lang.Say(key, args...) },
		"dashed": dashed,
	}).Parse(auditPageText)
	if err != nil {
		return err
	}
	page := struct {
		*audited
		Lang              string
		Open, Doubt, Rest []*auditedFinding
	}{audited: x, Lang: string(c.lang)}
	for i := range x.Findings {
		f := &x.Findings[i]
		switch f.Outcome {
		case finding.Fail.String():
			page.Open = append(page.Open, f)
		case finding.Unverified.String():
			page.Doubt = append(page.Doubt, f)
		default:
			page.Rest = append(page.Rest, f)
		}
	}
	return t.Execute(c.out, page)
}
