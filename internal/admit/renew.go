package admit

// Renew tells at the doors, whose words are ASCII, how a password that is too old is replaced: at
// the page for it, or where there is none by the administrator.
func Renew(page string) string {
	if page == "" {
		return "ask your administrator for a new one"
	}
	return "change it at " + page
}
