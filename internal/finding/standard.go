package finding

import "regexp"

// rfcSection finds "RFC 7208 §8.4" and "RFC 8314" in a standard.
var rfcSection = regexp.MustCompile(`RFC (\d+)(?: §(\d+(?:\.\d+)*))?`)

// Links are the pages where the RFC sections of the check's standard are read, in
// their order. None when the standard is a provider's rule.
func (c Check) Links() []string {
	var out []string
	for _, m := range rfcSection.FindAllStringSubmatch(c.Standard, -1) {
		out = append(out, rfcLink(m[1], m[2]))
	}
	return out
}

func rfcLink(number, section string) string {
	link := "https://www.rfc-editor.org/rfc/rfc" + number
	if section != "" {
		link += "#section-" + section
	}
	return link
}
