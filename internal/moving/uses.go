package moving

import "strings"

// useOf guesses the special use of a mailbox by the name that mail programs give to
// such ones, in English and Spanish; "" if it is an ordinary one.
func useOf(name string) string {
	switch strings.ToLower(name) {
	case "sent", "sent items", "sent messages", "sent mail", "enviados", "elementos enviados", "correo enviado", "mensajes enviados":
		return `\Sent`
	case "drafts", "draft", "borradores":
		return `\Drafts`
	case "trash", "deleted items", "deleted messages", "papelera", "elementos eliminados", "mensajes eliminados":
		return `\Trash`
	case "junk", "spam", "junk e-mail", "junk email", "bulk mail", "correo no deseado", "correo basura":
		return `\Junk`
	case "archive", "archives", "archivo", "archivados":
		return `\Archive`
	}
	return ""
}
