package app

import (
	"slices"

	"posta/internal/autoconf"
	"posta/internal/web"
)

// programDoors are the doors that mail programs are told of.
func (s *server) programDoors() []autoconf.Door {
	var out []autoconf.Door
	for _, b := range s.bound {
		if d, ok := web.Door(b.name, b.l.Addr().String()); ok {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, web.Preferred)
	return out
}
